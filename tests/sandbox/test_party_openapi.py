"""The description of WMS, gateways and tax services, and their sandboxes, hold each other."""

from __future__ import annotations

from importlib import resources
from random import Random
from typing import Any

import counterfoil_contracts
import jsonschema_rs
import pytest
import yaml
from counterfoil_engine.adapters.party.http.answers import MOST_FACTS
from counterfoil_sandbox.gateway import Gateway
from counterfoil_sandbox.party import PartyService
from counterfoil_sandbox.party_store import PartyStore
from counterfoil_sandbox.service import BATCH_SIZE, MOST_DOCUMENTS
from counterfoil_sandbox.tax import TaxService
from counterfoil_sandbox.wms import Wms
from openapi_spec_validator import validate
from sandbox.party_documents import a_capture, a_fulfilment, a_quote

SPEC: dict[str, Any] = yaml.safe_load(
    resources.files("counterfoil_contracts").joinpath("party.openapi.yaml").read_text(encoding="utf-8")
)
SCHEMAS = SPEC["components"]["schemas"]
AUTHORISED = {"Authorization": "Bearer t"}


def parties() -> list[PartyStore]:
    return [
        Wms("wms", "hub-berlin", random=Random(1)),
        Gateway("gateway", "stripe", random=Random(1)),
        TaxService("tax", "taxes", random=Random(1)),
    ]


def client_of(party: PartyStore) -> Any:
    return PartyService(party.party, party, "t").flask.test_client()


def test_the_description_is_valid_openapi() -> None:
    validate(SPEC)


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    described = {(method.upper(), path) for path, operations in SPEC["paths"].items() for method in operations}
    for party in parties():
        rules = PartyService(party.party, party, "t").flask.url_map.iter_rules()
        routes = {
            (method, rule.rule)
            for rule in rules
            if rule.rule.startswith("/v1/")
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }
        assert routes == described


def test_kinds_and_bounds_are_those_of_the_code() -> None:
    assert set(SCHEMAS["Document"]["properties"]["kind"]["enum"]) == {kind for one in parties() for kind in one.kinds}
    body = SPEC["paths"]["/v1/documents"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["documents"]["maxItems"] == MOST_DOCUMENTS >= BATCH_SIZE
    page = SPEC["paths"]["/v1/facts"]["get"]["responses"]["200"]["content"]["application/json"]
    assert page["schema"]["properties"]["facts"]["maxItems"] == MOST_FACTS


def test_common_fields_of_facts_are_those_of_their_schema() -> None:
    common = counterfoil_contracts.schema("facts/_common.v1")
    assert set(SCHEMAS["Fact"]["required"]) == set(common["required"])
    assert set(SCHEMAS["Fact"]["properties"]) == set(common["properties"])


def test_the_examples_keep_to_their_contracts() -> None:
    for example in SPEC["components"]["examples"].values():
        for document in example["value"]["documents"]:
            assert counterfoil_contracts.faults(f"documents/{document['kind']}.v1", document) == []
            assert _faults(SCHEMAS["Document"], document) == []
    page = SPEC["paths"]["/v1/facts"]["get"]["responses"]["200"]["content"]["application/json"]
    for example in page["examples"].values():
        assert _faults(page["schema"], example["value"]) == []
        for fact in example["value"]["facts"]:
            assert counterfoil_contracts.faults(f"facts/{fact['fact'].removeprefix('counterfoil.')}", fact) == []


def test_answers_are_as_described() -> None:
    wms, gateway, taxes = parties()
    held = gateway.command("authorise", amount_minor=2413, currency="EUR")
    for party, document in ((wms, a_fulfilment()), (gateway, a_capture(held)), (taxes, a_quote())):
        client = client_of(party)
        body = {"documents": [document, {**document, "key": "eu1/1/x/1/r1", "kind": "invoice"}]}
        answer = client.post("/v1/documents", json=body, headers=AUTHORISED)
        assert [outcome["status"] for outcome in answer.json["outcomes"]] == ["posted", "refused"]
        _assert_described("post", "/v1/documents", answer)
        found = client.post("/v1/documents/find", json={"keys": [document["key"]]}, headers=AUTHORISED)
        assert len(found.json["found"]) == 1
        _assert_described("post", "/v1/documents/find", found)
        for path in ("/v1/documents?since=2020-01-01T00:00:00Z", "/v1/facts", "/v1/facts?cursor=x", "/v1/health"):
            _assert_described("get", path.split("?")[0], client.get(path, headers=AUTHORISED))


@pytest.mark.parametrize(("mode", "status"), [("down", 503), ("rate_limit", 429), ("fail_before_commit", 500)])
def test_failures_are_as_described(mode: str, status: int) -> None:
    for party in parties():
        party.modes = party.modes.changed({"fault": mode, "fault_on": "all"})
        answer = client_of(party).get("/v1/facts", headers=AUTHORISED)
        assert answer.status_code == status
        _assert_described("get", "/v1/facts", answer)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("get", "/v1/facts", None, 401),
        ("get", "/v1/facts?cursor=" + "x" * 501, None, 400),
        ("post", "/sandbox/commands/ship", {"store": "eu1"}, 400),
        ("post", "/sandbox/commands/ship", {"store": "eu1", "order": "1", "lines": [1]}, 400),
        ("post", "/sandbox/commands/nothing", {}, 400),
        ("post", "/sandbox/commands/take", {}, 400),
        ("post", "/sandbox/modes", {"late_facts_s": -1}, 400),
        ("post", "/sandbox/modes", {"page_facts": "many"}, 400),
        ("post", "/sandbox/modes", {"fault": "meteor"}, 400),
    ],
)
def test_what_is_wrong_is_said_with_cause_and_remedy(method: str, path: str, body: Any, status: int) -> None:
    headers = {} if status == 401 else AUTHORISED
    answer = client_of(parties()[0]).open(path, method=method.upper(), json=body, headers=headers)
    assert answer.status_code == status
    assert answer.json["detail"] and answer.json["remedy"]


def test_commands_and_modes_work_over_http() -> None:
    client = client_of(parties()[0])
    client.post("/v1/documents", json={"documents": [a_fulfilment()]}, headers=AUTHORISED)
    order = {"store": "eu1", "order": "1001"}
    shipped = client.post("/sandbox/commands/ship", json=order, headers=AUTHORISED)
    assert shipped.json == {"answer": "shipment-2"}
    modes = client.post("/sandbox/modes", json={"doubled_facts": 3}, headers=AUTHORISED).json
    assert (modes["doubled_facts"], modes["works_alone"]) == (3, False)
    assert client.post("/sandbox/modes", json={"reset": True}, headers=AUTHORISED).json["doubled_facts"] == 0


def _assert_described(method: str, path: str, answer: Any) -> None:
    described = SPEC["paths"][path][method]["responses"][str(answer.status_code)]
    if "$ref" in described:
        described = SPEC["components"]["responses"][described["$ref"].rsplit("/", 1)[-1]]
    assert _faults(described["content"][answer.mimetype]["schema"], answer.json) == []
    assert ("Retry-After" in answer.headers) == ("Retry-After" in described.get("headers", {}))


def _faults(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": SPEC["components"]}
    return [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]
