"""The API's description and its routes say the same, in both directions, and answers are what it says."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml
from counterfoil_engine.api.feed import ROUTES
from counterfoil_engine.api.problems import PROBLEMS
from fakes.events import cloud_event
from fakes.store_agent import INSTALLATION, TOKEN, StoreAgent
from openapi_spec_validator import validate


@pytest.fixture(scope="module")
def all_of_it() -> dict[str, Any]:
    text = (resources.files("counterfoil_contracts") / "engine.openapi.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def description(all_of_it) -> dict[str, Any]:
    """What the API serves; the feed's paths are at an address of their own."""
    own = {path: item for path, item in all_of_it["paths"].items() if item.get("x-served-by") != "feed"}
    return all_of_it | {"paths": own}


def test_the_description_is_valid_openapi(all_of_it):
    validate(all_of_it)


def test_the_paths_of_the_feed_are_described(all_of_it):
    described = {path for path, item in all_of_it["paths"].items() if item.get("x-served-by") == "feed"}
    assert described == {path for _, path in ROUTES if path != "/v1/health"}


def test_every_route_is_described_and_every_description_is_routed(description, client):
    routed = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in client.application.url_map.iter_rules()
        for method in rule.methods - {"HEAD"}
    }
    described = {
        (method.upper(), path)
        for path, item in description["paths"].items()
        for method in item
        if method in ("get", "put", "post", "delete", "options", "head", "patch", "trace")
    }
    assert routed == described


def test_every_kind_of_problem_is_described(description):
    described = description["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert sorted(described) == sorted(f"/problems/{slug}" for slug in PROBLEMS)


def test_what_a_path_says_of_access_is_so(description, client):
    for path, item in description["paths"].items():
        for method, operation in item.items():
            answer = client.open(re.sub(r"{\w+}", "1", path), method=method.upper(), json={})
            needs = [name for each in operation["security"] for name in each]
            assert (answer.status_code == 401) == bool(needs), (path, answer.text)


def test_answers_are_as_described(description, client, clock):
    agent = StoreAgent(client, clock)
    asked = {"store": "eu1", "installation": INSTALLATION, "epoch": 1, "reason": "a test"}
    token = {"Authorization": f"Bearer {TOKEN}"}
    for path, answer in [
        ("/v1/health", client.get("/v1/health")),
        ("/v1/hello", agent.hello()),
        ("/v1/hello", agent.hello("2" * 32)),
        ("/v1/hello", agent.hello(contracts=7)),
        ("/v1/events", agent.send(cloud_event(1), cloud_event(3), {}, cloud_event(4, id="x"))),
        ("/v1/events", agent.send(cloud_event(1, epoch=9))),
        ("/v1/events", agent.post("/v1/events", b"?")),
        ("/v1/events", agent.post("/v1/events", [])),
        ("/v1/events", agent.post("/v1/events", [], content_type="text/plain")),
        ("/v1/events", agent.post("/v1/events", [1] * 501)),
        ("/v1/events", agent.post("/v1/events", [], counterfoil_signature=None)),
        ("/v1/epoch", agent.post("/v1/epoch", asked)),
        ("/v1/epoch", agent.post("/v1/epoch", asked | {"store": "us1"})),
        ("/v1/status", client.get("/v1/status")),
        ("/v1/status", client.get("/v1/status", headers=token)),
        ("/v1/orders/{store}/{order_id}", client.get("/v1/orders/eu1/404", headers=token)),
    ]:
        operation = description["paths"][path][answer.request.method.lower()]
        _as_described(description, operation["responses"][str(answer.status_code)], answer)


def _as_described(description: dict[str, Any], response: dict[str, Any], answer) -> None:
    if "$ref" in response:
        response = description["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"][answer.content_type]["schema"]
    jsonschema.validate(answer.json, {"components": description["components"], **schema})
