"""A plugin of the shop spoils what REST says of an order, for a while."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from simulation.actors.edits import edit, rename
from simulation.orders import one_of, read_now

if TYPE_CHECKING:
    from simulation.storm import Simulation


def _more(member: bytes) -> Any:
    return lambda order: json.dumps(order).encode()[:-1] + b"," + member + b"}"


def _other(**members: Any) -> Any:
    return lambda order: json.dumps({**order, **members}).encode()


WAYS = {
    "its total twice": _more(b'"total":"0.00"'),
    "no total": _other(total=None),
    "an absurd total": _other(total="99999999999999999999.99"),
    "a number of a thousand digits": _more(b'"points":' + b"9" * 1000),
    "a hundred levels": _more(b'"tree":' + b"[" * 100 + b"]" * 100),
    "Latin-1": _more(b'"nickname":"M\xfcller"'),
    "a warning of PHP": lambda order: b"<br />\n<b>Warning</b>: Undefined array key" + json.dumps(order).encode(),
    "no id": _other(id=0),
    "its lines as an object": lambda order: _other(line_items=dict(enumerate(order["line_items"])))(order),
}


def spoil(simulation: Simulation, random: Random) -> str | None:
    """It may have been read before, and may change meanwhile."""
    order, front = one_of(simulation, random), simulation.world.front
    if order is None:
        return None
    way, lasts_s = random.choice(list(WAYS)), random.uniform(60, 500)
    front.spoilt[order["id"]] = WAYS[way]
    simulation.notes.setdefault("spoilt", set()).add(order["id"])
    if way == "an absurd total":
        simulation.explained[order["id"]] = "its total was none when it was first seen as paid"
    random.choice((edit, rename))(simulation, random)
    simulation.guarded(lambda: read_now(simulation, order["id"]))
    simulation.after(lasts_s, lambda: front.spoilt.pop(order["id"], None))
    return f"{order['id']}, {way}, for {lasts_s:.0f} s"


HAPPENINGS = {"a plugin spoils an order": (5, spoil)}
FAULTS = tuple(HAPPENINGS)
