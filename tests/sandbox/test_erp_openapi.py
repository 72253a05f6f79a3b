"""The ERP's OpenAPI description and the sandbox hold each other: routes both ways, examples, and real answers."""

from __future__ import annotations

from importlib import resources
from typing import Any

import counterfoil_contracts
import jsonschema_rs
import pytest
import yaml
from counterfoil_engine.domain.errors import Category
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import BATCH_SIZE, MOST_DOCUMENTS, MOST_KEYS, create_erp
from counterfoil_sandbox.erp_journal import KINDS
from openapi_spec_validator import validate
from sandbox.erp_documents import a_sales_order, an_invoice, an_order

SPEC: dict[str, Any] = yaml.safe_load(
    resources.files("counterfoil_contracts").joinpath("erp.openapi.yaml").read_text(encoding="utf-8")
)
SCHEMAS = SPEC["components"]["schemas"]
AUTHORISED = {"Authorization": "Bearer t"}


def test_the_description_is_valid_openapi() -> None:
    validate(SPEC)


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    rules = create_erp(Books(), "t").flask.url_map.iter_rules()
    routes = {
        (method, rule.rule)
        for rule in rules
        if rule.rule.startswith("/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(method.upper(), path) for path, operations in SPEC["paths"].items() for method in operations}
    assert routes == described


def test_kinds_categories_and_bounds_are_those_of_the_code() -> None:
    assert set(SCHEMAS["Document"]["properties"]["kind"]["enum"]) == set(KINDS)
    assert set(SCHEMAS["Category"]["enum"]) == set(Category.__args__)  # type: ignore[attr-defined]
    body = SPEC["paths"]["/v1/documents"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["documents"]["maxItems"] == MOST_DOCUMENTS >= BATCH_SIZE
    find = SPEC["paths"]["/v1/documents/find"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert find["properties"]["keys"]["maxItems"] == MOST_KEYS


def test_common_fields_are_those_of_the_documents_schema() -> None:
    common = counterfoil_contracts.schema("documents/_common.v1")
    assert set(SCHEMAS["Document"]["required"]) == set(common["required"])
    assert set(SCHEMAS["Document"]["properties"]) == set(common["properties"])


def test_the_examples_are_documents_that_the_sandbox_posts_in_their_order() -> None:
    erp = create_erp(Books(), "t")
    for name in SPEC["paths"]["/v1/documents"]["post"]["requestBody"]["content"]["application/json"]["examples"]:
        body = SPEC["components"]["examples"][name]["value"]
        for document in body["documents"]:
            assert counterfoil_contracts.faults(f"documents/{document['kind']}.v1", document) == []
            assert _faults(SCHEMAS["Document"], document) == []
        answer = erp.flask.test_client().post("/v1/documents", json=body, headers=AUTHORISED)
        assert [outcome["status"] for outcome in answer.json["outcomes"]] == ["posted"], (name, answer.json)


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("post", "/v1/documents", "", {"documents": [*an_order(), a_sales_order(amount_minor=1, revision=2), 7]}),
        ("get", "/v1/documents", "since=2020-01-01T00:00:00Z", None),
        ("post", "/v1/documents/find", "", {"keys": [an_invoice()["key"], "eu1/2/invoice/1/r1"]}),
        (*("post", "/v1/old-documents/find", ""), {"entity": "DE01", "kind": "invoice", "references": ["WC-1"]}),
        ("post", "/v1/old-documents/find", "", {"entity": "DE01", "kind": "invoice", "references": []}),
        ("get", "/v1/rates", "currency=USD&book=EUR&on=2026-11-23", None),
        ("get", "/v1/rates", "currency=EUR&book=EUR&on=2026-11-23", None),
        ("get", "/v1/periods", "entity=DE01&on=2026-11-23", None),
        ("get", "/v1/balances", "entity=DE01", None),
        ("get", "/v1/entries", "entity=DE01&first_day=2026-11-01&last_day=2026-11-30", None),
        ("get", "/v1/health", "", None),
        ("get", "/v1/rates", "currency=euro&book=EUR&on=2026-11-23", None),
        ("post", "/v1/documents", "", {"documents": "all"}),
        ("post", "/v1/documents", "", {"documents": [{}] * (MOST_DOCUMENTS + 1)}),
    ],
)
def test_answers_are_as_described(method: str, path: str, query: str, body: Any) -> None:
    erp = create_erp(Books(), "t")
    erp.books.post(an_order())
    answer = erp.flask.test_client().open(f"{path}?{query}", method=method.upper(), json=body, headers=AUTHORISED)
    _assert_described(method, path, answer)


@pytest.mark.parametrize("fault", ["down", "rate_limit", "fail_before_commit"])
def test_failures_are_as_described(fault: str) -> None:
    erp = create_erp(Books(), "t")
    erp.change_modes({"fault": fault, "fault_on": "all"})
    for path, operations in SPEC["paths"].items():
        if "get" in operations:
            query = "since=2020-01-01T00:00:00Z&currency=USD&book=EUR&on=2026-11-23&entity=DE01"
            _assert_described("get", path, erp.flask.test_client().get(f"{path}?{query}", headers=AUTHORISED))


def test_without_the_token_every_call_answers_401_as_described() -> None:
    client = create_erp(Books(), "t").flask.test_client()
    for path, operations in SPEC["paths"].items():
        for method in operations:
            answer = client.open(path, method=method.upper(), headers={"Authorization": "Bearer other"})
            assert answer.status_code == 401
            _assert_described(method, path, answer)


def _assert_described(method: str, path: str, answer: Any) -> None:
    described = SPEC["paths"][path][method]["responses"][str(answer.status_code)]
    if "$ref" in described:
        described = SPEC["components"]["responses"][described["$ref"].rsplit("/", 1)[-1]]
    schema = described["content"][answer.mimetype]["schema"]
    assert _faults(schema, answer.json) == []
    assert ("Retry-After" in answer.headers) == ("Retry-After" in described.get("headers", {}))


def _faults(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": SPEC["components"]}
    return [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]
