"""The engine's stock numbers for this store: a long poll, signed as every other request of the agent; bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from counterfoil_agent.ports import FeedPage, Number
from counterfoil_agent.uplink import Uplink

POLL, WRITES = "/v1/feed", "/v1/feed/writes"
NO_POOL = "no-pool"  # the slug of the engine's answer where its rules put the store into no pool


class _Place(msgspec.Struct):
    epoch: int
    n: int


class _Row(msgspec.Struct):
    sku: str
    version: int
    number: int
    basis: _Place | None
    as_of: str | None
    expires_at: str | None = None
    silence_share: str | None = None
    backorders: bool = False
    excluded: bool = False
    sold: int = 0


class _Page(msgspec.Struct):
    engine_epoch: int
    version: int
    rows: list[_Row]
    more: bool = False
    resync: bool = False


class EngineFeed:
    """The feed as one store's agent reaches it; for one thread. line: makes the uplink to where the feed is now."""

    def __init__(self, line: Callable[[], Uplink]) -> None:
        self._line = line

    def poll(self, version: int, engine_epoch: int | None, wait_s: float, limit: int) -> FeedPage:
        asked = {"version": version, "engine_epoch": engine_epoch, "wait_s": wait_s, "limit": limit}
        told: _Page = self._line().post(POLL, msgspec.json.encode(asked), _Page, wait_s=wait_s)
        numbers = [
            Number(
                row.sku,
                row.version,
                row.number,
                (row.basis.epoch, row.basis.n) if row.basis else None,
                row.as_of,
                row.expires_at,
                row.silence_share,
                row.backorders,
                row.excluded,
                row.sold,
            )
            for row in told.rows
        ]
        return FeedPage(told.engine_epoch, told.version, numbers, told.more, told.resync)

    def report(self, body: Mapping[str, Any]) -> None:
        self._line().post(WRITES, msgspec.json.encode(body), dict[str, Any])
