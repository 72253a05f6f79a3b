"""Sweeps and breaks over HTTP: what an agent fetches and answers, and what operators ask."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from counterfoil_contracts.versions import greeting
from counterfoil_engine.domain.breaks import Found
from counterfoil_engine.records import breaks, rules_store
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.stock import RULES
from fakes.store_agent import TOKEN, StoreAgent
from flask.testing import FlaskClient

ASKS = {"limit": 5, "answers": []}


@pytest.fixture
def store(client: FlaskClient, clock: FakeClock, database: Database) -> StoreAgent:
    """An agent that answers sweeps, of a store that the rules know."""
    with database.transaction() as tx:
        rules_store.load(tx, "v1", json.dumps(RULES), "test")
    agent = StoreAgent(client, clock)
    assert agent.hello(contracts=greeting()).json["contracts"]["sweeps"] == 1
    return agent


def command(client: FlaskClient, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return client.post(path, json=body, headers=headers) if body is not None else client.get(path, headers=headers)


def test_a_sweep_is_begun_by_an_operator_fetched_and_answered_by_the_agent(
    client: FlaskClient, store: StoreAgent, database: Database
) -> None:
    begun = command(client, "/v1/sweep", {"sweep": "orders", "store": "eu1"}).json
    assert begun["state"] == "running" and begun["unanswered"] == 1
    assert command(client, "/v1/sweep", {"sweep": "orders", "store": "eu1"}).json["id"] == begun["id"], "one at a time"
    told = store.post("/v1/sweeps", ASKS).json
    (task,) = told["tasks"]
    with database.transaction() as tx:
        now = tx.now()
    first, last = (now - timedelta(days=34)).date().isoformat(), now.date().isoformat()
    assert (task["kind"], task["first"], task["last"]) == ("order_totals", first, last)
    assert store.post("/v1/sweeps", ASKS).json["tasks"] == [], "it is handed out once in a while"
    answer = {"task": task["task"], "kind": "order_totals", "at": now.isoformat(), "totals": []}
    assert store.post("/v1/sweeps", {"limit": 1, "answers": [answer]}).json == {"tasks": [], "more": False}
    ended = command(client, f"/v1/sweeps/{begun['id']}").json
    assert (ended["state"], ended["compared"], ended["found"]) == ("done", 0, {})


def test_what_the_agent_was_asked_and_never_answered_is_handed_out_again(
    client: FlaskClient, store: StoreAgent, database: Database
) -> None:
    command(client, "/v1/sweep", {"sweep": "orders", "store": "eu1"})
    first = store.post("/v1/sweeps", ASKS).json["tasks"]
    with database.transaction() as tx:
        tx.run("update sweep_tasks set handed_at = %s", tx.now() - timedelta(seconds=601))
    assert store.post("/v1/sweeps", ASKS).json["tasks"] == first != []


def test_an_answer_that_breaks_its_contract_ends_the_sweep_with_the_cause(
    client: FlaskClient, store: StoreAgent
) -> None:
    number = command(client, "/v1/sweep", {"sweep": "orders", "store": "eu1"}).json["id"]
    (task,) = store.post("/v1/sweeps", ASKS).json["tasks"]
    refused = store.post("/v1/sweeps", {"limit": 1, "answers": [{"task": task["task"], "kind": "?", "at": "now"}]})
    assert refused.status_code == 400
    ended = command(client, f"/v1/sweeps/{number}").json
    assert ended["state"] == "failed" and "sweep_answers.v1" in ended["cause"] and ended["remedy"]
    assert store.post("/v1/sweeps", ASKS).json["tasks"] == []


def test_a_store_whose_agent_speaks_of_no_sweeps_says_so(client: FlaskClient, store: StoreAgent) -> None:
    assert store.hello().status_code == 200  # an older one, put back
    refused = command(client, "/v1/sweep", {"sweep": "stock", "store": "eu1"})
    assert refused.status_code == 400 and "doesn't answer sweeps" in refused.json["detail"]
    assert command(client, "/v1/sweep", {"sweep": "stock", "store": "eu2"}).status_code == 404


def test_breaks_are_listed_accepted_and_healed(client: FlaskClient, store: StoreAgent, database: Database) -> None:
    found = Found("orders", "eu1", "order eu1/7", "unknown", "It isn't there.", "Look.", units=-1)
    with database.transaction() as tx:
        breaks.keep(tx, [(found, "proposed", "propose (default)")])
    (row,) = command(client, "/v1/breaks?store=eu1").json["breaks"]
    assert (row["class"], row["units"], row["policy"], row["age_s"]) == ("unknown", -1, "propose (default)", 0)
    number = row["id"]
    assert command(client, "/v1/breaks/accept", {"number": number}).status_code == 400, "a reason is needed"
    command(client, "/v1/breaks/accept", {"number": number, "reason": "deleted on purpose"})
    assert command(client, "/v1/breaks").json == {"breaks": [], "count": 0}
    (row,) = command(client, "/v1/breaks?settled=true").json["breaks"]
    assert row["state"] == "accepted"
    history = command(client, f"/v1/breaks/{number}").json["history"]
    assert [(one["what"], one["who"]) for one in history] == [("accepted: deleted on purpose", "operator")]
    assert command(client, "/v1/breaks/heal", {"number": number}).status_code == 400, "it is accepted"
    assert command(client, "/v1/breaks/99").status_code == 404


def test_healing_an_order_lets_its_agent_read_it_again(
    client: FlaskClient, store: StoreAgent, database: Database
) -> None:
    found = Found("orders", "eu1", "order eu1/7", "unknown", "It isn't there.", "Look.", units=-1)
    with database.transaction() as tx:
        breaks.keep(tx, [(found, "proposed", "propose (default)")])
    (row,) = command(client, "/v1/breaks").json["breaks"]
    assert command(client, "/v1/breaks/heal", {"number": row["id"]}).json["subject"] == "order eu1/7"
    (task,) = store.post("/v1/sweeps", ASKS).json["tasks"]
    assert (task["kind"], task["orders"]) == ("fetch", [7])
