"""Carrying vouchers into Tryton: many at once, halved where one is refused, each once whatever happened before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from counterfoil_engine.adapters.erp.tryton.answers import refusal_of
from counterfoil_engine.adapters.erp.tryton.books import Books, Refusal
from counterfoil_engine.adapters.erp.tryton.known import Known, Sale
from counterfoil_engine.adapters.erp.tryton.register import Register
from counterfoil_engine.adapters.erp.tryton.rpc import Said
from counterfoil_engine.adapters.erp.tryton.vouchers import MOVE, RETURN, SALE, Maker, Voucher, require_sound
from counterfoil_engine.adapters.http.line import Lost
from counterfoil_engine.domain.documents import KINDS
from counterfoil_engine.domain.errors import Case, Retry
from counterfoil_engine.ports import Found, Outcome, Posted, Posting, Refused, Unknown

Outcomes = dict[str, Outcome]


class Carrier:
    """One poster of a company, whoever calls: two at once would only meet at its number sequences."""

    def __init__(self, books: Books, register: Register) -> None:
        self._books, self._register = books, register
        self._alone = threading.Lock()

    def post(self, postings: Sequence[Posting]) -> list[Outcome]:
        """An outcome each, in order. Raises Unavailable or RateLimited where nothing was sent."""
        with self._alone:
            outcomes: Outcomes = {}
            try:
                self._post(postings, outcomes)
            except Retry:
                if not outcomes:
                    raise
            if any(isinstance(outcome, Refused) for outcome in outcomes.values()):
                self._books.forget()
            return [outcomes.get(posting.key, Unknown(posting.key)) for posting in postings]

    def _post(self, postings: Sequence[Posting], outcomes: Outcomes) -> None:
        sound = [each for each in _by_key(postings) if self._checked(each, partial(require_sound, each), outcomes)]
        for stage in _stages(sound):
            self._post_stage(stage, outcomes)

    def _post_stage(self, stage: Sequence[Posting], outcomes: Outcomes) -> None:
        undone = [each.document["reverses"] for each in stage if each.document["reverses"] is not None]
        found = self._register.find([*(each.key for each in stage), *undone])
        new = []
        for each in stage:
            if each.key in found:
                outcomes[each.key] = _standing(each.key, each.content_hash, found[each.key])
            elif self._checked(each, partial(_require_original, each, found), outcomes):
                new.append(each)
        if not new:
            return
        maker = Maker(self._books, Known(self._books, new))
        vouchers = [made for each in new if (made := self._made(maker, each, outcomes))]
        if self._books.has_module:
            self._carry(vouchers, outcomes)
            return
        groups: dict[tuple[int, str], list[Voucher]] = {}
        for voucher in vouchers:
            groups.setdefault((KINDS.index(voucher.kind), voucher.model or ""), []).append(voucher)
        for _, group in sorted(groups.items()):
            self._carry(group, outcomes)

    def _checked(self, posting: Posting, check: Callable[[], object], outcomes: Outcomes) -> bool:
        try:
            check()
        except Refusal as no:
            outcomes[posting.key] = _refused(posting.key, no)
            return False
        return True

    def _made(self, maker: Maker, posting: Posting, outcomes: Outcomes) -> Voucher | None:
        made: list[Voucher] = []
        self._checked(posting, lambda: made.append(maker.voucher(posting)), outcomes)
        return made[0] if made else None

    def _carry(self, vouchers: Sequence[Voucher], outcomes: Outcomes) -> None:
        """A group in one go; where it is refused, halves of it until the culprit stands alone (K6)."""
        if not vouchers:
            return
        try:
            outcomes.update(self._by_module(vouchers) if self._books.has_module else self._by_hand(vouchers))
        except Lost:
            outcomes.update({each.key: Unknown(each.key) for each in vouchers})
        except Said as said:
            if len(vouchers) > 1:
                middle = len(vouchers) // 2
                self._carry(vouchers[:middle], outcomes)
                self._carry(vouchers[middle:], outcomes)
                return
            (voucher,) = vouchers
            there = self._register.find([voucher.key]).get(voucher.key)  # another poster's, of just now
            no = refusal_of(said, voucher, self._books.names.path)
            outcomes[voucher.key] = (
                _standing(voucher.key, voucher.content_hash, there) if there else _refused(voucher.key, no)
            )

    # With the module: records and keys in one transaction

    def _by_module(self, vouchers: Sequence[Voucher]) -> Outcomes:
        for voucher in vouchers:
            self._end(voucher)
        answers = self._books.tryton.write(
            "model.counterfoil.document.post", self._books.company, [_sent(each) for each in vouchers]
        )
        return {
            voucher.key: _answered(voucher, answer["number"], answer["content_hash"])
            for voucher, answer in zip(vouchers, answers, strict=True)
        }

    # Without it: the record, then each button, every call a transaction of its own

    def _by_hand(self, vouchers: Sequence[Voucher]) -> Outcomes:
        model = vouchers[0].model
        for voucher in vouchers:
            self._end(voucher)
        if model is None:
            return self._noted(vouchers)
        if model == RETURN:
            for voucher in vouchers:
                self._returned(voucher)
            return self._noted(vouchers)
        self._clear_begun(model, [each.key for each in vouchers])
        write = self._books.tryton.write
        ids = write(f"model.{model}.create", [dict(each.values) for each in vouchers])
        # A sale without lines has no buttons to press, and goes with the others that have none.
        for buttons in sorted({each.buttons for each in vouchers}):
            some = [row for row, each in zip(ids, vouchers, strict=True) if each.buttons == buttons]
            for button in buttons:
                write(f"model.{model}.{button}", some)
        field = "code" if model == "party.party" else "number"
        numbers = {row["id"]: row[field] for row in self._books.tryton.read(f"model.{model}.read", ids, [field])}
        return {
            each.key: Posted(each.key, numbers.get(row) or f"{model},{row}")
            for row, each in zip(ids, vouchers, strict=True)
        }

    def _clear_begun(self, model: str, keys: Sequence[str]) -> None:
        """What an earlier try left in draft: it was never posted, so it is deleted and made anew."""
        begun = [each.record for each in self._register.records(keys=keys, begun=True)]
        ids = [int(record.partition(",")[2]) for record in begun if record.startswith(f"{model},")]
        if not ids:
            return
        if model != MOVE:
            self._books.tryton.write(f"model.{model}.draft", ids)
        if model == "sale.sale":
            self._books.tryton.write(f"model.{model}.cancel", ids)
        self._books.tryton.write(f"model.{model}.delete", ids)

    def _returned(self, voucher: Voucher) -> None:
        """A return of goods, made once, moved on from the state that it is in; a note says that it was."""
        tryton = self._books.tryton
        domain = self._books.of_company(("reference", "=", voucher.key))
        rows = tryton.read(f"model.{RETURN}.search_read", domain, 0, 1, None, ["state"])
        there = rows[0]["id"] if rows else tryton.write(f"model.{RETURN}.create", [dict(voucher.values)])[0]
        state = rows[0]["state"] if rows else "draft"
        for button in {"draft": ("receive", "do"), "received": ("do",)}.get(state, ()):
            tryton.write(f"model.{RETURN}.{button}", [there])

    def _noted(self, vouchers: Sequence[Voucher]) -> Outcomes:
        """A sale without lines, cancelled at once: what can be found by its key, has a date, and does nothing."""
        write = self._books.tryton.write
        self._clear_begun(SALE, [each.key for each in vouchers])
        rows: list[dict[str, Any]] = [
            {
                "company": self._books.company,
                "reference": each.key,
                "description": each.stamp,
                "party": each.party,
                "currency": self._books.currency.id,
                "sale_date": each.day,
                "invoice_method": "manual",
                "shipment_method": "manual",
                "lines": [],
            }
            for each in vouchers
        ]
        ids = write(f"model.{SALE}.create", rows)
        write(f"model.{SALE}.cancel", ids)
        return {each.key: Posted(each.key, f"{SALE},{row}") for row, each in zip(ids, vouchers, strict=True)}

    # Goods that aren't to go any more

    def _end(self, voucher: Voucher) -> None:
        """Cancel what is still to ship. Can be done again: what is cancelled stays so."""
        if voucher.ends is None:
            return
        sale, lines = voucher.ends
        tryton = self._books.tryton
        if sale.state in ("confirmed",):
            tryton.write("model.sale.sale.process", [sale.id])
        wanted = [line for name, line in sale.lines.items() if lines is None or name in lines]
        open_moves = tryton.read(
            "model.stock.move.search_read",
            [("origin", "in", [f"sale.line,{line}" for line in wanted]), ("state", "in", ["draft", "assigned"])],
            *(0, None, None, ["shipment", "origin"]),
        )
        shipments = {
            move["shipment"] for move in open_moves if (move["shipment"] or "").startswith("stock.shipment.out,")
        }
        ids = [int(shipment.partition(",")[2]) for shipment in shipments]
        if not ids:
            return
        whole = self._whole(ids, {move["id"] for move in open_moves})
        if whole:
            tryton.write("model.stock.shipment.out.cancel", whole)
            self._ignore(sale)

    def _whole(self, shipments: Sequence[int], ended: set[int]) -> list[int]:
        """Shipments of which nothing goes any more. Of others a person takes the lines out: the note says which."""
        rows = self._books.tryton.read("model.stock.shipment.out.read", shipments, ["outgoing_moves"])
        return [row["id"] for row in rows if set(row["outgoing_moves"]) <= ended]

    def _ignore(self, sale: Sale) -> None:
        """Tell the sale that the cancelled moves need no others in their place."""
        tryton, wizard = self._books.tryton, "sale.handle.shipment.exception"
        (row,) = tryton.read("model.sale.sale.read", [sale.id], ["shipment_state"])
        if row["shipment_state"] != "exception":
            return
        context = {"active_model": "sale.sale", "active_id": sale.id, "active_ids": [sale.id]}
        session, start, _ = tryton.write(f"wizard.{wizard}.create", **context)
        asked = tryton.write(f"wizard.{wizard}.execute", session, {}, start, **context)
        defaults: dict[str, Any] = asked["view"]["defaults"]
        moves = defaults.get("domain_moves") or []
        answer = {"ask": {"ignore_moves": moves, "recreate_moves": [], "domain_moves": moves}}
        tryton.write(f"wizard.{wizard}.execute", session, answer, "handle", **context)
        tryton.write(f"wizard.{wizard}.delete", session)


def _by_key(postings: Sequence[Posting]) -> list[Posting]:
    """Each key once: in a batch that holds one twice, the second is the first."""
    return list({posting.key: posting for posting in reversed(postings)}.values())[::-1]


def _stages(postings: Sequence[Posting]) -> list[list[Posting]]:
    """Documents after those of the same batch that they refer to. The engine sends none before those stand, so one
    stage is the rule."""
    level: dict[str, int] = {}
    by_name: dict[str, int] = {}  # counterparties, orders and slots that this batch makes
    for posting in sorted(postings, key=lambda each: KINDS.index(each.document["kind"])):
        document = posting.document
        order = f"order {document['store']}/{document['order']}"
        refers = [f"customer {document.get('counterparty')}", order, str(document.get("invoice"))]
        if document["reverses"] is not None:
            refers.append(str(document["reverses"]))
        depth = 0 if document["kind"] == "customer" else max((by_name.get(name, -1) + 1 for name in refers), default=0)
        level[posting.key] = depth
        made = {"customer": refers[0], "sales_order": order, "invoice": document["slot"]}.get(document["kind"])
        by_name |= {name: depth for name in (made, posting.key) if name is not None}
    stages: list[list[Posting]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for posting in postings:
        stages[level[posting.key]].append(posting)
    return [stage for stage in stages if stage]


def _sent(voucher: Voucher) -> dict[str, Any]:
    made = {"model": voucher.model, "values": dict(voucher.values), "buttons": list(voucher.buttons)}
    return {
        "key": voucher.key,
        "content_hash": voucher.content_hash,
        "kind": voucher.kind,
        "amount_minor": voucher.amount_minor,
        "currency": voucher.currency,
        "day": voucher.day,
        "about": voucher.about,
        **(made if voucher.model else {"record": voucher.record}),
    }


def _answered(voucher: Voucher, number: str, content_hash: str) -> Outcome:
    return Posted(voucher.key, number) if content_hash == voucher.content_hash else _conflict(voucher.key, number)


def _standing(key: str, content_hash: str, found: Sequence[Found]) -> Outcome:
    first = min(found, key=lambda one: (one.posted_at, one.number))
    return Posted(key, first.number) if first.content_hash == content_hash else _conflict(key, first.number)


def _conflict(key: str, number: str) -> Refused:
    return Refused(
        key,
        Case(
            "conflict",
            f"The key {key} stands already in Tryton under number {number} with other content.",
            "Reverse that document and post the new content under the next revision of its key.",
        ),
    )


def _require_original(posting: Posting, found: Any) -> None:
    original = posting.document["reverses"]
    if original is not None and original not in found:
        raise Refusal(
            "data", f"The document {original} to be reversed isn't in Tryton.", "Post it first, or leave its reversal."
        )


def _refused(key: str, no: Refusal) -> Refused:
    return Refused(key, Case(no.category, no.cause, no.remedy))
