"""What becomes of an order, by chance: what its store says of it, what warehouses and gateways say, what money moved.

Everything is told with the moment at which it comes in: a warehouse's word may come days late and out of order. What
would happen after the month's end has not happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from builders import (
    Json,
    Part,
    Shop,
    a_fee,
    a_line,
    a_refund,
    a_shipping,
    an_order,
    gmt,
    refund_of,
)
from counterfoil_engine.demo.proof import minor

from month.world import GIFT_CARD, SAYS_FEES, SKUS, WAREHOUSES, WMS, Market, StoreOf

END = datetime(2026, 11, 30, 18, tzinfo=UTC)
REFUNDS = ("line", "line", "line and goods", "before shipment", "amount", "shipping", "all", "all")


@dataclass(frozen=True)
class Txn:
    """A movement in a gateway's own books: what it settles in a payout. of: the charge that it belongs to."""

    source: str
    currency: str
    at: datetime
    category: str
    id: str
    of: str
    gross_minor: int
    fee_minor: int
    order: str


@dataclass
class Card:
    """A gift card, as the store's plugin keeps it."""

    code: str
    entity: str
    currency: str
    left_minor: int
    at: datetime


@dataclass
class Cards:
    """All gift cards, and what became of them by currency; minor units."""

    cards: list[Card] = field(default_factory=list)
    figures: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def note(self, entity: str, currency: str, figure: str, amount_minor: int) -> None:
        self.figures[entity, currency, figure] = self.figures.get((entity, currency, figure), 0) + amount_minor

    def usable(self, entity: str, currency: str, at: datetime) -> Card | None:
        own = (card for card in self.cards if (card.entity, card.currency) == (entity, currency))
        return next((card for card in own if card.at < at and card.left_minor > 0), None)


@dataclass
class Life:
    """One order. snapshots: when the agent read it, the order and its refunds in full; facts: when it comes in, what
    another party says; money: what the gateway's books have of it."""

    random: Random
    store: StoreOf
    market: Market
    id: int
    now: datetime
    cards: Cards
    method: str = ""
    parts: tuple[Part, ...] = ()
    coupon: Decimal = Decimal(0)
    status: str = "pending"
    created: datetime = field(init=False)
    paid: datetime | None = None
    completed: datetime | None = None
    refunds: list[Json] = field(default_factory=list)
    snapshots: list[tuple[datetime, Json, list[Json]]] = field(default_factory=list)
    facts: list[tuple[datetime, Json]] = field(default_factory=list)
    money: list[Txn] = field(default_factory=list)
    shipped: dict[int, int] = field(default_factory=dict)
    is_parted: bool = False

    def __post_init__(self) -> None:
        self.created = self.now

    @property
    def subject(self) -> str:
        return f"order {self.store.id}/{self.id}"

    @property
    def shop(self) -> Shop:
        return self.store.shop(self.market)

    @property
    def source(self) -> str:
        return {"stripe": self.store.stripe, "paypal": self.store.paypal}.get(self.method, self.method)

    @property
    def transaction(self) -> str:
        return {"stripe": f"ch_{self.store.id}{self.id}", "paypal": _paypal_id(self.store.id, self.id)}.get(
            self.method, ""
        )

    @property
    def has_wms(self) -> bool:
        return self.store.entity == "DE01"

    def order(self) -> Json:
        return an_order(
            *self.parts,
            shop=self.shop,
            coupon=str(self.coupon),
            currency=self.market.currency,
            country=self.market.country,
            status=self.status,
            paid=self.paid,
            created=self.created,
            modified=self.now,
            refunds=list(reversed(self.refunds)),
            id=self.id,
            payment_method=self.method,
            transaction_id=self.transaction if self.paid else "",
            customer_id=self.customer,
            date_completed_gmt=gmt(self.completed) if self.completed else None,
        )

    @property
    def customer(self) -> int:
        return self.id % 400 if self.id % 3 else 0

    def total_minor(self) -> int:
        return minor(self.order()["total"], self.market.currency)

    def left(self) -> Decimal:
        """What WooCommerce lets refunds give back still."""
        return Decimal(self.order()["total"]) - sum((Decimal(each["amount"]) for each in self.refunds), Decimal(0))

    def tell(self) -> None:
        """The agent reads the order now."""
        self.snapshots.append((self.now, self.order(), list(self.refunds)))

    def passes(self, **time: float) -> bool:
        """Time goes by; False where the month is over first."""
        later = self.now + timedelta(**time)
        if later > END:
            return False
        self.now = later
        return True

    def hours(self, least: float, most: float) -> float:
        return self.random.uniform(least, most)

    def fact(self, party: str, kind: str, id: str, late_hours: float, source: str, **body: object) -> None:
        named = {"store": self.store.id, "order": str(self.id)} if party == "wms" else {"store": None, "order": None}
        common = {"fact": f"counterfoil.{kind}.v1", "party": party, "source": source, "id": id}
        told = {**common, "at": f"{gmt(self.now)}Z", **named, **body}
        self.facts.append((self.now + timedelta(hours=late_hours), told))

    def moves(self, category: str, id: str, gross_minor: int, fee_minor: int = 0) -> None:
        """The gateway's own books take it."""
        currency, order = self.market.currency, str(self.id)
        txn = Txn(self.source, currency, self.now, category, id, self.transaction, gross_minor, fee_minor, order)
        self.money.append(txn)


# How an order begins.


def begin(random: Random, store: StoreOf, id: int, created: datetime, cards: Cards) -> Life:
    """An order with lines, perhaps a coupon, a fee, a gift card that is bought or used."""
    market = random.choices(store.markets, [market.share for market in store.markets])[0]
    life = Life(random, store, market, id, created, cards)
    methods, shares = ("stripe", "paypal", "bacs", "cod"), (45, 30, 15, 10 if life.has_wms else 0)
    life.method = random.choices(methods, shares)[0]
    step = 100 if market.currency == "JPY" else 1
    parts = [_item(random, n, step) for n in range(random.choices((1, 2, 3, 4), (40, 30, 20, 10))[0])]
    buys_card = life.method in ("stripe", "paypal") and random.random() < 0.06
    if buys_card:
        parts.append(a_line(f"{GIFT_CARD}-{50 * step}", 1, str(50 * step), "none", product_id=90))
    if random.random() < 0.7:
        parts.append(a_shipping(_price(random, 2, 9, step)))
    if random.random() < 0.15:
        parts.append(a_fee("Gift wrapping", _price(random, 1, 4, step)))
    if not buys_card and random.random() < 0.2:
        life.coupon = Decimal(random.choice((3, 5, 10)) * step)
    life.parts = tuple(replace(part, id=n + 1) for n, part in enumerate(parts))
    card = cards.usable(store.entity, market.currency, created)
    if card and not buys_card and random.random() < 0.5:
        _use(life, card)
    return life


def _item(random: Random, n: int, step: int) -> Part:
    sku, tax_class = random.choice(SKUS)
    return a_line(
        f"{sku}-{n}",
        random.choices((1, 2, 3, 5), (60, 20, 12, 8))[0],
        _price(random, 4, 90, step),
        tax_class,
        product_id=10 + n,
    )


def _price(random: Random, least: int, most: int, step: int) -> str:
    units = random.randint(least, most) * step
    return str(units) if step > 1 else f"{units}.{random.choice((0, 49, 90, 99)):02}"


def _use(life: Life, card: Card) -> None:
    """Part of a gift card pays for the order, at most half of it."""
    currency = life.market.currency
    amount = min(card.left_minor, life.total_minor() // 2)
    if amount <= 0:
        return
    card.left_minor -= amount
    value = -Decimal(amount) if currency == "JPY" else -Decimal(amount) / 100
    fee = a_fee(f"Gift card {card.code}", str(value), "none")
    life.parts = (*life.parts, replace(fee, id=len(life.parts) + 1))
    life.cards.note(life.store.entity, currency, "used", amount)


def used_minor(life: Life) -> int:
    fees = (part.amount for part in life.parts if part.name.startswith("Gift card"))
    return sum(minor(str(-amount), life.market.currency) for amount in fees)


# What becomes of it.


def live(life: Life) -> Life:
    """Its whole life, as far as the month goes."""
    random = life.random
    if not _order_and_pay(life):
        return life
    _sell_cards(life)
    refund = random.choice(REFUNDS) if random.random() < 0.25 else ""
    if (used_minor(life) and refund != "all") or any(part.name.startswith(GIFT_CARD) for part in life.parts):
        refund = ""
    if life.method != "cod" and not refund and random.random() < 0.08:
        _edit(life)
    if life.method == "cod" and random.random() < 0.1:
        if life.passes(hours=life.hours(2, 20)):
            life.status = "cancelled"
            _give_back(life)
            life.tell()
        return life
    if refund == "before shipment":
        _refund(life, refund)
    if _ship(life) and life.status == "completed" and refund not in ("", "before shipment"):
        _refund(life, refund)
    elif life.method == "stripe" and life.status == "completed" and random.random() < 0.06:
        _dispute(life)
    return life


def _order_and_pay(life: Life) -> bool:
    """Placed and, by its method, paid. False where it never was."""
    if life.method == "bacs":
        life.status = "on-hold"
        life.tell()
        if life.random.random() < 0.12:
            if life.passes(days=7):
                life.status = "cancelled"
                _give_back(life)
                life.tell()
            return False
        if life.random.random() < 0.1 and life.passes(hours=life.hours(1, 9)):
            _change_a_quantity(life)
            life.tell()
        if not life.passes(days=life.hours(1, 4)):
            return False
    elif life.method == "cod":
        life.status = "processing"
        life.tell()
        return True
    else:
        if life.random.random() < 0.3:
            life.tell()
        if not life.passes(minutes=life.hours(1, 20)):
            return False
    life.paid, life.status = life.now, "processing"
    life.tell()
    if life.transaction and life.total_minor():
        capture(life)
    return True


def fee_minor(life: Life, gross_minor: int) -> int:
    """What the gateway takes of a charge."""
    fixed = 25 if life.market.currency != "JPY" else 40
    return gross_minor * (15 if life.method == "stripe" else 25) // 1000 + fixed


def capture(life: Life) -> None:
    """The gateway has the money: in its books, and where it tells facts, as one."""
    gross, transaction = life.total_minor(), life.transaction
    fee = fee_minor(life, gross)
    life.moves("charge", transaction, gross, fee)
    if life.method != "stripe":
        return
    late, currency = life.random.choice((0.1, 0.1, 30)), life.market.currency
    body = {"transaction": transaction, "amount_minor": gross, "currency": currency}
    life.fact(
        "gateway", "captured", f"evt_c{transaction}", late, life.source, authorisation=None, method="card", **body
    )
    if life.source in SAYS_FEES:
        body["amount_minor"] = fee
        life.fact("gateway", "fee", f"txn_{transaction}", late + 1, life.source, **body)


def _sell_cards(life: Life) -> None:
    for part in life.parts:
        if part.name.startswith(GIFT_CARD):
            currency, entity = life.market.currency, life.store.entity
            amount = minor(str(part.amount), currency)
            life.cards.cards.append(Card(f"{life.store.id}{life.id}", entity, currency, amount, life.now))
            life.cards.note(entity, currency, "sold", amount)


def _give_back(life: Life) -> None:
    """What gift cards paid of an order that is refunded or cancelled goes back to a card."""
    amount = used_minor(life)
    if amount:
        life.cards.note(life.store.entity, life.market.currency, "given back", amount)


def _edit(life: Life) -> None:
    if life.passes(hours=life.hours(0.5, 5)):
        _change_a_quantity(life)
        life.tell()


def _change_a_quantity(life: Life) -> None:
    """The merchant changes how many of an item; never where a gift card pays part of it."""
    items = [part for part in life.parts if part.kind == "item" and not part.name.startswith(GIFT_CARD)]
    if used_minor(life) or life.coupon:
        return
    item = life.random.choice(items)
    quantity = item.quantity + life.random.choice((-1, 1) if item.quantity > 1 else (1,))
    changed = replace(item, quantity=quantity, amount=item.amount / item.quantity * quantity)
    life.parts = tuple(changed if part is item else part for part in life.parts)


# Goods.


def goods(life: Life) -> dict[int, int]:
    """How many of each line are to leave: what is ordered and not refunded."""
    left = {
        part.id: part.quantity for part in life.parts if part.kind == "item" and not part.name.startswith(GIFT_CARD)
    }
    for refund in life.refunds:
        for line in refund["line_items"]:
            left[int(line["meta_data"][0]["value"])] += line["quantity"]
    return {line: quantity for line, quantity in left.items() if quantity > 0}


def _ship(life: Life) -> bool:
    """In up to three parts, each from a warehouse of its own, told in any order; then the store completes it."""
    if life.status not in ("processing",):
        return False
    wanted = goods(life)
    if life.has_wms:
        parts = list(_parted(life.random, wanted))
        life.is_parted = len(parts) > 1
        for n, lines in enumerate(parts):
            if not life.passes(hours=life.hours(8, 50)):
                return False
            ship(life, f"s{n + 1}", lines)
    elif not life.passes(hours=life.hours(8, 70)):
        return False
    if not life.passes(hours=life.hours(1, 5)):
        return False
    life.status, life.completed = "completed", life.now
    if life.method == "cod":
        life.paid = life.now
    life.tell()
    return True


def ship(life: Life, id: str, lines: Mapping[int, int]) -> None:
    """Goods leave a warehouse; it says so at once, or up to two days later."""
    warehouse = life.random.choice(WAREHOUSES)
    late = life.random.choice((0.2, 0.2, 5, 48))
    body = {"warehouse": warehouse, "carrier": "DHL", "tracking": None}
    rows = [{"line": f"item:{line}", "quantity": str(quantity)} for line, quantity in lines.items()]
    life.fact("wms", "shipment", f"{life.store.id}-{life.id}-{id}", late, WMS, lines=rows, **body)


def _parted(random: Random, wanted: Mapping[int, int]) -> Iterator[dict[int, int]]:
    units = [line for line, quantity in wanted.items() for _ in range(quantity)]
    random.shuffle(units)
    count = min(len(units), random.choices((1, 2, 3), (60, 25, 15))[0])
    for n in range(count):
        part = units[n::count]
        yield {line: part.count(line) for line in sorted(set(part))}


# Money back.


def _refund(life: Life, kind: str) -> None:
    if not life.passes(hours=life.hours(1, 6) if kind == "before shipment" else life.hours(24, 150)):
        return
    refund = _written(life, kind)
    if refund is None:
        return
    life.refunds.append(refund)
    if life.left() <= 0:
        life.status = "refunded"
        _give_back(life)
    life.tell()
    if life.transaction:
        pay_back(life, refund)
    if kind == "line and goods" and life.has_wms and life.passes(days=life.hours(1, 4)):
        rows = [
            {"line": f"item:{line['meta_data'][0]['value']}", "quantity": str(-line["quantity"]), "condition": "good"}
            for line in refund["line_items"]
        ]
        id = f"{life.store.id}-{life.id}-r{refund['id']}"
        late, warehouse = life.random.choice((0.5, 20)), life.random.choice(WAREHOUSES)
        life.fact("wms", "receipt", id, late, WMS, warehouse=warehouse, refund=str(refund["id"]), lines=rows)


def _written(life: Life, kind: str) -> Json | None:
    """The store's refund; None where it doesn't apply."""
    id, order, random = 50_000 + life.id * 4 + len(life.refunds), life.order(), life.random
    more: Json = {"created": life.now, "moved_money": bool(life.transaction)}
    if kind == "all":
        return a_refund(str(life.left()), id=id, **more) if life.left() > 0 else None
    if kind == "amount":
        share = Decimal(random.randint(5, 25)) / 100
        amount = life.shop.rounded(life.left() * share)
        return a_refund(str(amount), id=id, **more) if amount > 0 else None
    if kind == "shipping":
        lines: Sequence[int] = [line["id"] for line in order["shipping_lines"]]
        share_of = dict.fromkeys(lines, 1)
    else:
        lines = [line["id"] for line in order["line_items"] if not (line["sku"] or "").startswith(GIFT_CARD)]
        line = random.choice(lines)
        whole = next(each["quantity"] for each in order["line_items"] if each["id"] == line)
        share_of = {line: random.randint(1, whole)}
    refund = refund_of(order, share_of, id=id, **more)
    return refund if 0 < Decimal(refund["amount"]) <= life.left() else None


def pay_back(life: Life, refund: Json | None, amount_minor: int = 0) -> None:
    """The gateway pays it back; refund: the store's, None: the gateway's own."""
    amount = minor(refund["amount"], life.market.currency) if refund else amount_minor
    number = refund["id"] if refund else f"own{life.id}"
    id = f"re_{life.store.id}{number}" if life.method == "stripe" else _paypal_id(life.store.id, number)
    life.moves("refund", id, -amount)
    if life.method == "stripe":
        named = str(refund["id"]) if refund and life.random.random() < 0.5 else None
        body = {"refund_transaction": id, "refund": named, "amount_minor": amount, "currency": life.market.currency}
        life.fact("gateway", "refunded", f"evt_r{id}", 0.2, life.source, transaction=life.transaction, **body)


def _dispute(life: Life) -> None:
    """Opened, with the gateway's own fee; then won or lost."""
    if not life.passes(days=life.hours(1, 5)):
        return
    amount, id = life.total_minor(), f"du_{life.store.id}{life.id}"
    end = life.now + timedelta(days=life.hours(1, 4))
    if end > END or not amount:
        return
    _say(life, "opened", amount)
    life.moves("dispute", id, -amount, 1500 if life.market.currency != "JPY" else 2000)
    life.now = end
    is_won = life.random.random() < 0.5
    _say(life, "won" if is_won else "lost", amount)
    if is_won:
        life.moves("dispute_reversal", f"{id}w", amount)


def _say(life: Life, state: str, amount_minor: int) -> None:
    id = f"du_{life.store.id}{life.id}"
    body = {"transaction": life.transaction, "withdrawn_minor": amount_minor, "currency": life.market.currency}
    life.fact(
        "gateway", "dispute", f"evt_{id}{state}", 0.2, life.source, dispute=id, state=state, answer_by=None, **body
    )


def _paypal_id(store: str, number: object) -> str:
    return f"{store.upper()}{number:0>14}"[-17:]
