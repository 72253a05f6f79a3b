"""The sandbox shop's webhooks, with all that makes WooCommerce's a hint and no more.

An event queues one delivery per webhook and order; `deliver` sends what is due. The body is built then, not when the
thing happened, so an order deleted meanwhile goes out as an error document with a valid signature. A delivery is tried
once. A failure after `FAILURES_ALLOWED` and one more in a row switches a webhook off, and tells nobody. Saving one
sends an unsigned, form-encoded ping.

Faults can be planted for the deliveries to come: "twice", "drop", or a number of seconds to delay.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from counterfoil_sandbox.shop_orders import Shop

TOPICS = ("order.created", "order.updated", "order.deleted", "order.restored")
HOOKS = {
    "order.created": ["woocommerce_new_order"],
    "order.updated": ["woocommerce_update_order", "woocommerce_order_refunded"],
    "order.deleted": ["wp_trash_post", "woocommerce_trash_order"],
    "order.restored": ["untrashed_post", "woocommerce_untrash_order"],
}
FAILURES_ALLOWED = 5
USER_AGENT = "WooCommerce/11.0.1 Hookshot (WordPress/6.9)"

SCHEMA = """
create table if not exists webhooks (id integer primary key, name text not null, topic text not null, url text not null,
  secret text not null, status text not null, failures integer not null, created text not null);
create table if not exists deliveries (n integer primary key autoincrement, webhook_id integer not null,
  order_id integer not null, due_at text not null);
"""

Send = Callable[[str, Mapping[str, str], bytes], int | None]
"""url, headers, body → status, or None where nobody answered"""


@dataclass(frozen=True)
class Delivery:
    """What became of one: the status it was answered with, None if nobody did or it was never sent."""

    topic: str
    order_id: int
    outcome: str
    status: int | None


def send_by_http(url: str, headers: Mapping[str, str], body: bytes) -> int | None:
    try:
        return requests.post(url, data=body, headers=dict(headers), timeout=10, allow_redirects=False).status_code
    except requests.RequestException:
        return None


class Webhooks:
    """The shop's webhooks and the deliveries that wait."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.faults: deque[str | float] = deque()
        self.recent: deque[Delivery] = deque(maxlen=1000)
        shop.connection.executescript(SCHEMA)

    def add(
        self, topic: str, url: str, secret: str, name: str = "", send: Send = send_by_http, status: str = "active"
    ) -> int:
        """Save a webhook; the receiver gets the ping at once. Returns its id."""
        with self.shop.transaction():
            webhook_id = self.shop.next_id("webhook", 1)
            self.shop.connection.execute(
                "insert into webhooks (id, name, topic, url, secret, status, failures, created)"
                " values (?, ?, ?, ?, ?, ?, 0, ?)",
                (webhook_id, name or f"Webhook {webhook_id}", topic, url, secret, status, self._now().isoformat()),
            )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": USER_AGENT}
        send(url, headers, f"webhook_id={webhook_id}".encode())
        return webhook_id

    def all(self) -> list[dict[str, Any]]:
        """As REST shows them: without the secret, and without the count of failures."""
        query = "select id, name, topic, url, status, created from webhooks order by id"
        return [self._shown(*row) for row in self.shop._all(query, ())]

    def set_status(self, webhook_id: int, status: str) -> None:
        with self.shop.transaction():
            query = "update webhooks set status = ?, failures = 0 where id = ?"
            self.shop.connection.execute(query, (status, webhook_id))

    def delete(self, webhook_id: int) -> None:
        with self.shop.transaction():
            self.shop.connection.execute("delete from webhooks where id = ?", (webhook_id,))

    def fire(self, topic: str, order_id: int) -> None:
        """Something happened: queue a delivery, unless one for the same webhook and order waits already."""
        due_at = self._now().isoformat()
        with self.shop.transaction():
            self.shop.connection.execute(
                "insert into deliveries (webhook_id, order_id, due_at) select id, ?, ? from webhooks w"
                " where topic = ? and status = 'active' and not exists"
                " (select 1 from deliveries d where d.webhook_id = w.id and d.order_id = ?)",
                (order_id, due_at, topic, order_id),
            )

    def waiting(self) -> int:
        row = self.shop._one("select count(*) from deliveries", ())
        return 0 if row is None else int(row[0])

    def deliver(self, send: Send = send_by_http) -> list[Delivery]:
        """Send every delivery that is due, oldest first. What became of the last ones stays in `recent`."""
        done: list[Delivery] = []
        while (due := self._take()) is not None:
            webhook_id, topic, order_id = due
            fault = self.faults.popleft() if self.faults else None
            if fault == "drop":
                done.append(Delivery(topic, order_id, "dropped", None))
            elif isinstance(fault, int | float):
                self._put_back(webhook_id, order_id, fault)
                done.append(Delivery(topic, order_id, "delayed", None))
            else:
                for _ in range(2 if fault == "twice" else 1):
                    done.append(self._send(webhook_id, topic, order_id, send))
        self.recent.extend(done)
        return done

    def _take(self) -> tuple[int, str, int] | None:
        """The next due delivery, taken off the queue before it is sent: it is tried once, whatever comes of it."""
        with self.shop.transaction():
            row = self.shop._one(
                "select d.n, d.webhook_id, w.topic, d.order_id from deliveries d join webhooks w on w.id = d.webhook_id"
                " where d.due_at <= ? order by d.n limit 1",
                (self._now().isoformat(),),
            )
            if row is None:
                return None
            self.shop.connection.execute("delete from deliveries where n = ?", (row[0],))
            return row[1], row[2], row[3]

    def _put_back(self, webhook_id: int, order_id: int, delay_s: float) -> None:
        due_at = (self._now() + timedelta(seconds=delay_s)).isoformat()
        with self.shop.transaction():
            self.shop.connection.execute(
                "insert into deliveries (webhook_id, order_id, due_at) values (?, ?, ?)", (webhook_id, order_id, due_at)
            )

    def _send(self, webhook_id: int, topic: str, order_id: int, send: Send) -> Delivery:
        row = self.shop._one("select url, secret from webhooks where id = ?", (webhook_id,))
        if row is None:
            return Delivery(topic, order_id, "webhook deleted", None)
        url, secret = row
        body = json.dumps(self._payload(topic, order_id), separators=(",", ":")).encode()
        status = send(url, self._headers(webhook_id, topic, secret, body), body)
        ok = status is not None and 200 <= status < 303
        self._count(webhook_id, ok)
        return Delivery(topic, order_id, "delivered" if ok else "failed", status)

    def _payload(self, topic: str, order_id: int) -> Any:
        if topic == "order.deleted":
            return {"id": order_id}
        order = self.shop.order(order_id)
        if order is not None:
            return order
        return {"code": "woocommerce_rest_shop_order_invalid_id", "message": "Invalid ID.", "data": {"status": 404}}

    def _headers(self, webhook_id: int, topic: str, secret: str, body: bytes) -> dict[str, str]:
        resource, event = topic.split(".")
        signature = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        return {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": f"{self.shop.site_url}/",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-WC-Webhook-ID": str(webhook_id),
            "X-WC-Webhook-Delivery-ID": f"{self.shop.random.getrandbits(128):032x}",
        }

    def _count(self, webhook_id: int, ok: bool) -> None:
        """A success forgives all failures; a failure beyond those allowed switches the webhook off."""
        with self.shop.transaction():
            if ok:
                self.shop.connection.execute("update webhooks set failures = 0 where id = ?", (webhook_id,))
            else:
                self.shop.connection.execute(
                    "update webhooks set status = case when failures > ? then 'disabled' else status end,"
                    " failures = failures + 1 where id = ?",
                    (FAILURES_ALLOWED, webhook_id),
                )

    def _now(self) -> datetime:
        return self.shop.clock().astimezone(UTC)

    def _shown(self, webhook_id: int, name: str, topic: str, url: str, status: str, created: str) -> dict[str, Any]:
        resource, event = topic.split(".")
        gmt = datetime.fromisoformat(created).replace(tzinfo=None, microsecond=0).isoformat()
        return {
            "id": webhook_id,
            "name": name,
            "status": status,
            "topic": topic,
            "resource": resource,
            "event": event,
            "hooks": HOOKS[topic],
            "delivery_url": url,
            "date_created": self.shop.local(gmt),
            "date_created_gmt": gmt,
            "date_modified": self.shop.local(gmt),
            "date_modified_gmt": gmt,
        }
