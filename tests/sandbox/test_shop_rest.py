"""The sandbox shop's REST API over HTTP, as the `woocommerce` package and curl would use it."""

import json
import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
import requests
import woocommerce
from counterfoil_sandbox.shop import QuietHandler, Rest, Shop, Weather, create_app, recorded
from counterfoil_sandbox.shop_auth import Keys
from werkzeug.serving import make_server

KEYS = {"ck_test": ("cs_test", "read_write"), "ck_reader": ("cs_reader", "read"), "ck_writer": ("cs_writer", "write")}


class Clock:
    """The real time, on which a test can go ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Site:
    """A shop being served on a free port."""

    def __init__(self) -> None:
        self.clock, self.weather = Clock(), Weather()
        self.shop = Shop(clock=self.clock, utc_offset_minutes=60)
        self.pings = []
        rest = Rest(self.shop, send=lambda url, headers, body: self.pings.append(body))
        app = create_app(self.shop, Keys(KEYS, self.clock), rest, self.weather)
        self.server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
        self.url = self.shop.site_url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def api(self, key="ck_test", secret="cs_test"):
        return woocommerce.API(url=self.url, consumer_key=key, consumer_secret=secret, version="wc/v3", timeout=10)

    def get(self, path, **params):
        return self.api().get(path, params=params)

    def ids(self, **params):
        return [order["id"] for order in self.get("orders", **{"orderby": "id", "order": "asc", **params}).json()]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.shop.close()


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


def test_the_woocommerce_package_reads_an_order_over_http(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    answer = site.get(f"orders/{order_id}")
    assert answer.status_code == 200
    assert answer.json()["total"] == "9.09"


def test_the_shown_order_has_the_fields_of_the_recorded_one(site):
    real = recorded("order_multiline_coupon_fee")
    shown = site.get(f"orders/{site.shop.place(real)}").json()
    assert set(shown) == set(real)
    changed = {
        key
        for key in real
        if key not in ("_links", "payment_url", "order_key", "id", "number", "transaction_id")
        and shown[key] != real[key]
    }
    dates = {f"date_{what}{gmt}" for what in ("created", "modified", "paid") for gmt in ("", "_gmt")}
    assert changed <= dates | {"line_items", "tax_lines", "shipping_lines", "fee_lines", "coupon_lines"}


@pytest.mark.parametrize(
    ("key", "secret", "message"),
    [("ck_other", "cs_test", "Consumer key is invalid."), ("ck_test", "cs_other", "Invalid signature - provided")],
)
def test_wrong_credentials_are_refused_in_woocommerces_words(site, key, secret, message):
    answer = site.api(key, secret).get("orders")
    assert answer.status_code == 401
    assert answer.json()["code"] == recorded("error_401")["body"]["code"]
    assert answer.json()["message"].startswith(message)


def test_a_reading_key_may_not_write_and_a_writing_key_may_not_read(site):
    assert site.api("ck_reader", "cs_reader").post("orders", {}).status_code == 401
    assert site.api("ck_reader", "cs_reader").get("orders").status_code == 200
    assert site.api("ck_writer", "cs_writer").get("orders").status_code == 401


def test_a_tampered_query_breaks_the_signature(site):
    signed = site.get("orders", per_page=1).request.url
    assert requests.get(signed.replace("per_page=1", "per_page=2"), timeout=5).status_code == 401


def test_a_signed_request_is_good_once(site):
    answer = site.get("orders")
    assert answer.status_code == 200
    again = requests.get(answer.request.url, timeout=5)
    assert (again.status_code, again.json()["message"]) == (401, "Invalid nonce - nonce has already been used.")


def test_a_clock_a_quarter_of_an_hour_off_is_refused(site):
    site.clock.ahead = timedelta(minutes=16)
    assert site.get("orders").json()["message"] == "Invalid timestamp."


def test_basic_authentication_counts_over_https_only(site):
    url, auth = f"{site.url}/wp-json/wc/v3/orders", ("ck_test", "cs_test")
    assert requests.get(url, auth=auth, timeout=5).json()["code"] == "woocommerce_rest_cannot_view"
    assert requests.get(url, auth=auth, headers={"X-Forwarded-Proto": "https"}, timeout=5).status_code == 200
    wrong = requests.get(url, auth=("ck_test", "no"), headers={"X-Forwarded-Proto": "https"}, timeout=5)
    assert wrong.json()["message"] == "Consumer secret is invalid."


def test_an_unknown_order_answers_as_recorded(site):
    real = recorded("error_404_order")
    answer = site.get("orders/999")
    assert (answer.status_code, answer.json()) == (real["status"], real["body"])
    assert site.api().put("orders/999", {"status": "completed"}).status_code == 400
    assert site.get("orders/999/refunds").json() == []


def test_a_page_too_large_answers_as_recorded(site):
    real = recorded("error_400_param")
    answer = site.get("orders", per_page=101)
    assert (answer.status_code, answer.json()) == (real["status"], real["body"])


def test_an_unknown_route_is_json_of_wordpress(site):
    answer = site.get("nothing-here")
    assert (answer.status_code, answer.json()["code"]) == (404, "rest_no_route")


def test_pages_say_how_many_there_are(site):
    for _ in range(5):
        site.shop.place(recorded("order_simple_paid"))
    answer = site.get("orders", per_page=2, page=2, orderby="id", order="asc")
    assert [order["id"] for order in answer.json()] == [1003, 1004]
    assert (answer.headers["X-WP-Total"], answer.headers["X-WP-TotalPages"]) == ("5", "3")
    assert 'rel="prev"' in answer.headers["Link"] and 'rel="next"' in answer.headers["Link"]
    assert site.get("orders", per_page=2, page=9).json() == []


def test_any_status_hides_the_trash_and_drafts_even_beside_trash(site):
    kept, trashed = (site.shop.place(recorded("order_simple_paid")) for _ in range(2))
    draft = site.shop.place(recorded("order_status_pending") | {"status": "checkout-draft"})
    site.shop.trash(trashed)
    assert site.ids() == site.ids(status="any") == [kept]
    assert site.ids(**{"status[0]": "any", "status[1]": "trash"}) == [kept]
    assert site.ids(status="trash") == [trashed]
    assert site.ids(**{"status[0]": "trash", "status[1]": "checkout-draft"}) == [trashed, draft]
    assert site.ids(status="processing,trash") == [kept, trashed]
    assert site.get("orders", status="wrong").status_code == 400
    assert site.get(f"orders/{trashed}").json()["status"] == "trash"


def test_modified_after_is_exclusive_and_in_gmt_only_without_an_offset(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    order = site.shop.order(order_id)
    gmt, before = order["date_modified_gmt"], earlier(order["date_modified_gmt"])
    assert site.ids(modified_after=before, dates_are_gmt="true") == [order_id]
    assert site.ids(modified_after=gmt, dates_are_gmt=True) == []
    assert site.ids(modified_before=gmt, dates_are_gmt=True) == []
    # In the site's own time unless told otherwise.
    assert site.ids(modified_after=earlier(order["date_modified"])) == [order_id]
    assert site.ids(modified_after=order["date_modified"]) == []
    # With Z it is first brought into the site's time, one hour on, and so hides what it should show.
    assert site.ids(modified_after=before + "Z", dates_are_gmt=True) == []
    assert site.get("orders", modified_after="2026-11-23").status_code == 400


def earlier(text):
    return (datetime.fromisoformat(text) - timedelta(seconds=1)).isoformat()


def test_orders_sort_by_id_and_by_date_modified(site):
    first, second = (site.shop.place(recorded("order_simple_paid")) for _ in range(2))
    site.clock.ahead = timedelta(seconds=5)
    site.shop.set_status(first, "completed")
    assert site.ids(orderby="modified") == [second, first]
    assert site.ids(orderby="id", order="desc") == [second, first]
    assert site.get("orders", orderby="total").status_code == 400


def test_include_exclude_and_fields_narrow_the_answer(site):
    a, b, c = (site.shop.place(recorded("order_simple_paid")) for _ in range(3))
    assert site.ids(include=f"{a},{c}") == [a, c]
    assert site.ids(exclude=b) == [a, c]
    assert site.get("orders", include=a, _fields="id,date_modified_gmt").json()[0].keys() == {"id", "date_modified_gmt"}


def test_refunds_are_made_read_and_deleted_over_rest(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    line = site.shop.order(order_id)["line_items"][0]["id"]
    made = site.api().post(
        f"orders/{order_id}/refunds", {"line_items": [{"id": line, "quantity": 1}], "api_refund": False}
    )
    assert made.status_code == 201 and made.json()["refunded_payment"] is False
    refund_id = made.json()["id"]
    assert site.get(f"orders/{order_id}/refunds").json() == [made.json()]
    assert site.get(f"orders/{order_id}/refunds/{refund_id}").json() == made.json()
    assert site.api().delete(f"orders/{order_id}/refunds/{refund_id}").status_code == 501
    assert site.api().delete(f"orders/{order_id}/refunds/{refund_id}", params={"force": True}).status_code == 200
    assert site.get(f"orders/{order_id}/refunds").json() == []
    assert site.get(f"orders/{order_id}/refunds/{refund_id}").status_code == 404


def test_a_refund_above_what_is_left_is_refused_with_500_as_woocommerce_does(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    answer = site.api().post(f"orders/{order_id}/refunds", {"amount": "100.00"})
    assert (answer.status_code, answer.json()["code"]) == (500, "woocommerce_rest_cannot_create_order_refund")


def test_deletion_goes_to_the_trash_first_and_for_good_by_force(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    assert site.api().delete(f"orders/{order_id}").status_code == 200
    assert site.shop.order(order_id)["status"] == "trash"
    assert site.api().delete(f"orders/{order_id}").status_code == 410
    assert site.api().delete(f"orders/{order_id}", params={"force": True}).status_code == 200
    assert site.get(f"orders/{order_id}").status_code == 404


def test_orders_are_created_paid_and_edited_over_rest(site):
    made = (
        site.api()
        .post(
            "orders",
            {
                "payment_method": "bacs",
                "set_paid": True,
                "line_items": [{"sku": "SKU-1", "quantity": 2, "total": "10.00"}],
            },
        )
        .json()
    )
    assert (made["total"], made["status"]) == ("10.00", "processing") and made["date_paid_gmt"]
    line = made["line_items"][0]["id"]
    edited = site.api().put(f"orders/{made['id']}", {"line_items": [{"id": line, "total": "7.00"}]}).json()
    assert edited["total"] == "7.00"
    assert site.api().put(f"orders/{made['id']}", {"status": "completed"}).json()["status"] == "completed"


def test_nonsense_in_a_body_is_a_400(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    assert site.api().post(f"orders/{order_id}/refunds", {"amount": "lots"}).status_code == 400
    assert site.api().put(f"orders/{order_id}", {"status": "no such status"}).status_code == 400
    assert site.shop.order(order_id)["total"] == "9.09"


def test_webhooks_can_be_listed_and_made_and_never_show_their_secret(site):
    wanted = {"topic": "order.updated", "delivery_url": "http://127.0.0.1:9/hook", "secret": "s3cret"}
    made = site.api().post("webhooks", wanted)
    assert made.status_code == 201 and made.json()["status"] == "active"
    assert site.pings == [b"webhook_id=1"]
    (listed,) = site.get("webhooks", per_page=100).json()
    assert listed == made.json()
    assert "s3cret" not in json.dumps(listed)
    assert site.api().post("webhooks", {**wanted, "topic": "order.exploded"}).status_code == 400
    assert site.api().put("webhooks/1", {"status": "paused"}).json()["status"] == "paused"


def test_a_check_finds_version_settings_and_gateways(site):
    assert site.get("system_status").json()["environment"]["version"] == "11.0.1"
    assert site.get("settings/tax").json() == recorded("settings_tax")
    assert site.get("settings/general/woocommerce_currency").json()["id"] == "woocommerce_currency"
    assert site.get("payment_gateways").json()[0]["id"] == "bacs"
    assert site.get("data").status_code == 200
    assert site.get("products", sku="SKU-000001").json()[0]["id"] == 12
    assert requests.get(f"{site.url}/wp-json/", timeout=5).json()["gmt_offset"] == "1"


@pytest.mark.parametrize(("mode", "status"), [("busy", 429), ("maintenance", 503), ("firewall", 403), ("all_404", 404)])
def test_a_host_on_a_bad_day(site, mode, status):
    order_id = site.shop.place(recorded("order_simple_paid"))
    site.weather.mode = mode
    answer = site.get(f"orders/{order_id}")
    assert answer.status_code == status
    assert "woocommerce_rest" not in answer.text
    assert ("Retry-After" in answer.headers) == (status in (429, 503))


def test_with_permalinks_flushed_the_plain_route_still_works(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    site.weather.mode = "all_404"
    url, https = f"{site.url}/?rest_route=/wc/v3/orders/{order_id}", {"X-Forwarded-Proto": "https"}
    assert requests.get(url, auth=("ck_test", "cs_test"), headers=https, timeout=5).json()["id"] == order_id


def test_orders_can_all_answer_as_unknown_though_they_are_there(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    site.weather.mode = "orders_404"
    assert site.get(f"orders/{order_id}").json() == recorded("error_404_order")["body"]
    assert site.ids() == [order_id]


def test_the_control_api_plays_orders_and_histories(site):
    post = lambda path, **body: requests.post(f"{site.url}/sandbox/{path}", json=body, timeout=5)  # noqa: E731
    order_id = post("orders", recording="order_usd").json()["order_id"]
    assert post(f"orders/{order_id}/edit", quantity=1).status_code == 200
    assert post(f"orders/{order_id}/refund", amount="1.00").status_code == 200
    assert post(f"orders/{order_id}/refund", amount="1000").status_code == 409
    assert post(f"orders/{order_id}/explode").status_code == 404
    assert post("orders/77/cancel").status_code == 404
    assert post("mode", mode="nice").status_code == 400
    replay = post("histories", recording="trashed_and_deleted").json()["replay"]
    steps = [post(f"histories/{replay}/step").json() for _ in range(4)]
    assert [step["after"] for step in steps] == ["created paid", "moved to the trash", "deleted for good", None]
    assert [order["id"] for order in requests.get(f"{site.url}/sandbox/orders", timeout=5).json()] == [order_id]


def test_the_page_shows_orders_and_its_buttons_work(site):
    order_id = site.shop.place(recorded("order_simple_paid"))
    page = requests.get(site.url, timeout=5).text
    assert "9.09 EUR" in page and f"/sandbox/orders/{order_id}/send-twice" in page
    token = re.search('name="form_token" value="([0-9a-f]+)"', page)[1]
    button = f"{site.url}/sandbox/orders/{order_id}/cancel"
    assert requests.post(button, data={"form_token": "other"}, timeout=5).status_code == 403
    pressed = requests.post(button, data={"form_token": token}, timeout=5)
    assert pressed.status_code == 200 and "cancelled" in pressed.text
