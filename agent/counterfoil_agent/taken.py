"""Which rows and moves of the plugin's log the outbox holds, and what the plugin still has to be told of that.

A row is noted in the transaction that appends its event, with the number that the event got. The plugin is told once
the engine holds the event, not before: an agent that is put back to a backup has lost what it hadn't sent, and the
plugin, which then still has the row, tells it again. A crash in between only has it told once more.

Two things have to be told before a stock number is written, since the plugin takes off a number what its basis doesn't
count. What the basis counts, or it would be taken off twice. And the new numbers of what was told before and is in a
later epoch now: by its old number it would be taken for counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from counterfoil_agent import snapshot
from counterfoil_agent.outbox import Outbox, Row
from counterfoil_agent.ports import LoggedMove, LogRow, Plugin

READ_ANEW_MOST = 3  # events of one order that the engine couldn't read: more often it is the order itself
PLACES = 1000  # named in one event
AT_ONCE = 2000  # rows and moves told in one call


@dataclass(frozen=True)
class Owed:
    """An event that the engine has at (epoch, n) and can't read, a tombstone perhaps, and the moves that it held.

    moves: a JSON array. earlier: its places in epochs before, where the engine may have it as well. may_pass: it is no
    tombstone, and hasn't failed often; what it said of the order may be sent again."""

    event: str
    order_id: int
    epoch: int
    n: int
    moves: bytes
    earlier: tuple[tuple[int, int], ...] = ()
    may_pass: bool = False


def note(outbox: Outbox, rows: Iterable[LogRow], moves: Iterable[LoggedMove], event: Row | None, now: datetime) -> None:
    """These are held by this event; None: they say nothing that needs one. Within the event's transaction."""
    with outbox.writing():
        at = outbox.position()
        # A number is needed to acknowledge; a row without an event may have any.
        place = (event.epoch, event.n) if event else (at.epoch, max(at.last.n, 1))
        for key, row_id in [*((row.event_id, row.id) for row in rows), *((move.move_id, None) for move in moves)]:
            outbox.run(
                "insert into taken (key, row_id, event, epoch, n, pending, at_s) values (?, ?, ?, ?, ?, 1, ?)"
                " on conflict do update set event = excluded.event, epoch = excluded.epoch, n = excluded.n,"
                " pending = 1",
                (key, row_id, event.id if event else None, *place, now.timestamp()),
            )


def is_taken(outbox: Outbox, key: str) -> bool:
    return outbox.one("select 1 from taken where key = ?", (key,)) is not None


def is_another(outbox: Outbox, row: LogRow) -> bool:
    """Whether this row's number belonged to another row before: then the store went back."""
    values = (row.id, row.event_id)
    return outbox.one("select 1 from taken where row_id = ? and key <> ?", values) is not None


def tell(outbox: Outbox, plugin: Plugin, counted: tuple[int, int] = (0, 0)) -> int:
    """Tell the plugin what it may know and doesn't yet; returns how many rows and moves. May raise what the plugin
    raises. counted: (epoch, n) up to which the engine says that it holds all."""
    told = 0
    while pending := outbox.all(f"select key, row_id, t.epoch, t.n {_TELLABLE} limit ?", (*counted, AT_ONCE)):
        for epoch in sorted({epoch for _, _, epoch, _ in pending}):
            of_epoch = [each for each in pending if each[2] == epoch]
            rows = [(row_id, n) for _, row_id, _, n in of_epoch if row_id is not None]
            moves = [(key, n) for key, row_id, _, n in of_epoch if row_id is None]
            plugin.ack(epoch, rows, moves)
            with outbox.writing():
                for key, _, _, n in of_epoch:
                    # Renumbered meanwhile: then it has to be told once more.
                    outbox.run("update taken set pending = 0 where key = ? and epoch = ? and n = ?", (key, epoch, n))
        told += len(pending)
    return told


def has_more_to_tell(outbox: Outbox) -> bool:
    return outbox.one(f"select 1 {_TELLABLE} limit 1", (0, 0)) is not None


# Before the engine's first answer there is no epoch to tell. pending: 1 never told, 2 told under an earlier number.
_TELLABLE = (
    "from taken t left join rows r on r.id = t.event where t.pending and t.epoch > 0"
    " and (t.pending = 2 or r.id is null or r.acked_s is not null or (t.epoch, t.n) <= (?, ?))"
)


def is_shown_again(outbox: Outbox, keys: Iterable[str]) -> None:
    """The plugin shows rows that it was told of: it has forgotten that, and is told once more."""
    with outbox.writing():
        for key in keys:
            outbox.run("update taken set pending = 1 where key = ? and pending = 0", (key,))


def forget_all(outbox: Outbox) -> None:
    """The store went back: its rows' numbers mean other rows from now on."""
    with outbox.writing():
        outbox.run("delete from taken")


def next_owed(outbox: Outbox) -> Owed | None:
    """What the engine can't read, under a number that it hasn't been told the moves of."""
    found = outbox.one(
        "select o.event, o.order_id, r.epoch, r.n, o.moves, r.type, (select count(*) from owed other"
        " where other.order_id = o.order_id) from owed o join rows r on r.id = o.event"
        " where r.acked_s is not null and (o.told_epoch is not r.epoch or o.told_n is not r.n)"
        " order by r.epoch, r.n limit 1"
    )
    if found is None:
        return None
    earlier = outbox.all("select epoch, n from places where event = ? order by epoch", (found[0],))
    earlier += [place for place in outbox.stood_for(found[0]) if place not in earlier]
    may_pass = found[5] == snapshot.ORDER and found[6] <= READ_ANEW_MOST
    return Owed(found[0], found[1], found[2], found[3], bytes(found[4]), tuple(map(tuple, earlier)), may_pass)


def has_places_to_tell(outbox: Outbox) -> bool:
    return outbox.one("select 1 from places where not told limit 1") is not None


def tell_places(outbox: Outbox, now: datetime) -> Row | None:
    """Events that were sent under numbers of an earlier epoch are sent again whole. Had one come there mangled, beyond
    recognition perhaps, its place holds the basis: so all those places are named, with no moves of their own."""
    with outbox.writing():
        places = outbox.all("select event, epoch, n from places where not told order by epoch, n limit ?", (PLACES,))
        for event_id, epoch, _ in places:
            outbox.run("update places set told = 1 where event = ? and epoch = ?", (event_id, epoch))
        return outbox.append(snapshot.stock_event(0, "", [], None, [(epoch, n) for _, epoch, n in places]), now)


def pay(outbox: Outbox, owed: Owed, now: datetime) -> Row | None:
    """Send the moves anew under a number that names those which can't be read."""
    moves = [bytes(raw) for raw in msgspec.json.decode(owed.moves, type=list[msgspec.Raw])]
    event = snapshot.stock_event(0, "", moves, owed.order_id or None, [*owed.earlier, (owed.epoch, owed.n)])
    with outbox.writing():
        values = (owed.epoch, owed.n, owed.event)
        outbox.run("update owed set told_epoch = ?, told_n = ? where event = ?", values)
        if owed.may_pass:
            # Read anew, since a state that was read before must not come after what was sent meanwhile.
            outbox.mark(owed.order_id, now, again=True)
        return outbox.append(event, now)
