"""One cent more or less in any amount of recorded data turns a proof false, in the very report that people read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from builders import GONE
from counterfoil_engine.rehearsal import run
from counterfoil_engine.rehearsal.report import invariant
from domain.recorded import files, histories
from rehearsal.checks import by_order, failed, written

ALONE = {name: body for name, body in files() if name != "orders_page.json"}
LINES_MOST = 8  # of an order with 90 lines, some are enough
Change = tuple[str, list[Any]]


def _amounts(order: dict[str, Any], refunds: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any], str]]:
    found = [("total", order, "total"), ("total_tax", order, "total_tax")]
    for field in ("line_items", "fee_lines", "shipping_lines"):
        lines = order[field][:: max(1, len(order[field]) // LINES_MOST)]
        found += [(f"{field} {line['id']}", line, "total") for line in lines]
    return found + [(f"refund {refund['id']}", refund, "amount") for refund in refunds]


def _changed(bodies: list[Any], index: int) -> Iterator[Change]:
    step = Decimal(1) if bodies[index][0]["currency"] == "JPY" else Decimal("0.01")
    for place in range(len(_amounts(*bodies[index]))):
        for cents in (step, -step):
            copy = deepcopy(bodies)
            name, holder, field = _amounts(*copy[index])[place]
            holder[field] = str(Decimal(holder[field]) + cents)
            yield f"{name} {cents:+}", copy


def _loose() -> Iterator[Change]:
    for name, body in ALONE.items():
        yield from ((f"{name}: {what}", copy) for what, copy in _changed([body], 0))


def _last_of_histories() -> Iterator[Change]:
    for order_id, bodies in histories().items():
        if len(bodies) > 1:
            last = max(n for n, body in enumerate(bodies) if body != GONE)
            yield from ((f"history {order_id}: {what}", copy) for what, copy in _changed(bodies, last))


def _history(bodies: list[Any], order_id: int) -> dict[str, Any]:
    """As a history's file, under another id."""
    snapshots = []
    for body in bodies:
        if body == GONE:
            snapshots.append({"status": 404, "body": {"code": "woocommerce_rest_shop_order_invalid_id"}})
        else:
            snapshots.append({"order": {**body[0], "id": order_id}, "refunds": body[1]})
    return {"snapshots": snapshots}


@pytest.mark.parametrize("changes", [_loose, _last_of_histories])
def test_one_cent_in_any_amount_turns_a_proof_false(changes, tmp_path, monkeypatch, recorded_rules):
    # Sending all of it again and into an empty engine is proven elsewhere, and would take as long again.
    monkeypatch.setattr(run, "_judge_replay", lambda *_: invariant("I6", [], "left out"))
    made = {str(100_000 + n): change for n, change in enumerate(changes())}
    files = {f"{name}.json": _history(bodies, int(name)) for name, (_, bodies) in made.items()}
    report = run.rehearse([written(tmp_path, {n: _plain(f) for n, f in files.items()})], "eu1", recorded_rules)
    found = by_order(report)
    assert set(found) == set(made)
    assert [made[name][0] for name, order in found.items() if not failed(order)] == []
    accepted = [order for order in found.values() if order["reading"] in ("posted", "cancelled")]
    assert accepted == []
    assert report.holds


def _plain(value: Any) -> bytes:
    return json.dumps(value, default=float).encode()
