"""What is reserved: units that a store has lowered for a sold line, and that no position of a warehouse shows yet.

    reserved(line) = lowered − restocked − allocated − shipped, never below 0

Recomputed from the line's latest facts, so it can open again. A unit that was sold is in the reservation or in the
position (allocated, or gone from on hand), at every moment: never in neither; in both only while an allocation that the
position already shows has no line that says so (custody.md, A2 and A3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

ANYWHERE = ""  # the warehouse of a shipment that the store alone tells of


class SoldLine(NamedTuple):
    """An order's line as the store's moves left it. key: of the SKU that it takes; each: units of it for one sold (a
    kit's part). restocked: what the store raised again."""

    store: str
    order_id: str
    line: str
    key: str
    lowered: int
    restocked: int
    unpaid_since: datetime | None = None
    completed_at: datetime | None = None
    each: int = 1


class Held(NamedTuple):
    """What one warehouse holds, or has shipped, for a line, as of a moment."""

    warehouse: str
    allocated: int
    shipped: int
    as_of: datetime


class Seen(NamedTuple):
    """A warehouse's position of the SKU: its moment, and the moment up to which all lines that it holds are known."""

    as_of: datetime
    lines_as_of: datetime | None


class Reservation(NamedTuple):
    """Units still reserved for a line, and why. waiting: said to be held or shipped, and in no position yet (A3)."""

    line: SoldLine
    units: int
    allocated: int
    shipped: int
    waiting: int
    note: str = ""
    again_at: datetime | None = None


def reservation(
    line: SoldLine,
    held: Sequence[Held],
    seen: Mapping[str, Seen],
    as_of: datetime,
    *,
    unpaid_hours: int | None = None,
    by_store: bool = False,
) -> Reservation:
    """What is reserved for a line now. held: its facts, of any age; seen: by warehouse, of this SKU.

    unpaid_hours: how long an unpaid order keeps its units; None: as long as the store has lowered them.
    by_store: no warehouse of the pool says which lines it holds: what the store completed counts as shipped.
    """
    net = (line.lowered - line.restocked) * line.each
    if net <= 0:
        return Reservation(line, 0, 0, 0, 0)
    allocated = shipped = waiting = 0
    for warehouse in {one.warehouse for one in held}:
        counted, later = _counted(warehouse, held, seen.get(warehouse))
        allocated, shipped = allocated + counted[0], shipped + counted[1]
        waiting += max(0, sum(later) - sum(counted))
    if by_store and line.completed_at is not None:
        if seen and all(one.as_of >= line.completed_at for one in seen.values()):
            shipped = max(shipped, net)
        else:
            waiting = max(waiting, net - allocated - shipped)
    # A restock counts only for what is not shipped: net − shipped is below 0 where a shipped unit was restocked too.
    units = max(0, net - allocated - shipped)
    waiting = min(waiting, units)
    if units and unpaid_hours is not None and line.unpaid_since is not None:
        ends_at = line.unpaid_since + timedelta(hours=unpaid_hours)
        if as_of >= ends_at:
            return Reservation(line, 0, allocated, shipped, 0, "unpaid for too long")
        return Reservation(line, units, allocated, shipped, waiting, "unpaid", ends_at)
    return Reservation(line, units, allocated, shipped, waiting)


def _counted(warehouse: str, held: Sequence[Held], seen: Seen | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """(allocated, shipped) as the warehouse's position shows them, and as its latest fact says.

    A shipment stays true for ever. An allocation may have been undone since: it counts only where all lines are known
    as of the position, or its end would be counted zero times until it is told."""
    facts = sorted((one for one in held if one.warehouse == warehouse), key=lambda one: one.as_of)
    latest = (facts[-1].allocated, facts[-1].shipped)
    shown = [one for one in facts if seen is not None and one.as_of <= seen.as_of]
    if seen is None or not shown:
        return (0, 0), latest
    is_known = seen.lines_as_of is not None and seen.lines_as_of >= seen.as_of
    return (shown[-1].allocated if is_known else 0, shown[-1].shipped), latest
