"""Random histories of sales, restocks, allocations and shipments: no unit is counted zero times, whatever came when.

The world below is what really happened in the warehouses. The engine hears of it by positions and lines that were read
at some moment and arrive later, in any order, or never. What a position shows of a line (allocated, or shipped and so
gone from on hand) is known to the world alone; together with the reservation it has to cover what was sold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from counterfoil_engine.domain.reservations import Held, Seen, SoldLine, reservation
from hypothesis import example, given, settings
from hypothesis import strategies as st

BEGIN = datetime(2026, 11, 24, tzinfo=UTC)
WAREHOUSES = ("BER", "HAM")
LINES = ("46", "47")

_steps = st.one_of(
    st.tuples(st.just("sell"), st.sampled_from(LINES), st.integers(1, 4)),
    st.tuples(st.just("restock"), st.sampled_from(LINES), st.integers(1, 3)),
    st.tuples(st.sampled_from(["allocate", "undo", "ship"]), st.sampled_from(LINES), st.sampled_from(WAREHOUSES)),
    st.tuples(st.sampled_from(["read", "read lines", "read position"]), st.sampled_from(WAREHOUSES)),
    st.tuples(st.just("arrive"), st.integers(0, 7)),
)


@dataclass
class World:
    """What is, by line and warehouse; what was read of it and is on its way; and what the engine has heard."""

    at: int = 0
    net: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LINES, 0))
    shipped: dict[tuple[str, str], int] = field(default_factory=dict)
    allocated: dict[tuple[str, str], int] = field(default_factory=dict)
    past: dict[int, tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]] = field(default_factory=dict)
    on_the_way: list[tuple[str, str, int]] = field(default_factory=list)
    position_at: dict[str, int] = field(default_factory=dict)
    lines_at: dict[str, int] = field(default_factory=dict)
    heard: set[tuple[str, int]] = field(default_factory=set)

    def step(self, step: tuple) -> None:
        self.at += 1
        match step:
            case ("sell", line, units):
                self.net[line] += units
            case ("restock", line, units):
                self.net[line] -= min(units, self.net[line] - self._out(line))
            case ("allocate", line, warehouse):
                if self._out(line) + self._held(line) < self.net[line]:
                    self._add(self.allocated, line, warehouse, 1)
            case ("undo", line, warehouse):
                if self.allocated.get((line, warehouse), 0):
                    self._add(self.allocated, line, warehouse, -1)
            case ("ship", line, warehouse):
                if self.allocated.get((line, warehouse), 0):
                    self._add(self.allocated, line, warehouse, -1)
                    self._add(self.shipped, line, warehouse, 1)
            case ("arrive", which):
                if self.on_the_way:
                    self._arrive(*self.on_the_way.pop(which % len(self.on_the_way)))
            case (what, warehouse):
                self.on_the_way.append((what, warehouse, self.at))
        self.past[self.at] = (dict(self.allocated), dict(self.shipped))

    def _arrive(self, what: str, warehouse: str, read_at: int) -> None:
        """An older one never replaces a newer."""
        if what in ("read", "read position"):
            self.position_at[warehouse] = max(self.position_at.get(warehouse, 0), read_at)
        if what in ("read", "read lines"):
            self.lines_at[warehouse] = max(self.lines_at.get(warehouse, 0), read_at)
            self.heard.add((warehouse, read_at))

    def _add(self, table: dict[tuple[str, str], int], line: str, warehouse: str, units: int) -> None:
        table[line, warehouse] = table.get((line, warehouse), 0) + units

    def _out(self, line: str) -> int:
        return sum(units for (of, _), units in self.shipped.items() if of == line)

    def _held(self, line: str) -> int:
        return sum(units for (of, _), units in self.allocated.items() if of == line)

    def shown(self, line: str) -> int:
        """What the positions that the engine has show of a line, in truth."""
        return sum(
            table.get((line, warehouse), 0)
            for warehouse, at in self.position_at.items()
            if at
            for table in self.past.get(at - 1, ({}, {}))
        )

    def reserved(self, line: str) -> tuple[int, int]:
        """What the engine reserves for a line, and what it counts as shown by positions."""
        held = [
            Held(warehouse, allocated.get((line, warehouse), 0), shipped.get((line, warehouse), 0), _moment(at))
            for warehouse, at in sorted(self.heard)
            for allocated, shipped in [self.past.get(at - 1, ({}, {}))]
        ]
        seen = {
            warehouse: Seen(_moment(at), _moment(self.lines_at[warehouse]) if warehouse in self.lines_at else None)
            for warehouse, at in self.position_at.items()
        }
        found = reservation(SoldLine("eu1", "1", line, "mug", self.net[line], 0), held, seen, _moment(self.at))
        return found.units, found.allocated + found.shipped


def _moment(at: int) -> datetime:
    return BEGIN + timedelta(seconds=at)


AN_ALLOCATION_UNDONE = [
    ("sell", "46", 2),
    ("allocate", "46", "BER"),
    ("read lines", "BER"),
    ("undo", "46", "BER"),
    ("read position", "BER"),
    ("arrive", 0),
    ("arrive", 0),
]


@example(AN_ALLOCATION_UNDONE)
@given(st.lists(_steps, max_size=40))
@settings(max_examples=300)
def test_a_sold_unit_is_never_counted_zero_times_nor_twice_but_where_its_line_has_not_come(steps: list[tuple]) -> None:
    world = World()
    for step in steps:
        world.step(step)
        for line in LINES:
            units, counted = world.reserved(line)
            shown = world.shown(line)
            assert units + shown >= world.net[line], "a sold unit is counted zero times"
            # Beyond once only what positions show already and no line says yet.
            assert units + shown - world.net[line] <= max(0, shown - counted) + max(0, shown - world.net[line])
            assert counted <= shown


@given(st.lists(_steps, max_size=30), st.randoms(use_true_random=False))
def test_what_is_reserved_does_not_depend_on_the_order_in_which_facts_arrive(steps: list[tuple], shuffle) -> None:
    told, shuffled = World(), World()
    for step in [step for step in steps if step[0] != "arrive"]:
        told.step(step)
        shuffled.step(step)
    shuffle.shuffle(shuffled.on_the_way)
    for world in (told, shuffled):
        for message in world.on_the_way:
            world._arrive(*message)
    assert [told.reserved(line) for line in LINES] == [shuffled.reserved(line) for line in LINES]


@given(st.lists(_steps, max_size=30))
def test_once_all_has_arrived_each_unit_is_counted_exactly_once(steps: list[tuple]) -> None:
    world = World()
    for step in steps:
        world.step(step)
    for warehouse in WAREHOUSES:
        world.step(("read", warehouse))
    while world.on_the_way:
        world.step(("arrive", 0))
    for line in LINES:
        assert world.reserved(line)[0] + world.shown(line) == max(world.net[line], world.shown(line))
