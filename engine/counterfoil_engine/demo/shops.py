"""The town's shops and ERPs from their back doors: what shoppers, merchants, gateways and bad days do to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import requests
from counterfoil_sandbox.shop_stock import PER_UNIT
from woocommerce import API  # type: ignore[import-untyped]

from counterfoil_engine.demo.baskets import NAMES, PRICES, order_of
from counterfoil_engine.demo.branches import Branch
from counterfoil_engine.demo.recordings import HISTORIES

TIMEOUT_S = 30


class Shop:
    """A branch's shop. file: its database. products: SKU → id, once there are some."""

    def __init__(self, branch: Branch, url: str, key: str, secret: str, file: Path) -> None:
        self.branch, self.url, self.file = branch, url, file
        self.rest = API(url, key, secret, version="wc/v3", timeout=TIMEOUT_S)
        self.products: dict[str, int] = {}
        self._replays: dict[str, int] = {}

    def add_products(self) -> None:
        """What it sells, of which it has none yet."""
        wanted = [
            {
                "name": NAMES[sku],
                "sku": sku,
                "regular_price": str(PRICES[sku]),
                "manage_stock": True,
                "stock_quantity": 0,
            }
            for sku in self.branch.on_hand
        ]
        made = self.control("products", products=wanted)["product_ids"]
        self.products = dict(zip(self.branch.on_hand, made, strict=True))

    def place(self, recording: str, *refunds: str) -> int:
        """A recorded order comes in."""
        return int(self.control("orders", recording=recording, refund_recordings=refunds)["order_id"])

    def sell(self, basket: Mapping[str, int], shopper: str, method: str = "") -> int:
        """Somebody buys of what is there."""
        order = order_of(self.branch, self.products, basket, shopper, method)
        return int(self.control("orders", order=order)["order_id"])

    def edit_stock(self, sku: str, units: int) -> None:
        """Somebody sets a number by hand, past every hook: in the shop's database."""
        with closing(sqlite3.connect(self.file, timeout=TIMEOUT_S)) as connection:
            connection.execute("update products set stock = ? where sku = ?", (units * PER_UNIT, sku))
            connection.commit()

    def stock(self) -> dict[str, int]:
        """SKU → what the shop has of it."""
        answer = self.rest.get("products", params={"per_page": 100})
        answer.raise_for_status()
        return {one["sku"]: one["stock_quantity"] for one in answer.json() if one["manage_stock"]}

    def order(self, order_id: int) -> dict[str, Any]:
        answer = self.rest.get(f"orders/{order_id}")
        answer.raise_for_status()
        return dict(answer.json())

    def step_histories(self) -> str:
        """Let the next thing happen to the order of each recorded history. Returns what happened, "" at the end."""
        told = []
        for name in HISTORIES:
            if name not in self._replays:
                self._replays[name] = self.control("histories", recording=name)["replay"]
            step = self.control(f"histories/{self._replays[name]}/step")
            if step["after"]:
                told.append(f"order {step['order_id']}: {step['after']}")
        return "; ".join(told)

    def deliveries_of(self, order_id: int) -> int:
        recent = self.state("webhooks")["recent"]
        return sum(1 for each in recent if each["order_id"] == order_id and each["outcome"] == "delivered")

    def control(self, path: str, **body: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/sandbox/{path}", json=body, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return dict(answer.json())

    def state(self, path: str) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/sandbox/{path}", timeout=TIMEOUT_S).json())


class Erp:
    """A sandbox ERP's switches and its warehouse."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self._headers = url, {"Authorization": f"Bearer {token}"}

    def modes(self, **modes: Any) -> None:
        self._post("modes", modes)

    def mode(self, name: str) -> Any:
        return requests.get(f"{self.url}/sandbox/modes", headers=self._headers, timeout=TIMEOUT_S).json()[name]

    def put(self, warehouse: str, on_hand: Mapping[str, int]) -> None:
        """So many are there from now on."""
        rows = [{"warehouse": warehouse, "sku": sku, "on_hand": str(units)} for sku, units in on_hand.items()]
        self._post("positions", {"rows": rows})

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        url = f"{self.url}/sandbox/{path}"
        requests.post(url, json=body, headers=self._headers, timeout=TIMEOUT_S).raise_for_status()
