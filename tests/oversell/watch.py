"""What is offered in each store, held against the ledger after every atomic step of a shop.

The same history is written in three ways. By basis is what the shop really does. Beside it two shadows of its stock see
the same sales and get the same numbers at the same moments: absolutely, as REST and most connectors do; and by
comparing the quantity with what it was when the numbers were read, and setting where it is unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from counterfoil_engine.domain.stock import sku_key
from counterfoil_engine.ports import FeedRow
from counterfoil_engine.work.feed import EPOCH_BITS
from counterfoil_sandbox.shop import Shop
from counterfoil_sandbox.shop_stock import PER_UNIT, status_of

from oversell.engine import Engine, Published
from oversell.ledger import Ledger

BASIS, COMPARED, ABSOLUTE = "basis", "compare-and-set", "absolute"
WAYS = (BASIS, COMPARED, ABSOLUTE)

OF_POOL = (1 << EPOCH_BITS) - 1  # of a version as it is told

Key = tuple[str, str]  # store, SKU


@dataclass
class Standing:
    """A product's stock in one way of writing. version: of the last number written; None: nobody's number stands, but
    somebody's hand. unproven: goods that were put back though they were shipped: the merchant's word until a number."""

    quantity: int = 0
    version: int | None = None
    unproven: int = 0
    excess: int = 0


@dataclass
class Watch:
    shops: dict[str, Shop]
    ledger: Ledger
    engine: Engine
    standing: dict[str, dict[Key, Standing]] = field(default_factory=lambda: {way: {} for way in WAYS})
    units: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    seen: dict[Key, int] = field(default_factory=dict)
    written: dict[Key, tuple[int, int]] = field(default_factory=dict)  # version, and whether its end has come
    compared: dict[Key, int] = field(default_factory=dict)  # the quantity when the numbers were read
    again: dict[Key, tuple[int, int]] = field(default_factory=dict)  # (number, version) to be tried again
    across: int = 0
    explained: int = 0
    failures: list[str] = field(default_factory=list)

    def begin(self) -> None:
        for store, sku, quantity in self._products():
            self.seen[store, sku] = quantity
            for way in WAYS:
                self.standing[way][store, sku] = Standing(quantity)

    def _products(self, only: str | None = None) -> list[tuple[str, str, int]]:
        """(store, SKU, quantity)"""
        query = "select sku, stock from products where manages = 1 order by id"
        return [
            (store, sku, stock // PER_UNIT)
            for store, shop in self.shops.items()
            if only in (None, store)
            for sku, stock in shop._all(query, ())
        ]

    # What changes stock

    def changed(self, store: str, by_hand: bool = False) -> None:
        """The shop itself changed its stock since the last look: by sales and returns, or a hand set it."""
        for _, sku, quantity in self._products(store):
            key = store, sku
            by = quantity - self.seen[key]
            self.seen[key] = quantity
            for way in WAYS:
                one = self.standing[way][key]
                if by_hand and by:
                    one.quantity, one.version, one.unproven = quantity, None, 0
                else:
                    one.quantity += by
        self.check(store)

    def put_back(self, store: str, sku: str, units: int) -> None:
        """Of a line that was put back so many units had been shipped."""
        for way in WAYS:
            self.standing[way][store, sku].unproven += units

    def numbers_read(self, store: str, rows: list[FeedRow]) -> None:
        for row in rows:
            if (key := (store, row.sku)) in self.standing[COMPARED]:
                self.compared[key] = self.standing[COMPARED][key].quantity
                self.again.pop(key, None)

    def sync(self, store: str) -> None:
        """See what writes of numbers did since the last look: to the shop, and to its shadows at the same moment."""
        for sku, quantity, version, number, lapsed in self.shops[store]._all(
            "select p.sku, p.stock, s.version, s.number, s.lapsed from products p join plugin_stock s"
            " on s.stock_id = p.id where p.manages = 1",
            (),
        ):
            key, quantity = (store, sku), quantity // PER_UNIT
            if (before := self.written.get(key, (0, 0))) == (version, lapsed):
                continue
            self.written[key] = version, lapsed
            if before[0] > version:
                self.failures.append(f"I5 {store} {sku}: version {version} was applied after {before[0]}")
            self._set(BASIS, key, quantity, version)
            self.seen[key] = quantity
            if not lapsed:
                self._set(ABSOLUTE, key, number, version)
                self._compare(key, number, version)
        self.check(store)

    def wrote(self, store: str, items: list[dict[str, Any]], results: list[dict[str, Any]]) -> None:
        """A write came to the shop. What is too old changes nothing there; who writes otherwise doesn't know that."""
        self.sync(store)
        named = {product.id: product.sku for product in self.shops[store].products.all("manages = 1")}
        for item, result in zip(items, results, strict=True):
            if result["verdict"] == "older" and item["stock_id"] in named:
                key = store, named[item["stock_id"]]
                self._set(ABSOLUTE, key, item["number"], item["version"])
                self._compare(key, item["number"], item["version"])
        self._check_status(store)
        self.check(store)

    def _check_status(self, store: str) -> None:
        """After a write each product's status fits its quantity, or a mark says that somebody has to look again."""
        marked = {row[0] for row in self.shops[store]._all("select stock_id from plugin_stock where crossing = 1", ())}
        for product in self.shops[store].products.all("manages = 1"):
            if product.status != status_of(product) and product.id not in marked:
                self.failures.append(f"{store} {product.sku}: {product.stock} in stock, and it is {product.status}")

    def _compare(self, key: Key, number: int, version: int) -> None:
        one = self.standing[COMPARED][key]
        if one.quantity == self.compared.get(key, one.quantity):
            self._set(COMPARED, key, number, version)
            self.again.pop(key, None)
        else:
            self.again[key] = number, version
        self.compared[key] = one.quantity

    def try_again(self, store: str) -> None:
        """Who compares reads again and tries again."""
        for key, (number, version) in list(self.again.items()):
            if key[0] == store:
                self._compare(key, number, version)

    def _set(self, way: str, key: Key, quantity: int, version: int) -> None:
        one = self.standing[way][key]
        one.quantity, one.version, one.unproven = quantity, version, 0

    # What must hold

    def check(self, store: str) -> None:
        """No unit is offered that was sold there (I4)."""
        for way in WAYS:
            for (of, sku), one in self.standing[way].items():
                if of != store or one.version is None:
                    continue
                excess = self._excess(store, sku, one)
                if excess > one.excess:
                    self.units[way] += excess - one.excess
                    if way == BASIS:
                        self.failures.append(
                            f"I4 {store} {sku}: {one.quantity} offered by version {one.version}, {excess} of them sold"
                        )
                one.excess = excess
        self._check_across(store)

    def _excess(self, store: str, sku: str, one: Standing) -> int:
        published = self._published((store, sku), one)
        if published is None:
            return 0
        may = self.ledger.offerable(store, sku, published.said_at)
        return max(0, max(0, one.quantity) - max(0, may) - one.unproven)

    def _check_across(self, store: str) -> None:
        """What the other stores sold, as far as a number counts it, isn't offered here either."""
        if len(self.shops) < 2:
            return
        for (of, sku), one in self.standing[BASIS].items():
            published = self._published((of, sku), one)
            if of != store or published is None:
                continue
            may = self.ledger.left_to_all(store, sku, published.said_at, published.counted)
            if max(0, one.quantity) > max(0, may) + one.unproven:
                self.failures.append(
                    f"{store} {sku}: {one.quantity} offered by version {one.version}; {may} are left once the sales of"
                    " other stores that it counts are off"
                )

    def sold(self, store: str, sku: str, units: int) -> None:
        """A shopper bought what was offered: goods that nobody has, and how many more may be by what is on its way?"""
        one = self.standing[BASIS][store, sku]
        published = self._published((store, sku), one)
        unsold = self.ledger.unsold(sku)
        over = min(units, max(0, -unsold))
        if not over or published is None or len(self.shops) < 2:
            return
        may = self.ledger.left_to_all(store, sku, published.said_at, published.counted)
        explained = may - unsold + one.unproven
        self.across += over
        self.explained += explained
        if over > explained:
            self.failures.append(f"{store} {sku}: {over} sold that nobody has, and delay explains {explained}")

    def _published(self, key: Key, one: Standing) -> Published | None:
        """What the number that stands rests on; None where a hand set the stock."""
        if one.version is None:
            return None
        return self.engine.published[sku_key(key[1]), one.version & OF_POOL]  # above is the engine's own epoch
