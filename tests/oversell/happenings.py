"""What may happen in a history, how often, and which of it are faults.

Each takes the history and a random of its own, and says in a few words what it did; None where nothing could be done.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.shop import Shop
from counterfoil_sandbox.shop_plugin_routes import Routes
from counterfoil_sandbox.shop_stock import PER_UNIT

from oversell import agent as calls

if TYPE_CHECKING:
    from oversell.history import History

SOLD = ("processing", "completed", "on-hold")
GATES = ("plugin.stock.read", "plugin.stock.written", "plugin.stock.crossing")
DIES = "the process dies"


def act(history: History, what: str, random: Random, *more: Any) -> None:
    """Let it happen, and look at the stores."""
    for store in history.shops:
        history.watch.sync(store)
    detail = HAPPENINGS[what][1](history, random, *more)
    history.say(f"{what}{': ' + detail if detail else ''}")


# Shoppers


def buys(history: History, random: Random, store: str | None = None) -> str | None:
    """Only what is offered: WooCommerce looks at the stock before it takes the order."""
    store = store or random.choice(history.options.stores)
    shop, lines = history.shops[store], list[dict[str, int]]()
    for product in shop.products.all("manages = 1"):
        left = (product.stock or 0) // PER_UNIT
        if left > 0 and product.status == "instock" and (not lines or random.random() < 0.3):
            lines.append(_line(shop, product.id, random.randint(1, min(left, 3)), random))
    if not lines:
        return None
    random.shuffle(lines)
    states: list[dict[str, Any]] = [{"set_paid": True}, {"set_paid": True}, {"status": "on-hold"}, {}]
    state = random.choice(states[:3] if history.options.are_exclusive else states)
    order = shop.create({"payment_method": "bacs", "line_items": lines, **state})
    _changed(history, store, order)
    for line in lines if state else ():
        history.watch.sold(store, _sku_of(shop, line), line["quantity"])
    return f"{store} {order}, {[(line.get('variation_id') or line['product_id'], line['quantity']) for line in lines]}"


def _line(shop: Shop, product_id: int, quantity: int, random: Random) -> dict[str, int]:
    sizes = shop.products.all("parent_id = ?", (product_id,))
    size = {"variation_id": random.choice(sizes).id} if sizes else {}
    return {"product_id": product_id, "quantity": quantity, **size}


def _sku_of(shop: Shop, line: dict[str, Any]) -> str:
    stock = shop.products.is_stocked(line)
    return stock.sku if stock else ""


def _changed(history: History, store: str, order_id: int) -> None:
    """The ledger hears what the order's lines say of their stock, and the store is looked at."""
    shop, ledger = history.shops[store], history.ledger
    order = shop.order(order_id)
    there = set()
    for line in order["line_items"] if order else ():
        lowered = next((int(meta["value"]) for meta in line["meta_data"] if meta["key"] == "_reduced_stock"), 0)
        there.add(str(line["id"]))
        _lowered(history, (store, str(order_id), str(line["id"])), _sku_of(shop, line), lowered)
    if order:
        for name in list(ledger.lines):
            if name[:2] == (store, str(order_id)) and name[2] not in there:
                _lowered(history, name, ledger.lines[name].sku, 0)
    history.watch.changed(store)


def _lowered(history: History, name: tuple[str, str, str], sku: str, lowered: int) -> None:
    ledger = history.ledger
    before = ledger.lines[name].lowered if name in ledger.lines else 0
    ledger.lower(name[0], int(name[1]), int(name[2]), sku, lowered)
    line = ledger.lines[name]
    shipped = max(0, line.out - lowered) - max(0, line.out - before)
    if lowered < before and shipped > 0:
        history.watch.put_back(name[0], sku, shipped)


def _one(
    history: History, random: Random, *statuses: str, of: str | None = None
) -> tuple[str, Shop, dict[str, Any]] | None:
    found = [
        (store, shop, order)
        for store, shop in history.shops.items()
        if of in (None, store)
        for order in (shop.order(order_id) for order_id in shop.order_ids())
        if order and order["status"] in statuses and not _is_kept_to(history, store, order)
    ]
    return random.choice(found) if found else None


def _is_kept_to(history: History, store: str, order: dict[str, Any]) -> bool:
    """Where shares are exclusive nothing is put back that was shipped: it would be offered, and not be there."""
    name = store, str(order["id"])
    return history.options.are_exclusive and any(
        line.out or line.held for of, line in history.ledger.lines.items() if of[:2] == name
    )


def status(to: str, *before: str, lowers: bool = False) -> Any:
    """lowers: stock that nobody looks at before, as the offer was long ago."""

    def change(history: History, random: Random, store: str | None = None) -> str | None:
        if (lowers and history.options.are_exclusive) or (one := _one(history, random, *before, of=store)) is None:
            return None
        store, shop, order = one
        shop.set_status(order["id"], to)
        _changed(history, store, order["id"])
        return f"{store} {order['id']}"

    return change


def refunds(history: History, random: Random) -> str | None:
    """Some units of a line, put back or not."""
    if (one := _one(history, random, "processing", "completed")) is None or not one[2]["line_items"]:
        return None
    store, shop, order = one
    line = random.choice(order["line_items"])
    given_back = sum(
        -int(part["quantity"])
        for refund in shop.refunds(order["id"])
        for part in refund["line_items"]
        if part["meta_data"][0]["value"] == str(line["id"])
    )
    left = line["quantity"] - given_back
    if left < 1:
        return None
    units, restock = random.randint(1, left), random.random() < 0.7
    shop.refund(order["id"], {line["id"]: units}, restock=restock)
    _changed(history, store, order["id"])
    return f"{store} {order['id']}, {units} of line {line['id']}{', put back' if restock else ''}"


def edits(history: History, random: Random) -> str | None:
    if (one := _one(history, random, *SOLD)) is None or not one[2]["line_items"] or one[2]["refunds"]:
        return None
    store, shop, order = one
    line = random.choice(order["line_items"])
    stock = shop.products.is_stocked(line)
    most = line["quantity"] + max(0, (stock.stock or 0) // PER_UNIT if stock else 0)
    quantity = random.randint(0, min(most, line["quantity"] + 2))
    shop.edit_quantity(order["id"], quantity, line["id"])
    _changed(history, store, order["id"])
    return f"{store} {order['id']}, line {line['id']} to {quantity}"


def deletes(history: History, random: Random) -> str | None:
    """Into the trash, or for good: neither puts anything back."""
    if (one := _one(history, random, *SOLD, "cancelled", "refunded")) is None:
        return None
    store, shop, order = one
    for_good = random.random() < 0.5 and not history.options.is_plugin_new
    (shop.delete if for_good else shop.trash)(order["id"])
    _changed(history, store, order["id"])
    return f"{store} {order['id']}{' for good' if for_good else ''}"


# The merchant


def sets_by_hand(history: History, random: Random) -> str:
    """Absolute, as in the admin or an import: it stands until the next number."""
    store = random.choice(history.options.stores)
    shop = history.shops[store]
    product = random.choice(shop.products.all("manages = 1"))
    quantity = random.randint(0, 12)
    if history.options.are_exclusive:
        return f"{store}: not where shares are kept to"
    shop.products.change(product.id, {"stock_quantity": quantity})
    history.watch.changed(store, by_hand=True)
    return f"{store} {product.sku} to {quantity}"


# Warehouses


def receives(history: History, random: Random) -> str:
    place = random.choice(history.places())
    units = random.randint(1, 6)
    history.ledger.come_in(place, units)
    return f"{units} {place[1]} in {place[0]}"


def allocates(history: History, random: Random) -> str | None:
    """The ERP takes hold of goods for a line that it knows of, perhaps before the engine has counted its sale."""
    ledger = history.ledger
    found = [
        (name, line, warehouse)
        for name, line in ledger.lines.items()
        for warehouse in history.options.warehouses
        if line.open and ledger.free((warehouse, line.sku)) > 0
    ]
    if not found:
        return None
    name, line, warehouse = random.choice(found)
    units = random.randint(1, min(line.open, ledger.free((warehouse, line.sku))))
    line.allocated[warehouse] = line.allocated.get(warehouse, 0) + units
    if random.random() < 0.3:
        history.say_positions([(warehouse, line.sku)])
        history.engine.read_positions()
    return f"{units} in {warehouse} for {'/'.join(name)}"


def lets_go(history: History, random: Random) -> str | None:
    found = [
        (name, line, warehouse)
        for name, line in history.ledger.lines.items()
        for warehouse, units in line.allocated.items()
        if units
    ]
    if not found:
        return None
    name, line, warehouse = random.choice(found)
    line.allocated[warehouse] -= 1
    if random.random() < 0.5:  # and its owner tells of the position alone, not of the lines
        history.say_positions([(warehouse, line.sku)], with_lines=False)
        history.engine.read_positions()
    return f"one in {warehouse} for {'/'.join(name)}"


def ships(history: History, random: Random) -> str | None:
    """What is allocated leaves, even where the order was cancelled meanwhile."""
    found = [
        (name, line, warehouse)
        for name, line in history.ledger.lines.items()
        for warehouse, units in line.allocated.items()
        if units and (line.lowered >= line.out + line.held or not history.options.are_exclusive)
    ]
    if not found:
        return None
    name, line, warehouse = random.choice(found)
    units = random.randint(1, line.allocated[warehouse])
    line.allocated[warehouse] -= units
    line.shipped[warehouse] = line.shipped.get(warehouse, 0) + units
    return f"{units} from {warehouse} for {'/'.join(name)}"


def comes_back(history: History, random: Random) -> str | None:
    """A customer's parcel is received: goods that can be sold again."""
    found = [(name, line) for name, line in history.ledger.lines.items() if line.out > line.sent_back]
    if not found:
        return None
    name, line = random.choice(found)
    line.sent_back += 1
    warehouse = random.choice(history.options.warehouses)
    history.ledger.come_in((warehouse, line.sku), 1)
    return f"one {line.sku} of {'/'.join(name)} in {warehouse}"


def is_missing(history: History, random: Random) -> str | None:
    """A count finds fewer than there ought to be, of what nobody bought."""
    if history.options.are_exclusive:
        return None  # what was dealt out can't be kept where it isn't there
    ledger = history.ledger
    found = [place for place in history.places() if ledger.free(place) > 0 and ledger.unsold(place[1]) > 0]
    if not found:
        return None
    place = random.choice(found)
    units = random.randint(1, min(ledger.free(place), ledger.unsold(place[1])))
    ledger.come_in(place, -units)
    return f"{units} {place[1]} in {place[0]}"


def says_positions(history: History, random: Random) -> str:
    """The owner writes down what is there, and the engine reads it: now, or an old page comes later, perhaps twice."""
    places = random.sample(history.places(), random.randint(1, len(history.places())))
    with_lines = random.random() < 0.75
    rows = history.say_positions(places, with_lines)
    how = random.choice(("at once", "at once", "later", "late", "twice"))
    if how == "at once":
        history.engine.read_positions()
    elif how != "later":  # a reader that stood still, beside one that goes on
        history.after(random.uniform(1, 90), "an old page of positions comes", lambda: history.engine.say(rows))
    if how == "twice":
        history.after(random.uniform(1, 90), "an old page of positions comes", lambda: history.engine.say(rows))
    lines = "" if with_lines else ", without lines"
    return f"{', '.join('/'.join(place) for place in places)}{lines}, read {how}"


def reads_positions(history: History, random: Random) -> str:
    return f"{history.engine.read_positions()} rows"


# Parties work for a while


def works(history: History, random: Random) -> str:
    """An agent in one go: what it does when nothing is in its way."""
    store = random.choice(history.options.stores)
    agent = history.agents[store]
    did = [step.__name__ for step in (agent.read, agent.acknowledge, agent.send) if step()]
    history.engine.publish()
    did += [step.__name__ for step in (agent.ask, agent.write) if step()]
    return f"{store}: {', '.join(did) or 'nothing to do'}"


def time_passes(history: History, random: Random) -> str:
    """So long that a number may end, or a day begins (which is a count)."""
    hours = random.choice((0.2, 3, 12))
    history.pass_time(hours * 3600)
    for store, shop in history.shops.items():
        if shop.plugin:
            with suppress(calls.Lost):
                Routes(shop.plugin).after_call()
        history.watch.sync(store)
    return f"{hours} hours"


# What goes wrong


def a_call_fails(history: History, random: Random) -> str:
    store = random.choice(history.options.stores)
    call = random.choice(("changes", "ack", "ack", "events", "events", "feed", "stock", "stock", "stock"))
    faults = [calls.LOST, calls.CUT, calls.DOUBLED, calls.LATE, calls.LATE]
    fault = random.choice(faults)
    history.next_calls.setdefault(f"{store} {call}", deque()).append(fault)
    return f"{store} {call}: {fault}"


def an_event_is_broken(history: History, random: Random) -> str:
    store = random.choice(history.options.stores)
    fault = random.choice((calls.BROKEN, calls.BROKEN_AND_CUT))
    if history.options.is_agent_shipped:
        fault = calls.BROKEN  # see docs/oversell.md: it isn't told of one whose answer was lost
    history.next_calls.setdefault(f"{store} events", deque()).append(fault)
    return f"{store}: {fault}"


def somebody_comes_between(history: History, random: Random) -> str:
    """Between two steps of a write of stock: a shopper, or whoever puts something back."""
    gate = random.choice(GATES)
    what = "an order is cancelled" if gate == GATES[-1] or random.random() < 0.3 else "a shopper buys"
    history.meanwhile.append((gate, what, random.getrandbits(32)))
    return f"{what}, at {gate}"


def a_write_dies(history: History, random: Random) -> str:
    gate = random.choice(GATES)
    history.meanwhile.append((gate, DIES, 0))
    return gate


def the_agent_dies(history: History, random: Random) -> str:
    store = random.choice(history.options.stores)
    history.agents[store].start()
    return store


def a_process_of_the_shop_dies(history: History, random: Random) -> str:
    """The next request's rows stay open."""
    store = random.choice(history.options.stores)
    plugin = history.shops[store].plugin
    assert plugin is not None
    plugin.dies = True
    return store


def the_engine_starts_anew(history: History, random: Random) -> None:
    history.engine.start()


def numbers_begin_anew(history: History, random: Random) -> str:
    """The agent goes on in a new epoch: what it keeps gets other numbers."""
    store = random.choice(history.options.stores)
    history.agents[store].renumber()
    return store


HAPPENINGS: dict[str, tuple[float, Any]] = {
    "a shopper buys": (12, buys),
    "an order is cancelled": (3, status("cancelled", *SOLD, "pending")),
    "an order is paid": (2, status("processing", "pending", "on-hold", lowers=True)),
    "an order is completed": (1, status("completed", "processing")),
    "a cancelled order is revived": (1, status("processing", "cancelled", lowers=True)),
    "a line is refunded": (3, refunds),
    "a line is edited": (2, edits),
    "an order is thrown away": (1, deletes),
    "stock is set by hand": (1, sets_by_hand),
    "goods arrive": (2, receives),
    "goods are allocated": (7, allocates),
    "goods are let go": (4, lets_go),
    "goods are shipped": (5, ships),
    "goods come back": (1, comes_back),
    "goods are missing": (1, is_missing),
    "positions are written down": (5, says_positions),
    "positions are read": (3, reads_positions),
    "an agent works": (12, works),
    "time passes": (0.5, time_passes),
    "a call fails": (6, a_call_fails),
    "an event is broken": (2, an_event_is_broken),
    "somebody comes between": (6, somebody_comes_between),
    "a write dies": (1, a_write_dies),
    "the agent dies": (1, the_agent_dies),
    "a process of the shop dies": (1, a_process_of_the_shop_dies),
    "the engine starts anew": (0.5, the_engine_starts_anew),
    "numbers begin anew": (0.5, numbers_begin_anew),
}
FAULTS = tuple(HAPPENINGS)[-8:]
