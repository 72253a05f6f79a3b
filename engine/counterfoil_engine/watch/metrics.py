"""Figures for Prometheus: what this process does and how long it takes, and how the fleet stands, asked of the records.

Counters and histograms belong to processes and have few labels, never a store's name: a thousand stores would be a
thousand series in each. What stands by store is read by one collector when somebody looks (`Fleet`).

Where several processes serve, each writes its counts into a folder that they share, and whoever is asked adds them up.
The library decides that when it is imported, so `share_folder` is called before, and this module is imported late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import ValueClass

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.figures import FIGURES, Figure

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BELIEVED_S = 5.0  # how long the fleet's figures are, so that many who look cost the database as much as one


class Metrics:
    """`ports.Meter` over Prometheus' own library. figures: what the collector asks the records for."""

    def __init__(self, figures: Callable[[], Iterable[Figure]]) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests answered, by route and status.", "route", "status")
        self._request_s = self._seconds("request", "How long a request took to be answered.", "route")
        self._events = self._counter("events", "Events that agents sent, by what became of them.", "verdict")
        self._looks = self._counter("looks", "Subjects looked at.", "kind")
        self._look_s = self._seconds("look", "How long a look at a group of subjects took.")
        self._calls = self._counter("party_calls", "Calls to other parties.", "party", "entity", "call", "outcome")
        self._call_s = self._seconds("party_call", "How long a call to a party took.", "party", "call")
        self._documents = self._counter("documents", "Documents sent, by their result.", "party", "entity", "outcome")
        self._feed = self._counter("feed_answers", "Answers of the feed.", "call")
        self._feed_s = self._seconds("feed_answer", "How long an answer of the feed took to be made.", "call")
        self._fleet = _Fleet(figures)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"counterfoil_{name}", says, labels, registry=self._registry)

    def _seconds(self, name: str, says: str, *labels: str) -> Histogram:
        return Histogram(f"counterfoil_{name}_seconds", says, labels, buckets=_SECONDS, registry=self._registry)

    def answered(self, route: str, status: int, took_s: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._request_s.labels(route).observe(took_s)

    def received(self, verdicts: Mapping[str, int]) -> None:
        for verdict, count in verdicts.items():
            self._events.labels(verdict).inc(count)

    def looked(self, subjects: Sequence[str], took_s: float) -> None:
        for subject in subjects:
            self._looks.labels(subject.partition(" ")[0]).inc()
        self._look_s.observe(took_s)

    def called(self, party: str, entity: str, call: str, outcome: str, took_s: float) -> None:
        self._calls.labels(party, entity, call, outcome).inc()
        self._call_s.labels(party, call).observe(took_s)

    def posted(self, party: str, entity: str, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._documents.labels(party, entity, outcome).inc(count)

    def fed(self, call: str, took_s: float) -> None:
        self._feed.labels(call).inc()
        self._feed_s.labels(call).observe(took_s)

    def text(self) -> bytes:
        """All of it in Prometheus' text format, those of the other processes that share the folder too."""
        if ValueClass.__name__ != "MmapedValue":
            processes: Any = self._registry
        else:
            processes = CollectorRegistry()
            MultiProcessCollector(processes)
        fleet = CollectorRegistry()
        fleet.register(self._fleet)
        return bytes(generate_latest(processes)) + bytes(generate_latest(fleet))


class _Fleet(Collector):
    """How stores, parties and work stand, out of the records, believed for some seconds."""

    def __init__(self, figures: Callable[[], Iterable[Figure]]) -> None:
        self._figures, self._lock = figures, threading.Lock()
        self._kept: list[Metric] = []
        self._kept_at = -BELIEVED_S

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if time.monotonic() - self._kept_at >= BELIEVED_S:
                self._kept, self._kept_at = self._read(), time.monotonic()
            yield from self._kept

    def _read(self) -> list[Metric]:
        """The processes' own figures are told all the same where the database is away; that it is, is one of them."""
        reached = GaugeMetricFamily("counterfoil_database_up", "1: the records answer; 0: they don't.")
        families = {
            name: GaugeMetricFamily(f"counterfoil_{name}", says, labels=labels)
            for name, (says, labels) in FIGURES.items()
        }
        try:
            figures = list(self._figures())
        except CounterfoilError:
            reached.add_metric([], 0)
            return [reached]
        reached.add_metric([], 1)
        for figure in figures:
            families[figure.name].add_metric(figure.labels, figure.value)
        return [reached, *families.values()]
