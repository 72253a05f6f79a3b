"""A bad day in half a minute: orders, stock, an ERP that is down, a lost answer, a double delivery, a dead agent.

All of it heals by itself; the proof says whether it did.
"""

from __future__ import annotations

import time
from random import Random

from counterfoil_engine.demo import proof
from counterfoil_engine.demo.baskets import SHOPPERS, some_basket
from counterfoil_engine.demo.branches import AUSTIN, BERLIN, BRANCHES, PARIS
from counterfoil_engine.demo.places import rows
from counterfoil_engine.demo.proof import Check
from counterfoil_engine.demo.recordings import AFTER, PAID, REFUNDED, UNPAID, WHILE_DOWN
from counterfoil_engine.demo.stock import agrees
from counterfoil_engine.demo.told import Story, prove, show_proof, told_of, upper_first
from counterfoil_engine.demo.town import Town

# WooCommerce tells times by the second: two changes of one order within it would be one.
A_SECOND = 1.1
COMES_IN = 24
SOLD_AT_START = {BERLIN.store: 6, PARIS.store: 7, AUSTIN.store: 9}


class Storm:
    """berlin: the shop where most of it happens. shown: an order of many lines there, to be looked at."""

    def __init__(self, town: Town, story: Story) -> None:
        self.town, self.story, self.tell = town, story, story.tell
        self.berlin, self.erp = town.shops[BERLIN.store], town.erps[BERLIN.store]
        self.chance, self._stepped_s, self.shown = Random(7), 0.0, 0  # noqa: S311 - what is bought is no secret

    def play(self) -> None:
        self.first_orders()
        self.warehouses_speak()
        self.the_erp_goes_down()
        self.an_answer_is_lost()
        self.a_delivery_comes_twice()
        self.the_agent_dies()
        while told := self.step_histories():
            self.tell(told)

    def first_orders(self) -> None:
        self.story.head("Orders come in, recorded ones and new ones; merchants edit, cancel, refund")
        self.shown = [self.berlin.place(name) for name in (*PAID, *UNPAID)][1]
        for names in REFUNDED:
            self.berlin.place(*names)
        for store, count in SOLD_AT_START.items():
            for _ in range(count):
                self.town.shops[store].sell(some_basket(self.chance), self.chance.choice(SHOPPERS))
        paid = len(PAID) + len(REFUNDED) + sum(SOLD_AT_START.values())
        self.tell(f"{paid + len(UNPAID)} orders: coupons, gift card, refunds, euros, dollars, yen, Kuwaiti dinars.")
        self.tell(self.step_histories())
        self.until_posted(paid)
        self.tell(
            f"{self.town.posted('sales_order')} sales orders are in the ERPs, {self.town.posted()} documents in all."
        )
        self.tell(f"Order {self.shown} there: {', '.join(self.documents_of(self.shown))}.")
        self.tell(self.step_histories())

    def until_posted(self, sales_orders: int) -> None:
        town = self.town
        town.until(lambda: town.posted("sales_order") >= sales_orders or None, "the orders to reach the ERPs")
        town.until(lambda: town.due() == 0 or None, "the orders to be posted")

    def warehouses_speak(self) -> None:
        self.story.head("The warehouses say what is there, and the shops offer it")
        self.town.until(lambda: agrees(self.town.places).ok or None, "the numbers to reach the shops")
        self.tell(f"The shop in Berlin had none: now it offers {told_of(self.berlin.stock())}.")
        self.erp.put(BERLIN.warehouse, {"TEAPOT": BERLIN.on_hand["TEAPOT"] + COMES_IN})
        order_id = self.berlin.sell({"MUG": 2}, "Ada Berg")
        self.town.until(lambda: self.town.knows(BERLIN.store, order_id) or None, "the sale to be heard")
        self.town.until(lambda: agrees(self.town.places).ok or None, "the sale and the goods to be counted")
        now = told_of(self.berlin.stock())
        self.tell(f"Order {order_id} takes 2 mugs while {COMES_IN} teapots come in: it offers {now}.")

    def the_erp_goes_down(self) -> None:
        self.story.head("The ERP of Berlin goes down")
        town, before = self.town, self.town.posted()
        self.erp.modes(fault="down", retry_after_s=1)
        self.tell("The ERP answers 503 to everything. The shops go on selling:")
        placed = [self.berlin.place(name) for name in WHILE_DOWN]
        self.tell(f"{len(placed)} more orders, one of them with 90 lines. {self.step_histories()}")
        town.until(lambda: town.breaker(BERLIN.entity), "the engine to notice that the ERP is down")
        self.tell(f"The engine has stopped calling it: {town.breaker(BERLIN.entity)}.")
        heard = lambda: all(town.knows(BERLIN.store, order_id) for order_id in placed) or None  # noqa: E731
        town.until(heard, "the engine to go on taking in")
        self.tell(f"It goes on taking in what is sold. {town.due()} documents wait, in the engine's database.")
        self.erp.modes(reset=True)
        town.until(lambda: town.posted() > before or None, "the engine to try the ERP again")
        town.until(lambda: town.due() == 0 or None, "what waited to be posted")
        self.tell(f"The ERP is back, and all that waited is posted: {town.posted() - before} documents, none twice.")

    def an_answer_is_lost(self) -> None:
        self.story.head("The ERP commits, and its answer is lost")
        self.erp.modes(fault="cut_after_commit", fault_times=1)
        for name in AFTER:
            self.berlin.place(name)
        self.town.until(lambda: self.erp.mode("fault") is None or None, "the lost answer")
        self.tell("The ERP committed, and the line was cut before it answered: the engine can't know what was done.")
        self.town.until(lambda: self.town.due() == 0 or None, "the engine to look up what became of them")
        self.tell("It asked the ERP for the keys, found the documents, and posted none of them again.")

    def a_delivery_comes_twice(self) -> None:
        self.story.head("A webhook delivery comes twice")
        shop, town = self.berlin, self.town
        town.until(lambda: not shop.state("webhooks")["waiting"] or None, "earlier deliveries to go out")
        shop.control("webhook-faults", faults=["twice"])
        order_id = shop.place("order_simple_paid")
        town.until(lambda: shop.deliveries_of(order_id) > 1 or None, "the delivery to come twice")
        town.until(lambda: town.knows(BERLIN.store, order_id) or None, f"order {order_id} to reach the engine")
        events = town.count("select count(*) from events where subject = ?", f"order {BERLIN.store}/{order_id}")
        twice = f"Order {order_id} was delivered {shop.deliveries_of(order_id)} times"
        self.tell(f"{twice}; the engine keeps {events} fact{'s' * (events != 1)} of it.")

    def the_agent_dies(self) -> None:
        self.story.head("The agent in Berlin dies: kill -9")
        first = [self.berlin.place(name) for name in ("order_guest_fr", "order_usd")]
        agent = self.town.children[f"agent of {BERLIN.store}"]
        agent.kill()
        self.tell(f"Killed while orders {first[0]} and {first[1]} were coming in. The shop goes on:")
        more = [self.berlin.place(name) for name in ("order_multiline_coupon_fee", "order_variation")]
        self.tell(f"Orders {more[0]} and {more[1]} come while nobody listens. {self.step_histories()}")
        agent.start()
        self.tell("The agent is started again. What its outbox holds and what it missed, it sends now.")
        there = lambda: all(self.town.knows(BERLIN.store, each) for each in first + more) or None  # noqa: E731
        self.town.until(there, "the missed orders to reach the engine")
        self.tell("All four are there.")

    def step_histories(self) -> str:
        """Let the next thing happen to each recorded history, a second after the last one."""
        time.sleep(max(0.0, self._stepped_s + A_SECOND - time.monotonic()))
        told = self.berlin.step_histories()
        self._stepped_s = time.monotonic()
        return upper_first(told) + "." if told else ""

    def documents_of(self, order_id: int) -> list[str]:
        """What the ERP has of an order, in its own numbers."""
        query = "select kind, number from documents where key like ? order by id"
        found = rows(self.town.places.erp_files[0], query, (f"{BERLIN.store}/{order_id}/%",))
        return [f"{row['kind'].replace('_', ' ')} {row['number']}" for row in found]

    # The proof

    def prove(self) -> bool:
        self.town.until(self.town.at_rest, "everything to come to rest")
        self.tell("Everything is at rest: nothing to send, to look at or to post.")
        self.story.head("The proof: shops, engine and ERPs compared from outside")
        found = prove(self.town.places)
        found.checks.append(self.replay_changes_nothing())
        held = show_proof(self.story, found)
        verdict = "[green]Every invariant held.[/green]" if held else "[red]An invariant did not hold.[/red]"
        stores = f"{len(found.lines)} orders of {len(BRANCHES)} stores"
        self.story.say(f"\n{verdict} {stores}, {self.town.posted()} documents, {self.story.age_s:.0f} s.")
        return held

    def replay_changes_nothing(self) -> Check:
        """I6: every fact is looked at again, and nothing comes of it."""
        name, before = "I6  replaying every event changes nothing", proof.fingerprint(self.town.places)
        self.town.command("replay", since="2000-01-01T00:00:00+00:00", store=None, dry_run=False)
        self.town.until(self.town.at_rest, "the replay to end")
        keys, balances = proof.fingerprint(self.town.places)
        is_same = (keys, balances) == before
        detail = f"{len(keys)} documents before and after" if is_same else f"{len(keys ^ before[0])} documents differ"
        return Check(name, is_same, detail)
