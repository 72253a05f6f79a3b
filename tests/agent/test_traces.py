"""The agent's spans, as a collector hears them: from the shop's word to the engine's verdict, and never in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import requests
from counterfoil_agent.outbox import Row
from counterfoil_agent.traces import AT_ONCE, MOST_HEARD, MOST_WAITING, Spans, teller
from fakes.collector import Collector, ToldSpan

NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def spans_to(url: str) -> Spans:
    return Spans("eu1", teller(url), Random(7))


def a_row(order: int = 1001, n: int = 1, kept: datetime = NINE + timedelta(seconds=2)) -> Row:
    traceparent = f"00-{TRACE}-{n:016x}-01"
    return Row(1, n, f"e{n}", "order.v1", order, kept.isoformat(), kept.isoformat(), traceparent, b"{}")


def told(spans: Spans, collector: Collector) -> dict[str, ToldSpan]:
    while spans.flush():
        pass
    return {span.name: span for span in collector.spans}


def seconds(span: ToldSpan) -> float:
    return (span.ended_ns - span.began_ns) / 1e9


def test_an_order_is_captured_from_the_shop_s_word_and_delivered_below_it(collector: Collector) -> None:
    spans = spans_to(collector.url)
    spans.heard(1001, NINE)
    spans.sent([a_row()], NINE + timedelta(seconds=5))
    by_name = told(spans, collector)
    capture, deliver = by_name["capture"], by_name["deliver"]
    assert (capture.trace, capture.span, capture.parent) == (TRACE, f"{1:016x}", "")
    assert (deliver.trace, deliver.parent) == (TRACE, capture.span)
    assert deliver.span not in ("", "0" * 16, capture.span)
    assert (seconds(capture), seconds(deliver)) == (2.0, 3.0)
    assert capture.service == "counterfoil-agent"
    assert capture.said == {
        "counterfoil.subject": "order eu1/1001",
        "counterfoil.event": "order.v1",
        "counterfoil.n": "1",
    }


def test_the_first_word_counts_until_the_order_is_sent(collector: Collector) -> None:
    spans = spans_to(collector.url)
    spans.heard(1001, NINE)
    spans.heard(1001, NINE + timedelta(seconds=1))
    spans.sent([a_row(n=1)], NINE + timedelta(seconds=5))
    spans.sent([a_row(n=2, kept=NINE + timedelta(seconds=9))], NINE + timedelta(seconds=10))
    told(spans, collector)
    assert [seconds(span) for span in collector.spans if span.name == "capture"] == [2.0, 0.0]


@pytest.mark.parametrize(
    "heard",
    [
        pytest.param(NINE - timedelta(minutes=11), id="long before: another change's"),
        pytest.param(NINE + timedelta(seconds=3), id="after the row"),
        pytest.param(datetime(2026, 11, 23, 9), id="a clock without a zone"),
    ],
)
def test_a_word_that_can_not_be_this_change_s_is_left_out(collector: Collector, heard: datetime) -> None:
    spans = spans_to(collector.url)
    spans.heard(1001, heard)
    spans.sent([a_row()], NINE + timedelta(seconds=5))
    assert seconds(told(spans, collector)["capture"]) == 0.0


def test_a_clock_that_went_back_makes_no_span_that_ends_before_it_began(collector: Collector) -> None:
    spans = spans_to(collector.url)
    spans.sent([a_row()], NINE - timedelta(hours=1))
    assert seconds(told(spans, collector)["deliver"]) == 0.0


def test_what_waits_is_bounded_and_told_in_parts(collector: Collector) -> None:
    spans = spans_to(collector.url)
    for order in range(3 * MOST_HEARD):
        spans.heard(order, NINE)
    spans.sent([a_row(order, n=order + 1) for order in range(3 * MOST_WAITING)], NINE + timedelta(seconds=5))
    assert spans.flush() == AT_ONCE
    told(spans, collector)
    assert len(collector.spans) == MOST_WAITING
    assert {span.said["counterfoil.n"] for span in collector.spans} == {
        str(n) for n in range(3 * MOST_WAITING - MOST_WAITING // 2 + 1, 3 * MOST_WAITING + 1)
    }, "the oldest are dropped"


def test_nobody_there_drops_spans_and_holds_nothing_up(collector: Collector) -> None:
    spans = spans_to("http://127.0.0.1:9/v1/traces")
    spans.sent([a_row()], NINE)
    assert (spans.flush(), spans.flush()) == (2, 0)


def test_a_collector_that_comes_back_hears_what_comes_next(collector: Collector) -> None:
    is_away = [True]

    def tell(body: bytes) -> None:
        if is_away[0]:
            raise requests.ConnectionError
        teller(collector.url)(body)

    spans = Spans("eu1", tell, Random(7))
    spans.sent([a_row(n=1)], NINE)
    spans.flush()
    is_away[0] = False
    spans.sent([a_row(n=2)], NINE)
    spans.flush()
    assert {span.said["counterfoil.n"] for span in collector.spans} == {"2"}


@pytest.mark.parametrize("status", [302, 400, 503])
def test_a_collector_that_refuses_is_no_reason_to_stop(status: int, collector: Collector) -> None:
    collector.status = status
    spans = spans_to(collector.url)
    spans.sent([a_row()], NINE)
    assert spans.flush() == 2


def test_a_thread_tells_until_it_is_stopped_and_what_waits_then(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil_agent.traces.PAUSE_S", 0.01)
    spans, stopping = spans_to(collector.url), threading.Event()
    thread = threading.Thread(target=spans.run, args=(stopping,))
    thread.start()
    spans.sent([a_row(n=1)], NINE)
    until = time.monotonic() + 5
    while len(collector.spans) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    stopping.set()
    spans.sent([a_row(n=2)], NINE)
    thread.join(5)
    assert not thread.is_alive()
    assert [span.said["counterfoil.n"] for span in collector.spans] == ["1", "1", "2", "2"]
