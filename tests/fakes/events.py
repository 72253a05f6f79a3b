"""Events as an agent would send them, made from few words."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

from counterfoil_engine.ports import Incoming

DAY = date(2026, 11, 23)
MORNING = datetime(2026, 11, 23, 9, tzinfo=UTC)


def event_id(name: str) -> str:
    """A stable id of 32 hexadecimal digits for a name."""
    return uuid.uuid5(uuid.NAMESPACE_OID, name).hex


def an_order(order_id: int = 1001, total: str = "10.00", **fields: Any) -> dict[str, Any]:
    """A small order that fulfils the contract, as `data` of an event."""
    order = {"id": order_id, "status": "processing", "currency": "EUR", "total": total, "line_items": [], **fields}
    return {"order": order, "refunds": []}


def incoming(name: str, n: int, order_id: int = 1001, total: str = "10.00", epoch: int = 1, **fields: Any) -> Incoming:
    """An order event that was judged already; n also says how many seconds after nine the order was read."""
    body = json.dumps(an_order(order_id, total)).encode()
    values: dict[str, Any] = {
        "event_id": event_id(name),
        "occurred_on": DAY,
        "epoch": epoch,
        "n": n,
        "type": "counterfoil.order.v1",
        "subject": f"order eu1/{order_id}",
        "occurred_at": MORNING + timedelta(seconds=n),
        "body": body,
    } | fields
    return Incoming(**values, body_hash=hashlib.sha256(values["body"]).hexdigest())


def cloud_event(
    n: int, name: str | None = None, data: Any = None, epoch: int = 1, store: str = "eu1", **fields: Any
) -> dict[str, Any]:
    """An event as it travels. fields replace or add attributes; None takes one away."""
    data = an_order() if data is None else data
    event = {
        "specversion": "1.0",
        "id": event_id(name or f"{store} {n}"),
        "source": f"/stores/{store}",
        "type": "counterfoil.order.v1",
        "subject": _subject(data),
        "time": (MORNING + timedelta(seconds=n)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": "urn:counterfoil:events:order:1",
        "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        "epoch": epoch,
        "n": n,
        "occurredon": DAY.isoformat(),
        "data": data,
    } | fields
    return {key: value for key, value in event.items() if value is not None}


def _subject(data: Any) -> str:
    order = data.get("order") if isinstance(data, dict) else None
    return f"order/{order['id']}" if isinstance(order, dict) else "order/1001"
