"""Several gateways of one entity as one party: a document goes to the gateway that it names.

They share a lane and its breaker, so what one of them is asked waits while another is down and nothing else is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TypeVar

from counterfoil_engine.domain.errors import Case, CounterfoilError, Retry
from counterfoil_engine.ports import Found, Health, Outcome, Posting, PostingParty, Refused, Unknown

Asked = TypeVar("Asked")


class Gateways:
    """`ports.PostingParty` over gateways by name, one at least."""

    def __init__(self, by_name: Mapping[str, PostingParty]) -> None:
        self._by_name = dict(sorted(by_name.items()))

    @property
    def lanes(self) -> int:
        return min(self._each(lambda one: one.lanes))

    @property
    def batch_size(self) -> int:
        return min(self._each(lambda one: one.batch_size))

    @property
    def commit_lag_s(self) -> float:
        return max(self._each(lambda one: one.commit_lag_s))

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        found: dict[str, list[Found]] = {}
        for there in self._each(lambda one: one.find(keys)):
            for key, rows in there.items():
                found.setdefault(key, []).extend(rows)
        return found

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        """What one gateway fails on is unknown where another has taken its part: it is looked up, and sent again."""
        outcomes: dict[str, Outcome] = {}
        failed: list[tuple[Retry, Sequence[Posting]]] = []
        for name, part in _by_gateway(postings).items():
            try:
                outcomes |= {outcome.key: outcome for outcome in self._post(name, part)}
            except Retry as error:
                failed.append((error, part))
        if failed and not outcomes:
            raise failed[0][0]
        outcomes |= {one.key: Unknown(one.key) for _, part in failed for one in part}
        return [outcomes[one.key] for one in postings]

    def _post(self, name: str, part: Sequence[Posting]) -> Sequence[Outcome]:
        gateway = self._by_name.get(name)
        if gateway is None:
            return [Refused(one.key, _unknown(name)) for one in part]
        try:
            return gateway.post(part)
        except Retry:
            raise
        except CounterfoilError as error:
            if len(part) == 1:
                return [Refused(part[0].key, Case(error.category, error.cause, error.remedy))]
            return [outcome for one in part for outcome in self._post(name, [one])]  # the culprit stands alone (K6)

    def list_since(self, since: datetime) -> Iterator[Found]:
        for gateway in self._by_name.values():
            yield from gateway.list_since(since)

    def open_day(self, entity: str, on: date) -> date:
        return on

    def health(self) -> Health:
        told = {name: gateway.health() for name, gateway in self._by_name.items()}
        bad = {name: health for name, health in told.items() if not health.ok}
        return Health(len(bad) < len(told), "; ".join(f"{name}: {each.detail}" for name, each in (bad or told).items()))

    def _each(self, ask: Callable[[PostingParty], Asked]) -> list[Asked]:
        return [ask(gateway) for gateway in self._by_name.values()]


def _by_gateway(postings: Sequence[Posting]) -> dict[str, list[Posting]]:
    parts: dict[str, list[Posting]] = {}
    for one in postings:
        parts.setdefault(str(one.document.get("gateway")), []).append(one)
    return parts


def _unknown(name: str) -> Case:
    return Case(
        "missing_mapping",
        f"There is no gateway {name[:40]!r} in the engine's settings for this entity.",
        "Add it as [party.<name>], or correct the gateway in payment_methods; then retry.",
    )
