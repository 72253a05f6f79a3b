"""Whether the positions that are known here are those that a warehouse's owner has. Pure.

A row that is newer than what was read of it is on its way for a while; one of the same moment with other numbers was
changed past the owner's own ways, so that no reading of what changed would ever tell it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from counterfoil_engine.domain.breaks import Class, Found, InFlight
from counterfoil_engine.domain.stock import Position

GRACE = timedelta(minutes=15)  # in which a change ought to have been read
NUMBERS = ("on_hand", "allocated", "damaged", "quarantined")
_REMEDY = "Healing reads all positions of its owner anew; the numbers of the stores follow."

Known = Mapping[tuple[str, str], Mapping[str, Any]]
"""(warehouse, SKU's key) → sku, as_of and `NUMBERS`."""


def judge_positions(
    entity: str, ours: Known, theirs: Iterable[Position], again: Iterable[Position], as_of: datetime
) -> Iterator[Found | InFlight]:
    """theirs, again: two full readings. as_of: when the first began, by the owner's clock."""
    first, second = _by_place(theirs), _by_place(again)
    for place in sorted(ours.keys() | second.keys()):
        mine, their = ours.get(place), second.get(place)
        if _numbers(mine) == _said(their):
            continue
        subject = f"position {place[0]}/{their.sku if their else mine['sku'] if mine else place[1]}"
        if _said(first.get(place)) != _said(their):
            yield InFlight(subject, "changed while it was read")
        elif (moment := their.as_of if their else mine["as_of"] if mine else as_of) > as_of - GRACE:
            yield InFlight(subject, "not read yet")
        else:
            yield _found(entity, subject, mine, their, moment)


def _found(
    entity: str, subject: str, mine: Mapping[str, Any] | None, their: Position | None, moment: datetime
) -> Found:
    was_read = mine is not None and their is not None and their.as_of <= mine["as_of"]
    kind: Class = "manual_edit_erp" if was_read else "missed"
    how = "without a moment of its own" if was_read else "which was never read here"
    here, there = _numbers(mine), _said(their)
    return Found(
        "erp",
        entity,
        subject,
        kind,
        f"The ERP has {there[0]} on hand of {subject.partition(' ')[2]} where {here[0]} are known here: it was changed"
        f" there, {how}.",
        _REMEDY,
        units=there[0] - here[0] or sum(there) - sum(here),
        to_zero=there[0] <= 0 < here[0],
        detail={"here": here, "there": there, "as_of": moment.isoformat()},
    )


def _by_place(rows: Iterable[Position]) -> dict[tuple[str, str], Position]:
    """The first row of each SKU counts, as in any reading."""
    found: dict[tuple[str, str], Position] = {}
    for row in rows:
        found.setdefault((row.warehouse, row.key), row)
    return found


def _numbers(mine: Mapping[str, Any] | None) -> tuple[int, ...]:
    return tuple(int(mine[name]) for name in NUMBERS) if mine else (0,) * len(NUMBERS)


def _said(their: Position | None) -> tuple[int, ...]:
    return tuple(getattr(their, name) for name in NUMBERS) if their else (0,) * len(NUMBERS)
