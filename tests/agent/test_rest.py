"""The shop over real HTTP: what is asked, what is taken, and what every other answer means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from counterfoil_agent.errors import Denied, RateLimited, Unavailable, Unreadable
from counterfoil_agent.ports import Absent, Ask, OrderNotSupported
from counterfoil_agent.rest import LARGEST_ORDER_BYTES, RestStore
from fakes.agent_shop import FakeShop, recorded, serving
from fakes.clock import FakeClock

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
HTML = b"<html><body>not WooCommerce</body></html>"


class Served:
    def __init__(self, shop: FakeShop, url: str, answers: list[Any]) -> None:
        self.shop, self.url, self.answers = shop, url, answers
        self.store = RestStore(url, "ck_a", "cs_secret", shop.clock, timeout_s=5)


@pytest.fixture
def served() -> Iterator[Served]:
    shop = FakeShop(FakeClock(START))
    with serving(shop) as (url, answers):
        yield Served(shop, url, answers)


def test_a_page_holds_the_bytes_that_the_shop_sent(served: Served) -> None:
    served.shop.put(1001, customer_note="Größe 5")
    page = served.store.page(Ask("modified", START))
    assert page.rows[0].raw == served.shop.bytes_of(1001)
    assert page.rows[0].at == START
    assert page.store_now == START


def test_bounds_are_asked_for_inclusively(served: Served) -> None:
    served.shop.put(1001)
    assert served.store.page(Ask("modified", START, START)).count == 1
    assert served.store.page(Ask("modified", START + timedelta(seconds=1))).count == 0
    assert served.store.page(Ask("created", START - timedelta(hours=1), START - timedelta(seconds=1))).count == 0


def test_an_order_by_itself_is_its_bytes(served: Served) -> None:
    served.shop.put(1001)
    assert served.store.order(1001) == served.shop.bytes_of(1001)


def test_an_unknown_order_is_told_by_woocommerces_own_code(served: Served) -> None:
    assert served.store.order(47) == Absent(404, "woocommerce_rest_shop_order_invalid_id")


def test_a_web_servers_404_has_no_code(served: Served) -> None:
    served.answers.append((404, {}, HTML))
    assert served.store.order(47) == Absent(404, "")


def test_more_refunds_than_a_page_holds_are_all_read(served: Served) -> None:
    served.shop.put(1001)
    served.answers.append((200, {}, json.dumps([{"id": n} for n in range(100)]).encode()))
    served.answers.append((200, {}, b'[{"id":100}]'))
    assert len(served.store.refunds(1001)) == 101


def test_an_older_woocommerce_says_that_it_cant_sort(served: Served) -> None:
    served.shop.sorts = False
    with pytest.raises(OrderNotSupported):
        served.store.page(Ask("modified", START))
    assert served.store.page(Ask("modified", START, by_id=True)).count == 0


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "says"),
    [
        (401, {}, json.dumps(recorded("error_401.json")["body"]).encode(), Denied, "read permission"),
        (403, {}, HTML, Denied, "firewall"),
        (404, {}, HTML, Unavailable, "Permalinks"),
        (301, {"Location": "https://www.shop/"}, b"", Unavailable, "shop.url"),
        (500, {}, b"<b>Fatal error</b>", Unavailable, "error log"),
        (503, {}, HTML, Unavailable, "error log"),
        (503, {"Retry-After": "5"}, HTML, RateLimited, "Nothing"),
        (429, {"Retry-After": "7"}, b"{}", RateLimited, "Nothing"),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b"{}", RateLimited, "Nothing"),
        (400, {}, json.dumps(recorded("error_400_param.json")["body"]).encode(), Unavailable, "error log"),
        (200, {}, HTML, Unreadable, "plugin"),
        (200, {}, b'{"orders":[]}', Unreadable, "plugin"),
    ],
)
def test_every_other_answer_has_a_remedy(
    served: Served, status: int, headers: dict[str, str], body: bytes, error: type[Exception], says: str
) -> None:
    served.answers.append((status, headers, body))
    with pytest.raises(error) as told:
        served.store.page(Ask("modified", START))
    assert says in told.value.remedy  # type: ignore[attr-defined]
    assert "cs_secret" not in str(told.value)


def test_a_pause_is_as_long_as_the_shop_asks(served: Served) -> None:
    served.answers.append((429, {"Retry-After": "7"}, b""))
    with pytest.raises(RateLimited) as told:
        served.store.order(1)
    assert told.value.retry_after_s == 7


def test_an_order_without_end_is_cut_off_and_told_with_its_hash(served: Served) -> None:
    served.shop.put(1001)
    served.answers.append((200, {}, b'{"id":1001,"x":"' + b"a" * LARGEST_ORDER_BYTES + b'"}'))
    with pytest.raises(Unreadable) as told:
        served.store.order(1001)
    assert told.value.size_bytes > LARGEST_ORDER_BYTES
    assert len(told.value.hash) == 64


def test_another_order_than_asked_for_is_not_taken(served: Served) -> None:
    served.answers.append((200, {}, b'{"id":2}'))
    with pytest.raises(Unreadable, match="another"):
        served.store.order(1)


def test_a_byte_order_mark_before_the_json_is_no_harm(served: Served) -> None:
    served.answers.append((200, {}, b'\xef\xbb\xbf{"id":1}\n'))
    assert served.store.order(1) == b'{"id":1}'


def test_what_has_no_order_id_is_counted_but_no_row(served: Served) -> None:
    served.answers.append((200, {}, b'[{"id":1},{"id":"x"},5,null,{"id":99999999999999999999}]'))
    page = served.store.page(Ask("modified", START))
    assert (page.count, [row.order_id for row in page.rows]) == (5, [1])


def test_a_full_window_whose_paging_headers_are_cut_out_is_no_answer(served: Served) -> None:
    served.answers.append((200, {}, b'[{"id":1},{"id":2}]'))
    with pytest.raises(Unavailable, match="X-WP-TotalPages"):
        served.store.page(Ask("modified", START, by_id=True, size=2))


def test_a_shop_that_isnt_there_is_told_without_the_key() -> None:
    store = RestStore("http://127.0.0.1:9", "ck_a", "cs_secret", FakeClock(START), timeout_s=1)
    with pytest.raises(Unavailable) as told:
        store.order(1)
    assert "ck_a" not in str(told.value)
    assert "oauth" not in str(told.value)


@responses.activate
def test_over_https_the_key_is_basic_auth_and_not_in_the_address() -> None:
    responses.get("https://shop.example/wp-json/wc/v3/orders/1", body=b'{"id":1}')
    RestStore("https://shop.example/", "ck_a", "cs_b", FakeClock(START)).order(1)
    request = responses.calls[0].request
    assert request.headers["Authorization"].startswith("Basic ")
    assert "ck_a" not in str(request.url)
    assert request.headers["user-agent"].startswith("counterfoil-agent/")


@responses.activate
def test_over_http_requests_are_signed_by_oauth() -> None:
    responses.get("http://shop.example/wp-json/wc/v3/orders/1", body=b'{"id":1}')
    RestStore("http://shop.example", "ck_a", "cs_b", FakeClock(START)).order(1)
    assert "oauth_signature=" in str(responses.calls[0].request.url)
    assert "cs_b" not in str(responses.calls[0].request.url)
