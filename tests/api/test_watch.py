"""What monitors ask over HTTP: bad queries are refused, roles hold, and an answer has the form that consoles draw."""

from __future__ import annotations

import pytest
from fakes.store_agent import TOKEN

AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "asked",
    [
        "/v1/kpi?days=0",
        "/v1/kpi?days=1e9",
        "/v1/kpi?until=0001-01-01&days=400",
        "/v1/kpi?until=2026-02-30",
        "/v1/kpi?store=%00",
        "/v1/kpi?store=a&colour=red",
        "/v1/alerts?all=perhaps",
        "/v1/alerts?limit=-1",
        "/v1/alerts?limit=99999999999999999999",
    ],
)
def test_a_query_that_is_none_is_refused_with_cause_and_remedy(client, asked):
    answer = client.get(asked, headers=AUTH)
    assert (answer.status_code, answer.json["type"]) == (400, "/problems/contract")
    assert answer.json["remedy"]


@pytest.mark.parametrize("path", ["/metrics", "/v1/slo", "/v1/alerts", "/v1/kpi"])
def test_nobody_watches_without_a_token(client, path):
    assert client.get(path).status_code == 401


def test_key_figures_have_the_form_that_is_drawn(client):
    told = client.get("/v1/kpi?days=7&until=2026-11-23", headers=AUTH).json
    assert (told["first_day"], told["last_day"], told["store"]) == ("2026-11-17", "2026-11-23", None)
    assert [line["kpi"] for line in told["kpis"]] == [
        "inventory_accuracy",
        "order_latency",
        "failed_rate",
        "refund_completion",
        "manual_work",
        "close_time",
        "time_to_resolve",
    ]
    assert set(told["kpis"][0]) == {"kpi", "says", "unit", "better", "value", "baseline", "is_better", "days"}


def test_figures_of_an_empty_engine_are_told_all_the_same(client):
    answer = client.get("/metrics", headers=AUTH)
    assert answer.status_code == 200 and answer.mimetype == "text/plain"
    assert b"counterfoil_database_up 1.0" in answer.data
