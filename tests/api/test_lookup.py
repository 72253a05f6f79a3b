"""What customer service looks up over the API, and planned pauses: the same search and roles as the console has."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from counterfoil_engine.domain.search_terms import Term, term_of
from counterfoil_engine.records import search
from fakes.store_agent import TOKEN

BEARER = {"Authorization": f"Bearer {TOKEN}"}
ERP = {"party": "erp", "entity": "DE01"}


def test_an_order_is_found_by_the_address_of_its_customer(client, database):
    at = datetime(2026, 11, 22, tzinfo=UTC)
    with database.transaction() as tx:
        search.keep(tx, {"order eu1/1001": {Term("e-mail", term_of("e-mail", "e@example.com"), at)}})
    said = client.post("/v1/search", json={"q": " E@example.com"}, headers=BEARER).json
    assert [(row["store"], row["order"], row["found_by"]) for row in said["orders"]] == [("eu1", "1001", "e-mail")]
    assert (said["documents"], said["stock"], said["next"]) == ([], [], "")


@pytest.mark.parametrize("body", [{}, {"q": ""}, {"q": 7}, {"q": "x" * 300}, {"q": "x", "more": 1}, [], {"q": " "}])
def test_a_search_that_is_none_is_refused(client, body):
    assert client.post("/v1/search", json=body, headers=BEARER).status_code == 400


def test_a_party_is_held_queues_and_is_released(client):
    held = client.post("/v1/parties/hold", json={**ERP, "reason": "its upgrade"}, headers=BEARER)
    assert (held.status_code, held.json["held"]) == (200, True), held.text
    line = client.get("/v1/parties", headers=BEARER).json["parties"][0]
    assert (line["held"]["reason"], line["held"]["by"], line["waiting"]) == ("its upgrade", "operator", 0)
    released = client.post("/v1/parties/release", json=ERP, headers=BEARER).json
    assert (released["held"], released["waiting"]) == (False, 0)
    assert client.post("/v1/parties/release", json=ERP, headers=BEARER).status_code == 400


@pytest.mark.parametrize("body", [ERP, {**ERP, "reason": "x", "until": "soon"}, {**ERP, "entity": "no", "reason": "x"}])
def test_a_pause_that_can_not_be_is_refused(client, body):
    assert client.post("/v1/parties/hold", json=body, headers=BEARER).status_code in (400, 404)
