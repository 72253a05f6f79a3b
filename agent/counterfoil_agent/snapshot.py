"""Pure: from the bytes that a store sent to the bytes of an event. What a store said is never encoded again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from counterfoil_contracts import faults

from counterfoil_agent.errors import Unreadable

ORDER, GONE, HEARTBEAT = "counterfoil.order.v1", "counterfoil.gone.v1", "counterfoil.heartbeat.v1"
DELETED, STOCK = "counterfoil.gone.v2", "counterfoil.stock.v1"
VOID, TOMBSTONE = "counterfoil.void.v1", "counterfoil.tombstone.v1"
DRAFTS = ("checkout-draft", "auto-draft")
LARGEST_ID = 2**53 - 1


class RefundSummary(msgspec.Struct):
    id: int = 0
    total: Any = None
    amount: Any = None


class Head(msgspec.Struct):
    """What the agent itself reads of an order; everything else passes unread."""

    id: int
    status: str = ""
    total: Any = None
    date_created_gmt: str | None = None
    date_modified_gmt: str | None = None
    date_paid_gmt: str | None = None
    refunds: list[RefundSummary] = []


@dataclass(frozen=True)
class Event:
    """What is about to enter the outbox.

    order_id: of a stock event the item's id. body: the bytes of `data`, stored once. money: fingerprint of what must
    never be merged (E7), "": of nothing. note: how it breaks its contract, if it does: it is sent all the same, and the
    engine keeps it as invalid. state: hash of what tells whether the order changed ("": of the body). has_moves: it is
    sent even if the order didn't. modified: when the store last changed the order, as it says.
    """

    type: str
    order_id: int
    body: bytes
    money: str = ""
    note: str | None = None
    state: str = ""
    has_moves: bool = False
    modified: str = ""

    @property
    def latest(self) -> str:
        return self.state or hashlib.sha256(self.body).hexdigest()


def values_of(body: bytes) -> list[bytes]:
    """The members of a JSON array, each as the bytes it was. Raises Unreadable."""
    try:
        body.decode()
        return [bytes(value) for value in msgspec.json.decode(without_mark(body), type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(body, f"The store's list is no JSON that can be read: {_said(error)}") from None


def head_of(raw: bytes) -> Head:
    """Raises Unreadable where the value is no order."""
    try:
        head = msgspec.json.decode(raw, type=Head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(raw, f"The store's answer is no order that can be read: {_said(error)}") from None
    if not 0 < head.id <= LARGEST_ID:
        raise unreadable(raw, "The store's answer has no order id.")
    return head


def refund_id_of(raw: bytes) -> int:
    """Raises Unreadable where the value is no refund."""
    try:
        return msgspec.json.decode(raw, type=RefundSummary).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(raw, f"The store's answer is no refund that can be read: {_said(error)}") from None


def order_event(order: bytes, refunds: Sequence[bytes], moves: Sequence[bytes] | None = None) -> Event:
    """The event of an order, its bytes spliced in verbatim. Raises Unreadable where it can't be sent on as JSON.

    moves: stock moves as the store's plugin said them; None: it has no plugin, which is not the same as no moves."""
    head = head_of(order)
    bare = b'{"order":' + order + b',"refunds":[' + b",".join(refunds) + b"]}"
    body = bare if moves is None else bare[:-1] + b',"moves":[' + b",".join(moves) + b"]}"
    found = faults("events/order.v1", body, most=3)
    # What is no JSON, or could be read in two ways (equal keys), would spoil its neighbours in the batch.
    if any(fault.schema_path == "json" for fault in found):
        raise unreadable(body, found[0].message)
    note = "; ".join(map(str, found))[:500] or None
    # What carries moves is never merged with another: they would be gone.
    money = "" if moves else money_of(head)
    state, modified = hashlib.sha256(bare).hexdigest(), (head.date_modified_gmt or "")[:30]
    return Event(ORDER, head.id, body, money, note, state, bool(moves), modified)


def unreadable_event(order_id: int, error: Unreadable) -> Event:
    """What is sent of an order that can't be: that it is there, and why nothing can be read of it."""
    return tombstone_event(order_id, ORDER, error.hash, error.size_bytes, error.cause)


def tombstone_event(order_id: int, of: str, body_hash: str, size_bytes: int, reason: str) -> Event:
    body = {"of": of, "hash": body_hash, "size_bytes": size_bytes, "reason": reason[:500]}
    return Event(TOMBSTONE, order_id, msgspec.json.encode(body))


def gone_event(order_id: int, code: str, evidence: Sequence[dict[str, Any]]) -> Event:
    body = {"order_id": order_id, "code": code, "evidence": list(evidence)}
    return Event(GONE, order_id, msgspec.json.encode(body))


def deleted_event(order_id: int, event_id: str, at: str) -> Event:
    """The plugin's row says that the order was deleted."""
    return Event(DELETED, order_id, msgspec.json.encode({"order_id": order_id, "event_id": event_id, "at": at}))


def stock_event(
    stock_id: int,
    sku: str,
    moves: Sequence[bytes],
    order_id: int | None = None,
    stands_for: Sequence[tuple[int, int]] = (),
) -> Event:
    """Moves that go with no order's event: edits of an item's stock, or those of an order that can't be sent."""
    body = msgspec.json.encode({"stock_id": stock_id, "sku": sku})[:-1] + b',"moves":[' + b",".join(moves) + b"]"
    if order_id is not None:
        body += b',"order_id":' + str(order_id).encode()
    if stands_for:
        body += b',"stands_for":' + msgspec.json.encode([{"epoch": epoch, "n": n} for epoch, n in stands_for])
    return Event(STOCK, stock_id, body + b"}", has_moves=True)


def void_body(reason: str) -> bytes:
    return msgspec.json.encode({"reason": reason})


def money_of(head: Head) -> str:
    """What must stand for itself in the sequence: paid, total, status, refunds."""
    refunds = [(refund.id, refund.total if refund.total is not None else refund.amount) for refund in head.refunds]
    return hashlib.sha256(repr((head.date_paid_gmt, head.total, head.status, refunds)).encode()).hexdigest()


def is_draft(head: Head) -> bool:
    """A checkout that nobody has sent off: no order yet, though WooCommerce fires its events (issue 66995)."""
    return head.status in DRAFTS


def moment_of(text: object) -> datetime | None:
    """A WooCommerce time in GMT, which carries no zone; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def envelope(
    store: str,
    *,
    event_id: str,
    event_type: str,
    time: str,
    traceparent: str,
    body: bytes,
    subject: str | None = None,
    epoch: int | None = None,
    n: int | None = None,
    occurred_on: str | None = None,
) -> bytes:
    """One CloudEvent in JSON around the very bytes of its data; the last four are left out of a heartbeat."""
    _, name, version = event_type.split(".")
    around: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/stores/{store}",
        "type": event_type,
        "time": time,
        "datacontenttype": "application/json",
        "dataschema": f"urn:counterfoil:events:{name}:{version.removeprefix('v')}",
        "traceparent": traceparent,
    }
    if n is not None:
        around |= {"subject": subject, "epoch": epoch, "n": n, "occurredon": occurred_on}
    return msgspec.json.encode(around)[:-1] + b',"data":' + body + b"}"


def iso(moment: datetime) -> str:
    """2026-11-23T09:10:39.123Z"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unreadable(body: bytes, cause: str) -> Unreadable:
    return Unreadable(
        cause,
        "Look in the shop's log for what a plugin adds to REST answers; the order is read again when it changes.",
        hash=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
    )


def without_mark(body: bytes) -> bytes:
    """Without the byte order mark that a badly saved PHP file puts before every answer."""
    return body.removeprefix(b"\xef\xbb\xbf").strip()


def _said(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
