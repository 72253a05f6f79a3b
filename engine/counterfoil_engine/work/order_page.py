"""An order on one screen: its story, when each step came, what was paid out, and each thing's raw form. Reads only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from counterfoil_engine.ports import Records, Rejected


class OrderPageRecords(Protocol):
    """What stands beside an order's story (`records/order_page.py`)."""

    def times(self, tx: Any, subject: str) -> list[Mapping[str, Any]]: ...
    def settled(self, tx: Any, subject: str) -> list[Mapping[str, Any]]: ...
    def fact(self, tx: Any, subject: str, epoch: int, n: int) -> Mapping[str, Any] | None: ...
    def party_fact(self, tx: Any, subject: str, party: str, source: str, fact_id: str) -> Mapping[str, Any] | None: ...
    def document(self, tx: Any, subject: str, key: str) -> Mapping[str, Any] | None: ...


class OrderPage:
    """Reads only. Raw forms hold personal data: who asks for them has the role for it."""

    def __init__(self, records: Records, page: OrderPageRecords) -> None:
        self._records, self._page = records, page

    def show(self, story: Mapping[str, Any]) -> Mapping[str, Any]:
        """story: what the command `order` says."""
        with self._records.transaction() as tx:
            now = tx.now()
            times = {row["key"]: row for row in self._page.times(tx, story["subject"])}
            settled = self._page.settled(tx, story["subject"])
        documents = [{**row, **_times(times.get(row["key"], {}))} for row in story["documents"]]
        return {
            **story,
            "now": now.isoformat(),
            "documents": documents,
            "settled": [dict(row) for row in settled if row["stands"]],
            "steps": [_dated(step, documents) for step in story["steps"]],
        }

    def fact(self, subject: str, epoch: int, n: int) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            row = self._page.fact(tx, subject, epoch, n)
        return {**_found(row), "body": _pretty(row)}

    def party_fact(self, subject: str, party: str, source: str, fact_id: str) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            row = self._page.party_fact(tx, subject, party, source, fact_id)
        return {**_found(row), "body": _pretty(row)}

    def document(self, subject: str, key: str) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            row = _found(self._page.document(tx, subject, key))
        body = json.loads(row["document"]) if row["document"] else {}
        return {**row, **_times(row), "document": json.dumps(body, indent=2, ensure_ascii=False), "whole": body}


def _dated(step: Mapping[str, Any], documents: list[dict[str, Any]]) -> dict[str, Any]:
    """A step with when it came, and the other party's numbers."""
    own = [row for row in documents if row["kind"] in step["kinds"] and row["state"] != "withdrawn"]
    done = [row["result_at"] for row in own if row["result_at"]]
    return {
        **step,
        "at": max(done) if done else None,
        "numbers": [row["number"] for row in own if row["number"] and not row["reverses"]],
    }


def _times(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("party", "entity", "rules_version")
    return {name: row.get(name) for name in names} | {
        name: _text(row.get(name)) for name in ("made_at", "sent_at", "result_at")
    }


def _pretty(row: Mapping[str, Any] | None) -> str:
    """A body as it came, put in lines where it is JSON."""
    body = bytes(row["body"]) if row and row["body"] is not None else b""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _found(row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if row is None:
        raise Rejected("The order has nothing of that name.", "Go back to the order.", slug="no-such-subject")
    return row


def _text(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value
