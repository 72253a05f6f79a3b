"""Orders as WooCommerce computes them, and lives that they may have: what hypothesis draws from.

`baskets()` gives an order's content and its shop; `lives()` gives whole histories, with what a person would expect of
them: what was claimed, what was refunded, how it ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from builders import (
    FRANCE,
    GERMANY,
    GONE,
    HUNGARY,
    QUEBEC,
    START,
    Json,
    Part,
    Shop,
    a_refund,
    a_refunded_line,
    an_order,
    computed,
    gmt,
    with_coupon,
)
from hypothesis import strategies as st

# Currency, the shop's decimals, and how many it shows.
CURRENCIES = [
    ("EUR", 2, None),
    ("EUR", 2, None),
    ("EUR", 0, None),
    ("USD", 2, None),
    ("JPY", 0, None),
    ("JPY", 0, 2),
    ("KWD", 3, None),
    ("KWD", 2, None),
]
COUNTRIES = [("DE", GERMANY), ("DE", GERMANY), ("FR", FRANCE), ("CA", QUEBEC), ("HU", HUNGARY)]


@dataclass(frozen=True)
class Basket:
    """An order's content, and the shop that computes it."""

    shop: Shop
    parts: tuple[Part, ...]
    coupon: Decimal
    currency: str
    country: str
    customer_id: int

    def order(self, **fields: Any) -> Json:
        return an_order(
            *self.parts,
            shop=self.shop,
            coupon=str(self.coupon),
            currency=self.currency,
            country=self.country,
            customer_id=self.customer_id,
            **fields,
        )


@st.composite
def baskets(draw: st.DrawFn) -> Basket:
    """A basket with lines, coupon, shipping and fees; its total is never below zero."""
    currency, decimals, shown = draw(st.sampled_from(CURRENCIES))
    country, rates = draw(st.sampled_from(COUNTRIES))
    shop = Shop(rates, decimals, shown, draw(st.booleans()), draw(st.booleans()))
    step = Decimal(1).scaleb(-decimals)
    parts = [draw(_items(n, step)) for n in range(draw(st.integers(1, 6)))]
    coupon = draw(st.one_of(st.just(Decimal(0)), st.integers(1, 5_000).map(lambda n: n * step)))
    for n in range(draw(st.integers(0, 2))):
        amount = draw(st.integers(0, 2_000)) * step
        parts.append(Part("shipping", f"rate_{n}", amount))
    if draw(st.booleans()):
        parts.append(Part("fee", "Gift wrapping", draw(st.integers(1, 900)) * step))
    parts += _negative_fees(draw, parts, coupon, shop)
    numbered = tuple(replace(part, id=index + 1) for index, part in enumerate(parts))
    return Basket(shop, numbered, coupon, currency, country, draw(st.sampled_from([0, 7])))


@st.composite
def _items(draw: st.DrawFn, n: int, step: Decimal) -> Part:
    """A line of goods; one that is not taxable is of an item that the rules call exempt; some products are deleted."""
    tax_class = draw(st.sampled_from(["", "", "", "reduced", "reduced", "zero", "none"]))
    sku = f"BOOK-{n}" if tax_class == "none" else draw(st.sampled_from([f"A{n}", f"A{n}", f"A{n}", ""]))
    quantity = draw(st.integers(1, 9))
    price = draw(st.one_of(st.integers(0, 30), st.integers(0, 20_000)))
    return Part("item", sku, price * quantity * step, quantity, tax_class, product_id=10 + n)


def _negative_fees(draw: st.DrawFn, parts: list[Part], coupon: Decimal, shop: Shop) -> list[Part]:
    """A discount and a gift card, together less than what the items come to."""
    items = [part for part in with_coupon(parts, coupon, shop) if part.kind == "item"]
    worth = sum((part.amount - part.discount for part in items), Decimal(0))
    taxable = [part.amount - part.discount for part in items if part.tax_class in ("", "reduced")]
    taxed = sum(taxable, Decimal(0))
    fees = []
    if taxed and draw(st.integers(0, 3)) == 0:
        fees.append(Part("fee", "Loyalty discount", -shop.rounded(taxed * draw(st.integers(1, 20)) / 100)))
    if worth and draw(st.integers(0, 3)) == 0:
        amount = -shop.rounded(worth * draw(st.integers(1, 40)) / 100)
        fees.append(Part("fee", "Gift card X1", amount, tax_class=draw(st.sampled_from(["", "none"]))))
    return [fee for fee in fees if fee.amount]


@dataclass
class Life:
    """An order's life: its snapshots so far, and what happened, as the merchant would tell it."""

    basket: Basket
    status: str = "pending"
    now: datetime = START
    paid: datetime | None = None
    refunds: list[Json] = field(default_factory=list)
    quantities: dict[int, int] = field(default_factory=dict)
    snapshots: list[Any] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    claimed: Decimal = Decimal(0)
    ids: int = 5000

    def total(self) -> Decimal:
        parts = with_coupon(self.basket.parts, self.basket.coupon, self.basket.shop)
        return Decimal(computed(parts, self.basket.shop)["total"])

    def left(self) -> Decimal:
        """What WooCommerce lets one refund still."""
        return self.total() - sum((Decimal(refund["amount"]) for refund in self.refunds), Decimal(0))

    def order(self) -> Json:
        order = self.basket.order(
            status=self.status, paid=self.paid, modified=self.now, refunds=list(reversed(self.refunds))
        )
        return {**order, "date_completed_gmt": gmt(self.now) if self.status == "completed" else None}

    def seen(self, what: str) -> None:
        """The agent reads the order after this."""
        self.story.append(what)
        self.snapshots.append((self.order(), list(self.refunds)))

    def refunded(self, refund: Json) -> None:
        self.refunds.append(refund)
        if self.left() <= 0:
            self.status = "refunded"


@st.composite
def lives(draw: st.DrawFn, tame: bool = False) -> Life:
    """A random life. tame: only what never needs a person (refunds of one form, nothing thrown away)."""
    life = Life(draw(baskets()), status=draw(st.sampled_from(["pending", "on-hold", "processing"])))
    by_line = draw(st.booleans())
    life.seen("placed")
    for _ in range(draw(st.integers(0, 6))):
        life.now += timedelta(minutes=draw(st.sampled_from([1, 30, 1440, 4000])))
        kinds = _possible(life, tame, by_line)
        kind = draw(st.sampled_from(kinds))
        if kind == "gone":
            life.story.append("gone")
            life.snapshots.append(GONE)
            break
        if _happen(draw, life, kind, tame):
            life.seen(kind)
    return life


def _possible(life: Life, tame: bool, by_line: bool) -> list[str]:
    kinds = ["pay", "pay"] if not life.paid and life.status in ("pending", "on-hold", "processing") else []
    if life.status in ("pending", "on-hold", "processing", "completed") and not life.refunds:
        kinds.append("edit")
    if life.status in ("processing", "completed") and life.left() > 0:
        if by_line or not tame:
            kinds += ["refund a line", "refund a line"]
        if not by_line or not tame:
            kinds += ["refund an amount", "refund an amount"]
        kinds += ["refund all", "complete"]
    if life.refunds:
        kinds.append("delete a refund")
    kinds += ["revive"] if life.status == "cancelled" else ["cancel"]
    if not tame:
        kinds += ["trash", "gone"]
    return kinds


def _happen(draw: st.DrawFn, life: Life, kind: str, tame: bool) -> bool:
    """Let it happen; False where it doesn't apply after all."""
    if kind == "pay":
        life.paid, life.status = life.now, "processing"
        life.claimed = max(Decimal(0), life.total())
    elif kind == "complete":
        life.status = "completed"
    elif kind == "cancel":
        life.status = "cancelled"
    elif kind == "revive":
        life.status = draw(st.sampled_from(["on-hold", "processing"]))
    elif kind == "trash":
        life.status = "trash"
    elif kind == "edit":
        return _edit(draw, life)
    elif kind == "delete a refund":
        life.refunds.remove(draw(st.sampled_from(life.refunds)))
        if life.status == "refunded" and (tame or draw(st.booleans())):
            life.status = "processing"  # WooCommerce leaves it; a merchant who means it sets it back
    else:
        return _refund(draw, life, kind, tame)
    return True


def _edit(draw: st.DrawFn, life: Life) -> bool:
    """The merchant changes a quantity; never so that fees would make the total negative."""
    before = life.basket
    items = [part for part in before.parts if part.kind == "item" and part.amount]
    if not items:
        return False
    item = draw(st.sampled_from(items))
    quantity = draw(st.integers(1, 12))
    changed = replace(item, quantity=quantity, amount=item.amount / item.quantity * quantity)
    parts = tuple(changed if part is item else part for part in before.parts)
    life.basket = replace(before, parts=parts)
    if any(part.amount < 0 for part in parts) and (quantity < item.quantity or life.total() < 0):
        life.basket = before
        return False
    return True


def _refund(draw: st.DrawFn, life: Life, kind: str, tame: bool) -> bool:
    life.ids += 1
    more: Json = {"id": life.ids, "created": life.now, "moved_money": not tame and draw(st.integers(0, 5)) == 0}
    shop = life.basket.shop
    if kind == "refund all":
        life.refunded(a_refund(shop.shown(life.left()), **more))
        if draw(st.booleans()):
            life.status = "refunded"
        return True
    if kind == "refund an amount":
        step = Decimal(1).scaleb(-shop.decimals)
        amount = draw(st.integers(1, max(1, int(life.left() / step)))) * step
        life.refunded(a_refund(shop.shown(amount), **more))
        return True
    order = life.order()
    lines = [
        (name, line)
        for name in ("line_items", "shipping_lines", "fee_lines")
        for line in order[name]
        if Decimal(line["total"]) > 0
    ]
    if not lines:
        return False
    name, line = draw(st.sampled_from(lines))
    whole = line.get("quantity", 1)
    before = life.quantities.get(line["id"], 0) if life.refunds else 0
    if before >= whole:
        return False
    now = draw(st.integers(before + 1, whole))
    share = {t["id"]: _part(t["total"], before, now, whole, shop) for t in line["taxes"]}
    net = _part(line["total"], before, now, whole, shop)
    amount = net + sum(share.values(), Decimal(0))
    if not 0 < amount <= life.left():
        return False
    life.quantities[line["id"]] = now
    taxes = {rate: shop.shown(tax) for rate, tax in share.items()}
    refunded = a_refunded_line(line["id"], shop.shown(net), taxes, now - before, name)
    life.refunded(a_refund(shop.shown(amount), refunded, **more))
    return True


def _part(amount: str, before: int, now: int, whole: int, shop: Shop) -> Decimal:
    """What units before+1 … now take of a line's amount, so that all of them take all of it."""
    return shop.rounded(Decimal(amount) * now / whole) - shop.rounded(Decimal(amount) * before / whole)


def orders() -> st.SearchStrategy[Json]:
    """Paid orders as WooCommerce computes them."""
    return baskets().map(lambda basket: basket.order())


def histories() -> st.SearchStrategy[list[Any]]:
    """The snapshots of random lives."""
    return lives().map(lambda life: life.snapshots)
