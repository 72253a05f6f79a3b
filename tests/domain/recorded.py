"""The recorded orders as facts: each file alone, and all files of an order as one history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from builders import GONE, facts_of
from counterfoil_engine.domain.facts import OrderFacts

RECORDED = Path(__file__).parent.parent / "recorded"
Body = tuple[dict[str, Any], list[dict[str, Any]]]


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"), parse_float=Decimal)


def expected() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((RECORDED / "expected.yaml").read_text("utf-8"))
    return found


def _orders_in(path: Path) -> list[dict[str, Any]]:
    """The orders that a file holds: one, a list page's, or a webhook delivery's."""
    content = read(path)
    if isinstance(content, dict) and isinstance(content.get("raw_body"), str) and content["raw_body"].startswith("{"):
        content = json.loads(content["raw_body"], parse_float=Decimal)
    elif isinstance(content, dict) and isinstance(content.get("body"), list):
        content = content["body"]
    return [
        order
        for order in (content if isinstance(content, list) else [content])
        if isinstance(order, dict) and "line_items" in order and "order_key" in order
    ]


def _refunds() -> dict[int, dict[str, Any]]:
    found = {}
    for path in sorted(RECORDED.glob("woocommerce/*.json")):
        content = read(path)
        for refund in content if isinstance(content, list) else [content]:
            if isinstance(refund, dict) and "amount" in refund and "refunded_payment" in refund:
                found[refund["id"]] = refund
    return found


def _with_refunds(order: dict[str, Any], refunds: dict[int, dict[str, Any]]) -> Body:
    return order, [refunds[summary["id"]] for summary in order["refunds"] if summary["id"] in refunds]


def files() -> Iterator[tuple[str, Body]]:
    """Every recorded order file (and order of a page) with the refunds that are known in full."""
    refunds = _refunds()
    for path in sorted(RECORDED.glob("woocommerce/*.json")):
        for order in _orders_in(path):
            yield path.name, _with_refunds(order, refunds)


def histories() -> dict[str, list[Body | dict[str, Any]]]:
    """The snapshots of each order id over all files together, in the order in which they are rehearsed."""
    found: dict[str, list[Body | dict[str, Any]]] = {}
    for path in sorted(RECORDED.glob("woocommerce/histories/*.json")):
        snapshots = read(path)["snapshots"]
        bodies = [(each["order"], each["refunds"]) if "order" in each else GONE for each in snapshots]
        found[str(snapshots[0]["order"]["id"])] = bodies
    loose: dict[str, list[tuple[str, Body]]] = {}
    for name, body in files():
        loose.setdefault(str(body[0]["id"]), []).append((name, body))
    for order_id, named in loose.items():
        named.sort(key=lambda each: (each[1][0]["date_modified_gmt"], len(each[1][0]["refunds"]), each[0]))
        found[order_id] = [body for _, body in named]
    return found


def facts_by_order() -> dict[str, OrderFacts]:
    return {order_id: facts_of(*bodies) for order_id, bodies in histories().items()}
