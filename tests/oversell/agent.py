"""A store's agent, as small as the protocol allows: the change log into an outbox, up; numbers from the feed, down.

It keeps the order of things that the real one keeps: commit, then acknowledge to the plugin, then send; nothing is
written before the moves that its basis counts are acknowledged; a version is held as known once it is written. What it
holds in memory dies with it. Every call may be lost, cut, doubled or late.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from counterfoil_engine.domain.stock import sku_key
from counterfoil_engine.ports import FeedRow, Rejected
from counterfoil_engine.work.receive import Receiver
from counterfoil_sandbox.shop import Shop
from counterfoil_sandbox.shop_plugin_routes import Routes, sign

from oversell.engine import Engine

KEY = "the plugin's key"
ROWS_AT_ONCE, EVENTS_AT_ONCE, NUMBERS_AT_ONCE = 3, 3, 2
LOST, CUT, DOUBLED, LATE = "lost", "cut", "doubled", "late"
BROKEN, BROKEN_AND_CUT = "broken", "broken and cut"  # on the way an event becomes one that can't be read
ORDER, STOCK, GONE = "counterfoil.order.v1", "counterfoil.stock.v1", "counterfoil.gone.v2"

Json = dict[str, Any]


class Lost(Exception):
    """No answer came; or the process that should give one died."""


@dataclass
class Event:
    """A row of the outbox. rows, moves: of the plugin, that it tells; is_acked: the plugin knows that."""

    n: int
    id: str
    type: str
    subject: str
    data: Json
    at: str
    rows: list[int]
    moves: list[str]
    is_acked: bool = False
    before: list[Json] = field(default_factory=list)  # places that it had in epochs before


@dataclass
class Durable:
    """What is on the agent's disk. stored: through which n the engine has it; version: of the feed, all written."""

    epoch: int = 1
    stored: int = 0
    version: int = 0
    outbox: list[Event] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)  # the plugin's rows, by event id
    silent: list[int] = field(default_factory=list)  # rows of which nothing is to be told, not acknowledged yet


@dataclass
class Call:
    """A write on its way: which numbers, and up to which version of the feed they are."""

    items: list[Json]
    through: int


class StoreAgent:
    """fault: what befalls the next call of that name; later: keeps a late call; wrote: told of each write's results."""

    def __init__(
        self,
        store: str,
        shop: Shop,
        engine: Engine,
        fault: Callable[[str], str | None],
        later: Callable[[Callable[[], Any]], None],
        wrote: Callable[[list[Json], list[Json]], None],
    ) -> None:
        self.store, self.shop, self.engine = store, shop, engine
        self._fault, self._later, self._wrote = fault, later, wrote
        self.disk = Durable()
        self.on_changed: Callable[[list[FeedRow]], None] = lambda rows: None
        self._nonces = 0
        self._receiver = Receiver(engine.events, engine.clock)
        engine.greet(store)
        self.start()

    def start(self) -> None:
        """The process begins; what the one before held in memory is gone."""
        self._told: dict[str, FeedRow] = {}
        self._told_through = self.disk.version
        self._stock_ids = {sku_key(p.sku): p.id for p in self.shop.products.all("manages = 1") if p.sku}

    def close(self) -> None:
        """Nothing is left behind."""

    # Up

    def read(self) -> bool:
        """Take what the plugin tells, commit it."""
        try:
            told = self._call("changes", "GET", "/changes", {"limit": str(ROWS_AT_ONCE)})
        except Lost:
            return False
        fresh = [row for row in told["rows"] if row["event_id"] not in self.disk.covered]
        if not fresh:
            return False
        moves: dict[int, list[Json]] = {}
        for move in told["moves"]:
            moves.setdefault(move["row_id"], []).append(move)
        for event in self._events_of(fresh, moves):
            self.disk.outbox.append(event)
        self.disk.covered |= {row["event_id"] for row in fresh}
        return True

    def _events_of(self, rows: list[Json], moves: dict[int, list[Json]]) -> list[Event]:
        """One event for each row that carries what it tells; one read serves all other rows of an order (E6)."""
        events: list[Event] = []
        read: dict[int, list[Json]] = {}
        for row in rows:
            own = moves.get(row["id"], [])
            if row["object"] == "stock":
                events.append(self._event(len(events), STOCK, f"stock/{row['object_id']}", self._set(row), [row], own))
            elif row["object"] == "product":
                self.disk.silent.append(row["id"])
            elif row["payload"] is not None and (own or row["kind"] != "deleted"):
                said = {**_bare(row["payload"]), "moves": _bare_moves(own)}
                events.append(self._event(len(events), ORDER, f"order/{row['object_id']}", said, [row], own))
            elif row["kind"] == "deleted":
                said = {"order_id": row["object_id"], "event_id": row["event_id"], "at": row["at"]}
                events.append(self._event(len(events), GONE, f"order/{row['object_id']}", said, [row], own))
            else:
                read.setdefault(row["object_id"], []).append(row)
        for order_id, of_order in read.items():
            own = [move for row in of_order for move in moves.get(row["id"], [])]
            kind, subject, said = self._read(order_id)
            events.append(self._event(len(events), kind, subject, {**said, "moves": _bare_moves(own)}, of_order, own))
        return events

    def _read(self, order_id: int) -> tuple[str, str, Json]:
        """The order as it is now; where it is gone, nothing but its moves can be told."""
        order = self.shop.order(order_id)
        if order is None:
            return STOCK, "stock/0", {"stock_id": 0, "sku": "", "order_id": order_id}
        return ORDER, f"order/{order_id}", {"order": order, "refunds": self.shop.refunds(order_id)}

    def _event(self, place: int, kind: str, subject: str, data: Json, rows: list[Json], moves: list[Json]) -> Event:
        n = self.last_n + 1 + place
        ids = [row["id"] for row in rows], [move["move_id"] for move in moves]
        return Event(n, rows[0]["event_id"], kind, subject, data, rows[0]["at"], *ids)

    def _set(self, row: Json) -> Json:
        product = self.shop.products.get(row["object_id"])
        sku, said = product.sku if product else "", row["payload"]
        by = float(said["to"] or 0) - float(said["from"] or 0)
        move = {"move_id": row["event_id"], "order_item_id": 0, "stock_id": row["object_id"], "sku": sku}
        move |= {"quantity": f"{by:g}", "kind": "set", "at": row["at"]}
        return {"stock_id": row["object_id"], "sku": sku, "moves": [move]}

    @property
    def last_n(self) -> int:
        return self.disk.outbox[-1].n if self.disk.outbox else self.disk.stored

    def acknowledge(self) -> bool:
        """Tell the plugin under which numbers its rows and moves are kept."""
        waiting = [event for event in self.disk.outbox if not event.is_acked]
        silent = list(self.disk.silent)
        if not waiting and not silent:
            return False
        rows = [{"id": row, "n": event.n} for event in waiting for row in event.rows]
        rows += [{"id": row, "n": max(1, self.last_n)} for row in silent]
        moves = [{"move_id": move, "n": event.n} for event in waiting for move in event.moves]
        try:
            self._call("ack", "POST", "/ack", {}, {"epoch": self.disk.epoch, "rows": rows, "moves": moves})
        except Lost:
            return False
        for event in waiting:
            event.is_acked = True
        self.disk.silent = self.disk.silent[len(silent) :]
        return True

    def send(self) -> bool:
        """Send what the engine has not stored yet, in the order of numbers."""
        waiting = [event for event in self.disk.outbox if event.n > self.disk.stored][:EVENTS_AT_ONCE]
        if not waiting:
            return False
        fault = self._fault("events")
        if fault == LOST:
            return False
        raw = self._batch(waiting, fault in (BROKEN, BROKEN_AND_CUT))
        if fault == LATE:
            self._later(lambda: self._carry(raw))
            return False
        try:
            answer = self._receiver.events(self.store, raw)
            if fault == DOUBLED:
                answer = self._receiver.events(self.store, raw)
        except Rejected:
            return False
        if fault in (CUT, BROKEN_AND_CUT):
            return False
        self._take_verdicts(waiting, answer)
        return True

    def _carry(self, raw: bytes) -> None:
        try:
            self._receiver.events(self.store, raw)
        except Rejected:
            return

    def _batch(self, events: list[Event], is_broken: bool) -> bytes:
        """is_broken: the first one's moves are cut to pieces on the way, as a firewall may do."""
        parts = []
        for place, event in enumerate(events):
            data = {**event.data, "moves": "?"} if is_broken and place == 0 and "moves" in event.data else event.data
            envelope = {
                "specversion": "1.0",
                "id": event.id,
                "source": f"/stores/{self.store}",
                "type": event.type,
                "subject": event.subject,
                "time": event.at,
                "datacontenttype": "application/json",
                "dataschema": "urn:counterfoil:" + f"events/{event.type[12:]}".replace("/", ":").replace(".v", ":"),
                "traceparent": f"00-{event.id}-00f067aa0ba902b7-01",
                "epoch": self.disk.epoch,
                "n": event.n,
                "occurredon": event.at[:10],
                "data": data,
            }
            parts.append(json.dumps(envelope))
        return f"[{','.join(parts)}]".encode()

    def _take_verdicts(self, sent: list[Event], answer: Json) -> None:
        self.disk.stored = max(self.disk.stored, answer["stored_through"]["n"])
        for event, verdict in zip(sent, answer["verdicts"], strict=True):
            if verdict["verdict"] == "kept-invalid" and "moves" in event.data:
                self._say_anew(event)

    def _say_anew(self, event: Event) -> None:
        """The engine could not read it: its moves come again under another number, which names it (E11)."""
        place = {"epoch": self.disk.epoch, "n": event.n}  # and all that it had before: its answer may have been lost
        if any(place in other.data.get("stands_for", ()) for other in self.disk.outbox):
            return
        named = [*event.data.get("stands_for", ()), *event.before, place]
        kind, subject, data = event.type, event.subject, dict(event.data)
        if kind == ORDER:  # read anew: an older snapshot must not come after a newer
            kind, subject, data = self._read(int(subject.removeprefix("order/")))
        data |= {"moves": event.data["moves"], "stands_for": named}
        again = hashlib.md5(f"{event.id} {place}".encode()).hexdigest()
        rows, moves = list(event.rows), list(event.moves)
        self.disk.outbox.append(Event(self.last_n + 1, again, kind, subject, data, event.at, rows, moves))

    def renumber(self) -> None:
        """Go on in a new epoch: all that is kept gets a number in it, and is acknowledged by that again."""
        left = self.disk.epoch
        self.disk.epoch = self.engine.new_epoch(self.store, left)
        self.disk.stored = 0
        for place, event in enumerate(self.disk.outbox, start=1):
            event.before.append({"epoch": left, "n": event.n})
            event.n, event.is_acked = place, False

    # Down

    def ask(self) -> bool:
        """Ask the feed for what changed since what is held."""
        if self._fault("feed") in (LOST, CUT):
            return False
        rows = self.engine.ask(self.store, self._told_through, NUMBERS_AT_ONCE)
        if not rows:
            return False
        for row in rows:
            self._told[row.key] = row
        self._told_through = rows[-1].version
        self.on_changed(rows)
        return True

    @property
    def has_numbers(self) -> bool:
        return bool(self._told)

    def write(self) -> bool:
        """Write the numbers that were told, each with its basis; not before the plugin knows what that counts."""
        if not self._told or any(not event.is_acked for event in self.disk.outbox):
            return False
        rows = list(self._told.values())
        items = [self._item(row) for row in rows if row.key in self._stock_ids and row.basis and not row.excluded]
        fault = self._fault("stock")
        if fault == LOST:
            return False
        if fault == LATE:
            late = copy.deepcopy(items)
            self._later(lambda: self._put(late))
            return False
        try:
            self._put(items)
            if fault == DOUBLED:
                self._put(items)
        except Lost:
            return False
        if fault == CUT:
            return False
        for row in rows:
            if self._told.get(row.key) is row:
                del self._told[row.key]
        if not self._told:
            self.disk.version = self._told_through
        return True

    def _item(self, row: FeedRow) -> Json:
        assert row.basis is not None
        item: Json = {"stock_id": self._stock_ids[row.key], "version": row.version, "number": row.number}
        item["basis"] = {"epoch": row.basis[0], "n": row.basis[1]}
        if row.expires_at is not None:
            item |= {"expires_at": row.expires_at.isoformat(), "silence_share": row.silence_share}
        return item

    def _put(self, items: list[Json]) -> None:
        answer = self._ask_plugin("POST", "/stock", {}, {"items": items})
        self._wrote(items, answer["results"])

    # The plugin

    def _call(self, name: str, method: str, path: str, query: dict[str, str], body: Any = None) -> Json:
        fault = self._fault(name)
        if fault == LOST:
            raise Lost
        if fault == LATE:
            late = copy.deepcopy(body)
            self._later(lambda: self._ask_plugin(method, path, query, late))
            raise Lost
        answer = self._ask_plugin(method, path, query, body)
        if fault == DOUBLED:
            answer = self._ask_plugin(method, path, query, body)
        if fault == CUT:
            raise Lost
        return answer

    def _ask_plugin(self, method: str, path: str, query: dict[str, str], body: Any) -> Json:
        assert self.shop.plugin is not None
        raw = b"" if body is None else json.dumps(body).encode()
        self._nonces += 1
        headers = sign(KEY, method, path, query, raw, self.shop.clock(), f"{self.store}-{self._nonces:020d}")
        answer = Routes(self.shop.plugin).answer(method, path, query, headers, raw)
        assert answer.status == 200, answer.body
        return dict(answer.body)


def _bare(snapshot: Json) -> Json:
    return {"order": snapshot["order"], "refunds": snapshot["refunds"]}


def _bare_moves(moves: list[Json]) -> list[Json]:
    return [{name: value for name, value in move.items() if name != "row_id"} for move in moves]
