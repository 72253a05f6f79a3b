"""Traces that follow an order from the shop's hook into the ERP, exported by OTLP (OpenTelemetry's own libraries, the
extra `traces`).

    the agent's spans ─▶ take in ─▶ look
                              └──▶ post ─▶ the ERP's own, by the header `traceparent`

An event's envelope names the agent's span; the engine keeps its own of the intake by subject, and looks and postings
join there. Nothing here may fail what it watches: what can't be exported is lost, and said in the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import Incoming, Outcome, Posted, Posting, Refused, Transactions

try:
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise CounterfoilError(
        "Traces are to be exported, and OpenTelemetry's libraries are not installed.",
        "pip install 'counterfoil[engine,traces]', or take traces_url out of [watch].",
        "contract",
    ) from None

_PROPAGATOR = TraceContextTextMapPropagator()


class TraceRecords(Protocol):
    """By which trace a subject was last heard of (`records/traces.py`)."""

    def keep(self, tx: Any, traces: Mapping[str, str]) -> None: ...
    def of(self, tx: Any, subjects: Any) -> Mapping[str, str]: ...


class Traces:
    """Spans of one process. url: where OTLP over HTTP is taken (`…/v1/traces`)."""

    def __init__(self, url: str, database: Transactions, kept: TraceRecords) -> None:
        self._database, self._kept = database, kept
        self._provider = TracerProvider(resource=Resource.create({"service.name": "counterfoil-engine"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=10)))
        self._tracer = self._provider.get_tracer("counterfoil")

    def close(self) -> None:
        """Export what waits."""
        self._provider.shutdown()

    def took_in(self, tx: Any, store: str, events: Sequence[Incoming]) -> None:
        """Events are being stored, in this transaction; what is heard of a subject next belongs to their trace."""
        found: dict[str, str] = {}
        for event in events:
            if event.traceparent and event.subject:
                span = self._span(
                    "take in", event.traceparent, {"store": store, "subject": event.subject, "n": event.n}
                )
                found[event.subject] = _traceparent(span)
                span.end()
        self._kept.keep(tx, found)

    def looked(self, subjects: Sequence[str], took_s: float) -> None:
        """A group was looked at."""
        ended = time.time_ns()
        for subject, parent in self._of(subjects).items():
            span = self._span("look", parent, {"subject": subject}, ended - int(took_s * 1e9))
            span.end(ended)

    def traced_party(self, port: Any, party: str, entity: str) -> Any:
        """A party's port whose postings join the traces of their orders."""
        return _TracedParty(port, lambda postings: self._posting(postings, party, entity))

    @contextmanager
    def _posting(
        self, postings: Sequence[Posting], party: str, entity: str
    ) -> Iterator[tuple[Sequence[Posting], Callable[[Sequence[Outcome]], None]]]:
        """A span for each document of an order that has a trace. The call bears the first one's name: it is one call,
        whatever it carries."""
        parents = self._of({subject for posting in postings if (subject := _subject_of(posting))})
        spans = {
            posting.key: self._span(
                "post",
                parents[subject],
                {"party": party, "entity": entity, "key": posting.key, "documents": len(postings)},
            )
            for posting in postings
            if (subject := _subject_of(posting)) in parents
        }
        marked = [
            replace(posting, trace=_traceparent(spans[posting.key])) if posting.key in spans else posting
            for posting in postings
        ]
        try:
            yield marked, lambda outcomes: _note(spans, outcomes)
        except Exception as error:
            for span in spans.values():
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            for span in spans.values():
                span.end()

    def _of(self, subjects: Any) -> Mapping[str, str]:
        wanted = [subject for subject in subjects if subject]
        if not wanted:
            return {}
        try:
            with self._database.transaction() as tx:
                return self._kept.of(tx, wanted)
        except CounterfoilError:
            return {}

    def _span(self, name: str, parent: str, said: Mapping[str, Any], start: int | None = None) -> Span:
        context: Context = _PROPAGATOR.extract({"traceparent": parent})
        attributes = {f"counterfoil.{key}": value for key, value in said.items()}
        return self._tracer.start_span(name, context=context, attributes=attributes, start_time=start)


class _TracedParty:
    """Everything of `inner`; posting within spans."""

    def __init__(self, inner: Any, posting: Callable[[Sequence[Posting]], Any]) -> None:
        self._inner, self._posting = inner, posting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        with self._posting(postings) as (marked, note):
            outcomes: Sequence[Outcome] = self._inner.post(marked)
            note(outcomes)
            return outcomes


def _note(spans: Mapping[str, Span], outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if (span := spans.get(outcome.key)) is None:
            continue
        if isinstance(outcome, Posted):
            span.set_attribute("counterfoil.number", outcome.number)
        elif isinstance(outcome, Refused):
            span.set_status(Status(StatusCode.ERROR, outcome.case.category))
        else:
            span.set_status(Status(StatusCode.ERROR, "no answer"))


def _subject_of(posting: Posting) -> str | None:
    """The order that a document is of; payouts and customers are of none."""
    store, order = posting.document.get("store"), posting.document.get("order")
    return f"order {store}/{order}" if store and order else None


def _traceparent(span: Span) -> str:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span))
    return carrier["traceparent"]
