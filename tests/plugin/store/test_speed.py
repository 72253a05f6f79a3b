"""How fast this very shop takes stock: by the plugin, and by REST in batches of 100. STORE_ITEMS: how many products."""

from __future__ import annotations

import os
import time
from typing import Any

ITEMS = int(os.environ.get("STORE_ITEMS", "300"))
AT_LEAST_TIMES = 20


def test_the_plugin_takes_stock_at_least_twenty_times_as_fast_as_rest_in_batches(
    plugin: Any, rest: Any, made: Any
) -> None:
    ids = made.products(ITEMS, stock=50)
    started = time.perf_counter()
    for start in range(0, ITEMS, 100):
        rest.post("products/batch", {"update": [{"id": id_, "stock_quantity": 60} for id_ in ids[start : start + 100]]})
    by_rest = ITEMS / (time.perf_counter() - started)
    rates = []
    for number in (70, 80, 90):
        version = time.time_ns()
        items = [{"stock_id": id_, "version": version, "number": number, "basis": {"epoch": 0, "n": 0}} for id_ in ids]
        started = time.perf_counter()
        results = plugin.post("/stock", {"items": items})["results"]
        rates.append(ITEMS / (time.perf_counter() - started))
        assert {result["verdict"] for result in results} == {"applied"}
    by_plugin = sorted(rates)[1]
    print(
        f"\nstock items per second: plugin {by_plugin:.0f}, REST batch {by_rest:.1f}, {by_plugin / by_rest:.0f} times"
    )
    assert by_plugin >= AT_LEAST_TIMES * by_rest
