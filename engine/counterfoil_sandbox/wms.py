"""The sandbox WMS: takes fulfilments, releases, ships in parts from its warehouses, picks short, takes goods back.

python -m counterfoil_sandbox.wms --mode works_alone=true --mode pace_s=2.0   ships by itself, a step every two seconds

released ─▶ shipped (parts) or picked short;  cancelled while it is not released, then only if the WMS agrees
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from counterfoil_sandbox import party
from counterfoil_sandbox.erp_journal import Refusal
from counterfoil_sandbox.party_store import Json, PartyModes, PartyStore, Taken

Lines = dict[str, Decimal]


@dataclass(frozen=True)
class WmsModes(PartyModes):
    """stops_released: how often, from 0 to 1, it agrees to cancel what it has released. pace_s: it takes the next step
    of each order that long after the last, while works_alone is on. short_picks: how often, from 0 to 1, a
    step of its own picks short."""

    stops_released: float = 0.0
    pace_s: float = 0.0
    works_alone: bool = False
    short_picks: float = 0.0


@dataclass(eq=False)
class Wms(PartyStore):
    """warehouses: where it ships from."""

    modes: PartyModes = field(default_factory=WmsModes)
    kinds: frozenset[str] = frozenset({"fulfilment", "cancellation", "return"})
    warehouses: tuple[str, ...] = ("BER", "PAR")

    # Documents

    def take(self, taken: Taken) -> None:
        kind, lines = taken.document["kind"], _lines_of(taken.document)
        if kind == "fulfilment":
            self._change(taken, lambda order: order.add("ordered", lines))
        elif kind == "cancellation":
            self._cancel(taken, lines)

    def undo(self, taken: Taken) -> None:
        assert taken.original is not None
        kind, lines = taken.document["kind"], _lines_of(taken.original)
        if kind == "fulfilment":
            order = self._order(taken.order)
            if any(order.unreleased(line) < quantity for line, quantity in lines.items()):
                raise Refusal(
                    "conflict",
                    f"The fulfilment {taken.original['key']} is released already.",
                    "Ask to cancel what is not shipped.",
                )
            self._change(taken, lambda order: order.add("ordered", lines, -1))
        elif kind == "cancellation" and self.thing("cancelled", str(taken.original["key"])) is not None:
            self._change(taken, lambda order: order.add("gone", lines, -1))

    def _cancel(self, taken: Taken, lines: Lines) -> None:
        """What is not released is taken out at once; of the rest, the WMS has its own mind."""
        order = self._order(taken.order)
        wanted = {line: quantity for line, quantity in lines.items() if quantity > 0}
        is_free = all(order.unreleased(line) >= quantity for line, quantity in wanted.items())
        is_here = all(order.open(line) >= quantity for line, quantity in wanted.items())
        agrees = is_free or (is_here and self.random.random() < self._modes.stops_released)
        if not wanted or not agrees:
            reason = "It is released already." if is_here else "It has left, or was never here."
            self.say("cancellation_refused", taken.order, taken.at, of=taken.key, reason=reason)
            return
        released = {line: max(Decimal(0), quantity - order.unreleased(line)) for line, quantity in wanted.items()}
        order.add("released", released, -1)
        order.add("gone", wanted)
        self._keep_order(taken.order, order)
        self.keep("cancelled", taken.key, {})
        self.say("cancelled", taken.order, taken.at, of=taken.key, lines=_said(wanted))

    # By hand

    def on_release(self, store: str, order: str, lines: Json | None = None, warehouse: str | None = None) -> str:
        """Begin to pick all, or these lines ({"item:46": "2"})."""
        there = self._order((store, order))
        wanted = _given(lines) or there.each(there.unreleased)
        return self._step("released", (store, order), wanted, there.unreleased, warehouse)

    def on_ship(
        self,
        store: str,
        order: str,
        lines: Json | None = None,
        warehouse: str | None = None,
        carrier: str | None = "DHL",
        tracking: str | None = None,
    ) -> str:
        """Let all that is released leave, or these lines; what is not released yet is released first."""
        there = self._order((store, order))
        wanted = _given(lines) or there.each(there.released_open) or there.each(there.open)
        missing = {line: quantity - there.released_open(line) for line, quantity in wanted.items()}
        missing = {line: quantity for line, quantity in missing.items() if quantity > 0}
        if missing:
            self._step("released", (store, order), missing, there.unreleased, warehouse)
            there = self._order((store, order))
        own = {"carrier": carrier, "tracking": tracking}
        return self._step("shipment", (store, order), wanted, there.released_open, warehouse, **own)

    def on_short_pick(self, store: str, order: str, lines: Json | None = None, warehouse: str | None = None) -> str:
        """Say that what is open, or these lines, will never be shipped."""
        there = self._order((store, order))
        wanted = _given(lines) or there.each(there.open)
        return self._step("short_pick", (store, order), wanted, there.open, warehouse)

    def on_receive(
        self,
        store: str,
        order: str,
        lines: Json | None = None,
        refund: str | None = None,
        condition: str = "good",
        warehouse: str | None = None,
    ) -> str:
        """Take all that was shipped back, or these lines."""
        there = self._order((store, order))
        wanted = _given(lines) or there.each(there.away)
        _require(wanted, there.away, "was not shipped, or came back already")
        there.add("received", wanted)
        self._keep_order((store, order), there)
        told = [{**row, "condition": condition} for row in _said(wanted)]
        return self.say("receipt", (store, order), warehouse=self._place(warehouse), refund=refund, lines=told)

    def on_work(self) -> bool:
        """A step of its own with some order; whether there was one."""
        names = [name for name, body in self.things("order") if _Order(body).each(_Order(body).open)]
        if not names:
            return False
        store, order = self.random.choice(names).split("/", 1)
        self._own_step(store, order)
        return True

    # By itself

    def advance(self) -> None:
        if not self._modes.works_alone:
            return
        before = self.now() - timedelta(seconds=self._modes.pace_s)
        with self._writing():
            for name, body in list(self.things("order")):
                if _Order(body).each(_Order(body).open) and datetime.fromisoformat(body["since"]) <= before:
                    self._own_step(*name.split("/", 1))

    def _own_step(self, store: str, order: str) -> None:
        there = self._order((store, order))
        unreleased = there.each(there.unreleased)
        if unreleased:
            self._step("released", (store, order), unreleased, there.unreleased, None)
            return
        open_now = there.each(there.open)
        line = self.random.choice(sorted(open_now))
        units = int(open_now[line])
        some = {line: Decimal(self.random.randint(1, units))} if units > 1 else {line: open_now[line]}
        if self.random.random() < self._modes.short_picks:
            self._step("short_pick", (store, order), some, there.open, None)
            return
        wanted = open_now if self.random.random() < 0.5 else some
        own = {"carrier": "DHL", "tracking": f"{self.random.getrandbits(40):013}"}
        self._step("shipment", (store, order), wanted, there.released_open, None, **own)

    # Orders

    @property
    def _modes(self) -> WmsModes:
        assert isinstance(self.modes, WmsModes)
        return self.modes

    def _step(
        self, kind: str, order: tuple[str, str], wanted: Lines, left: Any, warehouse: str | None, **own: Any
    ) -> str:
        """Move quantities, and say so."""
        _require(wanted, left, "is more than is left of it")
        there = self._order(order)
        if kind == "short_pick":
            picking = {line: min(there.released_open(line), quantity) for line, quantity in wanted.items()}
            there.add("released", picking, -1)
        there.add({"released": "released", "shipment": "shipped", "short_pick": "gone"}[kind], wanted)
        self._keep_order(order, there)
        return self.say(kind, order, warehouse=self._place(warehouse), lines=_said(wanted), **own)

    def _place(self, warehouse: str | None) -> str:
        return warehouse or self.random.choice(self.warehouses)

    def _order(self, order: tuple[str | None, str | None]) -> _Order:
        return _Order(self.thing("order", "/".join(map(str, order))) or {})

    def _keep_order(self, order: tuple[str | None, str | None], there: _Order) -> None:
        self.keep("order", "/".join(map(str, order)), {**there.body, "since": self.now().isoformat()})

    def _change(self, taken: Taken, change: Any) -> None:
        there = self._order(taken.order)
        change(there)
        self._keep_order(taken.order, there)


class _Order:
    """Quantities by line: ordered, released, shipped, gone (cancelled or never found), received."""

    def __init__(self, body: Json) -> None:
        self.body = body

    def of(self, what: str, line: str) -> Decimal:
        return Decimal(self.body.get(what, {}).get(line, "0"))

    def add(self, what: str, lines: Mapping[str, Decimal], sign: int = 1) -> None:
        there = self.body.setdefault(what, {})
        for line, quantity in lines.items():
            there[line] = str(self.of(what, line) + sign * quantity)

    def open(self, line: str) -> Decimal:
        return self.of("ordered", line) - self.of("shipped", line) - self.of("gone", line)

    def unreleased(self, line: str) -> Decimal:
        return self.of("ordered", line) - self.of("released", line) - self.of("gone", line)

    def released_open(self, line: str) -> Decimal:
        return self.of("released", line) - self.of("shipped", line)

    def away(self, line: str) -> Decimal:
        return self.of("shipped", line) - self.of("received", line)

    def each(self, how_many: Any) -> Lines:
        """By line, where there are any."""
        return {line: how_many(line) for line in self.body.get("ordered", {}) if how_many(line) > 0}


def _lines_of(document: Mapping[str, Any]) -> Lines:
    """The lines of goods of a document, added up."""
    lines: Lines = {}
    for row in document["lines"]:
        if row["line"].startswith("item:"):
            lines[row["line"]] = lines.get(row["line"], Decimal(0)) + Decimal(row["quantity"])
    return lines


def _given(lines: Json | None) -> Lines:
    try:
        return {line: Decimal(quantity) for line, quantity in (lines or {}).items()}
    except (ArithmeticError, TypeError, AttributeError):
        raise Refusal("contract", "The lines are not like {'item:46': '2'}.", "Send them so.") from None


def _require(wanted: Lines, left: Any, why: str) -> None:
    if not wanted:
        raise Refusal("data", "There is nothing of it to do.", "Look at the order first.")
    for line, quantity in wanted.items():
        if not 0 < quantity <= left(line):
            raise Refusal("data", f"{quantity:f} of {line} {why}.", "Look at the order first.")


def _said(lines: Lines) -> list[Json]:
    return [{"line": line, "quantity": f"{quantity.normalize():f}"} for line, quantity in sorted(lines.items())]


def main(arguments: list[str] | None = None) -> int:
    return party.main("WMS", Wms, "wms", "hub-berlin", "127.0.0.1:8071", arguments)


if __name__ == "__main__":
    sys.exit(main())
