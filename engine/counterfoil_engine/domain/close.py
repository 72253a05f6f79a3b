"""A period's check, line by line: our figure, the ERP's, the difference, and the orders behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from counterfoil_engine.domain.periods import Period
from counterfoil_engine.domain.settlement.open_items import OpenItem
from counterfoil_engine.domain.settlement.roll_forward import FIGURES, Movement, RollForward, roll_forward
from counterfoil_engine.domain.tie_out import Break

SUBJECTS_MAX = 100  # named behind a line; the rest is counted
AGES = ((30, "up to 30 days"), (60, "31 to 60 days"), (90, "61 to 90 days"))
OLDER = "over 90 days"


@dataclass(frozen=True)
class Line:
    """name: what is checked; detail: of what (a role, a category, an age). unit: a currency, or what is counted.

    ours, erps: minor units or a number; erps None: the ERP's port can't say. needs_somebody: it ought to be settled
    before the period is locked. subjects: those behind it, the first ones by name; of how many."""

    name: str
    detail: str
    unit: str
    ours: int
    erps: int | None = None
    needs_somebody: bool = False
    subjects: Sequence[str] = field(default=())
    of: int = 0

    @property
    def difference(self) -> int | None:
        return None if self.erps is None else self.ours - self.erps


def line(name: str, detail: str, unit: str, ours: int, subjects: Iterable[str], needs_somebody: bool = False) -> Line:
    """A line that the ERP has no figure for."""
    names = sorted(set(subjects))
    return Line(name, detail, unit, ours, None, needs_somebody, names[:SUBJECTS_MAX], len(names))


def balanced(rows: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """Debits less credits of the period, by currency and in the book currency: 0, or the journal is broken."""
    sums: dict[tuple[str, str], int] = {}
    for row in rows:
        for name, currency, prefix in (
            ("document", row["currency"], ""),
            ("book", row["book_currency"], "book_"),
        ):
            moved = int(row[f"{prefix}debit_minor"]) - int(row[f"{prefix}credit_minor"])
            sums[name, currency] = sums.get((name, currency), 0) + moved
    for (name, currency), left in sorted(sums.items()):
        yield Line("debits less credits", f"{name} currency", currency, left, 0, left != 0)


def broken(breaks: Iterable[Break]) -> Iterator[Line]:
    """How many of the ERP's documents are not as they were posted, by what is wrong with them; what the accountant
    booked on accounts of their own is nobody's to settle."""
    parts: dict[str, list[str]] = {}
    for each in breaks:
        parts.setdefault(each.kind, []).append(each.about or each.number)
    for kind, subjects in sorted(parts.items()):
        yield replace(
            line("documents in the ERP", kind, "documents", 0, subjects, kind != "foreign"), erps=len(subjects)
        )


def aged(rows: Iterable[Mapping[str, Any]], last: date) -> Iterator[Line]:
    """What is owed or unapplied at that day's end, by role, currency and age: since when it was last 0.

    rows: the movements of each subject, role and currency, together and by day."""
    standing: dict[tuple[str, str, str], tuple[int, date]] = {}
    for row in rows:
        key = (row["about"], row["role"], row["currency"])
        before, since = standing.get(key, (0, last))
        since = since if before else date.fromisoformat(row["posting_date"])
        standing[key] = (before + int(row["amount_minor"]), since)
    buckets: dict[tuple[str, str, str], list[tuple[str, int]]] = {}
    for (about, role, currency), (amount_minor, since) in standing.items():
        if amount_minor:
            buckets.setdefault((role, currency, _age((last - since).days)), []).append((about, amount_minor))
    order = [text for _, text in AGES] + [OLDER]
    for (role, currency, age), parts in sorted(buckets.items(), key=lambda one: (*one[0][:2], order.index(one[0][2]))):
        total_minor = sum(amount_minor for _, amount_minor in parts)
        yield line("owed", f"{role}, {age}", currency, total_minor, [about for about, _ in parts])


def _age(days: int) -> str:
    return next((text for most, text in AGES if days <= most), OLDER)


def summed(
    name: str, rows: Iterable[Mapping[str, Any]], detail: str, subject: str, needs_somebody: bool, unit: str
) -> Iterator[Line]:
    """How many rows there are by what stands in a column; detail, subject: the columns."""
    parts: dict[str, list[str]] = {}
    for row in rows:
        parts.setdefault(str(row[detail]), []).append(row[subject])
    for value, subjects in sorted(parts.items()):
        yield line(name, value, unit, len(subjects), subjects, needs_somebody)


# Reports: a gateway's clearing, gift cards, tax bases.


@dataclass(frozen=True)
class GiftCards:
    """What is owed on gift cards in one currency: opening + issued - used - breakage + adjusted = closing."""

    currency: str
    opening_minor: int
    issued_minor: int
    used_minor: int
    breakage_minor: int
    adjusted_minor: int

    @property
    def closing_minor(self) -> int:
        return self.opening_minor + self.issued_minor - self.used_minor - self.breakage_minor + self.adjusted_minor


def gift_card_lines(cards: Iterable[GiftCards]) -> Iterator[Line]:
    """Their roll-forward, a line each; what stands at nothing and never moved is left out."""
    for each in cards:
        figures = {name: getattr(each, f"{name}_minor") for name in CARD_FIGURES}
        if any(figures.values()):
            yield from (line("gift cards", name, each.currency, amount, ()) for name, amount in figures.items())


CARD_FIGURES = ("opening", "issued", "used", "breakage", "adjusted", "closing")


def clearing_lines(
    movements: Iterable[Movement], items: Iterable[OpenItem], held: Mapping[tuple[str, str], int], month: Period
) -> Iterator[Line]:
    """By gateway and currency: its roll-forward over the month, what of the closing balance waits for a payout's report
    by age, what the gateway keeps by its statements, and what none of that explains.

    movements: to the month's end, from the beginning."""
    rolled: dict[tuple[str, str], list[RollForward]] = {}
    for day in roll_forward(movements, {}, {}):
        rolled.setdefault((day.gateway, day.currency), []).append(day)
    waiting: dict[tuple[str, str], list[OpenItem]] = {}
    for item in items:
        waiting.setdefault((item.source, item.currency), []).append(item)
    for (gateway, currency), days in sorted(rolled.items()):
        within = [day for day in days if day.day >= month.first_day]
        opening_minor = within[0].opening_minor if within else days[-1].closing_minor
        closing_minor, own = days[-1].closing_minor, waiting.get((gateway, currency), [])
        if not within and not closing_minor and not own:
            continue
        yield line("clearing", f"{gateway}: opening", currency, opening_minor, ())
        for name in FIGURES:
            moved = sum(day.figures[name] for day in within)
            if moved:
                yield line("clearing", f"{gateway}: {name}", currency, moved, ())
        yield line("clearing", f"{gateway}: closing", currency, closing_minor, ())
        yield from _waiting(gateway, currency, own, month.last_day)
        kept_minor = held.get((gateway, currency), 0)
        if kept_minor:
            yield line("clearing", f"{gateway}: kept by its statements", currency, kept_minor, ())
        left = closing_minor - kept_minor - sum(item.amount_minor for item in own)
        yield line("clearing", f"{gateway}: in no payout and not open", currency, left, (), left != 0)


def _waiting(gateway: str, currency: str, items: Iterable[OpenItem], last: date) -> Iterator[Line]:
    by_age: dict[str, list[OpenItem]] = {}
    for item in items:
        by_age.setdefault(_age((last - item.day).days), []).append(item)
    for age in (*(text for _, text in AGES), OLDER):
        if own := by_age.get(age):
            total = sum(item.amount_minor for item in own)
            detail = f"{gateway}: in no payout yet, {age}"
            yield line("clearing", detail, currency, total, [item.about for item in own])


def base_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    """What tax was charged on in the month, by treatment, jurisdiction and rate: nets of invoices less credit notes.

    rows: kind, sign, currency, lines and about of each document. A line with two taxes is a base of both."""
    bases: dict[tuple[str, str], int] = {}
    behind: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        sign = int(row["sign"]) * (1 if row["kind"] == "invoice" else -1)
        for sold in row["lines"]:
            for tax in sold["taxes"]:
                place = (f"tax:{tax['treatment']}:{tax['jurisdiction']}:{tax['rate']}", row["currency"])
                bases[place] = bases.get(place, 0) + sign * sold["net_minor"]
                behind.setdefault(place, set()).add(row["about"])
    for (role, currency), base in sorted(bases.items()):
        yield line("base of the period's tax", role, currency, base, behind[role, currency])
