"""A shopper at the till, by WooCommerce's two ways: the plugin tells of the order and its units, whichever it was."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests

TIMEOUT_S = 120
EPOCH = 2_000_000 + int(time.time()) % 1_000_000
WITHOUT_A_GATEWAY = ("cod", "bacs", "cheque")
ADDRESS = {"first_name": "A", "last_name": "Shopper", "address_1": "Street 1", "city": "Berlin", "postcode": "10115"}


@dataclass
class Shopper:
    """rest: what the shop says of itself. Each has a session of its own."""

    url: str
    rest: Any

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.address = {**ADDRESS, "country": self._setting("general", "woocommerce_default_country").split(":")[0]}
        self.pays_by = next(
            (
                way["id"]
                for way in self.rest.get("payment_gateways")
                if way["enabled"] and way["id"] in WITHOUT_A_GATEWAY
            ),
            "",
        )
        if not self.pays_by:
            pytest.skip(f"the shop takes none of {', '.join(WITHOUT_A_GATEWAY)}: switch one on to try its checkouts")

    def by_blocks(self, product: int, quantity: int) -> int:
        token = self._store_api("GET", "cart").headers["Cart-Token"]
        self.session.headers["Cart-Token"] = token
        self._store_api("POST", "cart/add-item", {"id": product, "quantity": quantity})
        billing = {**self.address, "email": "shopper@example.com"}
        placed = {"billing_address": billing, "shipping_address": self.address, "payment_method": self.pays_by}
        return int(self._store_api("POST", "checkout", placed).json()["order_id"])

    def by_the_classic_form(self, product: int, quantity: int) -> int:
        page = self._setting("advanced", "woocommerce_checkout_page_id")
        self._ask("GET", {"add-to-cart": str(product), "quantity": str(quantity)})
        form = self._ask("GET", {"page_id": page}).text
        nonce = re.search(r'name="woocommerce-process-checkout-nonce" value="(\w+)"', form)
        if nonce is None:
            pytest.skip("the shop's checkout page has no classic form: put [woocommerce_checkout] on it to try it")
        fields = {f"billing_{name}": value for name, value in self.address.items()}
        fields |= {"billing_email": "shopper@example.com", "billing_phone": "030", "payment_method": self.pays_by}
        fields |= {"woocommerce-process-checkout-nonce": nonce[1], "terms": "1", "terms-field": "1"}
        told = self._ask("POST", {"wc-ajax": "checkout"}, data=fields).json()
        assert told["result"] == "success", told
        found = re.search(r"order-received[/=](\d+)", told["redirect"])
        assert found, told
        return int(found[1])

    def _store_api(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self._ask(method, {"rest_route": f"/wc/store/v1/{path}"}, json=body)

    def _ask(self, method: str, query: dict[str, str], **more: Any) -> requests.Response:
        answer = self.session.request(method, self.url.rstrip("/") + "/", params=query, timeout=TIMEOUT_S, **more)
        assert answer.ok, f"{query}: {answer.status_code} {answer.text[:500]}"
        return answer

    def _setting(self, group: str, name: str) -> str:
        return str(self.rest.get(f"settings/{group}/{name}")["value"])


@pytest.mark.parametrize("buy", [Shopper.by_blocks, Shopper.by_the_classic_form], ids=["blocks", "classic form"])
def test_a_checkout_is_one_row_with_its_move_and_no_number_hides_it(
    plugin: Any, rest: Any, made: Any, buy: Callable[[Shopper, int, int], int]
) -> None:
    mug = made.product(10, virtual=True)
    n = plugin.acknowledge_all(EPOCH, 1)
    order = buy(Shopper(plugin.url, rest), mug["id"], 3)
    made.takes(order)
    told = plugin.changes()
    rows = [row for row in told["rows"] if (row["object"], row["object_id"]) == ("order", order)]
    assert rows and {row["object"] for row in told["rows"]} == {"order"}, "a sale alone is no change of a product"
    ids = {row["id"] for row in rows}
    moves = [(move["stock_id"], move["quantity"]) for move in told["moves"] if move["row_id"] in ids]
    assert moves == [(mug["id"], "-3")]
    assert plugin.write(mug["id"], 10, time.time_ns(), EPOCH, n)["stock"] == 7
