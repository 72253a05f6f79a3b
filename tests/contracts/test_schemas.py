"""Each contract is a good schema: of the standard, named by its file, described, and closed to the network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import counterfoil_contracts as contracts
import jsonschema
import jsonschema_rs
import pytest

KINDS = [
    "customer",
    "sales_order",
    "payment",
    "tender",
    "invoice",
    "credit_note",
    "refund_payment",
    "application",
    "cancellation",
    "fulfilment",
    "capture",
    "refund_order",
    "tax_quote",
    "tax_commit",
    "return",
    "store_update",
    "fee",
    "payout",
    "dispute",
]
FACTS = {
    "wms": ("released", "shipment", "short_pick", "cancellation_refused", "cancelled", "receipt"),
    "gateway": ("authorised", "captured", "voided", "refunded", "failed", "fee", "payout", "dispute"),
    "tax": ("tax_quoted", "tax_committed"),
}


def test_every_contract_that_the_parts_speak_is_there() -> None:
    expected = {
        *(f"events/{name}.v1" for name in ("envelope", "order", "gone", "heartbeat", "stock", "void", "tombstone")),
        *(f"models/{name}.v1" for name in ("order", "customer", "payment", "refund")),
        *(f"documents/{kind}.v1" for kind in KINDS),
        "documents/_common.v1",
        *(f"facts/{kind}.v1" for kinds in FACTS.values() for kind in kinds),
        "facts/_common.v1",
        "facts/recall_refused.v1",
        *(f"feed/{name}.v1" for name in ("ask", "numbers", "writes", "results", "updates")),
        *(f"feed/{name}.v1" for name in ("sweep_tasks", "sweep_answers")),
        "config/rules.v1",
        "rehearsal/report.v1",
    }
    assert expected <= set(contracts.names())


@pytest.mark.parametrize("name", contracts.names())
def test_a_contract_is_a_schema_of_2020_12_by_both_validators(name: str) -> None:
    schema = contracts.schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema_rs.meta.validate(schema)


@pytest.mark.parametrize("name", contracts.names())
def test_a_contract_has_an_id_a_version_a_status_and_says_what_it_is(name: str) -> None:
    schema = contracts.schema(name)
    group, _, rest = name.partition("/")
    stem, _, version = rest.rpartition(".v")
    assert schema["$id"] == f"urn:counterfoil:{group}:{stem}:{version}"
    assert schema["x-status"] in ("draft", "released")
    assert schema["title"] and len(schema["description"]) > 30


@pytest.mark.parametrize("name", contracts.names())
def test_every_property_is_described(name: str) -> None:
    bare = [path for path, part in properties(contracts.schema(name)) if not ({"description", "$ref"} & part.keys())]
    assert bare == []


@pytest.mark.parametrize("name", contracts.names())
def test_a_bare_number_says_its_unit(name: str) -> None:
    """Amounts end in _minor, times in _s, sizes in _bytes; what is left are ids, counts and rates."""
    known = ("_minor", "_s", "_bytes", "_events", "_rows", "_skus", "_id", "_percent")
    counts = {
        "id",
        "n",
        "epoch",
        "status",
        "quantity",
        "order",
        "refund",
        "number",
        "snapshot",
        "version",
        "rate_id",
        "waiting",
        "engine_epoch",
        "limit",
        "sold",
        "stock",
        "expected",
        "found",
        "task",
        "fed_through",
        "applied_through",
        "count",
        "written",
        "known",
    }
    for path, part in properties(contracts.schema(name)):
        types = part.get("type", [])
        if {"integer", "number"} & set([types] if isinstance(types, str) else types):
            last = path.rsplit("/", 1)[-1]
            assert last.endswith(known) or last in counts, path


def test_what_a_store_said_is_checked_by_patterns_since_its_times_have_no_zone() -> None:
    assert '"format"' not in json.dumps(contracts.schema("events/order.v1"))


def test_a_reference_to_elsewhere_is_an_error_and_no_request() -> None:
    stray = {"$ref": "http://127.0.0.1:9/schema.json"}
    with pytest.raises(jsonschema_rs.ValidationError, match="nothing is fetched"):
        jsonschema_rs.Draft202012Validator(stray, registry=contracts._registry(), retriever=contracts._unknown)


@pytest.mark.parametrize("party", FACTS)
def test_each_kind_of_fact_is_one_partys_alone(party: str) -> None:
    for kind in FACTS[party]:
        said = contracts.schema(f"facts/{kind}.v1")["properties"]
        assert (said["fact"]["const"], said["party"]["const"]) == (f"counterfoil.{kind}.v1", party)


def test_an_unknown_contract_is_said_to_be_unknown() -> None:
    with pytest.raises(KeyError):
        contracts.faults("events/../config/rules.v1", {})


def test_a_type_of_event_names_its_contract() -> None:
    assert contracts.contract_of("counterfoil.order.v1") == "events/order.v1"
    for other in ("counterfoil.envelope.v1", "counterfoil.order.v9", "order.v1", "counterfoil.", "", "counterfoil"):
        assert contracts.contract_of(other) is None


def test_every_file_of_the_package_is_read() -> None:
    folder = resources.files("counterfoil_contracts")
    groups = {name.split("/")[0] for name in contracts.names()}
    assert groups == {"common", "config", "documents", "events", "facts", "feed", "models", "rehearsal"}
    assert all((folder / f"{name}.json").is_file() for name in contracts.names())


def properties(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each property's path and schema, at every depth."""
    if isinstance(part, list):
        for index, inner in enumerate(part):
            yield from properties(inner, f"{path}/{index}")
    elif isinstance(part, dict):
        for keyword, inner in part.items():
            if keyword == "properties":
                for name, property_ in inner.items():
                    if isinstance(property_, dict) and not path.endswith(("/if", "booked_line")):
                        yield f"{path}/{name}", property_
                    yield from properties(property_, f"{path}/{name}")
            else:
                yield from properties(inner, f"{path}/{keyword}")
