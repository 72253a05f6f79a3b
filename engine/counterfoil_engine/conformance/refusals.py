"""Checks: what can't be posted is refused with cause and remedy, and nothing of it stands; an outage is told as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from counterfoil_engine.conformance.check import Check, check
from counterfoil_engine.conformance.made_up import Order, Paper
from counterfoil_engine.conformance.trial import Broken, NotTried, Trial, refused, told
from counterfoil_engine.domain.errors import Retry, Unavailable
from counterfoil_engine.ports import Erp, Posted

REFUSED, OUTAGES = "Refused, and why", "Outages"
CLOSED_DAYS = "closed_days"
SAY_WHY = "with a cause that names it and a remedy that a person can follow"


@dataclass(frozen=True)
class _Wrong:
    """A document that can't be posted. before: what has to stand. naming: what the refusal has to name."""

    before: Sequence[Paper]
    paper: Paper
    categories: Sequence[str]
    naming: str = ""


def _is_refused(name: str, what: str, make: Callable[[Order], _Wrong], change: str) -> Check:
    @check(
        REFUSED,
        name,
        did=f"Posted {what}, with a sound payment of another order in the same call.",
        expected="It is refused, permanently, with cause and remedy; nothing of it stands, and its neighbour does.",
        change=change,
    )
    def tried(trial: Trial) -> str:
        wrong, beside = make(trial.order()), trial.order().payment(11_900)
        if wrong.before:
            trial.stands(*wrong.before)
        outcome, neighbour = trial.post(wrong.paper, beside)
        said = refused(outcome, wrong.categories, wrong.naming)
        if trial.found([wrong.paper])[wrong.paper.key]:
            raise Broken(f"It was refused, and a document bears the key {wrong.paper.key}.")
        if not isinstance(neighbour, Posted):
            raise Broken(f"Its neighbour was {told(neighbour)}")
        trial.stands_once(beside)
        return said

    return tried


def _lines(order: Order) -> list[dict[str, object]]:
    return [order.line(10_000, 1_900)]


def _unknown_item(order: Order) -> _Wrong:
    item = f"NO-{order.id}"
    return _Wrong(
        [order.customer()],
        order.sales_order([{**order.line(10_000, 1_900), "item": item}]),
        ["missing_mapping", "data"],
        item,
    )


def _unknown_customer(order: Order) -> _Wrong:
    return _Wrong([], order.sales_order(_lines(order)), ["data", "missing_mapping"], order.counterparty)


def _unknown_tax(order: Order) -> _Wrong:
    line = order.line(10_000, 4_321)
    taxes = [{**line["taxes"][0], "rate": "43.21"}]
    lines = [{**line, "taxes": taxes}]
    before = [order.customer(), order.sales_order(_lines(order))]
    return _Wrong(before, order.invoice("1", lines), ["missing_mapping", "tax"], "43.21")


def _unknown_account(order: Order) -> _Wrong:
    gateway = f"no-{order.id}"
    return _Wrong([], order.payment(11_900, gateway=gateway), ["missing_mapping"], gateway)


def _unbalanced(order: Order) -> _Wrong:
    invoice = order.invoice("1", _lines(order)).changed(amount_minor=11_901)
    return _Wrong([order.customer(), order.sales_order(_lines(order))], invoice, ["unbalanced"])


def _unbalanced_in_book(order: Order) -> _Wrong:
    invoice = order.invoice("1", _lines(order))
    lines = [{**line, "net_book_minor": line["net_book_minor"] - 1} for line in invoice.posting.document["lines"]]
    before = [order.customer(), order.sales_order(_lines(order))]
    return _Wrong(before, invoice.changed(lines=lines), ["unbalanced"])


def _reversal_of_nothing(order: Order) -> _Wrong:
    never = order.payment(11_900)
    return _Wrong([], order.reversal(never), ["data", "conflict"])


def _no_such_kind(order: Order) -> _Wrong:
    return _Wrong([], order.payment(11_900).changed(kind="wish", contract="counterfoil.wish.v1"), ["contract"])


@check(
    REFUSED,
    "a closed period",
    did="Asked for the first open day after a day of a closed period; posted a payment on each of the two.",
    expected=f"On the closed day it is refused as closed_period, {SAY_WHY}; on the open one it stands.",
    change="Say the first day on which can be posted; refuse what is dated into a closed period, and move no date by"
    " yourself.",
    promise=CLOSED_DAYS,
)
def closed_period(trial: Trial) -> str:
    closed = trial.company.closed_day
    if closed is None:
        raise NotTried("[company] names no closed_day: close a period there, and write one of its days.")
    entity = trial.company.entity
    first_open = trial.patiently(lambda: trial.erp.open_day(entity, closed))
    if first_open <= closed:
        raise Broken(f"{first_open} is said to be the first open day from {closed} on, which lies in a closed period.")
    if (again := trial.patiently(lambda: trial.erp.open_day(entity, first_open))) != first_open:
        raise Broken(f"{first_open} is said to be open, and then {again}.")
    order = trial.order()
    dated = order.payment(11_900).changed(date=closed.isoformat())
    (outcome,) = trial.post(dated)
    said = refused(outcome, ["closed_period"])
    if trial.found([dated])[dated.key]:
        raise Broken("It was refused, and stands nevertheless.")
    trial.stands(order.payment(11_900))
    return said


@check(
    REFUSED,
    "open days",
    did="Asked whether today and the days around it are open.",
    expected="A day of an open period is its own answer, and no answer is before the day asked about.",
    change="Answer with the day itself where its period is open.",
)
def open_days(trial: Trial) -> None:
    for days in (-1, 0, 1):
        asked = trial.day + timedelta(days=days)
        said = trial.patiently(partial(trial.erp.open_day, trial.company.entity, asked))
        if said < asked or (days == 0 and said != asked):
            raise Broken(f"{said} is said to be the first open day from {asked} on.")


# Outages


@check(
    OUTAGES,
    "nobody there",
    did="Called every read, post and health at an address where no ERP is.",
    expected="Each says that nothing was sent (Unavailable), with cause and remedy; health says no, and why.",
    change="Map every error before a call is sent to Unavailable.",
)
def nobody_there(trial: Trial) -> str:
    if trial.levers.astray is None:
        raise NotTried("The kit was not told how to reach an address where nobody is.")
    erp = trial.levers.astray()
    said = [_unavailable(name, call) for name, call in _calls(trial, erp)]
    health = erp.health()
    if health.ok or not health.detail.strip():
        raise Broken(f"Health says {health.ok}, {health.detail or 'and nothing why'!r}.")
    return said[0]


@check(
    OUTAGES,
    "a token that it doesn't know",
    did="Called every read and post with a wrong token.",
    expected="Each says that nothing was done, with what to set right; the token is in no sentence.",
    change="Answer 401 before anything else; the adapter raises Unavailable with the remedy.",
)
def wrong_token(trial: Trial) -> str:
    if trial.levers.stranger is None:
        raise NotTried("The kit was not told how to call with a wrong token.")
    erp = trial.levers.stranger()
    said = [_unavailable(name, call) for name, call in _calls(trial, erp)]
    if any(WRONG_TOKEN in sentence for sentence in said):
        raise Broken("A sentence repeats the token.")
    return said[0]


WRONG_TOKEN = "this-is-not-the-token-of-it"  # noqa: S105 - it is nobody's


def _calls(trial: Trial, erp: Erp) -> list[tuple[str, Callable[[], object]]]:
    payment = trial.order().payment(11_900)
    return [
        ("post", lambda: erp.post([payment.posting])),
        ("find", lambda: erp.find([payment.key])),
        ("list_since", lambda: list(erp.list_since(trial.clock.now()))),
        ("open_day", lambda: erp.open_day(trial.company.entity, trial.day)),
    ]


def _unavailable(name: str, call: Callable[[], object]) -> str:
    try:
        came = call()
    except Unavailable as error:
        if not error.cause.strip() or not error.remedy.strip():
            raise Broken(
                f"{name} raised Unavailable without {'a remedy' if error.cause.strip() else 'a cause'}."
            ) from None
        return f"{error.cause} {error.remedy}"
    except Retry as error:
        raise Broken(f"{name} raised {type(error).__name__} and not Unavailable: {error.cause}") from None
    raise Broken(f"{name} answered {str(came)[:80]!r}, and nothing can have been done.")


@check(
    OUTAGES,
    "health",
    did="Asked for its health, and how it wants to be called.",
    expected="It works and says so; lanes and batch_size are 1 or more, commit_lag_s 0 or more.",
    change="Declare how many callers at once, how many documents a call, and how long after a call it may still"
    " commit.",
)
def health(trial: Trial) -> str:
    said, erp = trial.erp.health(), trial.erp
    if not said.ok:
        raise Broken(f"It says that it doesn't work: {said.detail}")
    if erp.lanes < 1 or erp.batch_size < 1 or erp.commit_lag_s < 0:
        raise Broken(
            f"It declares {erp.lanes} lanes, {erp.batch_size} documents a call, commit_lag_s {erp.commit_lag_s}."
        )
    return f"{said.detail} Lanes {erp.lanes}, {erp.batch_size} documents a call, commit_lag_s {erp.commit_lag_s:g}."


_NOT_BY_ITSELF = f"Refuse it {SAY_WHY}; create nothing by itself."
CHECKS: tuple[Check, ...] = (
    _is_refused("an unknown item", "a sales order of an item that isn't there", _unknown_item, _NOT_BY_ITSELF),
    _is_refused(
        "an unknown customer", "a sales order of a counterparty that isn't there", _unknown_customer, _NOT_BY_ITSELF
    ),
    _is_refused("an unknown tax", "an invoice at 43.21 %", _unknown_tax, _NOT_BY_ITSELF),
    _is_refused("an unknown account", "a payment by a gateway without an account", _unknown_account, _NOT_BY_ITSELF),
    _is_refused(
        "unbalanced",
        "an invoice of a minor unit more than its lines",
        _unbalanced,
        "Refuse with `unbalanced` what doesn't add up; never round it away.",
    ),
    _is_refused(
        "unbalanced in book currency",
        "an invoice whose lines are a minor unit short in book currency",
        _unbalanced_in_book,
        "Refuse with `unbalanced` what doesn't add up in book currency either.",
    ),
    _is_refused(
        "a reversal of what isn't there",
        "the reversal of a payment that was never posted",
        _reversal_of_nothing,
        "Refuse a reversal whose original doesn't stand.",
    ),
    _is_refused(
        "a kind that nobody knows",
        "a document of the kind `wish`",
        _no_such_kind,
        "Refuse with `contract` what it can't read.",
    ),
    closed_period,
    open_days,
    nobody_there,
    wrong_token,
    health,
)
