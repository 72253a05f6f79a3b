"""The day that goes on until Ctrl-C: orders drop in now and then, some are shipped, some come back, goods arrive."""

from __future__ import annotations

import time
from random import Random

import requests
from rich.markup import escape

from counterfoil_engine.demo.baskets import SHOPPERS, some_basket
from counterfoil_engine.demo.branches import BRANCHES, Branch
from counterfoil_engine.demo.told import Story
from counterfoil_engine.demo.town import Town
from counterfoil_engine.demo.troubles import EDITED

EVERY_S = (5.0, 12.0)
LEAST_UNITS = 4
COMES_IN = 25


class Living:
    """One thing at a time. What it did last stands in a line that is written over."""

    def __init__(self, town: Town, story: Story) -> None:
        self.town, self.story, self.chance = town, story, Random()  # noqa: S311 - what is bought is no secret
        self.lately: list[tuple[str, int]] = []

    def go_on(self) -> None:
        """Until Ctrl-C."""
        with self.story.console.status("The day goes on: orders drop in now and then.", spinner="dots") as line:
            while True:
                end_s = time.monotonic() + self.chance.uniform(*EVERY_S)
                while time.monotonic() < end_s:
                    for name in self.started_again():
                        self.story.tell(f"The {name} ended; it is started again, and goes on where it was.")
                    time.sleep(0.5)
                if not self.town.places.is_still():
                    line.update(escape(self.step()))

    def started_again(self) -> list[str]:
        """Who was killed is started again, as whoever runs a server would have it."""
        gone = [child for child in self.town.children.values() if child.process is not None and not child.is_up()]
        for child in gone:
            child.start()
        return [child.name for child in gone]

    def step(self) -> str:
        branch, kind = self.chance.choice(BRANCHES), self.chance.random()
        try:
            if kind < 0.2 and len(self.lately) > 1:
                return self.ships()
            if kind < 0.3 and len(self.lately) > 3:
                return self.comes_back()
            return self.sells(branch)
        except requests.RequestException:
            return f"A shop or an ERP doesn't answer just now ({branch.city}); the day goes on."

    def sells(self, branch: Branch) -> str:
        """What somebody edited by hand isn't bought: its difference waits for the reader."""
        shop = self.town.shops[branch.store]
        there = {sku: units for sku, units in shop.stock().items() if units >= LEAST_UNITS and sku != EDITED}
        basket = {sku: units for sku, units in some_basket(self.chance).items() if sku in there}
        if not basket:
            return self.goods_come(branch)
        shopper = self.chance.choice(SHOPPERS)
        order_id = shop.sell(basket, shopper)
        self.lately.append((branch.store, order_id))
        return f"{shopper} buys in {branch.city}: order {branch.store}/{order_id}."

    def goods_come(self, branch: Branch) -> str:
        place = next(each for each in self.town.places.stores if each.branch is branch)
        there = {row["sku"]: int(row["on_hand"]) for row in place.erp("positions")["rows"]}
        mine = {sku: there[sku] + COMES_IN for sku in branch.on_hand}
        self.town.erps[branch.store].put(branch.warehouse, mine)
        return f"Goods come to the warehouse of {branch.city}: {COMES_IN} of each."

    def ships(self) -> str:
        store, order_id = self.lately.pop(0)
        self.town.shops[store].control(f"orders/{order_id}/complete")
        return f"Order {store}/{order_id} is shipped."

    def comes_back(self) -> str:
        store, order_id = self.lately.pop()
        self.town.shops[store].control(f"orders/{order_id}/refund-one")
        return f"One unit of order {store}/{order_id} comes back, and is refunded."
