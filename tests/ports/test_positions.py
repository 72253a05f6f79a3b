"""What an owner of stock promises (`ports.StockOwner`): the sandbox ERP behind the HTTP adapter."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.domain.stock import read_position
from counterfoil_engine.ports import TokenForgotten
from counterfoil_sandbox.erp_stock import PAGE_ROWS
from ports.conftest import SandboxParty
from sandbox.test_erp_openapi import SPEC


@pytest.fixture(params=["over http", "in process"])
def party(request: pytest.FixtureRequest) -> SandboxParty:
    return request.getfixturevalue(request.param.replace(" ", "_"))


def row(sku: str, on_hand: int = 1) -> dict[str, Any]:
    return {"warehouse": "BER", "sku": sku, "on_hand": str(on_hand)}


def read(party: SandboxParty, since: str | None = None) -> tuple[dict[str, str], str]:
    rows: dict[str, str] = {}
    for page in party.erp.positions(since):
        for each in page.rows:
            position, cases = read_position(each, party.clock.now())
            assert position is not None and not cases
            rows[position.sku] = str(position.on_hand)
        token = page.token
    assert token is not None
    return rows, token


def test_all_positions_come_page_by_page_and_then_what_changed(party: SandboxParty) -> None:
    party.sandbox.stock.put([row(f"S{number}") for number in range(PAGE_ROWS + 2)])
    rows, token = read(party)
    assert len(rows) == PAGE_ROWS + 2
    assert read(party, token) == ({}, token)
    party.sandbox.stock.put([row("S1", 7), row("NEW", 3)])
    party.sandbox.stock.put([row("S1", 8)])
    changed, later = read(party, token)
    assert changed == {"S1": "8", "NEW": "3"}
    assert read(party, later)[0] == {}


def test_what_changes_while_all_is_read_comes_with_the_next_changes(party: SandboxParty) -> None:
    party.sandbox.stock.put([row(f"S{number}") for number in range(PAGE_ROWS + 2)])
    pages = party.erp.positions()
    next(pages)
    party.sandbox.stock.put([row("S1", 7)])
    token = next(pages).token
    assert read(party, token)[0] == {"S1": "7"}


def test_a_token_of_other_stock_is_forgotten(party: SandboxParty) -> None:
    with pytest.raises(TokenForgotten):
        list(party.erp.positions("0000-17"))
    with pytest.raises(TokenForgotten):
        list(party.erp.positions("what?"))


def test_an_owner_that_is_down_says_so(party: SandboxParty) -> None:
    party.go_down()
    with pytest.raises(Unavailable):
        list(party.erp.positions())


def test_positions_are_as_the_contract_describes_them(in_process: SandboxParty) -> None:
    in_process.sandbox.stock.put(
        [{**row("MUG"), "lines": [], "inbound": [{"expected_on": "2026-12-01", "quantity": "1"}]}]
    )
    answer = in_process.sandbox.flask.test_client().get("/v1/positions", headers={"Authorization": "Bearer t"})
    response = SPEC["paths"]["/v1/positions"]["get"]["responses"]["200"]["content"]["application/json"]
    for value in (answer.json, response["examples"]["last"]["value"]):
        jsonschema.validate(value, {"components": SPEC["components"], **response["schema"]})
