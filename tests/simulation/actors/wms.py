"""The WMS: it releases, ships in parts from three warehouses, picks short, and takes goods back."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.erp_journal import Refusal

from simulation.parties import WAREHOUSES, open_lines

if TYPE_CHECKING:
    from simulation.storm import Simulation


def begin(simulation: Simulation) -> None:
    """In half of the storms it works by itself from the start."""
    if simulation.world.parties and simulation.seed % 4 < 2:
        simulation.world.parties.change("wms", works_alone=True, pace_s=15.0)


def does(command: str) -> Any:
    def act(simulation: Simulation, random: Random) -> str | None:
        """With some order: all that can be done of it, or one unit of one line."""
        wms = simulation.world.parties.wms  # type: ignore[union-attr]
        orders = [name for name, order in wms.things("order") if open_lines(order) or command == "receive"]
        if not orders:
            return None
        store, order = random.choice(orders).split("/")
        lines = open_lines(wms.thing("order", f"{store}/{order}"))
        some = {random.choice(sorted(lines)): "1"} if lines and random.random() < 0.6 else None
        with suppress(Refusal):  # there is nothing of it to do
            said = wms.command(command, store=store, order=order, lines=some, warehouse=random.choice(WAREHOUSES))
            return f"{said} of {order}"
        return f"nothing of {order}"

    return act


def agrees(simulation: Simulation, random: Random) -> None:
    """From now on it does, or doesn't, leave out what it has released."""
    simulation.world.parties.change("wms", stops_released=random.choice((0.0, 1.0)))  # type: ignore[union-attr]


HAPPENINGS = {
    "the WMS releases": (0, does("release")),
    "the WMS ships": (0, does("ship")),
    "the WMS ships more": (0, does("ship")),
    "the WMS picks short": (0, does("short_pick")),
    "the WMS receives": (0, does("receive")),
    "the WMS changes its mind": (0, agrees),
}
FAULTS = ("the WMS picks short",)


def heal(simulation: Simulation) -> None:
    """From now on it ships whatever it is asked for."""
    if parties := simulation.world.parties:
        parties.change("wms", works_alone=True, pace_s=0.0)
