"""A real WooCommerce: how fast it takes stock, and how soon its page shows the ERP's number.

    python bench/store.py --store-url http://127.0.0.1:8099 --key ck_… --secret cs_… --plugin-key …

For a shop on this machine that may be spoilt: it gets 10,000 products, and numbers under versions above any engine's.
What is measured is what the agent uses: its two writers, and for the page all parties as processes. Exit status 1 where
short of a goal that doesn't depend on what else the machine does. What a checkout costs: `store_checkout.py`.
"""

from __future__ import annotations

import argparse
import ipaddress
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import requests
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.plugin import SignedPlugin
from counterfoil_agent.ports import Item, StockWrite, StoreStock
from counterfoil_agent.rest import RestStore
from counterfoil_agent.stock_writers import PluginStock, RestStock
from loguru import logger
from measure import SystemClock, in_turn, percentiles, tell
from store_chain import RealShop, agent, agent_settings, chain
from woocommerce import API

PREFIX, MOST_ITEMS = "CF-BENCH-", 10_000
SIZES = (1_000, MOST_ITEMS)
GOAL_TIMES = 20
TIMEOUT_S = 300.0
LOOK_S = 0.02  # between two looks at the page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store-url", required=True, type=a_shop_that_may_be_spoilt)
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--plugin-key", required=True)
    parser.add_argument(
        "--nudge", default="127.0.0.1:8790", help="where the plugin sends its word (default: %(default)s)"
    )
    parser.add_argument("--rest-items", type=int, default=200, help="products of a round over REST")
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--skip", nargs="*", default=[], choices=["writes", "page"])
    asked = parser.parse_args()
    logger.remove()
    shop = RealShop(asked.store_url, asked.key, asked.secret, asked.plugin_key, asked.nudge)
    parts: dict[str, Callable[[], bool]] = {
        "writes": lambda: writes(shop, asked.rest_items),
        "page": lambda: page(shop, asked.changes),
    }
    held = [part() for name, part in parts.items() if name not in asked.skip]
    return 0 if all(held) else 1


def a_shop_that_may_be_spoilt(url: str) -> str:
    """An argument's address, if it is on this machine."""
    host = urlsplit(url).hostname or ""
    if host != "localhost" and not _is_loopback(host):
        raise argparse.ArgumentTypeError(f"{host} isn't this machine: name a shop on 127.0.0.1 that may be spoilt")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# How fast the shop takes stock.


def writes(shop: RealShop, rest_items: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox.open(Path(folder) / "outbox.sqlite", Random(1))
        try:
            by_plugin = PluginStock(SignedPlugin(shop.url, shop.plugin_key, SystemClock(), TIMEOUT_S), outbox)
            by_rest = RestStock(RestStore(shop.url, shop.key, shop.secret, SystemClock(), TIMEOUT_S))
            items = test_items(shop, by_plugin, MOST_ITEMS)
            rates = in_turn(
                *(lambda size=size: _rate(by_plugin, items[:size]) for size in SIZES),  # type: ignore[misc]
                lambda: _rate(by_rest, items[:rest_items]),
            )
        finally:
            outbox.close()
    slow = rates.pop()
    for size, rate in zip(SIZES, rates, strict=True):
        tell(f"stock by the plugin, {size:,} SKUs", f"{rate:,.0f} items/s")
    tell(f"stock over REST, batches of {by_rest.most_items}, {rest_items} SKUs", f"{slow:,.1f} items/s")
    times = [rate / slow for rate in rates]
    tell("the plugin against REST", ", ".join(f"{each:,.0f} times" for each in times), f"at least {GOAL_TIMES} times")
    return min(times) >= GOAL_TIMES


def _rate(store: StoreStock, items: Sequence[Item]) -> float:
    """Items a second; every one gets another number than it has."""
    version, number = time.time_ns() // 1_000, 100 + time.time_ns() // 1_000_000 % 100_000
    began = time.perf_counter()
    for first in range(0, len(items), store.most_items):
        part = items[first : first + store.most_items]
        answers = store.write([StockWrite(item.stock_id, version, number, None) for item in part])
        odd = [answer for answer in answers if answer.verdict != "applied"]
        assert not odd, odd[:3]
    return len(items) / (time.perf_counter() - began)


def test_items(shop: RealShop, by_plugin: PluginStock, count: int) -> list[Item]:
    """The shop's products for this, made over REST where they lack, which takes long; they stay for the next time."""
    wanted = {f"{PREFIX}{number:05}" for number in range(1, count + 1)}
    lacking = sorted(wanted - {item.sku for item in _listed(by_plugin)})
    for first in range(0, len(lacking), 100):
        print(f"  {len(lacking) - first:,} products are to be made", file=sys.stderr, flush=True)
        make_products(shop, lacking[first : first + 100])
    return sorted((item for item in _listed(by_plugin) if item.sku in wanted), key=lambda item: item.sku)


def _listed(store: StoreStock) -> Iterator[Item]:
    cursor: str | None = ""
    while cursor is not None:
        items, cursor = store.page(cursor)
        yield from items


def make_products(shop: RealShop, skus: Sequence[str], stock: int = 50) -> list[int]:
    """Products that manage their stock; their ids."""
    rows = [
        {"name": f"Test {sku}", "sku": sku, "regular_price": "11.90", "manage_stock": True, "stock_quantity": stock}
        for sku in skus
    ]
    return [row["id"] for row in _rest(shop).post("products/batch", {"create": rows}).json()["create"]]


def _rest(shop: RealShop) -> API:
    return API(shop.url, shop.key, shop.secret, version="wc/v3", timeout=TIMEOUT_S)


# How soon the shop's page shows what the ERP has.


def page(shop: RealShop, changes: int) -> bool:
    run = uuid.uuid4().hex[:8]
    skus = [f"CF-PAGE-{run}-{number}" for number in range(5)]
    ids = make_products(shop, skus)
    took_ms, looked_ms = [], []
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            way = stack.enter_context(chain(folder, shop))
            way.say([(sku, 100) for sku in skus])
            settings = agent_settings(
                folder, shop, way.engine_port, switch="on", accept_when={"most_changes_share": 1.0}
            )
            stack.enter_context(agent(folder, shop, settings))
            for id_ in ids:
                _until_shown(shop, id_, 100, 180)
            for change in range(changes):
                place, number = change % len(skus), 200 + change
                time.sleep(Random(change).uniform(0.2, 1.2))  # so that nobody's own rounds are met
                began = time.perf_counter()
                way.say([(skus[place], number)])
                looked_ms.append(_until_shown(shop, ids[place], number, 120) * 1000)
                took_ms.append((time.perf_counter() - began) * 1000)
            html = requests.get(f"{shop.url}/?p={ids[place]}", timeout=TIMEOUT_S).text
            assert f"{number} in stock" in html, "the page in HTML shows another number"
    finally:
        _rest(shop).post("products/batch", {"delete": ids})
    half, most = percentiles(took_ms, 50, 95)
    tell(f"one SKU from the ERP to the shop's page, {changes} changes", f"p50 {half:,.0f} ms, p95 {most:,.0f} ms")
    tell("of that, the look at the page that saw it", f"p50 {percentiles(looked_ms, 50)[0]:,.0f} ms")
    return True


def _until_shown(shop: RealShop, product_id: int, number: int, timeout_s: float) -> float:
    """Look at what the shop's page is made from until it shows so many; the seconds of the last look."""
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        began = time.perf_counter()
        answer = requests.get(f"{shop.url}/wp-json/wc/store/v1/products/{product_id}", timeout=TIMEOUT_S)
        took_s = time.perf_counter() - began
        if answer.ok and answer.json()["add_to_cart"]["maximum"] == number:
            return took_s
        time.sleep(LOOK_S)
    raise TimeoutError(f"product {product_id} doesn't show {number} within {timeout_s:.0f} s")


def stock_up(shop: RealShop, skus: Sequence[str], number: int) -> list[int]:
    """Let the shop have so many of these, and make those that it doesn't sell; their ids."""
    ids: list[int] = []
    for sku in skus:
        found = _rest(shop).get("products", params={"sku": sku}).json()
        if found:
            _rest(shop).put(f"products/{found[0]['id']}", {"stock_quantity": number})
        ids += [found[0]["id"]] if found else make_products(shop, [sku], number)
    return ids


if __name__ == "__main__":
    raise SystemExit(main())
