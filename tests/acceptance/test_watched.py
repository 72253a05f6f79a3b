"""Watched from outside, with real processes: one trace from the shop's hook into the ERP, figures for Prometheus."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import create_erp
from fakes.collector import Collector, ToldSpan
from fakes.town import METRICS_TOKEN, TOKEN, Town, until
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.serving import make_server


class HeardErp:
    """The sandbox ERP in this process, which notes the `traceparent` of each call that posts."""

    def __init__(self, stack: ExitStack) -> None:
        self.traceparents: list[str | None] = []
        erp = create_erp(Books(), TOKEN)

        def hears(environment: dict[str, Any], respond: Any) -> Any:
            if (environment["REQUEST_METHOD"], environment["PATH_INFO"]) == ("POST", "/v1/documents"):
                self.traceparents.append(environment.get("HTTP_TRACEPARENT"))
            return erp(environment, respond)

        server = make_server("127.0.0.1", 0, hears, threaded=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        stack.callback(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, Collector, HeardErp]]:
    with ExitStack() as stack:
        collector, erp = Collector(), HeardErp(stack)
        stack.callback(collector.close)
        town = Town(
            tmp_path_factory.mktemp("town"),
            stack,
            environment={"COUNTERFOIL_TRACES_URL": collector.url},
            agent=f'traces_url = "{collector.url}"',
            erp=erp.url,
        )
        town.order()
        town.order("order_compound_tax_canada")  # of which the rules know nothing
        until(lambda: town.rows("engine", "select 1 from intents where state = 'done'") or None, "an order is posted")
        until(lambda: town.rows("engine", "select 1 from cases") or None, "the other one is stuck")
        yield town, collector, erp


def spans_of_one_trace(collector: Collector) -> list[ToldSpan] | None:
    """Those of the trace of the first order that was posted, once all came."""
    posted = next((span for span in collector.spans if span.name == "post"), None)
    if posted is None:
        return None
    found = [span for span in collector.spans if span.trace == posted.trace]
    return found if {"capture", "deliver", "take in", "look", "post"} <= {span.name for span in found} else None


def test_one_order_is_one_trace_from_the_shop_s_hook_into_the_erp(watched: tuple[Town, Collector, HeardErp]) -> None:
    _, collector, erp = watched
    spans = until(lambda: spans_of_one_trace(collector), "every part has told its spans")
    by_name = {span.name: span for span in reversed(spans)}
    capture, taken_in, post = by_name["capture"], by_name["take in"], by_name["post"]
    assert (capture.service, capture.parent) == ("counterfoil-agent", "")
    assert by_name["deliver"].parent == taken_in.parent == capture.span
    assert by_name["look"].parent == post.parent == taken_in.span
    assert taken_in.service == "counterfoil-engine"
    assert {span.said["counterfoil.subject"] for span in spans if "counterfoil.subject" in span.said} == {
        taken_in.said["counterfoil.subject"]
    }
    assert capture.began_ns <= capture.ended_ns <= post.ended_ns
    posts = {f"00-{span.trace}-{span.span}-01" for span in spans if span.name == "post"}
    assert posts & set(erp.traceparents), "the ERP was told the span that its call belongs to"


def figures(text: str) -> dict[tuple[str, ...], float]:
    """Each sample by name and the values of its labels, in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read_metrics(town: Town, token: str = METRICS_TOKEN) -> requests.Response:
    return requests.get(
        f"{town.engine_url}/metrics", headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=10
    )


def test_figures_tell_of_rates_of_parties_and_of_each_store(watched: tuple[Town, Collector, HeardErp]) -> None:
    town, _, _ = watched

    def read() -> dict[tuple[str, ...], float] | None:
        found = figures(read_metrics(town).text)
        return found if found.get(("counterfoil_store_stock_exposed", "eu1")) is not None else None

    told = until(read, "a heartbeat has told of stock")
    assert told["counterfoil_events_total", "stored"] >= 2
    assert told["counterfoil_looks_total", "order"] >= 2
    assert told["counterfoil_documents_total", "DE01", "posted", "erp"] >= 3
    assert told["counterfoil_party_calls_total", "post", "DE01", "ok", "erp"] >= 1
    assert told["counterfoil_request_seconds_count", "/v1/events"] >= 1
    assert told["counterfoil_database_up",] == 1
    assert told["counterfoil_store_stuck_subjects", "eu1"] == 1
    assert told["counterfoil_store_stuck_minor", "EUR", "eu1"] > 0
    assert told["counterfoil_cases", "missing_mapping"] == 1
    assert told["counterfoil_store_silent_seconds", "eu1"] < 30
    assert told["counterfoil_store_missing_numbers", "eu1"] == 0
    assert told["counterfoil_slo_budget_left_ratio", "custody"] <= 1


def test_no_store_is_a_label_of_what_processes_count(watched: tuple[Town, Collector, HeardErp]) -> None:
    text = read_metrics(watched[0]).text
    named = {line.partition("{")[0] for line in text.splitlines() if 'store="' in line}
    assert named and all(name.startswith("counterfoil_store_") or name == "counterfoil_breaks" for name in named)


@pytest.mark.parametrize("token", ["", "wrong", "é" * 10])
def test_figures_are_for_who_has_a_token(watched: tuple[Town, Collector, HeardErp], token: str) -> None:
    answer = read_metrics(watched[0], token.encode().decode("latin-1"))
    assert answer.status_code == 401 and "counterfoil_" not in answer.text


def test_the_scraper_s_token_opens_nothing_else(watched: tuple[Town, Collector, HeardErp]) -> None:
    town = watched[0]
    answer = requests.get(
        f"{town.engine_url}/v1/status", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}, timeout=10
    )
    assert answer.status_code == 401


def test_what_strangers_ask_for_makes_no_series(watched: tuple[Town, Collector, HeardErp]) -> None:
    town = watched[0]
    requests.get(f"{town.engine_url}/v1/orders/eu1/424242", timeout=10)
    requests.get(f"{town.engine_url}/nothing/here/424242", timeout=10)
    text = read_metrics(town).text
    assert "424242" not in text and 'route="/v1/orders/<store>/<order_id>"' in text and 'route="none"' in text


def test_objectives_and_key_figures_are_shown_to_operators(watched: tuple[Town, Collector, HeardErp]) -> None:
    town = watched[0]
    shown = town.shell("counterfoil slo")
    assert shown.returncode == 0, shown.stderr
    assert "Every objective is kept." in shown.stdout and "order_latency" in shown.stdout
    assert town.shell("counterfoil alerts").stdout.startswith("No alert stands.")
    assert "time_to_resolve" in town.shell("counterfoil kpi --days 7").stdout


def test_the_agent_s_figures_are_a_file_for_a_textfile_collector(watched: tuple[Town, Collector, HeardErp]) -> None:
    town = watched[0]
    done = town.shell("counterfoil-agent metrics --output agent.prom")
    assert done.returncode == 0, done.stderr
    told = figures((town.folder / "agent.prom").read_text())
    assert told["counterfoil_agent_at_work", "eu1"] == 1
    assert told["counterfoil_agent_outbox_bytes", "eu1"] > 0
    refused = town.shell("counterfoil-agent metrics --output nowhere/agent.prom")
    assert refused.returncode == 1 and re.search("can't be written", refused.stderr)
