"""A run of the kit on one ERP: calls it as the engine's posters would, and remembers what it was given.

What the ERP answers is judged by the checks; here is only how the engine behaves towards it: what is unknown is
looked up after the commit lag, what time mends is tried again, a batch that is rejected as a whole is halved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

from counterfoil_engine.conformance.company import SOME_RATES, Company
from counterfoil_engine.conformance.made_up import Order, Paper
from counterfoil_engine.domain.errors import Parked, Retry
from counterfoil_engine.domain.tie_out import Booked, Net
from counterfoil_engine.ports import Clock, Erp, Found, Outcome, Posted, Posting, Refused, Unknown

ATTEMPTS = 6
LONGEST_PAUSE_S = 30.0


@dataclass
class Broken(Exception):
    """A promise that was not kept. came: what came instead, a sentence for the ERP's supplier."""

    came: str


@dataclass
class NotPromised(Exception):
    """The adapter says that its ERP can't do this. why: a sentence."""

    why: str


@dataclass
class NotTried(Exception):
    """The check lacks something. needed: what has to be set up, a sentence."""

    needed: str


@dataclass(frozen=True)
class Levers:
    """What the port alone can't do. die: posts from a caller that is killed in the middle of the call, so many seconds
    after it began. astray: the same adapter where no ERP is. stranger: with a token that the ERP doesn't know."""

    die: Callable[[Sequence[Posting], float], None] | None = None
    astray: Callable[[], Erp] | None = None
    stranger: Callable[[], Erp] | None = None


@dataclass
class Trial:
    """run: a few letters that no other run had, in every key. monotonic: seconds, to say how fast it is."""

    erp: Erp
    company: Company
    run: str
    clock: Clock
    levers: Levers = Levers()
    monotonic: Callable[[], float] = time.monotonic
    stories: dict[str, object] = field(default_factory=dict)
    _orders: int = 0
    _booked: dict[str, list[Booked]] = field(default_factory=dict)

    # What documents are made of

    def order(self, currency: str | None = None) -> Order:
        """The next order of this run."""
        self._orders += 1
        currency = currency or self.company.book_currency
        return Order(self.company, self.run, self._orders, currency, self.rate(currency), self.day)

    def paid_order(self) -> tuple[Order, Paper]:
        """An order whose customer stands, and a payment for it that doesn't yet."""
        order = self.order()
        return order, order.payment(11_900)

    @cached_property
    def day(self) -> date:
        """The day that documents are posted on."""
        wanted = self.company.day or self.clock.now().date()
        return self.erp.open_day(self.company.entity, wanted)

    def rate(self, currency: str) -> Decimal:
        book = self.company.book_currency
        if currency == book:
            return Decimal(1)
        known = self._rates.get(currency)
        return known or Decimal(SOME_RATES.get(currency, "2")) / Decimal(SOME_RATES.get(book, "1"))

    @cached_property
    def _rates(self) -> dict[str, Decimal | None]:
        book = self.company.book_currency
        return {each: self.erp.rate(each, book, self.day) for each in self.company.currencies if each != book}

    # Posting as a poster does

    def post(self, *papers: Paper) -> list[Outcome]:
        """What became of each in the end."""
        outcomes: list[Outcome] = []
        size = max(1, self.erp.batch_size)
        for start in range(0, len(papers), size):
            outcomes += self._settled(papers[start : start + size])
        return outcomes

    def stands(self, *papers: Paper) -> list[str]:
        """Post them; their numbers. Raises Broken where one is refused or stays unknown."""
        numbers = []
        for paper, outcome in zip(papers, self.post(*papers), strict=True):
            if not isinstance(outcome, Posted):
                raise Broken(f"The {paper.kind} {paper.key} was {told(outcome)}")
            numbers.append(outcome.number)
        return numbers

    def call(self, papers: Sequence[Paper]) -> list[Outcome]:
        """One call, as its caller sees it; what time mends is tried again. Halved where it was rejected as a whole."""
        try:
            outcomes = list(self.patiently(lambda: self.erp.post([paper.posting for paper in papers])))
        except Parked as error:
            if len(papers) == 1:
                return [Refused(papers[0].key, error.case)]
            middle = len(papers) // 2
            return [*self.call(papers[:middle]), *self.call(papers[middle:])]
        keys = [outcome.key for outcome in outcomes]
        if keys != [paper.key for paper in papers]:
            raise Broken(f"{len(papers)} documents were posted, and the outcomes are not of their keys in their order.")
        return outcomes

    def patiently(self, call: Callable[[], Any]) -> Any:
        """A call that is made again while it raises what time mends. Raises Broken where it doesn't end."""
        for attempt in range(ATTEMPTS):
            try:
                return call()
            except Retry as error:
                if attempt == ATTEMPTS - 1:
                    raise Broken(f"{ATTEMPTS} calls came to nothing. {error.cause} {error.remedy}") from None
                pause_s = 0.05 * 3**attempt if error.retry_after_s is None else error.retry_after_s
                self.clock.sleep(min(pause_s, LONGEST_PAUSE_S))
        raise AssertionError

    def _settled(self, papers: Sequence[Paper]) -> list[Outcome]:
        settled: dict[str, Outcome] = {}
        left = list(papers)
        for attempt in range(ATTEMPTS):
            if self.erp.commit_lag_s or attempt:  # who can't keep keys unique is never posted to before a look
                found = self.found_at_last(left) if attempt else self.found(left)
                settled |= {key: Posted(key, there[0].number) for key, there in found.items() if there}
                left = [paper for paper in left if not found[paper.key]]
            if left:
                settled |= {outcome.key: outcome for outcome in self.call(left)}
            left = [paper for paper in left if isinstance(settled[paper.key], Unknown)]
            if not left:
                break
        return [settled[paper.key] for paper in papers]

    # Asking

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        return cast(Mapping[str, Sequence[Found]], self.patiently(lambda: self.erp.find(keys)))

    def found(self, papers: Iterable[Paper]) -> dict[str, list[Found]]:
        """What stands under each key, also where that is nothing."""
        keys = [paper.key for paper in papers]
        there = self.find(keys)
        if strange := sorted(set(there) - set(keys)):
            raise Broken(f"The answer names {strange[0]}, which was not asked for.")
        return {key: list(there.get(key, ())) for key in keys}

    def found_at_last(self, papers: Iterable[Paper]) -> dict[str, list[Found]]:
        """What stands once the last call can no longer commit."""
        lag_s = self.erp.commit_lag_s
        if lag_s:
            self.clock.sleep(lag_s)
        return self.found(papers)

    def stands_once(self, *papers: Paper) -> None:
        """Raises Broken where a key is borne by no document, by two, or by another content."""
        for paper, there in zip(papers, self.found(papers).values(), strict=True):
            if len(there) != 1:
                numbers = ", ".join(one.number for one in there[:5]) or "none"
                raise Broken(f"{len(there)} documents bear the key {paper.key}: {numbers}.")
            if there[0].content_hash != paper.posting.content_hash:
                raise Broken(f"The document of {paper.key} bears another content_hash than it was posted with.")

    # The ledger

    def booked(self, paper: Paper) -> Booked:
        """The document as the ERP's ledger has it. Raises Broken where it is not there once."""
        if not hasattr(self.erp, "entries"):
            raise NotPromised("The adapter reads no ledger (entries), so no amount can be compared.")
        if paper.key not in self._booked:
            self._booked = {}
            day = self.day
            for entry in self.patiently(lambda: list(self.erp.entries(self.company.entity, day, day))):  # type: ignore[attr-defined]
                self._booked.setdefault(entry.key or "", []).append(entry)
        there = self._booked.get(paper.key, [])
        if len(there) != 1:
            raise Broken(
                f"The ledger of {self.day} has {len(there)} entries of the key {paper.key}; it was posted once."
            )
        return there[0]

    def is_exact(self, *papers: Paper) -> None:
        """Raises Broken where the ledger has another amount, in either currency, than the engine's journal."""
        for paper in papers:
            entry = self.booked(paper)
            if (entry.amount_minor, entry.currency) != (paper.amount_minor, paper.document.currency):
                raise Broken(
                    f"The {paper.kind} {paper.key} stands with {entry.amount_minor} {entry.currency} (minor units);"
                    f" it was posted with {paper.amount_minor} {paper.document.currency}."
                )
            if entry.moved != paper.moved:
                raise Broken(f"The {paper.kind} {paper.key} {_other_lines(paper.moved, entry.moved)}")

    def balances(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Debits less credits by role and currency, to date, in minor units of the currency and in book currency."""
        if not hasattr(self.erp, "balances"):
            raise NotPromised("The adapter reads no balances by role.")
        lines = self.patiently(lambda: self.erp.balances(self.company.entity))  # type: ignore[attr-defined]
        return {
            place: (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
            for place, line in lines.items()
        }


def _other_lines(ours: Net, theirs: Net) -> str:
    """The first role on which two journals differ, in words."""
    nothing = (0, 0)
    role, currency = min(place for place in {*ours, *theirs} if ours.get(place, nothing) != theirs.get(place, nothing))
    (due, due_book), (came, came_book) = ours.get((role, currency), nothing), theirs.get((role, currency), nothing)
    return (
        f"moves {came} {currency} ({came_book} in book currency) on {role}; it has to move {due} ({due_book}). Minor"
        " units, debits less credits."
    )


def told(outcome: Outcome) -> str:
    """An outcome as the end of a sentence."""
    match outcome:
        case Posted(number=number):
            return f"posted as {number}."
        case Refused(case=case):
            return f"refused ({case.category}): {case.cause} {case.remedy}"
    return "left unknown: it was not found either, and posting it again gave no answer."


def refused(outcome: Outcome, categories: Sequence[str], naming: str = "") -> str:
    """That an outcome is a refusal of one of these categories which says what to do, and names what it is about; as a
    sentence. Raises Broken where it isn't."""
    if not isinstance(outcome, Refused):
        raise Broken(f"It was {told(outcome)}")
    case = outcome.case
    if case.category not in categories:
        raise Broken(f"The category is {case.category}, not {' or '.join(categories)}: {case.cause}")
    if not case.cause.strip() or not case.remedy.strip():
        raise Broken(f"The refusal ({case.category}) lacks its {'remedy' if case.cause.strip() else 'cause'}.")
    if naming and naming not in f"{case.cause} {case.remedy}":
        raise Broken(f"The refusal doesn't name {naming}: {case.cause}")
    return f"Refused ({case.category}): {case.cause}"
