"""What the bad requests are made of: what shops, agents and the engine really send, and what the contracts describe.

Personal data in it is marked: wherever a name, an address or an e-mail stands, the run's own mark stands in it, so that
one search tells whether any of it got into a log.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import counterfoil_contracts
import yaml

RECORDED = Path(__file__).parents[1] / "recorded"
PERSONAL = ("first_name", "last_name", "company", "address_1", "address_2", "city", "email", "phone")
GOOD_ORDERS = ("order_simple_paid", "order_multiline_coupon_fee", "order_usd", "order_variation", "order_before_edit")

Json = Any


@cache
def recorded(name: str) -> Json:
    return json.loads((RECORDED / "woocommerce" / f"{name}.json").read_text())


@cache
def orders() -> list[Json]:
    """Every recorded order, of one page too."""
    names = sorted(path.stem for path in (RECORDED / "woocommerce").glob("order_*.json"))
    found = [recorded(name) for name in names if name != "order_refunds_list"]
    return [order for order in [*found, *recorded("orders_page")] if "line_items" in order]


@cache
def refunds() -> list[Json]:
    return [recorded(f"refund_{name}") for name in ("amount_only", "full_amount", "partial_line_restock")]


@cache
def traffic() -> list[tuple[str, Json]]:
    """What an agent sent, path and body; of each path a few."""
    found: list[tuple[str, Json]] = []
    for line in (RECORDED / "traffic" / "agent-v1.jsonl").read_text().splitlines():
        request = json.loads(line)
        body = base64.b64decode(request["body"])
        if request["headers"].get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if sum(path == request["path"] for path, _ in found) < 12:
            found.append((request["path"], json.loads(body)))
    return found


@cache
def deliveries() -> list[tuple[dict[str, str], bytes]]:
    """Headers and bodies of recorded webhooks."""
    found = []
    for path in sorted((RECORDED / "woocommerce").glob("webhook_*.json")):
        delivery = json.loads(path.read_text())
        found.append((delivery["headers"], delivery["raw_body"].encode()))
    return found


@cache
def description(name: str) -> dict[str, Any]:
    """An OpenAPI description: engine, erp."""
    text = resources.files("counterfoil_contracts").joinpath(f"{name}.openapi.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


@cache
def documents(store: str) -> list[Json]:
    """The documents of the ERP's description, one of each kind and more, as another store's than any of the good."""
    found = []
    for example in description("erp")["components"]["examples"].values():
        for document in example["value"].get("documents", ()):
            found.append(json.loads(json.dumps(document).replace("eu1", store)))
    return found


def marked(order: Json, mark: str) -> Json:
    """A copy of an order or document with the mark in all that is personal in it."""
    order = json.loads(json.dumps(order))
    for part in ("billing", "shipping"):
        for name in PERSONAL:
            if isinstance(order.get(part), dict) and name in order[part]:
                order[part][name] = f"{mark}@{mark}.example" if name == "email" else f'{name} "{mark}" <b>O\'Neill'
    if "customer_note" in order:
        order["customer_note"] = f"Ring at {mark}; DROP TABLE orders; --"
    if isinstance(order.get("personal"), dict):
        order["personal"] = {"name": f"Erika {mark}", "email": f"{mark}@{mark}.example"}
    return order


def new_order(randomly: random.Random, order_id: int, mark: str, names: tuple[str, ...] = GOOD_ORDERS) -> Json:
    """A good order of its own: nobody else's id, customer or transaction."""
    order = marked(recorded(randomly.choice(names)), mark)
    order |= {"id": order_id, "number": str(order_id), "customer_id": order_id, "transaction_id": f"tr_{order_id}"}
    return order | {"order_key": f"wc_order_{order_id}"}


# From the contracts' schemas: what almost is as they say.


def from_contract(name: str, randomly: random.Random) -> Json:
    return _made(counterfoil_contracts.schema(name), name, randomly, 0)


def _made(schema: Json, name: str, randomly: random.Random, level: int) -> Json:
    if not isinstance(schema, dict) or level > 8:
        return None
    if "$ref" in schema:
        there, found = _found(schema["$ref"], name)
        return _made({**found, **{key: part for key, part in schema.items() if key != "$ref"}}, there, randomly, level)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return randomly.choice(schema["enum"])
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return _made(randomly.choice(schema[word]), name, randomly, level + 1)
    kinds = schema.get("type", "object" if "properties" in schema or "allOf" in schema else "string")
    kind = randomly.choice(kinds) if isinstance(kinds, list) else kinds
    if kind == "object":
        return _object(schema, name, randomly, level)
    if kind == "array":
        return [_made(schema.get("items", {}), name, randomly, level + 1) for _ in range(randomly.choice((0, 1, 2, 5)))]
    if kind in ("integer", "number"):
        edge = schema.get("minimum", 0), schema.get("maximum", 10**15)
        return randomly.choice((0, 1, -1, 100, edge[0], edge[0] - 1, edge[1], edge[1] + 1))
    if kind == "boolean":
        return randomly.random() < 0.5
    return None if kind == "null" else _text(schema, randomly)


def _object(schema: Json, name: str, randomly: random.Random, level: int) -> Json:
    made: dict[str, Json] = {}
    for part in schema.get("allOf", ()):
        inner = _made(part, name, randomly, level + 1)
        made |= inner if isinstance(inner, dict) else {}
    for key, part in schema.get("properties", {}).items():
        if key in schema.get("required", ()) or randomly.random() < 0.5:
            made[key] = _made(part, name, randomly, level + 1)
    return made


def _text(schema: Json, randomly: random.Random) -> str:
    longest = int(schema.get("maxLength", 40))
    return randomly.choice(
        ("1.00", "0", "EUR", "DE", "2026-11-23", "2026-11-23T10:00:00Z", "item:1", "a" * longest, "a" * (longest + 1))
    )


def _found(reference: str, name: str) -> tuple[str, Json]:
    """urn:counterfoil:common:values:1#/$defs/id, or #/$defs/order within the same file."""
    address, _, pointer = reference.partition("#")
    if address:
        name = "{}/{}.v{}".format(*address.split(":")[2:5])
    found: Json = counterfoil_contracts.schema(name)
    for key in filter(None, pointer.split("/")):
        found = found[key]
    return name, found
