"""The sandbox shop keeps orders as WooCommerce does: figures, dates, refunds, webhooks, and its traps."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from counterfoil_sandbox.shop import Shop, recorded
from counterfoil_sandbox.shop_orders import RefundRefused, UnknownOrder

NINE = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NINE

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Receiver:
    """Takes deliveries, answering each with a status."""

    def __init__(self, status: int | None = 200) -> None:
        self.status, self.got = status, []

    def __call__(self, url, headers, body):
        self.got.append((url, headers, body))
        return self.status

    def bodies(self):
        return [json.loads(body) for _, headers, body in self.got if headers["Content-Type"] == "application/json"]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shop(clock):
    shop = Shop(clock=clock, utc_offset_minutes=60, site_url="http://shop.test", seed=1)
    yield shop
    shop.close()


def header_sum(order):
    lines = [*order["line_items"], *order["shipping_lines"], *order["fee_lines"]]
    return sum(Decimal(line["total"]) for line in lines) + Decimal(order["total_tax"])


def test_a_recorded_order_placed_twice_is_two_orders(shop):
    first, second = (shop.place(recorded("order_simple_paid")) for _ in range(2))
    a, b = shop.order(first), shop.order(second)
    assert (first, second) == (1001, 1002)
    assert a["total"] == b["total"] == "9.09"
    for field in ("id", "number", "order_key", "transaction_id"):
        assert a[field] != b[field]
    assert not {line["id"] for line in a["line_items"]} & {line["id"] for line in b["line_items"]}


def test_site_time_and_gmt_differ_by_the_sites_offset(shop):
    order = shop.order(shop.place(recorded("order_simple_paid")))
    assert order["date_created_gmt"] == "2026-11-24T09:00:00"
    assert order["date_created"] == "2026-11-24T10:00:00"
    assert order["date_paid_gmt"] == "2026-11-24T09:00:00"


def test_an_edited_quantity_gives_the_recorded_figures(shop):
    order_id = shop.place(recorded("order_before_edit"))
    shop.edit_quantity(order_id, 1)
    edited, real = shop.order(order_id), recorded("order_after_edit")
    for field in ("total", "total_tax", "cart_tax", "shipping_total", "discount_total"):
        assert edited[field] == real[field]
    assert edited["line_items"][0]["taxes"][0]["total"] == real["line_items"][0]["taxes"][0]["total"]


@pytest.mark.parametrize("name", ["order_multiline_coupon_fee", "order_compound_tax_canada", "order_usd"])
def test_every_edit_leaves_an_order_that_adds_up(shop, name):
    order_id = shop.place(recorded(name))
    for line in shop.order(order_id)["line_items"]:
        shop.edit_quantity(order_id, line["quantity"] + 3, line["id"])
        order = shop.order(order_id)
        assert Decimal(order["total"]) == header_sum(order)


def test_a_refund_of_one_unit_has_the_recorded_amounts(shop):
    order_id = shop.place(recorded("order_after_partial_refund") | {"refunds": []})
    line = shop.order(order_id)["line_items"][0]
    refund_id = shop.refund(order_id, {line["id"]: 1}, reason="one damaged")
    refund, real = shop.refund_by_id(refund_id)[1], recorded("refund_partial_line_restock")
    assert refund["amount"] == real["amount"]
    assert refund["line_items"][0]["total"] == real["line_items"][0]["total"]
    assert refund["tax_lines"][0]["tax_total"] == real["tax_lines"][0]["tax_total"]
    assert refund["line_items"][0]["meta_data"][0]["value"] == str(line["id"])
    assert set(refund) == set(real)


def test_the_orders_total_never_changes_by_a_refund_and_its_summary_is_negative(shop):
    order_id = shop.place(recorded("order_simple_paid"))
    shop.refund(order_id, amount="4.00", reason="goodwill")
    order = shop.order(order_id)
    assert order["total"] == "9.09" and order["status"] == "processing"
    assert [(r["total"], r["reason"]) for r in order["refunds"]] == [("-4.00", "goodwill")]


def test_refunding_the_rest_sets_the_order_to_refunded(shop):
    order_id = shop.place(recorded("order_simple_paid"))
    shop.refund(order_id, amount="4.00")
    shop.refund(order_id)
    assert shop.order(order_id)["status"] == "refunded"
    assert [r["amount"] for r in shop.refunds(order_id)] == ["5.09", "4.00"]
    with pytest.raises(RefundRefused):
        shop.refund(order_id, amount="0.01")


def test_setting_refunded_by_hand_writes_a_refund_of_the_rest(shop):
    order_id = shop.place(recorded("order_simple_paid"))
    shop.set_status(order_id, "refunded")
    assert [r["amount"] for r in shop.refunds(order_id)] == ["9.09"]
    shop.set_status(order_id, "processing")
    assert len(shop.refunds(order_id)) == 1


def test_a_deleted_refund_moves_no_date_and_fires_nothing(shop, clock):
    order_id = shop.place(recorded("order_simple_paid"))
    refund_id = shop.refund(order_id, amount="1.00")
    shop.webhooks.add("order.updated", "http://agent.test/", "s3cret", send=Receiver())
    before = shop.order(order_id)["date_modified_gmt"]
    clock.later(60)
    shop.delete_refund(order_id, refund_id)
    assert shop.order(order_id)["date_modified_gmt"] == before
    assert shop.order(order_id)["refunds"] == []
    assert shop.webhooks.waiting() == 0


def test_a_refund_moves_the_orders_date(shop, clock):
    order_id = shop.place(recorded("order_simple_paid"))
    clock.later(60)
    shop.refund(order_id, amount="1.00")
    assert shop.order(order_id)["date_modified_gmt"] == "2026-11-24T09:01:00"


def test_a_trashed_order_is_readable_and_comes_back_as_it_was(shop):
    order_id = shop.place(recorded("order_simple_paid"))
    shop.trash(order_id)
    assert shop.order(order_id)["status"] == "trash"
    shop.untrash(order_id)
    assert shop.order(order_id)["status"] == "processing"


def test_nothing_half_done_stays_when_a_change_fails(shop):
    order_id = shop.place(recorded("order_simple_paid"))
    with pytest.raises(UnknownOrder):
        shop.refund(order_id, {999999: 1})
    assert shop.refunds(order_id) == []
    assert shop.next_id("post", 1001) == order_id + 1


@pytest.mark.parametrize(
    "name",
    [
        "cancelled_then_revived",
        "moved_abroad_after_payment",
        "pending_paid_edited_refunded",
        "refund_deleted_then_full",
        "trashed_and_deleted",
    ],
)
def test_a_recorded_history_is_lived_through_again(shop, clock, name):
    history = recorded(f"histories/{name}")
    replay = shop.replay(history)
    for snapshot in history["snapshots"]:
        clock.later(5)
        assert replay.step() == snapshot["after"]
        order = shop.order(replay.order_id)
        if "order" not in snapshot:
            assert order is None
            continue
        real = snapshot["order"]
        for field in ("status", "total", "total_tax", "currency", "payment_method"):
            assert order[field] == real[field]
        assert [r["total"] for r in order["refunds"]] == [r["total"] for r in real["refunds"]]
        assert [r["total_tax"] for r in order["refunds"]] == [r["total_tax"] for r in real["refunds"]]
        refunds = shop.refunds(replay.order_id)
        assert [r["amount"] for r in refunds] == [r["amount"] for r in snapshot.get("refunds", [])]
        line_ids = {str(line["id"]) for line in order["line_items"]}
        pointed_at = {m["value"] for r in refunds for line in r["line_items"] for m in line["meta_data"]}
        assert pointed_at <= line_ids
    assert replay.step() is None


def test_in_a_history_the_date_moves_with_all_but_a_deleted_refund(shop, clock):
    replay, dates = shop.replay(recorded("histories/refund_deleted_then_full")), []
    while replay.step() is not None:
        dates.append(shop.order(replay.order_id)["date_modified_gmt"][-8:])
        clock.later(10)
    assert dates == ["09:00:00", "09:00:10", "09:00:10", "09:00:30"]
    assert shop.order(replay.order_id)["date_paid_gmt"] == "2026-11-24T09:00:00"


# Webhooks


def hooked(shop, *topics):
    receiver = Receiver()
    for topic in topics:
        shop.webhooks.add(topic, "http://agent.test/hook", "s3cret", send=receiver)
    receiver.got.clear()
    return receiver


def test_saving_a_webhook_pings_unsigned_and_form_encoded(shop):
    receiver = Receiver()
    shop.webhooks.add("order.created", "http://agent.test/hook", "s3cret", send=receiver)
    ((_, headers, body),) = receiver.got
    assert body == b"webhook_id=1"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "X-WC-Webhook-Signature" not in headers


def test_a_delivery_is_signed_over_its_raw_body_and_has_the_recorded_headers(shop):
    receiver = hooked(shop, "order.created")
    shop.place(recorded("order_simple_paid"))
    shop.webhooks.deliver(receiver)
    ((_, headers, body),) = receiver.got
    expected = base64.b64encode(hmac.new(b"s3cret", body, hashlib.sha256).digest()).decode()
    assert headers["X-WC-Webhook-Signature"] == expected
    assert headers["X-WC-Webhook-Topic"] == "order.created"
    assert json.loads(body)["id"] == 1001


def test_the_body_is_built_when_delivered_not_when_it_happened(shop):
    receiver = hooked(shop, "order.created")
    order_id = shop.place(recorded("order_simple_paid"))
    shop.cancel(order_id)
    shop.webhooks.deliver(receiver)
    assert [body["status"] for body in receiver.bodies()] == ["cancelled"]


def test_an_order_deleted_meanwhile_is_delivered_as_an_error_document(shop):
    receiver = hooked(shop, "order.created")
    shop.delete(shop.place(recorded("order_simple_paid")))
    shop.webhooks.deliver(receiver)
    assert receiver.bodies() == [recorded("error_404_order")["body"]]


def test_several_changes_before_a_delivery_are_one(shop):
    receiver = hooked(shop, "order.updated")
    order_id = shop.place(recorded("order_simple_paid"))
    shop.edit_quantity(order_id, 1)
    shop.set_status(order_id, "completed")
    shop.webhooks.deliver(receiver)
    assert len(receiver.bodies()) == 1


def test_trash_fires_deleted_with_the_id_alone_and_deletion_for_good_fires_nothing(shop):
    receiver = hooked(shop, "order.deleted", "order.updated")
    order_id = shop.place(recorded("order_simple_paid"))
    shop.trash(order_id)
    shop.webhooks.deliver(receiver)
    assert receiver.bodies() == [{"id": order_id}]
    shop.delete(order_id)
    assert shop.webhooks.waiting() == 0


def test_a_checkouts_draft_fires_events_too(shop):
    receiver = hooked(shop, "order.created")
    shop.place(recorded("order_status_pending") | {"status": "checkout-draft"})
    shop.webhooks.deliver(receiver)
    assert [body["status"] for body in receiver.bodies()] == ["checkout-draft"]


def test_a_webhook_switches_itself_off_after_failures_in_a_row_and_tries_none_again(shop):
    hooked(shop, "order.created")
    failing = Receiver(status=None)
    for _ in range(8):
        shop.place(recorded("order_simple_paid"))
        shop.webhooks.deliver(failing)
    assert len(failing.got) == 7
    assert [hook["status"] for hook in shop.webhooks.all()] == ["disabled"]
    assert shop.webhooks.waiting() == 0


def test_one_success_forgives_the_failures_before(shop):
    hooked(shop, "order.created")
    for status in [500, 500, 500, 500, 200] * 3:
        shop.place(recorded("order_simple_paid"))
        shop.webhooks.deliver(Receiver(status))
    assert [hook["status"] for hook in shop.webhooks.all()] == ["active"]


def test_deliveries_can_be_doubled_dropped_and_delayed(shop, clock):
    receiver = hooked(shop, "order.created")
    shop.webhooks.faults.extend(["twice", "drop", 30])
    for _ in range(3):
        shop.place(recorded("order_simple_paid"))
    shop.webhooks.deliver(receiver)
    assert [body["id"] for body in receiver.bodies()] == [1001, 1001]
    clock.later(31)
    shop.webhooks.deliver(receiver)
    assert [body["id"] for body in receiver.bodies()] == [1001, 1001, 1003]


def test_a_shop_in_a_file_is_there_after_a_restart(tmp_path, clock):
    shop = Shop(str(tmp_path / "shop.sqlite"), clock)
    order_id = shop.place(recorded("order_simple_paid"))
    shop.close()
    again = Shop(str(tmp_path / "shop.sqlite"), clock)
    assert again.order(order_id)["total"] == "9.09"
    assert again.place(recorded("order_usd")) == order_id + 1
    again.close()
