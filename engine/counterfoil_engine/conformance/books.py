"""Checks: what the ERP knows better than anybody else: its ledger by role, its rates, its stock; and how fast it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from counterfoil_engine.conformance.check import Check, check
from counterfoil_engine.conformance.made_up import Paper
from counterfoil_engine.conformance.story import story_of, the_life_of
from counterfoil_engine.conformance.trial import Broken, NotPromised, NotTried, Trial
from counterfoil_engine.domain.stock import Position, read_position
from counterfoil_engine.domain.tie_out import Net
from counterfoil_engine.ports import TokenForgotten

BOOKS, STOCK, SPEED = "Ledger", "Stock", "Speed"
LEDGER, POSITIONS, RATES = "ledger", "positions", "rates"
SINGLY, BATCHES = 5, 4


@check(
    BOOKS,
    "balances by role",
    did="Read the balances by role, posted one order's life in each currency, and read them again.",
    expected="Each role has moved by what the engine's journal says, in its currency and in book currency; no other"
    " has.",
    change="Say debits and credits of every account with a role, to date, posted documents only, each currency by"
    " itself.",
    promise=LEDGER,
)
def balances_by_role(trial: Trial) -> str:
    before = trial.balances()
    papers = [paper for currency in trial.company.currencies for paper in the_life_of(trial.order(currency))]
    trial.stands(*papers)
    after, due = trial.balances(), _summed(papers)
    nothing = (0, 0)
    for role, currency in sorted({*before, *after, *due}):
        place = role, currency
        was, has = before.get(place, nothing), after.get(place, nothing)
        moved, wanted = (has[0] - was[0], has[1] - was[1]), due.get(place, nothing)
        if moved != wanted:
            raise Broken(
                f"{role} in {currency} moved by {moved[0]} ({moved[1]} in book currency), due were {wanted[0]}"
                f" ({wanted[1]})."
            )
    return f"{len(due)} roles and currencies, {len(papers)} documents."


def _summed(papers: list[Paper]) -> Net:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for paper in papers:
        for place, (minor, book) in paper.moved.items():
            was = sums.get(place, (0, 0))
            sums[place] = was[0] + minor, was[1] + book
    return {place: amounts for place, amounts in sums.items() if amounts != (0, 0)}


@check(
    BOOKS,
    "the ledger, document by document",
    did="Read the ledger of the day, and of a day on which the kit has posted nothing.",
    expected="Each document of a life is there once with its key, number, kind and day; on the other day none of"
    " them is.",
    change="List every document of these days, posted or made by hand, with its key where it bears one.",
    promise=LEDGER,
)
def ledger_by_document(trial: Trial) -> str:
    story = story_of(trial, trial.company.book_currency)
    posted = [paper for paper in story.papers if not story.refusals(paper.kind)]
    numbers = dict(zip((paper.key for paper in posted), trial.stands(*posted), strict=True))
    moving = [paper for paper in posted if paper.moved]
    for paper in moving:
        entry = trial.booked(paper)
        if (entry.number, entry.kind, entry.day) != (numbers[paper.key], paper.kind, trial.day):
            raise Broken(f"{paper.key} is in the ledger as {entry.kind} {entry.number} of {entry.day}.")
    another, entity = trial.day + timedelta(days=400), trial.company.entity
    read = trial.patiently(lambda: list(trial.erp.entries(entity, another, another)))  # type: ignore[attr-defined]
    if any(entry.key in numbers for entry in read):
        raise Broken(f"The ledger of {another} has documents of {trial.day}.")
    return f"{len(moving)} documents."


@check(
    BOOKS,
    "exchange rates",
    did="Asked for the rate of each currency, of the book currency itself, and of one that doesn't exist.",
    expected="A decimal above 0, units of the currency for one of the book currency; 1; and none.",
    change="Answer with the rate in force on that day; null where there is none. Don't turn it round.",
    promise=RATES,
    is_required=False,
)
def exchange_rates(trial: Trial) -> str:
    book, day = trial.company.book_currency, trial.day
    asked = [each for each in trial.company.currencies if each != book]
    rates = {each: trial.patiently(partial(trial.erp.rate, each, book, day)) for each in asked}
    if strange := [f"{each} {rate}" for each, rate in rates.items() if rate is not None and not rate > 0]:
        raise Broken(f"The rate of {strange[0]} is not above 0.")
    if (same := trial.patiently(lambda: trial.erp.rate(book, book, day))) != 1 and same is not None:
        raise Broken(f"One {book} is said to be {same} {book}.")
    if (none := trial.patiently(lambda: trial.erp.rate("XTS", book, day))) is not None:
        raise Broken(f"XTS, which is no money, has the rate {none}.")
    known = [f"{each} {rate}" for each, rate in rates.items() if rate is not None]
    if not known:
        raise NotPromised("It knows no rate of these currencies: the engine takes them from its rules.")
    return f"For one {book}: {', '.join(known)}."


# Stock


@check(
    STOCK,
    "positions by warehouse and bucket",
    did="Read all positions.",
    expected="Each row can be read: warehouse, SKU, on hand, allocated, damaged, quarantined, inbound by day, as of"
    " when. Each SKU of a warehouse comes once; what [company] says of the stock is there exactly.",
    change="Say each bucket by itself, as whole units; what is picked but not shipped is allocated, not on hand alone.",
    promise=POSITIONS,
    is_required=False,
)
def positions(trial: Trial) -> str:
    rows, _ = _all_positions(trial)
    for wanted in trial.company.stock:
        place = str(wanted.get("warehouse")), str(wanted.get("sku"))
        if place not in rows:
            raise Broken(f"{place[1]} in {place[0]} is in stock there, and no row says so.")
        _same_buckets(wanted, rows[place])
    if not rows:
        raise NotTried("There is no position: put some stock there, and write it as stock in [company].")
    warehouses = {warehouse for warehouse, _ in rows}
    return f"{len(rows)} positions of {len(warehouses)} warehouses, {len(trial.company.stock)} compared."


def _same_buckets(wanted: Mapping[str, Any], position: Position) -> None:
    for bucket in ("on_hand", "allocated", "damaged", "quarantined"):
        if bucket in wanted and int(str(wanted[bucket])) != getattr(position, bucket):
            where = f"{position.sku} in {position.warehouse}"
            raise Broken(f"{bucket} of {where} is said to be {getattr(position, bucket)}, and is {wanted[bucket]}.")
    inbound = wanted.get("inbound")
    if inbound is not None and sum(int(str(each["quantity"])) for each in inbound) != sum(
        q for _, q in position.inbound
    ):
        raise Broken(
            f"What is inbound of {position.sku} in {position.warehouse} is {position.inbound}, and is {inbound}."
        )


@check(
    STOCK,
    "as of when",
    did="Read all positions, and the ERP's clock with them.",
    expected="Each position's as_of is its own moment with an offset, not after the reading, and within a day of it.",
    change="Read all buckets of a position in one snapshot, and say its time by the ERP's clock, in UTC.",
    promise=POSITIONS,
    is_required=False,
)
def as_of(trial: Trial) -> str:
    rows, began = _all_positions(trial)
    off = abs((trial.clock.now() - began).total_seconds())
    if off > 300:
        raise Broken(f"The ERP's clock says {began.isoformat()}, which is {off:.0f} s off.")
    late = [position for position in rows.values() if position.as_of > began + timedelta(minutes=10)]
    if late:
        raise Broken(f"{late[0].sku} is said to be as of {late[0].as_of.isoformat()}, after it was read.")
    oldest = min((position.as_of for position in rows.values()), default=began)
    return f"The oldest is as of {oldest.isoformat(timespec='seconds')}."


@check(
    STOCK,
    "what changed since",
    did="Read what changed since a full reading, and what changed since a token that it never gave.",
    expected="Rows that can be read, or none, and another token; then that the token is forgotten.",
    change="Give a token at a full reading's end, and say so (410) where one is too old or of another database.",
    promise=POSITIONS,
    is_required=False,
)
def changed_since(trial: Trial) -> str:
    token = _token_of(trial, None)
    if token is None:
        return "It gives no token: all is read each time."
    _token_of(trial, token)
    try:
        pages = trial.patiently(lambda: list(trial.erp.positions("no-such-token")))  # type: ignore[attr-defined]
    except TokenForgotten:
        return "What changed can be read."
    raise Broken(f"It answered {len(pages)} pages to a token that it never gave: changes would be missed.")


def _token_of(trial: Trial, since: str | None) -> str | None:
    pages = trial.patiently(lambda: list(_owner(trial).positions(since)))
    for page in pages:
        _read_rows(page.rows, trial.clock.now())
    return pages[-1].token if pages else None


def _all_positions(trial: Trial) -> tuple[dict[tuple[str, str], Position], datetime]:
    pages = trial.patiently(lambda: list(_owner(trial).positions()))
    if not pages:
        raise Broken("A reading has no page, not even an empty one.")
    rows: dict[tuple[str, str], Position] = {}
    for page in pages:
        for position in _read_rows(page.rows, trial.clock.now()):
            if (position.warehouse, position.sku) in rows:
                raise Broken(f"{position.sku} in {position.warehouse} comes twice in one reading.")
            rows[position.warehouse, position.sku] = position
    return rows, pages[0].as_of.astimezone(UTC)


def _owner(trial: Trial) -> Any:
    if not hasattr(trial.erp, "positions"):
        raise NotPromised("The adapter reads no positions: a WMS has to own the stock.")
    return trial.erp


def _read_rows(rows: Any, now: datetime) -> list[Position]:
    read = []
    for raw in rows:
        position, cases = read_position(raw, now)
        if position is None:
            raise Broken(f"A row can't be read: {cases[0].cause}")
        if isinstance(raw, Mapping) and not {"on_hand", "as_of"} <= set(raw):
            raise Broken(f"A row of {position.sku} lacks a bucket.")
        read.append(position)
    return read


@check(
    SPEED,
    "documents a second",
    did=f"Posted {SINGLY} orders' customers, payments, orders and invoices one document a call, then {BATCHES} lives"
    " in calls as large as it takes.",
    expected="At least as many documents a second as [company] says (least_documents_per_s), either way.",
    change="Make what a document costs cheaper: fewer round trips, one transaction for a call, an index on the key.",
)
def speed(trial: Trial) -> str:
    singly = []
    for _ in range(SINGLY):
        order = trial.order()
        lines = [order.line(10_000, 1_900)]
        singly += [order.customer(), order.payment(11_900), order.sales_order(lines), order.invoice("1", lines)]
    began = trial.monotonic()
    for paper in singly:
        trial.stands(paper)
    one_by_one = len(singly) / max(trial.monotonic() - began, 1e-6)
    papers = [paper for _ in range(BATCHES) for paper in the_life_of(trial.order())]
    began = trial.monotonic()
    trial.stands(*papers)
    batched = len(papers) / max(trial.monotonic() - began, 1e-6)
    least = float(trial.company.least_documents_per_s)
    said = f"{one_by_one:.1f} documents a second singly, {batched:.1f} in calls of up to {trial.erp.batch_size}."
    if min(one_by_one, batched) < least:
        raise Broken(f"{said} At least {least:g} are wanted.")
    return said


CHECKS: tuple[Check, ...] = (
    balances_by_role,
    ledger_by_document,
    exchange_rates,
    positions,
    as_of,
    changed_since,
    speed,
)
