"""The load: shoppers and merchants at a steady rate, through the shop's own API.

Each order gets a life when it is placed: what will happen to it, and when. Lives stay within what a shop's day is like:
what a person would have to decide (more than a few revisions a day, an unknown payment method) happens only where it is
meant to.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import requests

USUAL = (
    "order_simple_paid",
    "order_multiline_coupon_fee",
    "order_guest_fr",
    "order_usd",
    "order_variation",
    "order_before_edit",
)
RARE = (
    "order_fixed_cart_coupon_rounding",
    "order_gift_card_negative_fee",
    "order_zero_total",
    "order_jpy",
    "order_kwd",
    "order_status_completed",
    "order_prices_include_tax_coupon",
    "order_round_at_subtotal_prices_include_tax",
    "order_two_shipping_negative_taxable_fee",
    "order_compound_tax_canada",
    "order_untaxed_and_virtual_lines",
    "order_90_lines_two_coupons",
)
UNPAID = ("order_status_pending", "order_status_on-hold", "order_status_failed", "order_status_cancelled")
UNKNOWN_METHOD = "wallet_nobody_mapped"

Step = tuple[str, dict[str, Any]]

# How often each life is lived, of 1000 orders, and what happens in it.
LIVES: Sequence[tuple[int, str, tuple[Step, ...]]] = (
    (430, "kept", ()),
    (120, "completed", (("complete", {}),)),
    (70, "edited", (("edit", {}),)),
    (20, "edited twice", (("edit", {}), ("note", {}), ("edit", {}))),
    (70, "one sent back", (("refund-one", {}),)),
    (30, "one sent back, twice said", (("refund-one", {}), ("send-twice", {}))),
    (30, "price reduced", (("refund", {"amount": "1.00", "reason": "scratched"}),)),
    (40, "refunded", (("refund", {}),)),
    (15, "refund deleted", (("refund-one", {}), ("delete-refund", {}))),
    (50, "cancelled", (("cancel", {}),)),
    (15, "revived", (("cancel", {}), ("status", {"status": "processing"}))),
    (15, "trashed", (("trash", {}),)),
    (15, "restored", (("trash", {}), ("untrash", {}))),
    (10, "deleted", (("trash", {}), ("delete", {}))),
    (60, "noted", (("note", {}), ("note", {}))),
    (10, "nobody mapped it", ()),
)


@dataclass
class Life:
    order_id: int
    name: str
    steps: list[Step]
    last_refund: int | None = None


@dataclass
class Load:
    """Changes at `rate_s` a second from a thread of its own; `burst` makes so many as fast as the shop takes them."""

    shop_url: str
    key: str
    secret: str
    randomly: random.Random
    rate_s: float
    deletes: bool = True
    made: Counter[str] = field(default_factory=Counter)
    unsure: int = 0  # calls that the shop's death left without an answer
    refused: int = 0
    placed_unmapped: int = 0

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._waiting: list[tuple[int, int, Life]] = []
        self._tick, self._order = 0, itertools.count()
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    @property
    def changes(self) -> int:
        return sum(self.made.values())

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def burst(self, changes: int, timeout_s: float) -> int:
        """So many changes, beside the steady ones; how many there were in time."""
        before, end_s = self.changes, time.monotonic() + timeout_s
        while self.changes - before < changes and time.monotonic() < end_s and not self._ending.is_set():
            self._change()
        return self.changes - before

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._ending.is_set():
            if time.monotonic() >= due_s:
                due_s = max(due_s, time.monotonic() - 2.0) + 1 / self.rate_s
                self._change()
            self._ending.wait(max(0.0, min(0.1, due_s - time.monotonic())))

    def _change(self) -> None:
        with self._lock:
            self._tick += 1
            try:
                if self._waiting and (self._waiting[0][0] <= self._tick):
                    life = heapq.heappop(self._waiting)[2]
                    self._live(life)
                else:
                    life = self._place()
                if life.steps:
                    later = self._tick + self.randomly.choice((1, 2, 5, 20, 60, 200))
                    heapq.heappush(self._waiting, (later, next(self._order), life))
            except requests.RequestException:
                # What became of it only the shop knows; the order, if it was one of ours, is left as it is.
                self.unsure += 1
                self._ending.wait(0.05)

    def _place(self) -> Life:
        names, weights = [life[1] for life in LIVES], [life[0] for life in LIVES]
        name = self.randomly.choices(names, weights)[0]
        steps = list(next(life[2] for life in LIVES if life[1] == name))
        if name == "deleted" and not self.deletes:
            steps = steps[:1]
        if name == "nobody mapped it":
            order = recorded("order_simple_paid")
            order["payment_method"] = UNKNOWN_METHOD
            body: dict[str, Any] = {"order": order}
            self.placed_unmapped += 1
        elif name in ("kept", "completed", "cancelled") and self.randomly.random() < 0.2:
            body = {"recording": self.randomly.choice(UNPAID)}
            steps = [("pay", {}), *steps] if self.randomly.random() < 0.7 else steps[:0]
        else:
            rare = name in ("kept", "completed", "refunded", "cancelled") and self.randomly.random() < 0.3
            body = {"recording": self.randomly.choice(RARE if rare else USUAL)}
        order_id = int(self._call("orders", body)["order_id"])
        self.made["place"] += 1
        return Life(order_id, name, steps)

    def _live(self, life: Life) -> None:
        action, body = life.steps.pop(0)
        if action == "note":
            self._note(life.order_id)
        else:
            if action == "delete-refund":
                body = {"refund_id": life.last_refund}
            answer = self._call(f"orders/{life.order_id}/{action}", body)
            if action == "refund-one":
                life.last_refund = answer.get("result")
        self.made[action] += 1

    def _note(self, order_id: int) -> None:
        note = {"customer_note": f"Ring twice ({self.randomly.randrange(1000)})."}
        url, behind_tls = f"{self.shop_url}/wp-json/wc/v3/orders/{order_id}", {"X-Forwarded-Proto": "https"}
        answer = self._session.put(url, json=note, auth=(self.key, self.secret), headers=behind_tls, timeout=15)
        if answer.status_code >= 400:
            self.refused += 1

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._session.post(f"{self.shop_url}/sandbox/{path}", json=body, timeout=15)
        if answer.status_code >= 400:
            self.refused += 1
            return {}
        return dict(answer.json())


def recorded(name: str) -> dict[str, Any]:
    file = resources.files("counterfoil_sandbox") / "recorded" / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))
