"""What a store is told comes back in its next snapshot: that changes nothing of what is due, so nothing echoes."""

from __future__ import annotations

from typing import Any

from builders import NOW, START, a_capture, a_line, a_row, a_shipment, an_order, facts_of, gmt, the_rules
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.dues import dues

COD = {"payment_method": "cod", "date_paid_gmt": None, "date_paid": None, "transaction_id": ""}


def due(*snapshots: Any, others: Any, **rule: Any) -> Dues:
    sequence = [
        a_row(match={"entity": "*", "method": "*"}, wms="hub", invoice_on="shipment", store_update=True, **rule)
    ]
    return dues(facts_of(*snapshots, others=others), the_rules(sequence=sequence), NOW)


def told(result: Dues) -> list[str]:
    return [each.slot.rsplit("/", 1)[1] for each in result.documents if each.kind == "store_update"]


def what(result: Dues) -> dict[str, str]:
    return {document.slot: document.content_hash for document in result.documents}


def test_our_own_note_status_and_tracking_in_a_snapshot_change_nothing_of_what_is_due() -> None:
    order, others = an_order(a_line("MUG", 2)), [a_shipment("s1", 30, item_1=2)]
    before = due(order, others=others)
    assert told(before) == ["completed", "hub-s1"]
    meta = [
        {"id": 1, "key": "_counterfoil_updates", "value": [f"eu1/1001/store_update/hub-s1/r1 {'0' * 16}"]},
        {"id": 2, "key": "_counterfoil_tracking", "value": [{"key": "k", "tracking": "00s1", "carrier": "DHL"}]},
    ]
    at = gmt(START.replace(day=START.day + 2))
    ours = {**order, "status": "completed", "meta_data": meta, "date_completed_gmt": at, "date_modified_gmt": at}
    after = due(order, {**order, "meta_data": meta, "date_modified_gmt": at}, ours, others=others)
    assert what(after) == what(before) and after.cases == ()


def test_an_order_without_money_is_not_completed_since_woocommerce_would_date_its_payment() -> None:
    """Cash on delivery: goods have left, and nobody has paid yet."""
    order, others = an_order(a_line("MUG", 2), **COD), [a_shipment("s1", 30, item_1=2)]
    assert told(due(order, others=others)) == ["hub-s1"]
    paid = {**order, "date_paid_gmt": gmt(START.replace(day=START.day + 3))}
    assert told(due(order, paid, others=others)) == ["completed", "hub-s1"]


def test_money_that_the_gateway_alone_has_seen_completes_it() -> None:
    order = an_order(a_line("MUG", 2), **{**COD, "payment_method": "stripe", "transaction_id": "ch_1"})
    others = [a_shipment("s1", 30, item_1=2), a_capture("evt_1", 31, 2380)]
    assert "completed" in told(due(order, others=others))
