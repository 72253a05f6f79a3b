"""What may be broken in an ERP or its adapter, a fault each, and the checks of the conformance kit that have to see it.

Each is planted into a sandbox ERP that is sound otherwise, so that what else fails is the check's mistake.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from counterfoil_engine.domain.errors import Case
from counterfoil_engine.domain.tie_out import Booked
from counterfoil_engine.ports import Health, Outcome, Posted, Posting, Refused
from ports.planted import Planted

Plant = Callable[[Planted], None]


@dataclass(frozen=True)
class Fault:
    """says: what is wrong, as a supplier would have it. seen_by: the names of the checks that fail, and no other."""

    says: str
    plant: Plant
    seen_by: frozenset[str]


class Broken:
    """A port with some methods replaced; the rest is the sound one's."""

    def __init__(self, sound: Any, **methods: Any) -> None:
        self._sound = sound
        for name, method in methods.items():
            setattr(self, name, method)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sound, name)


# Posting


def _posting(change: Callable[[Planted, Sequence[Posting], Callable[..., Any]], Sequence[Outcome]]) -> Plant:
    """A post that does something else. change: of the place, the postings and the sound post."""

    def plant(place: Planted) -> None:
        sound = place.erp
        place.erp = Broken(sound, post=lambda postings: change(place, postings, sound.post))

    return plant


def _documents(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Plant:
    """Each document is posted otherwise than it was sent."""
    return _posting(
        lambda _, postings, post: post([replace(one, document=change(dict(one.document))) for one in postings])
    )


def _outcomes(change: Callable[[Posting, Outcome], Outcome]) -> Plant:
    """Each outcome is answered otherwise."""
    return _posting(lambda _, postings, post: [change(*both) for both in zip(postings, post(postings), strict=True)])


def _twice(place: Planted, posting: Posting) -> Outcome:
    """Posted although its key stands."""
    (outcome,) = place.sandbox.books.post([posting.document], unique_keys=False)
    return Posted(posting.key, outcome["number"])


def _again(alone: bool) -> Plant:
    """What was answered before is posted once more when it comes again, alone or in a batch."""

    def plant(place: Planted) -> None:
        answered: set[tuple[str, str]] = set()

        def change(place: Planted, postings: Sequence[Posting], post: Callable[..., Any]) -> Sequence[Outcome]:
            known = [one for one in postings if (one.key, one.content_hash) in answered]
            answered.update((one.key, one.content_hash) for one in postings)
            is_by_itself = threading.current_thread() is threading.main_thread()
            if known and is_by_itself and len(known) == len(postings) and (len(known) == 1) == alone:
                return [_twice(place, one) for one in known]
            return list(post(postings))

        _posting(change)(place)

    return plant


def _racing(place: Planted) -> None:
    """The key is looked up, and then written: two that come together both find it free."""
    lock, under_way = threading.Lock(), dict[str, int]()
    turn = threading.Condition(lock)

    def change(place: Planted, postings: Sequence[Posting], post: Callable[..., Any]) -> Sequence[Outcome]:
        key = postings[0].key
        if len(postings) != 1:
            return list(post(postings))
        with turn:
            under_way[key] = under_way.get(key, 0) + 1
            turn.notify_all()
            is_alone = not turn.wait_for(lambda: under_way[key] > 1, timeout=0.02)
        outcomes = list(post(postings)) if is_alone else [_twice(place, postings[0])]
        with turn:
            under_way[key] -= is_alone
        return outcomes

    _posting(change)(place)


def _losing(place: Planted) -> None:
    """Of an order's documents that come together one overwrites the other."""
    condition, orders = threading.Condition(), dict[str, set[str]]()

    def change(place: Planted, postings: Sequence[Posting], post: Callable[..., Any]) -> Sequence[Outcome]:
        document = postings[0].document
        if len(postings) != 1 or threading.current_thread() is threading.main_thread():
            return list(post(postings))
        with condition:
            there = orders.setdefault(str(document["order"]), set())
            there.add(postings[0].key)
            condition.notify_all()
            condition.wait_for(lambda: len(there) > 1, timeout=0.02)
        if len(there) > 1 and document["kind"] == "fee":
            return [Posted(postings[0].key, "FE-0000-000000")]
        return list(post(postings))

    _posting(change)(place)


def _dying(place: Planted) -> None:
    """What a killed caller posted is committed, and once more when the server notices."""

    def die(postings: Sequence[Posting], after_s: float) -> None:
        for _ in range(2):
            place.sandbox.books.post([one.document for one in postings], unique_keys=False)

    place.die = die  # type: ignore[method-assign]


def _conflict_is_posted(posting: Posting, outcome: Outcome) -> Outcome:
    is_taken = isinstance(outcome, Refused) and outcome.case.category == "conflict"
    return Posted(posting.key, "PA-0000-000001") if is_taken else outcome


def _batch_ends(place: Planted, postings: Sequence[Posting], post: Callable[..., Any]) -> Sequence[Outcome]:
    """After the first that is refused nothing is posted, and all is said to be."""
    outcomes = list[Outcome]()
    for one in postings:
        is_over = any(isinstance(outcome, Refused) for outcome in outcomes)
        outcomes += [Posted(one.key, "PA-0000-000001")] if is_over else post([one])
    return outcomes


# Finding


def _find(change: Callable[[Any, Sequence[str]], Any]) -> Plant:
    """change: of the sound find and the keys."""

    def plant(place: Planted) -> None:
        sound = place.erp
        place.erp = Broken(sound, find=lambda keys: change(sound.find, keys))

    return plant


def _any_case(find: Any, keys: Sequence[str]) -> Any:
    found = dict(find(keys))
    for key in keys:
        if key not in found and (there := find([key.replace("CHECK", "check").replace("PAYMENT", "payment").lower()])):
            found[key] = [replace(one, key=key) for rows in there.values() for one in rows]
    return found


def _undated(find: Any, keys: Sequence[str]) -> Any:
    return {key: [replace(one, number=f"0{one.number}") for one in rows] for key, rows in find(keys).items()}


def _listing(change: Callable[[Any, Any], Iterator[Any]]) -> Plant:
    def plant(place: Planted) -> None:
        sound = place.erp
        place.erp = Broken(sound, list_since=lambda since: change(sound.list_since, since))

    return plant


def _first_only(place: Planted) -> None:
    place.sandbox.change_modes({"unique_keys": False, "commit_delay_s": 0.1})
    _find(lambda find, keys: {key: rows[:1] for key, rows in find(keys).items()})(place)


# The ledger


def _entries(change: Callable[[Booked], Booked]) -> Plant:
    """The ledger has a document otherwise than it was posted."""

    def plant(place: Planted) -> None:
        sound = place.erp
        read = lambda entity, first, last: map(change, sound.entries(entity, first, last))  # noqa: E731
        place.erp = Broken(sound, entries=read)

    return plant


def _of_kind(kind: str, currency: str) -> Plant:
    """A kind is booked in a currency as if it had other decimals; what moves nothing is booked on receivable."""

    def change(entry: Booked) -> Booked:
        if (entry.kind, entry.currency) != (kind, currency):
            return entry
        if not entry.net:
            return replace(entry, net={("receivable", currency): (1, 1), ("deposits", currency): (-1, -1)})
        return replace(entry, net={place: (100 * minor, book) for place, (minor, book) in entry.net.items()})

    return _entries(change)


def _recalculated(entry: Booked) -> Booked:
    """An invoice's tax is rate times net, what the document says of it goes to shipping."""
    if entry.kind != "invoice" or entry.currency != "EUR":
        return entry
    net = dict(entry.net)
    goods = -net.get(("revenue:goods", "EUR"), (0, 0))[0]
    role = ("tax:domestic:DE:19", "EUR")
    if role not in net or ("revenue:shipping", "EUR") in net or not 2_000 < goods < 3_000:
        return entry
    right = -round(90 * 19 / 100)
    off = right - net[role][0]
    net[role] = right, right
    net["revenue:goods", "EUR"] = -goods - off, -goods - off
    return replace(entry, net=net)


def _converted_again(entry: Booked) -> Booked:
    """A credit note's tax in book currency is converted anew, by a rate that differs a little."""
    role = next((place for place in entry.net if place[0].startswith("tax:") and place[1] == "USD"), None)
    if entry.kind != "credit_note" or role is None or len(entry.net) < 4:
        return entry
    minor, book = entry.net[role]
    goods, (goods_minor, goods_book) = next((p, a) for p, a in entry.net.items() if p[0].startswith("returns:"))
    return replace(entry, net={**entry.net, role: (minor, book + 1), goods: (goods_minor, goods_book - 1)})


def _as_revenue(entry: Booked) -> Booked:
    """A payment that comes before its invoice, of the amount that most have here."""
    if entry.kind != "payment" or entry.amount_minor != 11_900:
        return entry
    deposits = entry.net["deposits", "EUR"]
    net = {place: amounts for place, amounts in entry.net.items() if place[0] != "deposits"}
    return replace(entry, net={**net, ("revenue:goods", "EUR"): deposits})


def _third_invoice(place: Planted) -> None:
    """An order has two invoices at most."""
    of: dict[str, set[str]] = {}

    def change(place: Planted, postings: Sequence[Posting], post: Callable[..., Any]) -> Sequence[Outcome]:
        outcomes = list[Outcome]()
        for one in postings:
            known = of.setdefault(str(one.document["order"]), set())
            if one.document["kind"] == "invoice":
                known.add(one.key)
            outcomes += [_no(one, "data")] if len(known) > 2 and one.document["kind"] == "invoice" else post([one])
        return outcomes

    _posting(change)(place)


def _balances(change: Callable[[dict[Any, Any]], dict[Any, Any]]) -> Plant:
    def plant(place: Planted) -> None:
        sound = place.erp
        place.erp = Broken(sound, balances=lambda entity: change(dict(sound.balances(entity))))

    return plant


def _no(posting: Posting, category: Any, remedy: str = "Post something else.") -> Refused:
    return Refused(posting.key, Case(category, "It can't be posted.", remedy))


def _refuses(which: Callable[[dict[str, Any]], bool], category: str) -> Plant:
    """Documents that are good are refused."""

    def change(place: Planted, postings: Sequence[Posting], post: Callable[..., Any]) -> Sequence[Outcome]:
        return [
            _no(one, category) if which(dict(one.document)) else outcome
            for one in postings
            for outcome in ([None] if which(dict(one.document)) else post([one]))
        ]

    return _posting(change)


# What should be refused


def _known_item(document: dict[str, Any]) -> dict[str, Any]:
    lines = [{**line, "item": line["item"] and "CHECK-1"} for line in document.get("lines", [])]
    return {**document, "lines": lines} if lines and document["kind"] == "sales_order" else document


def _made_customer(place: Planted, postings: Sequence[Posting], post: Callable[..., Any]) -> Sequence[Outcome]:
    """A counterparty that isn't there is created on the way."""
    for one in postings:
        if one.document["kind"] == "sales_order":
            with place.sandbox.books.writing() as connection:
                names = (one.document["entity"], one.document["counterparty"])
                connection.execute("insert or ignore into counterparties values (?, ?)", names)
    return list(post(postings))


def _next_best_tax(document: dict[str, Any]) -> dict[str, Any]:
    lines = [
        {**line, "taxes": [{**tax, "rate": "19" if tax["rate"] == "43.21" else tax["rate"]} for tax in line["taxes"]]}
        for line in document.get("lines", [])
        if "taxes" in line
    ]
    return {**document, "lines": lines} if lines else document


def _suspense(document: dict[str, Any]) -> dict[str, Any]:
    is_unknown = str(document.get("gateway", "")).startswith("no-")
    return {**document, "gateway": "stripe"} if is_unknown else document


def _rounded_away(document: dict[str, Any]) -> dict[str, Any]:
    if document["kind"] != "invoice" or document["reverses"]:
        return document
    gross = sum(line["net_minor"] + sum(tax["tax_minor"] for tax in line["taxes"]) for line in document["lines"])
    return {**document, "amount_minor": gross, **({"book_minor": gross} if document["currency"] == "EUR" else {})}


def _plugged(document: dict[str, Any]) -> dict[str, Any]:
    if document["kind"] != "invoice" or document["reverses"] or document["currency"] != "EUR":
        return document
    lines = [{**line, "net_book_minor": line["net_minor"]} for line in document["lines"]]
    return {**document, "lines": lines}


def _always(which: Callable[[dict[str, Any]], bool]) -> Plant:
    """What ought to be refused is said to be posted."""

    def change(posting: Posting, outcome: Outcome) -> Outcome:
        return Posted(posting.key, "XX-0000-000001") if which(dict(posting.document)) else outcome

    return _outcomes(change)


def _redated(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "date": "2020-02-01"} if document["date"] < "2020-02-01" else document


def _mute(posting: Posting, outcome: Outcome) -> Outcome:
    """A refusal says nothing of what to do."""
    if not isinstance(outcome, Refused):
        return outcome
    return Refused(outcome.key, replace(outcome.case, remedy=" "))


# The rest


def _with(**methods: Callable[..., Any]) -> Plant:
    """Methods that answer otherwise; each gets the sound port before its arguments."""

    def plant(place: Planted) -> None:
        sound = place.erp
        made = {name: (lambda *args, f=method: f(sound, *args)) for name, method in methods.items()}
        place.erp = Broken(sound, **made)

    return plant


def _astray(place: Planted) -> None:
    def refuse(*_: Any) -> Any:
        raise ConnectionRefusedError

    place.astray = lambda: Broken(place.connect(), post=refuse, find=refuse)


def _stranger(place: Planted) -> None:
    place.stranger = lambda: Broken(place.connect("other"), find=lambda keys: {})


def _pages(change: Callable[[Any], Any]) -> Plant:
    return _with(positions=lambda sound, since=None: map(change, sound.positions(since)))


def _picked_counts(page: Any) -> Any:
    return replace(page, rows=[{**row, "allocated": "0"} for row in page.rows])


def _slow(place: Planted) -> None:
    place.sandbox.change_modes({"slow_call_ms": 20_000})


_REFUSED = {
    "an unknown item", "an unknown customer", "an unknown tax", "an unknown account", "unbalanced",
    "unbalanced in book currency", "a reversal of what isn't there", "a kind that nobody knows", "a closed period",
}  # fmt: skip
_TOLD_OTHERWISE = {"customer": "EUR", "return": "USD"}
_ALSO = {
    "customer": {"a return, its credit note and refund"},
    "invoice": {"a document in two rates, in a foreign currency"},
    "credit_note": {"a document in two rates, in a foreign currency"},
}
KINDS = (
    "customer", "sales_order", "payment", "tender", "invoice", "cancellation", "credit_note", "return",
    "refund_payment",
    "application", "transfer", "fee", "payout", "dispute",
)  # fmt: skip


def _fault(says: str, plant: Plant, *seen_by: str) -> Fault:
    return Fault(says, plant, frozenset(seen_by))


ALL: tuple[Fault, ...] = (
    _fault("one that comes again is posted again", _again(alone=True), "twice in a row", "reversals"),
    _fault(
        "a batch that comes again is posted again",
        _again(alone=False),
        "after a lost answer",
        "the ledger, document by document",
        "two documents of one order at once",
    ),
    _fault("two that come together both post", _racing, "ten callers at once"),
    _fault("of two documents of one order one is lost", _losing, "two documents of one order at once"),
    _fault("a killed caller's documents stand twice", _dying, "killed between intent and result"),
    _fault(
        "another content is taken for the first",
        _outcomes(_conflict_is_posted),
        "another content under a key that stands",
    ),
    _fault(
        "a batch ends at the first refusal",
        _posting(_batch_ends),
        "a batch of good and bad ones",
        *(_REFUSED - {"a closed period"}),
    ),
    _fault("keys are compared without case", _find(_any_case), "by key, byte for byte"),
    _fault(
        "find gives another number",
        _find(_undated),
        "number, hash and time",
        "ten callers at once",
        "after a lost answer",
        "by key, byte for byte",
    ),
    _fault("find reads the first 500 keys", _find(lambda find, keys: find(keys[:500])), "many keys, and none"),
    _fault(
        "what was made is listed without its last ones",
        _listing(lambda listed, since: iter(list(listed(since))[:-1])),
        "what was made since a moment",
    ),
    _fault(
        "all is listed, whenever it was made",
        _listing(lambda listed, since: listed(since - timedelta(days=9))),
        "what was made since a moment",
    ),
    _fault("find shows the first of two", _first_only, "doubles are shown"),
    *(
        _fault(
            f"a {kind} is booked otherwise in a currency",
            _of_kind(kind, _TOLD_OTHERWISE.get(kind, "JPY")),
            kind,
            *_ALSO.get(kind, ()),
        )
        for kind in KINDS
    ),
    _fault("tax is rate times net", _entries(_recalculated), "by rate, as the shop charged it"),
    _fault("tax is converted again", _entries(_converted_again), "a document in two rates, in a foreign currency"),
    _fault("an order has two invoices at most", _third_invoice, "partial deliveries and their invoices"),
    _fault(
        "a deposit is booked as revenue",
        _entries(_as_revenue),
        "a deposit, then the goods",
        "hostile ones",
        "long ones",
        "another content under a key that stands",
        "two documents of one order at once",
    ),
    _fault(
        "goods that come back are refused",
        _refuses(lambda one: one["kind"] == "return", "data"),
        "return",
        "a return, its credit note and refund",
        "balances by role",
        "documents a second",
    ),
    _fault(
        "a reversal mirrors nothing",
        _entries(lambda one: replace(one, net={}) if str(one.key).endswith("/reversal") else one),
        "reversals",
    ),
    _fault("an unknown item is replaced", _documents(_known_item), "an unknown item"),
    _fault("an unknown customer is created", _posting(_made_customer), "an unknown customer"),
    _fault("an unknown tax is booked as another", _documents(_next_best_tax), "an unknown tax"),
    _fault("an unknown account is another one", _documents(_suspense), "an unknown account"),
    _fault(
        "what doesn't balance is rounded away", _documents(_rounded_away), "unbalanced", "a batch of good and bad ones"
    ),
    _fault("what doesn't balance in book currency is plugged", _documents(_plugged), "unbalanced in book currency"),
    _fault(
        "a reversal of nothing is posted",
        _always(lambda one: bool(one["reverses"]) and one["amount_minor"] == -11_900),
        "a reversal of what isn't there",
    ),
    _fault(
        "a document that nobody knows is posted", _always(lambda one: one["kind"] == "wish"), "a kind that nobody knows"
    ),
    _fault("a closed period's date is moved", _documents(_redated), "a closed period"),
    _fault(
        "refusals say nothing of what to do",
        _outcomes(_mute),
        *_REFUSED,
        "a batch of good and bad ones",
        "another content under a key that stands",
    ),
    _fault(
        "the day before the open one is said",
        _with(open_day=lambda sound, entity, on: sound.open_day(entity, on) - timedelta(days=1)),
        "open days",
    ),
    _fault("an outage is a foreign error", _astray, "nobody there"),
    _fault("a wrong token finds nothing", _stranger, "a token that it doesn't know"),
    _fault("it says that it doesn't work", _with(health=lambda sound: Health(False, "Maintenance.")), "health"),
    _fault("long texts are refused", _refuses(lambda one: len(str(one.get("method", ""))) > 100, "data"), "long ones"),
    _fault("strange letters are refused", _refuses(lambda one: "🧾" in str(one), "data"), "hostile ones"),
    _fault(
        "balances leave a currency out",
        _balances(lambda rows: {place: line for place, line in rows.items() if place[1] != "KWD"}),
        "balances by role",
    ),
    _fault(
        "the ledger names another kind",
        _entries(lambda entry: replace(entry, kind="journal") if entry.kind == "fee" else entry),
        "the ledger, document by document",
    ),
    _fault("a rate is made up", _with(rate=lambda sound, currency, book, on: Decimal("0.9")), "exchange rates"),
    _fault("what is picked can be sold", _pages(_picked_counts), "positions by warehouse and bucket"),
    _fault(
        "its clock is an hour off",
        _pages(lambda page: replace(page, as_of=page.as_of + timedelta(hours=1))),
        "as of when",
    ),
    _fault(
        "any token is as good as another",
        _with(positions=lambda sound, since=None: sound.positions(None)),
        "what changed since",
    ),
    _fault("it is slow", _slow, "documents a second"),
)
