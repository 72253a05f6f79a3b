"""What watches a running engine, put together by hand: its figures, its traces, its objectives and where alerts go.

Everything may be absent: an engine of a test or a rehearsal is watched by nobody.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger
from werkzeug.serving import WSGIRequestHandler, make_server

from counterfoil_engine.adapters.alerts.mail import Mailbox, MailSink
from counterfoil_engine.adapters.alerts.webhook import WebhookSink
from counterfoil_engine.api.watch import metrics_app
from counterfoil_engine.config import AlertSettings, Settings
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.figures import Figure
from counterfoil_engine.domain.slo import Objective
from counterfoil_engine.ports import Clock, Incoming, Meter, Transactions
from counterfoil_engine.records import traces as kept_traces
from counterfoil_engine.watch.measured import measured_feed, measured_party
from counterfoil_engine.work.slo import Sink
from counterfoil_engine.work.slo_file import own_objectives, parse_slos


@dataclass
class Watched:
    """By whom an engine is watched. meter: what counts; metrics: its text; traces: None: nobody traces it.
    objectives: None: the engine's own."""

    meter: Meter | None = None
    metrics: Callable[[], bytes] | None = None
    traces: Any = None
    objectives: Sequence[Objective] | None = None
    sinks: Sequence[Sink] = ()
    runbooks: str = "docs/runbooks"

    def promised(self) -> Sequence[Objective]:
        return self.objectives if self.objectives is not None else own_objectives()

    def party(self, port: Any, party: str, entity: str) -> Any:
        """A party's port, with its calls counted and its postings traced."""
        port = self.traces.traced_party(port, party, entity) if self.traces else port
        return measured_party(port, party, entity, self.meter) if self.meter else port

    def feed(self, feed: Any) -> Any:
        return measured_feed(feed, self.meter) if self.meter else feed

    def looked(self, subjects: Sequence[str], took_s: float) -> None:
        if self.meter:
            self.meter.looked(subjects, took_s)
        if self.traces:
            self.traces.looked(subjects, took_s)

    def took_in(self, tx: Any, store: str, events: Sequence[Incoming]) -> None:
        if self.traces:
            self.traces.took_in(tx, store, events)


@contextlib.contextmanager
def watched_by(
    settings: Settings, database: Transactions, clock: Clock, figures: Callable[[], Iterable[Figure]]
) -> Iterator[Watched]:
    """What the settings say. figures: how the fleet stands, asked when somebody looks. Imports Prometheus' library: if
    processes share their counts, the folder has to be named in the environment by now."""
    from counterfoil_engine.watch.metrics import Metrics

    metrics, watch = Metrics(figures), settings.watch
    traces = None
    if watch.traces_url:
        from counterfoil_engine.watch.traces import Traces

        traces = Traces(watch.traces_url, database, kept_traces)
    try:
        yield Watched(
            metrics,
            metrics.text,
            traces,
            parse_slos(_text_of(watch.slos)) if watch.slos else None,
            sinks_of(watch.alerts, clock),
            watch.runbooks,
        )
    finally:
        if traces:
            traces.close()


def sinks_of(alerts: AlertSettings, clock: Clock) -> list[Sink]:
    """Where the settings say that alerts are told."""
    sinks: list[Sink] = []
    if alerts.webhook:
        sinks.append(WebhookSink(alerts.webhook, alerts.webhook_secret, clock))
    if alerts.smtp:
        host, _, port = alerts.smtp.rpartition(":")
        way = Mailbox(host.strip("[]"), int(port), alerts.smtp_tls, alerts.smtp_user, alerts.smtp_password)
        sinks.append(MailSink(way, alerts.mail_from, alerts.mail_to))
    return sinks


@contextlib.contextmanager
def told_at(settings: Settings, metrics: Callable[[], bytes] | None) -> Iterator[int | None]:
    """The figures of a role without API, at an address of its own if the settings name one; the port."""
    if not settings.watch.metrics_listen or metrics is None:
        yield None
        return
    host, _, port = settings.watch.metrics_listen.rpartition(":")
    try:
        app = metrics_app(metrics, settings)
        server = make_server(host.strip("[]"), int(port), app, threaded=True, request_handler=_Quiet)
    except (OSError, SystemExit):
        raise CounterfoilError(
            f"The figures can't be told at {settings.watch.metrics_listen}.",
            "Stop what listens there, or set metrics_listen in [watch] to another address.",
            "conflict",
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    logger.info("figures told", port=server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()


class _Quiet(WSGIRequestHandler):
    timeout = 10  # for a request to arrive

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: a request line may hold anything."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing, for the same reason."""


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CounterfoilError(
            f"The file of objectives {path} can't be read: {why}.", "Check the setting slos in [watch].", "contract"
        ) from None
