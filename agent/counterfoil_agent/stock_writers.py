"""Two ways to write stock into a store: through its plugin, which guards every sale, or over plain REST, which doesn't.

Over REST a write is absolute: a sale since the number was made is overwritten until the next number counts it. So only
what differs is written, and what was written is read once more. A batch answers 200 with errors inside; variations are
written below their parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from counterfoil_agent import snapshot, taken
from counterfoil_agent.errors import Unavailable
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.ports import Item, Plugin, StockAnswer, StockWrite
from counterfoil_agent.rest import LARGEST_PAGE_BYTES, Answered, RestStore, refusal

ITEMS_A_PAGE = 1000
REST_A_PAGE = 100
REST_MOST = 100  # WooCommerce's own bound of a batch
OVERLAP = 20  # products read again on the next page: they may have moved up meanwhile
FIELDS = "id,sku,type,manage_stock,stock_quantity,stock_status,parent_id"
UNKNOWN_PRODUCT = ("woocommerce_rest_product_invalid_id", "woocommerce_rest_product_variation_invalid_id")


class PluginStock:
    """Through the plugin: a number says which sales it counts, and what it doesn't count is taken off it there."""

    name: Literal["plugin", "rest"] = "plugin"
    is_guarded = True

    def __init__(self, plugin: Plugin, outbox: Outbox, most_items: int = 1000) -> None:
        self._plugin, self._outbox, self.most_items = plugin, outbox, most_items

    def page(self, cursor: str) -> tuple[Sequence[Item], str | None]:
        items, more = self._plugin.items(int(cursor or 0), ITEMS_A_PAGE)
        return items, str(items[-1].id) if more and items else None

    def item(self, item_id: int, parent_id: int) -> Item | None:
        items, _ = self._plugin.items(item_id - 1, 1)
        return next((item for item in items if item.id == item_id), None)

    def write(self, writes: Sequence[StockWrite]) -> Sequence[StockAnswer]:
        taken.tell(self._outbox, self._plugin, max(each.basis or (0, 0) for each in writes))
        return self._plugin.stock(writes)

    def quantities(self, writes: Sequence[StockWrite]) -> Mapping[int, Decimal]:
        return {}


class _Product(msgspec.Struct):
    id: int
    sku: str | None = ""
    type: str = ""
    manage_stock: Any = False
    stock_quantity: Decimal | None = None
    stock_status: str | None = ""
    parent_id: int | None = 0


class _Fault(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Outcome(msgspec.Struct):
    id: int = 0
    stock_quantity: Decimal | None = None
    manage_stock: Any = True
    error: _Fault | None = None


class _Batch(msgspec.Struct):
    update: list[_Outcome] = []


class _Cursor(msgspec.Struct):
    """offset: products passed; last: the id of the last of them; parents: whose variations come next, at this page."""

    offset: int = 0
    last: int = 0
    parents: list[int] = []
    page: int = 1
    at_end: bool = False


class RestStock:
    """Over WooCommerce's REST API. Its key needs the right to write."""

    name: Literal["plugin", "rest"] = "rest"
    is_guarded = False
    most_items = REST_MOST

    def __init__(self, store: RestStore) -> None:
        self._store = store

    # -- what is sold

    def page(self, cursor: str) -> tuple[Sequence[Item], str | None]:
        at = msgspec.json.decode(cursor, type=_Cursor) if cursor else _Cursor()
        items, at = self._variations(at) if at.parents else self._products(at)
        is_last = at.at_end and not at.parents
        return items, None if is_last else msgspec.json.encode(at).decode()

    def _products(self, at: _Cursor) -> tuple[list[Item], _Cursor]:
        """Listed by offset, since WooCommerce has no other way; each page reaches back, in case some were deleted."""
        offset = max(0, at.offset - OVERLAP)
        asked = {"status": "any", "orderby": "id", "order": "asc", "per_page": REST_A_PAGE, "offset": offset}
        found = self._listed("products", asked)
        if at.last and found and found[0].id > at.last:
            # More were deleted than the pages overlap: further back.
            return [], _Cursor(max(0, offset - REST_A_PAGE), 0, [], 1, False)
        parents = [each.id for each in found if each.type == "variable" and each.id > at.last]
        items = [_item(each, 0, False) for each in found if each.sku or each.manage_stock is True]
        last = found[-1].id if found else at.last
        return items, _Cursor(offset + len(found), last, parents, 1, len(found) < REST_A_PAGE)

    def _variations(self, at: _Cursor) -> tuple[list[Item], _Cursor]:
        parent_id = at.parents[0]
        asked = {"status": "any", "orderby": "id", "order": "asc", "per_page": REST_A_PAGE, "page": at.page}
        found = self._listed(f"products/{parent_id}/variations", asked)
        items = [_item(each, parent_id, each.manage_stock == "parent") for each in found]
        if len(found) < REST_A_PAGE:
            return items, msgspec.structs.replace(at, parents=at.parents[1:], page=1)
        return items, msgspec.structs.replace(at, page=at.page + 1)

    def item(self, item_id: int, parent_id: int) -> Item | None:
        endpoint = f"products/{parent_id}/variations" if parent_id else "products"
        found = self._listed(endpoint, {"include": str(item_id), "status": "any", "per_page": 1})
        return next(
            (_item(each, parent_id, each.manage_stock == "parent") for each in found if each.id == item_id), None
        )

    def _listed(self, endpoint: str, asked: dict[str, Any]) -> list[_Product]:
        answered = self._store.get(endpoint, {**asked, "_fields": FIELDS}, LARGEST_PAGE_BYTES)
        if answered.status == 404 and answered.code() in UNKNOWN_PRODUCT:
            return []
        found: list[_Product] = _read(answered, endpoint, list[_Product])
        return found

    # -- writing

    def write(self, writes: Sequence[StockWrite]) -> Sequence[StockAnswer]:
        now = self.quantities(writes)
        answers: dict[int, StockAnswer] = {}
        for parent_id, group in _by_parent(writes):
            differing = [each for each in group if each.stock_id in now and now[each.stock_id] != each.number]
            for each in group:
                if each.stock_id not in now:
                    answers[each.stock_id] = StockAnswer(each.stock_id, "missing", None, _NOT_THERE)
                elif each not in differing:
                    answers[each.stock_id] = StockAnswer(each.stock_id, "applied", now[each.stock_id])
            if differing:
                answers |= {each.stock_id: each for each in self._batch(parent_id, differing)}
        return [answers[each.stock_id] for each in writes]

    def _batch(self, parent_id: int, writes: Sequence[StockWrite]) -> Iterator[StockAnswer]:
        endpoint = f"products/{parent_id}/variations/batch" if parent_id else "products/batch"
        body = {"update": [{"id": each.stock_id, "stock_quantity": each.number} for each in writes]}
        told: _Batch = _read(self._store.post(endpoint, body), endpoint, _Batch)
        by_id = {each.id: each for each in told.update}
        for each in writes:
            yield _answer(each, by_id.get(each.stock_id))

    def quantities(self, writes: Sequence[StockWrite]) -> Mapping[int, Decimal]:
        found: dict[int, Decimal] = {}
        for parent_id, group in _by_parent(writes):
            endpoint = f"products/{parent_id}/variations" if parent_id else "products"
            ids = ",".join(str(each.stock_id) for each in group)
            asked = {"include": ids, "status": "any", "per_page": REST_MOST, "orderby": "id", "order": "asc"}
            for product in self._listed(endpoint, asked):
                if product.manage_stock is True:
                    found[product.id] = product.stock_quantity or Decimal(0)
        return found


_NOT_THERE = "The shop doesn't sell it any more, or doesn't manage its stock."


def _by_parent(writes: Sequence[StockWrite]) -> list[tuple[int, list[StockWrite]]]:
    groups: dict[int, list[StockWrite]] = {}
    for each in writes:
        groups.setdefault(each.parent_id, []).append(each)
    return sorted(groups.items())


def _answer(write: StockWrite, outcome: _Outcome | None) -> StockAnswer:
    if outcome is None:
        return StockAnswer(write.stock_id, "error", None, "The shop's answer to the batch leaves it out.")
    if outcome.error is not None:
        verdict = "missing" if outcome.error.code in UNKNOWN_PRODUCT else "error"
        return StockAnswer(write.stock_id, verdict, None, f"{outcome.error.code[:80]}: {outcome.error.message[:200]}")
    if outcome.manage_stock is not True:
        return StockAnswer(write.stock_id, "unmanaged", None, "The shop does not manage the stock of this product.")
    return StockAnswer(write.stock_id, "applied", outcome.stock_quantity)


def _item(product: _Product, parent_id: int, by_parent: bool) -> Item:
    manages = product.manage_stock is True
    stock_id = parent_id if by_parent else product.id
    quantity = product.stock_quantity if manages or by_parent else None
    return Item(
        product.id, stock_id, product.sku or "", quantity, product.stock_status or "", manages, product.parent_id or 0
    )


def _read(answered: Answered, endpoint: str, kind: Any) -> Any:
    if answered.status != 200:
        raise refusal(answered, endpoint)
    try:
        return msgspec.json.decode(snapshot.without_mark(answered.body), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidOperation):
        raise Unavailable(
            f"The shop's answer to {endpoint} is no list of products.",
            "Look for a plugin that changes REST answers; it is asked again by itself.",
            status=answered.status,
        ) from None
