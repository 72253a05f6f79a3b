"""Which part of an order each invoice takes, and what each refund takes back: of what was never invoiced, or of which
invoice (domain.md, section 5). Pure arithmetic over the order's lines.

    cumulative(q) = round half up (line × q ÷ Q) less what the parts before took, net and each tax alike

so that any order of arrival comes to the same sums, and the last part takes what is left to the minor unit. Shipping,
fees and what has no quantity go with the first part, a negative fee with the first ones that bear it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from counterfoil_engine.domain.credit import Credit
from counterfoil_engine.domain.delivery import Delivery, Quantities, Shipment
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.domain.money import round_half_up, show, spread
from counterfoil_engine.domain.order import Line, Order
from counterfoil_engine.domain.postings import GOODWILL
from counterfoil_engine.domain.tax import unit_minor

Amounts = dict[int | None, int]
"""A line's amounts in minor units: its net under None, each tax under its rate's id."""

ACCEPTANCE = "acceptance"
REST = "rest"
CANCELLATION = "cancellation"


@dataclass(frozen=True)
class Part:
    """What one invoice takes, and the shipment that made it due (None: acceptance, or a rest that never ships)."""

    id: str
    at: datetime
    lines: tuple[Line, ...]
    shipment: Shipment | None = None

    @property
    def gross_minor(self) -> int:
        return sum(line.gross_minor for line in self.lines)


@dataclass(frozen=True)
class Taken:
    """What a refund, or the cancellation, takes back: before its invoice, and of which part's (newest first)."""

    of: str
    before: tuple[Line, ...]
    after: tuple[tuple[str, tuple[Line, ...]], ...]


@dataclass(frozen=True)
class Parts:
    """All parts and all that was taken back. is_complete: nothing is left to be shipped, so nothing to be invoiced."""

    parts: tuple[Part, ...]
    taken: Mapping[str, Taken]
    is_complete: bool


NO_PARTS = Parts((), {}, False)
"""Where nobody counts what is shipped."""


def at_acceptance(sold: Sequence[Line], credits: Sequence[Credit], left: Sequence[Line], at: datetime) -> Parts:
    """One invoice of all that was sold; whatever is taken back is credited on it."""
    taken = {credit.refund.id: Taken(credit.refund.id, (), ((ACCEPTANCE, credit.lines),)) for credit in credits}
    taken[CANCELLATION] = Taken(CANCELLATION, (), ((ACCEPTANCE, tuple(left)),))
    return Parts((Part(ACCEPTANCE, at, tuple(sold)),), taken, True)


def not_shipped(sold: Sequence[Line], credits: Sequence[Credit], delivery: Delivery) -> dict[str, Quantities]:
    """By refund, how much of each line it takes of what is not shipped.

    A refunded quantity is first taken from that, unless a receipt says that it came back or all of the line is shipped.
    """
    shipped = delivery.shipped()
    left = {line.id: line.quantity - shipped.get(line.id or "", Decimal(0)) for line in sold if line.type == "item"}
    back: dict[tuple[str | None, str], Decimal] = defaultdict(Decimal)
    for receipt in delivery.receipts:
        for returned, quantity in receipt.quantities.items():
            back[receipt.refund, returned] += quantity
    found: dict[str, Quantities] = {}
    for credit in credits:
        mine: dict[str, Decimal] = {}
        for line in credit.lines:
            name = line.id
            if line.type != "item" or name is None or name not in left or line.quantity <= 0:
                continue
            wanted = line.quantity
            for pool in ((credit.refund.id, name), (None, name)):
                came = min(wanted, back[pool])
                back[pool] -= came
                wanted -= came
            mine[name] = min(wanted, max(left[name], Decimal(0)))
            left[name] -= mine[name]
        found[credit.refund.id] = {name: quantity for name, quantity in mine.items() if quantity > 0}
    return found


def by_shipment(
    order: Order, sold: Sequence[Line], credits: Sequence[Credit], delivery: Delivery, cancelled: datetime | None
) -> Parts:
    """An invoice with each shipment. Refunds and shipments go by their own times; a cancellation closes all, and takes
    what no refund does, a later one either."""
    events: list[tuple[datetime, int, Shipment | Credit | None]] = [
        *((shipment.at, 0, shipment) for shipment in delivery.shipments),
        *((min(credit.refund.created, cancelled or credit.refund.created), 1, credit) for credit in credits),
    ]
    if cancelled:
        events.append((cancelled, 2, None))
    split = _Split(order, sold, not_shipped(sold, credits, delivery))
    for at, _, event in sorted(events, key=lambda event: event[:2]):
        match event:
            case Shipment():
                split.ship(event)
            case Credit():
                split.refund(event, at)
            case None:
                split.cancel(at)
    return split.parts()


@dataclass
class _Row:
    """A line while it is split: what is to be invoiced of it in all, and what was."""

    line: Line
    amounts: Amounts
    quantity: Decimal
    invoiced: Amounts = field(default_factory=lambda: defaultdict(int))
    shipped: Decimal = Decimal(0)
    discounted: int = 0

    def open(self) -> Amounts:
        return {key: amount - self.invoiced[key] for key, amount in self.amounts.items()}

    def gross(self) -> int:
        """What is to be invoiced of it yet."""
        return sum(self.open().values())

    def bear(self, gross_minor: int) -> Amounts | None:
        """So much of a negative fee as a part of this amount bears: no invoice is below nothing."""
        share = min(Decimal(1), Decimal(gross_minor) / -self.gross())
        part = {key: _within(round_half_up(Decimal(amount) * share), amount) for key, amount in self.open().items()}
        if share <= 0 or sum(part.values()) < -gross_minor:
            return None
        for key, amount in part.items():
            self.invoiced[key] += amount
        return part

    def discount(self) -> int:
        """What coupons took off the units that were taken last: of all so far less what the parts before had."""
        units = self.line.quantity if self.line.quantity > 0 else Decimal(1)
        share = min(Decimal(1), self.shipped / units)
        part = round_half_up(self.line.discount_minor * share) - self.discounted
        self.discounted += part
        return part

    def take(self, quantity: Decimal) -> Amounts:
        """The amounts of the next so many units."""
        self.shipped += quantity
        if self.shipped >= self.quantity:
            part = self.open()
        else:
            opened = self.open()
            part = {
                key: _within(
                    round_half_up(Decimal(amount) * self.shipped / self.quantity) - self.invoiced[key], opened[key]
                )
                for key, amount in self.amounts.items()
            }
        for key, amount in part.items():
            self.invoiced[key] += amount
        return part


class _Split:
    def __init__(self, order: Order, sold: Sequence[Line], before: Mapping[str, Quantities]) -> None:
        self._order, self._before_quantities = order, before
        self._rows = {line.id: _Row(line, _amounts(line), line.quantity) for line in sold}
        self._parts: list[Part] = []
        self._open: dict[str, dict[str | None, Line]] = {}
        self._before: dict[str, list[Line]] = defaultdict(list)
        self._after: dict[str, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
        self._waiting: list[tuple[str, Line]] = []
        self._last: datetime | None = None

    def parts(self) -> Parts:
        is_complete = self._is_complete()
        if is_complete and self._last and any(any(row.open().values()) for row in self._rows.values()):
            rest = [self._line(row, row.open(), Decimal(0)) for row in self._rows.values() if any(row.open().values())]
            self._add(Part(REST, self._last, tuple(rest)))
        for of, line in self._waiting:
            self._credit(of, line, must=True)
        taken = {
            of: Taken(
                of, tuple(self._before[of]), tuple((part, tuple(lines)) for part, lines in self._after[of].items())
            )
            for of in {*self._before, *self._after}
        }
        return Parts(tuple(self._parts), taken, is_complete)

    def _is_complete(self) -> bool:
        return all(row.shipped >= row.quantity for row in self._rows.values() if row.line.type == "item")

    def ship(self, shipment: Shipment) -> None:
        self._last = shipment.at
        lines = []
        for name, quantity in shipment.quantities.items():
            if row := self._rows.get(name):
                taken = self._line(row, row.take(quantity), quantity)
                lines.append(replace(taken, discount_minor=row.discount()))
        others = [row for row in self._rows.values() if row.line.type != "item" or not row.line.quantity]
        if not self._parts:
            lines += [self._line(row, row.take(row.quantity), row.line.quantity) for row in others if row.gross() >= 0]
        for row in others:
            if row.gross() < 0 and (borne := row.bear(total(lines))):
                lines.append(self._line(row, borne, row.line.quantity))
        self._add(Part(shipment.id, shipment.at, tuple(lines), shipment))

    def _add(self, part: Part) -> None:
        self._parts.append(part)
        self._open[part.id] = {line.id: line for line in part.lines}

    def refund(self, credit: Credit, at: datetime) -> None:
        of = credit.refund.id
        self._last = max(at, self._last or at)
        for line in sorted(credit.lines, key=lambda line: line.gross_minor < 0):
            if line.id is None:
                before, after = self._reduction(line)
            elif total(self._before[of]) + line.gross_minor < 0:
                before, after = None, line  # a negative fee alone is no cancellation
            else:
                kept = self._with_rounding_elsewhere(of, line)
                before, after = self._by_line(kept, self._before_quantities.get(of, {}).get(line.id, Decimal(0)))
            if before is not None:
                self._before[of].append(before)
            if after is not None:
                self._credit(of, after)

    def cancel(self, at: datetime) -> None:
        """What is not invoiced never will be, and what is invoiced is credited. So a refund that waits for an invoice,
        its goods having left later, is of what was not."""
        self._last = max(at, self._last or at)
        waiting, self._waiting = self._waiting, []
        for of, line in waiting:
            before, after = self._by_line(line, line.quantity) if line.id is not None else (None, line)
            self._before[of] += [before] if before is not None else []
            self._waiting += [(of, after)] if after is not None else []
        for row in self._rows.values():
            quantity = max(row.quantity - row.shipped, Decimal(0))
            if any(row.open().values()) or (row.line.type == "item" and quantity):
                self._before[CANCELLATION].append(self._reduced(row, row.open(), quantity))
        for part in self._parts:
            for line in [line for line in self._open[part.id].values() if line.gross_minor or line.quantity]:
                self._after[CANCELLATION][part.id].append(line)
                self._open[part.id][line.id] = _with(line, dict.fromkeys(_amounts(line), 0), Decimal(0))

    def _with_rounding_elsewhere(self, of: str, line: Line) -> Line:
        """A line's tax may be a unit less than the store shows, since the header's tax was split (`tax.split_taxes`).

        The store refunds what it shows: that unit is taken back of another line of the same rate."""
        left = _amounts(line)
        for rate, tax in line.taxes:
            there = self._rows[line.id].open().get(rate, 0)
            there += sum(_amounts(own[line.id]).get(rate, 0) for own in self._open.values() if line.id in own)
            if 0 < tax - there <= unit_minor(self._order) and self._take_elsewhere(of, line, rate, tax - there):
                left[rate] = there
        return _with(line, left, line.quantity)

    def _take_elsewhere(self, of: str, line: Line, rate: int, amount: int) -> bool:
        """Take some of a rate's tax of another line: of what is not invoiced, else of the newest invoice."""
        for row in self._rows.values():
            if row.line.id != line.id and row.open().get(rate, 0) >= amount:
                self._before[of].append(self._reduced(row, {rate: amount}, Decimal(0)))
                return True
        for part in reversed(self._parts):
            for name, other in self._open[part.id].items():
                if name != line.id and _amounts(other).get(rate, 0) >= amount:
                    self._after[of][part.id].append(_with(other, {rate: amount}, Decimal(0)))
                    self._open[part.id][name] = _with(other, _minus(_amounts(other), {rate: amount}), other.quantity)
                    return True
        return False

    def _by_line(self, line: Line, quantity: Decimal) -> tuple[Line | None, Line | None]:
        """A refund's line, divided into what was never invoiced of it and the rest."""
        row, wanted = self._rows[line.id], _amounts(line)
        if line.type != "item" or line.quantity <= 0:
            share = Decimal(1) if not self._parts else Decimal(0)
        else:
            share = quantity / line.quantity
        opened = row.open()
        amounts = {
            key: _within(round_half_up(Decimal(amount) * share), opened.get(key, 0)) for key, amount in wanted.items()
        }
        before = self._reduced(row, amounts, quantity, line) if share else None
        rest = {key: amount - amounts[key] for key, amount in wanted.items()}
        left = line.quantity - (quantity if line.type == "item" else Decimal(0))
        after = _with(line, rest if share else wanted, left)
        return before, after if any(_amounts(after).values()) or (left > 0 and line.type == "item") else None

    def _reduction(self, line: Line) -> tuple[Line | None, Line | None]:
        """A price reduction: off the invoices that are there, as far as they have it open, else off those to come."""
        invoiced = sum(
            max(0, other.gross_minor)
            for lines in self._open.values()
            for other in lines.values()
            if _is_like(line, other)
        )
        if invoiced >= line.gross_minor:
            return None, line
        share = Decimal(invoiced) / line.gross_minor if line.gross_minor else Decimal(0)
        rows = [row for row in self._rows.values() if _is_like(line, row.line)]
        before: Amounts = {}
        for key, amount in _amounts(line).items():
            weights = [max(0, row.open()[key] - self._waited_for(row.line, key)) for row in rows]
            before[key] = _within(amount - round_half_up(Decimal(amount) * share), sum(weights))
            if before[key]:
                for row, part in zip(rows, spread(before[key], weights), strict=True):
                    row.amounts[key] -= part
        after = _minus(_amounts(line), before)
        return _with(line, before, line.quantity), _with(line, after, line.quantity) if any(after.values()) else None

    def _waited_for(self, line: Line, key: int | None) -> int:
        """What refunds take of a line's invoice that is still to come."""
        return sum(_amounts(waiting).get(key, 0) for _, waiting in self._waiting if waiting.id == line.id)

    def _reduced(self, row: _Row, amounts: Amounts, quantity: Decimal, of: Line | None = None) -> Line:
        for key, amount in amounts.items():
            row.amounts[key] -= amount
        if row.line.type == "item":
            row.quantity -= quantity
        return _with(of or row.line, amounts, quantity if row.line.type == "item" else row.line.quantity)

    def _credit(self, of: str, line: Line, must: bool = False) -> None:
        """Take a line back from the invoices, the newest first; what none has open waits for those to come."""
        left, quantity = _amounts(line), line.quantity
        for part in reversed(self._parts):
            took, units = self._take_back(part.id, line, left, quantity)
            if any(took.values()) or units:
                self._after[of][part.id].append(_with(line, took, units if line.id else line.quantity))
                left = {key: amount - took[key] for key, amount in left.items()}
                quantity -= units
            if not any(left.values()):
                return
        if must:
            raise Parked(
                f"Refund {of} takes {show(sum(left.values()), self._order.currency)} more of {line.id or 'the order'}"
                " than was invoiced.",
                "Compare the refund's lines with the order's in the store; delete it and write it anew.",
                "refund",
                money_minor=sum(left.values()),
                currency=self._order.currency,
            )
        self._waiting.append((of, _with(line, left, quantity)))

    def _take_back(self, part: str, line: Line, left: Amounts, quantity: Decimal) -> tuple[Amounts, Decimal]:
        lines = self._open[part]
        if line.id is not None:
            if line.id not in lines:
                return dict.fromkeys(left, 0), Decimal(0)
            opened = lines[line.id]
            took = {key: _within(amount, _amounts(opened).get(key, 0)) for key, amount in left.items()}
            units = min(quantity, opened.quantity) if line.type == "item" else Decimal(0)
            lines[line.id] = _with(opened, _minus(_amounts(opened), took), opened.quantity - units)
            return took, units
        group = [other for other in lines.values() if _is_like(line, other)]
        whole = {key: sum(_amounts(other)[key] for other in group) for key in left} if group else {}
        took = {key: _within(amount, whole.get(key, 0)) for key, amount in left.items()}
        for key, amount in took.items():
            if amount:
                weights = [max(0, _amounts(other)[key]) for other in group]
                for other, share in zip(group, spread(amount, weights), strict=True):
                    now = lines[other.id]
                    lines[other.id] = _with(now, _minus(_amounts(now), {key: share}), now.quantity)
        return took, Decimal(0)

    @staticmethod
    def _line(row: _Row, amounts: Amounts, quantity: Decimal) -> Line:
        return _with(row.line, amounts, quantity)


def _amounts(line: Line) -> Amounts:
    return {None: line.net_minor, **dict(line.taxes)}


def _with(line: Line, amounts: Mapping[int | None, int], quantity: Decimal) -> Line:
    taxes = tuple((rate, amounts.get(rate, 0)) for rate, _ in line.taxes)
    return replace(
        line,
        net_minor=amounts.get(None, 0),
        taxes=taxes,
        tax_minor=sum(tax for _, tax in taxes),
        quantity=quantity,
        discount_minor=0,
    )


def _minus(amounts: Amounts, less: Mapping[int | None, int]) -> Amounts:
    return {key: amount - less.get(key, 0) for key, amount in amounts.items()}


def _within(wanted: int, opened: int) -> int:
    """As much of what is wanted as is open, of either sign."""
    return max(0, min(wanted, opened)) if wanted >= 0 else min(0, max(wanted, opened))


def _is_like(reduction: Line, line: Line) -> bool:
    """Whether a price reduction is off this line: one of its rates; damages are off any."""
    return reduction.key == GOODWILL or {rate for rate, _ in line.taxes} == {rate for rate, _ in reduction.taxes}


def total(lines: Iterable[Line]) -> int:
    return sum(line.gross_minor for line in lines)
