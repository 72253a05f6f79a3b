"""The engine's mailbox of sweeps for this store, signed as every other request of the agent; bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from counterfoil_agent.uplink import Uplink

PATH = "/v1/sweeps"
_Day = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
_Prefix = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2,4})?$")]


class _Task(msgspec.Struct, omit_defaults=True):
    task: int
    kind: Literal["stock_digest", "stock_items", "order_totals", "order_day", "fetch"]
    prefixes: Annotated[list[_Prefix], msgspec.Meta(max_length=2000)] = []
    first: _Day | None = None
    last: _Day | None = None
    day: _Day | None = None
    orders: Annotated[list[Annotated[int, msgspec.Meta(ge=1)]], msgspec.Meta(max_length=500)] = []
    pause_s: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0


class _Tasks(msgspec.Struct):
    tasks: list[_Task]


class EngineSweeps:
    """The mailbox as one store's agent reaches it; for one thread. line: makes the uplink."""

    def __init__(self, line: Callable[[], Uplink]) -> None:
        self._line = line

    def exchange(self, answers: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
        body = msgspec.json.encode({"limit": limit, "answers": answers})
        told: _Tasks = self._line().post(PATH, body, _Tasks)
        return [msgspec.to_builtins(task) for task in told.tasks]
