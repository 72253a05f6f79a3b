"""Telling the store's orders over WooCommerce's REST API. Its key needs the right to write.

A note is private: WooCommerce mails one for the customer. Notes are listed whole, without pages. An order is changed by
POST, which WooCommerce takes as PUT, and some hosts' firewalls take alone. Meta data is set by its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from counterfoil_agent import snapshot
from counterfoil_agent.errors import Blocked
from counterfoil_agent.ports import Absent, OrderState
from counterfoil_agent.rest import LARGEST_ORDER_BYTES, Answered, RestStore, refusal
from counterfoil_agent.updates import TOLD, TRACKING

FIELDS = "id,status,meta_data"


class _Meta(msgspec.Struct):
    key: str = ""
    value: Any = None


class _Order(msgspec.Struct):
    id: int
    status: str
    meta_data: list[_Meta] = []


class _Note(msgspec.Struct):
    note: str | None = ""


class _Said(msgspec.Struct):
    message: str = ""


class RestOrders:
    """store: the client of the thread that uses this."""

    def __init__(self, store: RestStore) -> None:
        self._store = store

    def state(self, order_id: int) -> OrderState | Absent:
        answered = self._store.get(f"orders/{order_id}", {"_fields": FIELDS})
        if answered.status in (404, 410) and answered.code() not in ("", "rest_no_route"):
            return Absent(answered.status, answered.code())
        order: _Order = _read(answered, f"orders/{order_id}", _Order)
        if order.id != order_id:
            raise snapshot.unreadable(answered.body, f"Asked for order {order_id}, the store answered with another.")
        meta = {each.key: each.value for each in order.meta_data}
        told, tracking = _listed(meta.get(TOLD)), _listed(meta.get(TRACKING))
        return OrderState(
            order.status,
            [line for line in told if isinstance(line, str)],
            [each for each in tracking if isinstance(each, dict)],
        )

    def notes(self, order_id: int) -> Sequence[str]:
        endpoint = f"orders/{order_id}/notes"
        notes: list[_Note] = _read(self._store.get(endpoint, {"type": "internal"}), endpoint, list[_Note])
        return [each.note or "" for each in notes]

    def add_note(self, order_id: int, text: str) -> None:
        endpoint = f"orders/{order_id}/notes"
        _done(self._store.post(endpoint, {"note": text, "customer_note": False}, LARGEST_ORDER_BYTES), endpoint)

    def change(self, order_id: int, status: str | None, meta: Mapping[str, Any]) -> None:
        endpoint = f"orders/{order_id}"
        body: dict[str, Any] = {"meta_data": [{"key": key, "value": value} for key, value in meta.items()]}
        if status is not None:
            body["status"] = status
        _done(self._store.post(endpoint, body, LARGEST_ORDER_BYTES), endpoint)


def _listed(value: Any) -> list[Any]:
    """PHP says an array whose numbers have a gap as an object."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _read(answered: Answered, endpoint: str, kind: Any) -> Any:
    if answered.status != 200:
        raise refusal(answered, endpoint)
    try:
        return msgspec.json.decode(snapshot.without_mark(answered.body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise snapshot.unreadable(answered.body, f"The store's answer to {endpoint} can't be read.") from None


def _done(answered: Answered, endpoint: str) -> None:
    """Whatever the answer says: what was written is read anew where it matters."""
    if answered.status in (200, 201):
        return
    if answered.status == 400 and answered.code():
        raise Blocked(f"{_message(answered)} ({answered.code()})", "Look at the order in the store.", "data")
    raise refusal(answered, endpoint)


def _message(answered: Answered) -> str:
    try:
        return msgspec.json.decode(snapshot.without_mark(answered.body), type=_Said).message[:300]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "The store refuses it."
