"""The plugin's signed routes under counterfoil/v1, over the sandbox shop. No HTTP here: simulations call them too.

Signed is, a line each: the method, the route with its parameters sorted, the time, the nonce, the hash of the body.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from counterfoil_sandbox import shop_plugin_stock
from counterfoil_sandbox.shop_answers import Answer, Rejected
from counterfoil_sandbox.shop_plugin import DRAFTS, OPEN_FOR_MS, Plugin, time_of
from counterfoil_sandbox.shop_stock import text_of

SPACE = "counterfoil/v1"
WINDOW_S = 300
MOST_ROWS, MOST_ITEMS, MOST_BYTES = 1_000, 5_000, 4_000_000

Json = dict[str, Any]
Query = Mapping[str, str]


class Routes:
    """versions: what `health` says of the shop."""

    def __init__(self, plugin: Plugin, versions: Mapping[str, str] | None = None) -> None:
        self.plugin, self.shop = plugin, plugin.shop
        self._versions = {"plugin": "0.1.0", "woocommerce": "11.0.1", "wordpress": "6.9", "php": "8.2.0"}
        self._versions |= {"database": "SQLite", **(versions or {})}
        self._routes: dict[str, tuple[str, Callable[[Query, bytes], Json], tuple[str, ...]]] = {
            "/changes": ("GET", self.changes, ("limit",)),
            "/ack": ("POST", self.ack, ()),
            "/stock": ("POST", self.stock, ()),
            "/items": ("GET", self.items, ("after", "limit")),
            "/digest": ("GET", self.digest, ("prefix",)),
            "/orders/totals": ("GET", self.totals, ("from", "to")),
            "/health": ("GET", self.health, ()),
        }

    def answer(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes) -> Answer:
        """path: what follows `counterfoil/v1`, such as /changes."""
        found = self._routes.get("/" + path.strip("/"))
        if found is None or found[0] != method:
            return Rejected(404, "rest_no_route", "No route was found matching the URL and request method.").answer
        try:
            self._is_the_agent(
                method, "/" + path.strip("/"), {k: query[k] for k in found[2] if k in query}, headers, body
            )
            if path.strip("/") in ("changes", "ack", "stock") and (parts := self.plugin.differing()):
                raise _refusal(
                    "copy",
                    409,
                    f"This store is not the one that was paired ({', '.join(parts)} differ): it may be a copy. If it is"
                    " the real one, pair it again in WooCommerce, Counterfoil.",
                )
            said = found[1](query, body)
        except Rejected as refused:
            return refused.answer
        if path.strip("/") != "health":
            self.after_call()
        return Answer(200, said)

    def after_call(self) -> None:
        """What the plugin looks after once it has answered, and by its clock."""
        shop_plugin_stock.settle_late(self.plugin)
        shop_plugin_stock.lapse(self.plugin)

    def _is_the_agent(self, method: str, path: str, query: Query, headers: Mapping[str, str], body: bytes) -> None:
        said = {name.lower(): value for name, value in headers.items()}
        time, nonce = said.get("x-counterfoil-timestamp", ""), said.get("x-counterfoil-nonce", "")
        text = signed_text(method, path, query, time, nonce, body)
        signature = said.get("x-counterfoil-signature", "")
        if (
            not self.plugin.is_paired
            or not re.fullmatch(r"[A-Za-z0-9_-]{16,64}", nonce)
            or not self.plugin.has_signed(text, signature)
        ):
            raise _refusal(
                "signature",
                401,
                "The signature does not fit this store's key. Pair the agent with the key from WooCommerce,"
                " Counterfoil.",
            )
        if not re.fullmatch(r"\d{1,12}", time) or abs(self.shop.clock().timestamp() - int(time)) > WINDOW_S:
            raise _refusal(
                "clock",
                401,
                "The request's time is more than 300 s from this store's. Correct it by the Date of this answer and"
                " sign again.",
            )
        if not self.plugin.is_new(nonce):
            raise _refusal("replay", 401, "This nonce was used before. Use a new one for each request.")

    # What is told and acknowledged

    def changes(self, query: Query, body: bytes) -> Json:
        limit = min(MOST_ROWS, max(1, _whole(query.get("limit"), 200)))
        old = self.plugin.now_ms() - OPEN_FOR_MS
        rows: dict[str, Json] = {}
        size = 0
        for row in self.shop._all(
            "select id, event_id, object, object_id, kind, payload, at_ms from plugin_changes where acked_ms is null"
            " and (open = 0 or at_ms < ?) order by id limit ?",
            (old, limit),
        ):
            size += len(row[5] or "")
            if rows and size > MOST_BYTES:
                break
            rows[row[1]] = {
                "id": row[0],
                "event_id": row[1],
                "object": row[2],
                "object_id": row[3],
                "kind": row[4],
                "payload": None if row[5] is None else json.loads(row[5]),
                "at": time_of(row[6]),
            }
        open_rows = self.shop._all(
            "select id from plugin_changes where acked_ms is null and open = 1 and at_ms >= ? order by id limit ?",
            (old, limit),
        )
        head = self.shop._one("select coalesce(max(id), 0) from plugin_changes", ())
        return {
            "store_fingerprint": self.plugin.fingerprint(),
            "head": head[0] if head else 0,
            "rows": list(rows.values()),
            "moves": self._moves_of(rows),
            "open": [row[0] for row in open_rows],
        }

    def _moves_of(self, rows: Mapping[str, Json]) -> list[Json]:
        moves: list[Json] = []
        for event, row in rows.items():
            for move in self.shop._all(
                "select move_id, order_item_id, stock_id, sku, parts, kind, at_ms from plugin_moves"
                " where acked_ms is null and event_id = ? order by id",
                (event,),
            ):
                names = ("move_id", "row_id", "order_item_id", "stock_id", "sku", "quantity", "kind", "at")
                values = (move[0], row["id"], *move[1:4], text_of(move[4]), move[5], time_of(move[6]))
                moves.append(dict(zip(names, values, strict=True)))
        return moves

    def ack(self, query: Query, body: bytes) -> Json:
        said = _body(body)
        epoch, rows, moves = said.get("epoch"), _numbers(said, "rows", "id"), _numbers(said, "moves", "move_id")
        if not _is_number(epoch) or rows is None or moves is None:
            message = (
                "The body has to have epoch (a number), rows (id, n) and moves (move_id, n), at most 5,000 of each."
            )
            raise _refusal("body", 400, message)
        assert isinstance(epoch, int)
        unknown: list[Any] = []
        with self.shop.transaction():
            for table, column, numbers in (("plugin_changes", "id", rows), ("plugin_moves", "move_id", moves)):
                unknown += [key for key, n in numbers.items() if not self._number(table, column, key, epoch, n)]
        return {"acked": len(rows) + len(moves) - len(unknown), "unknown": unknown}

    def _number(self, table: str, column: str, key: Any, epoch: int, n: int) -> bool:
        """Write (epoch, n), which only ever rises; False where nothing is known by that key."""
        if self.shop._one(f"select 1 from {table} where {column} = ?", (key,)) is None:  # noqa: S608
            return False
        self.shop.connection.execute(
            f"update {table} set n = ?, epoch = ?, acked_ms = coalesce(acked_ms, ?) where {column} = ?"  # noqa: S608
            " and (n is null or epoch < ? or (epoch = ? and n < ?))",
            (n, epoch, self.plugin.now_ms(), key, epoch, epoch, n),
        )
        return True

    # Stock and sweeps

    def stock(self, query: Query, body: bytes) -> Json:
        items = _body(body).get("items")
        if not isinstance(items, list) or len(items) > MOST_ITEMS:
            raise _refusal("body", 400, "The body has to have items, a list of at most 5,000.")
        results = shop_plugin_stock.write(self.plugin, items)
        if any(result["verdict"] == "applied" for result in results):
            with self.shop.transaction():
                self.plugin._keep("stock_ms", str(self.plugin.now_ms()))
        return {"results": results}

    def items(self, query: Query, body: bytes) -> Json:
        limit = min(MOST_ITEMS, max(1, _whole(query.get("limit"), MOST_ITEMS)))
        return shop_plugin_stock.items(self.plugin, max(0, _whole(query.get("after"), 0)), limit)

    def digest(self, query: Query, body: bytes) -> Json:
        prefix = query.get("prefix", "").lower()
        if not re.fullmatch(r"([0-9a-f]{2}){0,2}", prefix):
            raise _refusal("prefix", 400, "prefix has to be none, two or four hexadecimal digits.")
        return shop_plugin_stock.digest(self.plugin, prefix)

    def totals(self, query: Query, body: bytes) -> Json:
        days = [query.get("from", ""), query.get("to", "")]
        if not all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in days):
            raise _refusal("days", 400, "from and to have to be days such as 2026-11-23.")
        end = (date.fromisoformat(days[1]) + timedelta(days=1)).isoformat()
        sums: dict[tuple[str, str], list[Any]] = {}
        for (text,) in self.shop._all("select body from orders where created >= ? and created < ?", (days[0], end)):
            order = json.loads(text)
            if order["status"] in (*DRAFTS, "trash"):
                continue
            row = sums.setdefault((order["date_created_gmt"][:10], order["currency"]), [0, *[Decimal(0)] * 3])
            back = -sum((Decimal(refund["total"]) for refund in order["refunds"]), Decimal(0))
            amounts = (Decimal(order["total"]), back, Decimal(order["total_tax"]))
            row[:] = [row[0] + 1, *(before + more for before, more in zip(row[1:], amounts, strict=True))]
        waiting = self.shop._all(
            "select id, object, object_id from plugin_changes where acked_ms is null order by id limit 1000", ()
        )
        return {
            "totals": [
                {"day": day, "currency": coin, "count": row[0]}
                | {name: _plain(amount) for name, amount in zip(("total", "refunds", "tax"), row[1:], strict=True)}
                for (day, coin), row in sorted(sums.items())
            ],
            "open": [dict(zip(("id", "object", "object_id"), row, strict=True)) for row in waiting],
        }

    def health(self, query: Query, body: bytes) -> Json:
        rows, open_rows, oldest = self._row(
            "select count(*), coalesce(sum(open), 0), min(at_ms) from plugin_changes where acked_ms is null"
        )
        written = int(self.plugin.setting("stock_ms", "0"))
        return {
            "versions": dict(self._versions),
            "orders_in_tables": True,
            "store_fingerprint": self.plugin.fingerprint(),
            "differs_in": self.plugin.differing(),
            "transactional": True,
            "missing_hooks": [],
            "waiting_rows": rows,
            "open_rows": open_rows,
            "oldest_waiting": None if oldest is None else time_of(oldest),
            "tables": {
                name: self._row(f"select count(*) from plugin_{name}")[0]  # noqa: S608
                for name in ("changes", "moves", "stock")
            },
            "uncounted_moves": self._row("select count(*) from plugin_moves where n is null")[0],
            "crossings_waiting": self._row("select count(*) from plugin_stock where crossing = 1")[0],
            "newest_order_id": self._row("select max(id) from orders")[0],
            "last_stock_write": time_of(written) if written else None,
            "nudges": False,
        }

    def _row(self, query: str) -> tuple[Any, ...]:
        row = self.shop._one(query, ())
        assert row is not None
        return row


def signed_text(method: str, path: str, query: Query, time: str, nonce: str, body: bytes) -> str:
    """path: /changes and its like."""
    parameters = urlencode(sorted(query.items()), quote_via=quote, safe="")
    route = f"/{SPACE}{path}" + (f"?{parameters}" if parameters else "")
    return "\n".join((method, route, time, nonce, sha256(body).hexdigest()))


def sign(key: str, method: str, path: str, query: Query, body: bytes, at: datetime, nonce: str) -> dict[str, str]:
    """The headers of a signed request: for tests and simulation, which call without an agent."""
    time = str(int(at.astimezone(UTC).timestamp()))
    text = signed_text(method, path, query, time, nonce, body)
    return {
        "X-Counterfoil-Timestamp": time,
        "X-Counterfoil-Nonce": nonce,
        "X-Counterfoil-Signature": hmac.new(key.encode(), text.encode(), sha256).hexdigest(),
    }


def _refusal(code: str, status: int, message: str) -> Rejected:
    return Rejected(status, f"counterfoil_{code}", message)


def _body(raw: bytes) -> Json:
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _numbers(said: Json, field: str, name: str) -> dict[Any, int] | None:
    """A list of things with numbers as n by key; None: it is none."""
    things = said.get(field, [])
    if not isinstance(things, list) or len(things) > MOST_ITEMS:
        return None
    numbers: dict[Any, int] = {}
    for thing in things:
        key = thing.get(name) if isinstance(thing, dict) else None
        is_known = (
            isinstance(key, int) and not isinstance(key, bool)
            if name == "id"
            else isinstance(key, str) and re.fullmatch(r"[0-9a-f]{32}", key) is not None
        )
        if not is_known or not _is_number(thing.get("n")):
            return None
        numbers[key] = thing["n"]
    return numbers


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"-?\d{1,18}", text) else otherwise


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
