"""A port whose calls are timed and counted, without its knowing: the same methods, and nothing but them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import Meter, Posted, Refused

CALLS = frozenset({"post", "find", "health", "open_day", "rate", "balances", "read"})
FEED_CALLS = frozenset({"answers", "writes"})
Told = Callable[[str, str, float, Any], None]
"""call, outcome, seconds, and what it returned (None where it failed)."""


class Measured:
    """Everything of `inner`, some of its calls told of. What `inner` lacks, this lacks too."""

    def __init__(self, inner: Any, calls: frozenset[str], told: Told) -> None:
        self._inner, self._calls, self._told = inner, calls, told

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._timed(name, found) if name in self._calls else found

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            started, outcome, answer = time.perf_counter(), "failed", None
            try:
                answer = call(*args, **named)
                outcome = "ok"
                return answer
            except CounterfoilError as error:
                outcome = error.category
                raise
            finally:
                self._told(name, outcome, time.perf_counter() - started, answer)

        return timed


def measured_party(port: Any, party: str, entity: str, meter: Meter) -> Any:
    """A party's port, told of by its calls and by what became of documents."""

    def told(call: str, outcome: str, took_s: float, answer: Any) -> None:
        meter.called(party, entity, call, outcome, took_s)
        if call == "post" and answer:
            meter.posted(party, entity, _outcomes(answer))

    return Measured(port, CALLS, told)


def measured_feed(feed: Any, meter: Meter) -> Any:
    """The feed's use cases."""
    return Measured(feed, FEED_CALLS, lambda call, outcome, took_s, answer: meter.fed(call, took_s))


def _outcomes(answer: Sequence[Any]) -> Counter[str]:
    return Counter(
        "posted" if isinstance(one, Posted) else "refused" if isinstance(one, Refused) else "unknown" for one in answer
    )
