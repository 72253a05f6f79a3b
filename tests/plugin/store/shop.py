"""Two ways to a real WooCommerce: its REST API, and the plugin's signed routes."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import requests
from woocommerce import API

NAMESPACE = "/counterfoil/v1"
TIMEOUT_S = 120


def signature_of(key: str, method: str, path: str, timestamp: str, nonce: str, body: bytes) -> str:
    """path: the route with its parameters sorted, such as /counterfoil/v1/changes?limit=10."""
    text = "\n".join((method, path, timestamp, nonce, hashlib.sha256(body).hexdigest()))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


@dataclass
class Plugin:
    """url: the shop's. key: what pairing showed. Each call is signed anew; any part can be forged by a test."""

    url: str
    key: str

    def call(self, method: str, path: str, body: Any = None, **forged: Any) -> requests.Response:
        query = forged.get("query", {})
        raw = b"" if body is None else json.dumps(body).encode()
        route = NAMESPACE + path
        signed = route + ("?" + urlencode(sorted(query.items()), quote_via=quote, safe="") if query else "")
        timestamp = str(forged.get("timestamp", int(time.time())))
        nonce = forged.get("nonce", uuid.uuid4().hex)
        headers = {
            "X-Counterfoil-Timestamp": timestamp,
            "X-Counterfoil-Nonce": nonce,
            "X-Counterfoil-Signature": forged.get("signature")
            or signature_of(self.key, method, forged.get("signed", signed), timestamp, nonce, raw),
            "Content-Type": "application/json",
        }
        # rest_route works on every shop, whatever its permalinks.
        address = self.url.rstrip("/") + "/?" + urlencode({"rest_route": route, **query})
        return requests.request(method, address, data=forged.get("sent", raw), headers=headers, timeout=TIMEOUT_S)

    def get(self, path: str, **query: Any) -> Any:
        return _answer(self.call("GET", path, query={name: str(value) for name, value in query.items()}))

    def post(self, path: str, body: Any) -> Any:
        return _answer(self.call("POST", path, body))

    def changes(self) -> dict[str, Any]:
        """All that waits."""
        return dict(self.get("/changes", limit=1000))

    def acknowledge_all(self, epoch: int, first_n: int) -> int:
        """Take everything that waits, as an agent would; gives the last number used."""
        n = first_n - 1
        while True:
            told = self.changes()
            if not told["rows"]:
                return n
            numbers = {}
            for row in told["rows"]:
                n += 1
                numbers[row["id"]] = n
            self.post(
                "/ack",
                {
                    "epoch": epoch,
                    "rows": [{"id": row, "n": number} for row, number in numbers.items()],
                    "moves": [{"move_id": move["move_id"], "n": numbers[move["row_id"]]} for move in told["moves"]],
                },
            )

    def write(self, stock_id: int, number: Any, version: int, epoch: int = 0, n: int = 0) -> dict[str, Any]:
        item = {"stock_id": stock_id, "version": version, "number": number, "basis": {"epoch": epoch, "n": n}}
        return dict(self.post("/stock", {"items": [item]})["results"][0])


@dataclass
class Rest:
    """WooCommerce's REST API, version 3."""

    api: API

    def get(self, path: str, **query: Any) -> Any:
        return _answer(self.api.get(path, params=query))

    def post(self, path: str, body: Any) -> Any:
        return _answer(self.api.post(path, body))

    def put(self, path: str, body: Any) -> Any:
        return _answer(self.api.put(path, body))

    def delete(self, path: str, **query: Any) -> Any:
        return _answer(self.api.delete(path, params=query))

    def a_product(self, stock: int = 10, **more: Any) -> dict[str, Any]:
        body = {
            "name": "Counterfoil test",
            "sku": f"CF-{uuid.uuid4().hex[:12]}",
            "regular_price": "11.90",
            "manage_stock": True,
            "stock_quantity": stock,
            **more,
        }
        return dict(self.post("products", body))

    def an_order(self, *lines: tuple[int, int], **more: Any) -> dict[str, Any]:
        """lines: product and quantity. Paid unless told otherwise, so the stock is lowered."""
        body = {
            "set_paid": True,
            "payment_method": "bacs",
            "line_items": [{"product_id": product, "quantity": quantity} for product, quantity in lines],
            **more,
        }
        return dict(self.post("orders", body))

    def stock_of(self, product_id: int) -> int:
        return int(self.get(f"products/{product_id}")["stock_quantity"])


def rest(url: str, key: str, secret: str) -> Rest:
    return Rest(API(url, key, secret, version="wc/v3", timeout=TIMEOUT_S))


def _answer(response: requests.Response) -> Any:
    assert response.status_code < 300, (
        f"{response.request.method} {response.url}: {response.status_code} {response.text[:500]}"
    )
    return response.json()
