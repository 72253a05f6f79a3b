"""What somebody else with the store's secret sends, by kind: events that are none, are none of ours, or have no form.

A kind takes the simulation, a random and the newest row of `epochs`; it makes a path and a body.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from counterfoil_agent.snapshot import VOID, envelope

from simulation import books
from simulation.rules import STORE

if TYPE_CHECKING:
    from simulation.storm import Simulation


def _event(simulation: Simulation, random: Random, epoch: Any, ahead: int = 1, **changes: Any) -> dict[str, Any]:
    event_id = changes.get("id") or f"{random.getrandbits(128):032x}"
    simulation.notes.setdefault("strange", set()).add(event_id)
    raw = envelope(
        STORE,
        event_id=event_id,
        event_type=VOID,
        time="2026-11-23T10:00:00.000Z",
        traceparent=f"00-{1:032x}-{1:016x}-01",
        body=b'{"reason":"a test"}',
        subject="order/1",
        epoch=epoch["epoch"],
        n=epoch["stored_through"] + ahead,
        occurred_on="2026-11-23",
    )
    return {**json.loads(raw), **changes}


def _batch(*events: dict[str, Any]) -> tuple[str, bytes]:
    return "/v1/events", msgspec.json.encode(list(events))


def _raw(body: bytes, path: str = "/v1/events") -> Any:
    return lambda simulation, random, epoch: (path, body)


def _changed(ahead: int = 1, **changes: Any) -> Any:
    return lambda simulation, random, epoch: _batch(_event(simulation, random, epoch, ahead, **changes))


def _old_id(simulation: Simulation, random: Random, epoch: Any) -> tuple[str, bytes]:
    """The id and number of an event that is stored already, with another body."""
    sql = "select event_id, n, occurred_on from events where epoch = ? and n <= ? and event_id not like '%~%'"
    known = books.rows(simulation.world.engine_file, sql, epoch["epoch"], epoch["stored_through"])
    if not known:
        return _batch(_event(simulation, random, epoch, 1))
    one = random.choice(known)
    return _batch(_event(simulation, random, epoch, id=one["event_id"], n=one["n"], occurredon=one["occurred_on"]))


def _spoilt(spoil: Any) -> Any:
    """Its own number can still be read, though the event as a whole can't."""

    def batch(simulation: Simulation, random: Random, epoch: Any) -> tuple[str, bytes]:
        return "/v1/events", b"[" + spoil(msgspec.json.encode(_event(simulation, random, epoch))) + b"]"

    return batch


def _beat(**changes: Any) -> Any:
    def beat(simulation: Simulation, random: Random, epoch: Any) -> tuple[str, bytes]:
        event = _event(simulation, random, epoch, type="counterfoil.heartbeat.v1", **changes)
        return "/v1/heartbeat", msgspec.json.encode(event)

    return beat


KINDS = {
    "the next number": _changed(),
    "a number ahead": _changed(ahead=3),
    "an old id": _old_id,
    "an unknown type": _changed(type="counterfoil.parcel.v9", dataschema="urn:counterfoil:events:parcel:9"),
    "another schema": _changed(dataschema="urn:counterfoil:events:gone:1"),
    "no moment": _changed(time="2026-13-45T10:00:00Z", subject=None, id=None),
    "no number": _changed(n=0),
    "another store": _changed(source="/stores/us1"),
    "one number twice": lambda *of: _batch(_event(*of), _event(*of)),
    "equal keys": _spoilt(lambda raw: raw[:-1] + b',"data":{"reason":"another"}}'),
    "nested deeply": _spoilt(lambda raw: raw[:-1] + b',"more":' + b"[" * 3000 + b"]" * 3000 + b"}"),
    "no object": _spoilt(lambda raw: b"17"),
    "no JSON": _raw(b'[{"n":'),
    "nothing": _raw(b"[]"),
    "a hello of no common version": _raw(
        b'{"store":"eu1","installation":"0123456789abcdef0123456789abcdef","agent_version":"9","contracts":{"order":[99]}}',
        "/v1/hello",
    ),
    "a hello of another store": _raw(
        b'{"store":"us1","installation":"0123456789abcdef0123456789abcdef","agent_version":"9","contracts":{}}',
        "/v1/hello",
    ),
    "a hello of no shape": _raw(b"{}", "/v1/hello"),
    "a heartbeat of another store": _beat(source="/stores/us1"),
    "a heartbeat that says nothing": _beat(),
}
