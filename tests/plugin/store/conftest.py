"""The store suite runs only where a shop is named: make test-store STORE_URL=… KEY=… SECRET=… PLUGIN_KEY=…"""

from __future__ import annotations

import importlib.util
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location("store_shop", Path(__file__).with_name("shop.py"))
assert _spec and _spec.loader
shop = importlib.util.module_from_spec(_spec)
sys.modules["store_shop"] = shop
_spec.loader.exec_module(shop)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a shop these are no tests of this run, and no row of skipped ones either."""
    if not os.environ.get("STORE_URL"):
        here = Path(__file__).parent
        items[:] = [item for item in items if here not in item.path.parents]


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        pytest.skip(f"no shop is named ({name}): make test-store STORE_URL=… KEY=… SECRET=… PLUGIN_KEY=…")
    return value


@pytest.fixture(scope="session")
def rest() -> Any:
    return shop.rest(_setting("STORE_URL"), _setting("STORE_KEY"), _setting("STORE_SECRET"))


@pytest.fixture(scope="session")
def plugin() -> Any:
    return shop.Plugin(_setting("STORE_URL"), _setting("STORE_PLUGIN_KEY"))


class Trash:
    """What the tests made in the shop, to be deleted at the end."""

    def __init__(self, rest: Any) -> None:
        self._rest, self._orders, self._products = rest, [], []

    def product(self, stock: int = 10, **more: Any) -> dict[str, Any]:
        made = self._rest.a_product(stock, **more)
        self._products.append(made["id"])
        return dict(made)

    def products(self, count: int, stock: int) -> list[int]:
        made: list[int] = []
        for start in range(0, count, 50):
            rows = [
                {
                    "name": "Counterfoil test",
                    "sku": f"CF-{uuid.uuid4().hex[:12]}",
                    "manage_stock": True,
                    "stock_quantity": stock,
                }
                for _ in range(start, min(count, start + 50))
            ]
            made += [row["id"] for row in self._rest.post("products/batch", {"create": rows})["create"]]
        self._products += made
        return made

    def order(self, *lines: tuple[int, int], **more: Any) -> dict[str, Any]:
        made = self._rest.an_order(*lines, **more)
        self._orders.append(made["id"])
        return dict(made)

    def takes(self, order_id: int) -> None:
        self._orders.append(order_id)

    def empty(self) -> None:
        for path, ids in (("orders", self._orders), ("products", self._products)):
            for start in range(0, len(ids), 50):
                self._rest.post(f"{path}/batch", {"delete": ids[start : start + 50]})


@pytest.fixture(scope="module")
def made(rest: Any) -> Iterator[Trash]:
    trash = Trash(rest)
    yield trash
    trash.empty()
