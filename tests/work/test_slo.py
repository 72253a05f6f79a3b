"""Objectives at work on both databases: what was late counts once, alerts open, are told, and end."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from counterfoil_engine.adapters.alerts.webhook import WebhookSink
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.domain.slo import Burn, Objective
from counterfoil_engine.records import figures, slos
from counterfoil_engine.work.slo import Objectives
from fakes.clock import FakeClock
from fakes.engine import World, a_document

BURN = Burn("page", long_s=3600, short_s=300, rate=Decimal("13.44"), at_least=1)
LATE = Objective("orders", "An order takes a minute.", "orders_carried", 60, Decimal(99), 28, "a.md", (BURN,))
SECRET = "a secret that alerts are signed with"


class Told:
    """A sink that keeps what it is told. is_away: as if nobody were there."""

    name = "told"

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.is_away = False

    def send(self, message: Any) -> None:
        if self.is_away:
            raise Unavailable("Nobody is there.", "Wait.")
        self.messages.append((message["slo"], message["what"]))


def objectives(world: World, *kept: Objective, sinks: Any = ()) -> Objectives:
    return Objectives(
        world.records, slos, world.book, kept or (LATE,), figures.figures, sinks, "https://docs/runbooks/"
    )


def hears_of(world: World, *orders: str) -> None:
    """Events of these orders come in now, and a look is due for each."""
    with world.database.transaction() as tx:
        for order in orders:
            subject = f"order eu1/{order}"
            n = (tx.one("select count(*) as n from events") or {"n": 0})["n"] + 1
            tx.run(
                "insert into events (store, event_id, occurred_on, epoch, n, type, subject, arrival, received_at,"
                " body, body_hash, verdict) values ('eu1', %s, %s, 1, %s, 'counterfoil.order.v1', %s, %s, %s, %s,"
                " 'h', 'stored')",
                f"{n:032x}",
                tx.now().date(),
                n,
                subject,
                n,
                tx.now(),
                b"{}",
            )
            world.records.work.mark_due(tx, [subject], "live")


def passes(world: World, clock: FakeClock, watch: Objectives, minutes: int) -> None:
    """The job runs once a minute."""
    for _ in range(minutes):
        clock.pass_time(60)
        watch.step()


def line(watch: Objectives) -> dict[str, Any]:
    return watch.standing()["objectives"][0]


def test_an_order_that_was_looked_at_in_time_is_good_and_one_that_was_not_is_bad(
    world: World, clock: FakeClock
) -> None:
    watch = objectives(world)
    watch.step()
    hears_of(world, "1001", "1002")
    with world.database.transaction() as tx:
        tx.run("delete from work where subject = 'order eu1/1001'")
    passes(world, clock, watch, 3)
    assert (line(watch)["good"], line(watch)["total"]) == (1, 2)


def test_each_order_is_judged_once_however_often_the_job_runs_or_fails_to(world: World, clock: FakeClock) -> None:
    watch = objectives(world)
    watch.step()
    hears_of(world, "1001")
    clock.pass_time(3 * 3600)  # nobody judged for three hours
    passes(world, clock, watch, 30)
    assert (line(watch)["good"], line(watch)["total"]) == (0, 1)


def test_in_preview_nothing_is_late(world: World, clock: FakeClock) -> None:
    watch = objectives(world)
    watch.step()
    with world.database.transaction() as tx:
        tx.run(
            "insert into switches (store, party, setting, set_at, set_by) values ('eu1', 'erp', 'preview', %s, 'a')",
            tx.now(),
        )
    hears_of(world, "1001")
    passes(world, clock, watch, 3)
    assert line(watch)["total"] == 0


def test_a_document_that_waits_for_its_party_is_late(world: World, clock: FakeClock) -> None:
    watch = objectives(world, replace(LATE, indicator="documents_posted"))
    watch.step()
    world.due("1001", a_document("sales_order", 11900))
    world.looker().step()
    passes(world, clock, watch, 3)
    assert (line(watch)["good"], line(watch)["total"]) == (0, 1)


def test_an_alert_opens_once_is_told_to_each_sink_and_ends(world: World, clock: FakeClock) -> None:
    told = Told()
    watch = objectives(world, sinks=[told])
    watch.step()
    hears_of(world, "1001", "1002")
    passes(world, clock, watch, 5)
    assert told.messages == [("orders", "opened")]
    alert = line(watch)["alert"]
    assert (alert["severity"], alert["runbook"]) == ("page", "https://docs/runbooks/a.md")
    assert "2 of 2" in alert["cause"]
    passes(world, clock, watch, 15)
    assert told.messages == [("orders", "opened"), ("orders", "resolved")]
    assert line(watch)["alert"] is None
    assert [one["resolved_at"] is not None for one in watch.alerts(True, 10)["alerts"]] == [True]


def test_who_can_t_be_told_is_told_later_and_that_is_shown(world: World, clock: FakeClock) -> None:
    told = Told()
    told.is_away = True
    watch = objectives(world, sinks=[told])
    watch.step()
    hears_of(world, "1001")
    passes(world, clock, watch, 4)
    assert [(row["sink"], row["error"]) for row in watch.standing()["untold"]] == [("told", "Nobody is there.")]
    told.is_away = False
    passes(world, clock, watch, 10)
    assert ("orders", "opened") in told.messages
    assert watch.standing()["untold"] == []


def test_after_a_day_a_message_is_given_up(world: World, clock: FakeClock) -> None:
    told = Told()
    told.is_away = True
    watch = objectives(world, sinks=[told])
    watch.step()
    hears_of(world, "1001")
    passes(world, clock, watch, 3)
    for _ in range(30):
        clock.pass_time(3600)
        watch.step()
    told.is_away = False
    passes(world, clock, watch, 3)
    assert told.messages == [("orders", "resolved")] or told.messages == []


# Sinks


@pytest.fixture
def receiver() -> Iterator[Any]:
    """Somebody's webhook: `taken` is what came, `status` what it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.taken.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
            self.send_response(self.server.status)  # type: ignore[attr-defined]
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.taken, server.status = [], 204  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


MESSAGE = {
    "id": 7,
    "slo": "orders",
    "severity": "page",
    "what": "opened",
    "cause": "An order takes a minute.",
    "runbook": "https://docs/runbooks/a.md",
    "opened_at": "2026-11-23T09:00:00+00:00",
    "resolved_at": None,
}


def test_a_webhook_gets_json_that_it_can_prove_to_be_ours(receiver: Any) -> None:
    WebhookSink(f"http://127.0.0.1:{receiver.server_port}/alerts", SECRET, FakeClock()).send(MESSAGE)
    ((path, headers, body),) = receiver.taken
    assert json.loads(body) == MESSAGE
    signed = f"POST\n{path}\n{headers['Counterfoil-Timestamp']}\n".encode() + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["Counterfoil-Signature"] == f"v1={expected}"


@pytest.mark.parametrize("status", [301, 404, 500])
def test_a_webhook_that_doesn_t_take_it_is_told_again(receiver: Any, status: int) -> None:
    receiver.status = status
    with pytest.raises(Unavailable, match=str(status)):
        WebhookSink(f"http://127.0.0.1:{receiver.server_port}/alerts", SECRET, FakeClock()).send(MESSAGE)


def test_a_webhook_that_isn_t_there_is_told_again() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unavailable):
        WebhookSink(f"http://127.0.0.1:{port}/alerts", SECRET, FakeClock()).send(MESSAGE)
