"""The plugin of `wp-plugin-stub`, as the sandbox shop has it: change log, stock moves, key and pinned identity.

It keeps what its original promises: one row per object and request; a row about money takes along what the order was
before it is changed once more; a move is recorded by the very statement that changes stock. A request is a transaction
of the shop here, so row, move and change are there together or not at all; `dies` leaves a request's rows open, as a
process does that ends before its shutdown. Not imitated: bounds and pruning of its tables.

    Plugin(shop, key="…")     installs and pairs it;  Plugin(shop) goes on in a shop that has it (a restored one)
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.shop_stock import text_of

if TYPE_CHECKING:
    from counterfoil_sandbox.shop_orders import Shop

# The least first: a row tells the weightiest thing that happened in its request.
KINDS = (
    "edited",
    "stock",
    "set",
    "status",
    "created",
    "total",
    "paid",
    "refund",
    "untrashed",
    "trashed",
    "deleted",
)
MONEY = ("status", "created", "total", "paid", "refund")
DRAFTS = ("auto-draft", "draft", "checkout-draft", "new")
OLD_KEY_S = 86_400
OPEN_FOR_MS = 60_000

SCHEMA = """
create table if not exists plugin_settings (name text primary key, value text not null);
create table if not exists plugin_changes (id integer primary key autoincrement, event_id text not null unique,
  object text not null, object_id integer not null, kind text not null, open integer not null, payload text,
  at_ms integer not null, epoch integer, n integer, acked_ms integer);
create index if not exists plugin_changes_waiting on plugin_changes (acked_ms, id);
create table if not exists plugin_moves (id integer primary key autoincrement, move_id text not null unique,
  event_id text not null, order_id integer not null, order_item_id integer not null, stock_id integer not null,
  sku text not null, parts integer not null, kind text not null, at_ms integer not null, epoch integer, n integer,
  acked_ms integer);
create index if not exists plugin_moves_stock on plugin_moves (stock_id);
create index if not exists plugin_moves_event on plugin_moves (event_id);
create table if not exists plugin_stock (stock_id integer primary key, version integer not null, epoch integer not null,
  n integer not null, number integer not null, expires_ms integer, silence_share text not null, lapsed integer not null,
  crossing integer not null, at_ms integer not null);
create table if not exists plugin_nonces (nonce text primary key, at_ms integer not null);
"""

Json = dict[str, Any]


class Plugin:
    """gate: called between any two steps of a write of stock, where shoppers may come in. on_change: the nudge."""

    def __init__(
        self,
        shop: Shop,
        key: str | None = None,
        gate: Callable[[str], None] = lambda name: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.shop, self.gate, self.on_change = shop, gate, on_change
        self.place = {"database": "shop", "host": "localhost", "prefix": "wp_", "path": "/var/www/html"}
        self.dies = False
        self._rows: dict[tuple[str, int], Json] = {}
        shop.connection.executescript(SCHEMA)
        shop.plugin = self
        if key is not None:
            self.pair(key)

    # Pairing

    def pair(self, key: str) -> None:
        """Pin what this shop is, and take a key (another: the one before is good for a day)."""
        with self.shop.transaction():
            self._keep("paired_ms", str(self.now_ms()))
            self._keep("identity", json.dumps(self.identity()))
            self._keep("old_key", self.setting("key"))
            self._keep("old_until", str(int(self.shop.clock().timestamp()) + OLD_KEY_S))
            self._keep("key", key)

    def unpair(self) -> None:
        with self.shop.transaction():
            self.shop.connection.execute("delete from plugin_settings where name in ('paired_ms', 'key', 'old_key')")

    @property
    def is_paired(self) -> bool:
        return bool(self.setting("paired_ms"))

    def identity(self) -> dict[str, str]:
        return {"home": self.shop.site_url, **self.place}

    def fingerprint(self) -> str:
        return hashlib.sha256(self.setting("identity", "{}").encode()).hexdigest()

    def differing(self) -> list[str]:
        """Names of the parts in which this shop isn't the one that was paired: it may be a copy."""
        pinned = json.loads(self.setting("identity", "{}"))
        return [name for name, value in self.identity().items() if pinned.get(name) != value]

    def has_signed(self, text: str, signature: str) -> bool:
        key, old = self.setting("key"), self.setting("old_key")
        if key and _is_signed(key, text, signature):
            if old:
                with self.shop.transaction():
                    self._keep("old_key", "")
            return True
        in_time = self.shop.clock().timestamp() < float(self.setting("old_until", "0"))
        return bool(old) and in_time and _is_signed(old, text, signature)

    def is_new(self, nonce: str) -> bool:
        with self.shop.transaction():
            added = self.shop.connection.execute(
                "insert or ignore into plugin_nonces values (?, ?)", (nonce, self.now_ms())
            )
            return added.rowcount == 1

    def setting(self, name: str, otherwise: str = "") -> str:
        row = self.shop._one("select value from plugin_settings where name = ?", (name,))
        return otherwise if row is None else str(row[0])

    def _keep(self, name: str, value: str) -> None:
        self.shop.connection.execute("insert or replace into plugin_settings values (?, ?)", (name, value))

    # The change log

    def request_begins(self) -> None:
        self._rows.clear()

    def request_ends(self) -> None:
        """Close the request's rows, unless its process died before that."""
        rows, dies, self.dies = list(self._rows.values()), self.dies and bool(self._rows), False
        self._rows.clear()
        if rows and not dies:
            self.shop.connection.executemany(
                "update plugin_changes set open = 0, kind = ? where event_id = ?",
                [(row["kind"], row["event_id"]) for row in rows],
            )
            self.on_change()

    def touch(self, thing: str, object_id: int, kind: str, payload: Any = None, is_new: bool = False) -> str | None:
        """The object is about to be changed: a row says so. Its event's id; None where no log is kept."""
        if not self.is_paired:
            return None
        row = self._rows.get((thing, object_id))
        if row is None:
            if thing == "order" and not is_new:
                self._keep_what_was(object_id)
            row = self._rows[thing, object_id] = {"kind": kind, "event_id": self.random_id()}
            self.shop.connection.execute(
                "insert into plugin_changes (event_id, object, object_id, kind, open, payload, at_ms)"
                " values (?, ?, ?, ?, 1, ?, ?)",
                (row["event_id"], thing, object_id, kind, _said(payload), self.now_ms()),
            )
        else:
            row["kind"] = max(row["kind"], kind, key=KINDS.index)
            if payload is not None:
                self.shop.connection.execute(
                    "update plugin_changes set payload = ? where event_id = ?", (_said(payload), row["event_id"])
                )
        return str(row["event_id"])

    def order_saves(self, order: Json, before: Json | None) -> None:
        """An order is about to be written; drafts of the checkout are none yet."""
        if order["status"] in DRAFTS:
            return
        is_new = before is None or before["status"] in DRAFTS
        kind = "created" if is_new else "edited"
        for field, means in (
            ("status", "status"),
            ("total", "total"),
            ("transaction_id", "paid"),
            ("date_paid_gmt", "paid"),
        ):
            is_other = (before or {}).get(field) != order[field]
            if is_other and (before is not None or (means == "paid" and order[field])):
                kind = max(kind, means, key=KINDS.index)
        self.touch("order", order["id"], kind, is_new=is_new)

    def snapshot(self, order_id: int) -> Json | None:
        """The order with its refunds as REST says it now."""
        order = self.shop.order(order_id)
        return None if order is None else {"order": order, "refunds": self.shop.refunds(order_id)}

    def _keep_what_was(self, order_id: int) -> None:
        marks = ", ".join("?" for _ in MONEY)
        rows = self.shop._all(
            "select id from plugin_changes where object = 'order' and object_id = ? and acked_ms is null and open = 0"  # noqa: S608
            f" and payload is null and kind in ({marks})",
            (order_id, *MONEY),
        )
        snapshot = self.snapshot(order_id) if rows else None
        if snapshot:
            text = _said(snapshot)
            self.shop.connection.executemany(
                "update plugin_changes set payload = ? where id = ?", [(text, row[0]) for row in rows]
            )

    # Stock moves

    def move(self, line: tuple[int, int], stock_id: int, sku: str, parts: int, kind: str) -> None:
        """A line (order, line) lowers or raises stock, in the transaction that does it."""
        event = self.touch("order", line[0], "stock")
        if event is not None:
            self.shop.connection.execute(
                "insert into plugin_moves (move_id, event_id, order_id, order_item_id, stock_id, sku, parts, kind,"
                " at_ms) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (self.random_id(), event, *line, stock_id, sku[:100], parts, kind, self.now_ms()),
            )

    def stock_is_set(self, stock_id: int, before: int | None, after: int | None, how: str) -> None:
        """Stock was set by what is no order's line: kept as a fact."""
        said = {
            "from": None if before is None else text_of(before),
            "to": None if after is None else text_of(after),
            "how": how,
            "user": 1,
        }
        self.touch("stock", stock_id, "set", said)

    # Small things

    def now_ms(self) -> int:
        return int(self.shop.clock().timestamp() * 1000)

    def random_id(self) -> str:
        return f"{self.shop.random.getrandbits(128):032x}"


def time_of(ms: int) -> str:
    """Milliseconds since 1970 as a time."""
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}.{ms % 1000:03d}Z"


def _is_signed(key: str, text: str, signature: str) -> bool:
    made = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(made.encode(), signature.encode("utf-8", "replace"))


def _said(payload: Any) -> str | None:
    return None if payload is None else json.dumps(payload)
