"""Products and variations in the sandbox shop's REST API: lists, single ones, batches of at most 100.

Writes of stock are absolute. A batch answers 200 with errors inside. A shop whose catalogue is empty shows the recorded
products, which nobody can change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.shop_answers import PER_PAGE_MAX, Answer, Rejected, listed, number, one_of, truth
from counterfoil_sandbox.shop_orders import recorded
from counterfoil_sandbox.shop_stock import PER_UNIT, Product, UnknownProduct

if TYPE_CHECKING:
    from counterfoil_sandbox.shop_rest import Rest

RECORDED = tuple(
    f"product_{kind}" for kind in ("simple", "unmanaged_stock", "backorder_negative", "out_of_stock", "variable")
)
BATCH_MAX = 100

Json = dict[str, Any]
Query = Mapping[str, str]


class ProductRest:
    """rest: whose shop and pages these are."""

    def __init__(self, rest: Rest) -> None:
        self.rest, self.shop, self.products = rest, rest.shop, rest.shop.products
        self.routes: list[tuple[str, str, Any]] = [
            ("GET", r"products", self.list_products),
            ("POST", r"products", self.create_product),
            ("POST|PUT|PATCH", r"products/batch", self.batch),
            ("GET", r"products/(\d+)", self.get_product),
            ("PUT|POST|PATCH", r"products/(\d+)", self.update_product),
            ("DELETE", r"products/(\d+)", self.delete_product),
            ("GET", r"products/(\d+)/variations", self.list_variations),
            ("POST", r"products/(\d+)/variations", self.create_variation),
            ("POST|PUT|PATCH", r"products/(\d+)/variations/batch", self.batch_variations),
            ("GET", r"products/(\d+)/variations/(\d+)", self.get_variation),
            ("PUT|POST|PATCH", r"products/(\d+)/variations/(\d+)", self.update_variation),
            ("DELETE", r"products/(\d+)/variations/(\d+)", self.delete_variation),
        ]

    # Lists

    def list_products(self, query: Query, body: Any) -> Answer:
        shown = [self.shown(p) for p in self.products.all("parent_id = 0 and post_status <> 'trash'")]
        if not shown and not self.products.all():
            shown = [recorded(name) for name in RECORDED]
        return self._list("products", query, shown)

    def list_variations(self, query: Query, body: Any, parent_id: int) -> Answer:
        self._parent(parent_id)
        shown = [self.shown(p) for p in self.products.all("parent_id = ? and post_status <> 'trash'", (parent_id,))]
        return self._list(f"products/{parent_id}/variations", query, shown)

    def _list(self, path: str, query: Query, shown: list[Json]) -> Answer:
        for name, field in (("sku", "sku"), ("include", "id"), ("type", "type"), ("status", "status")):
            if (wanted := listed(query, name)) and "any" not in wanted:
                shown = [product for product in shown if str(product[field]) in wanted]
        if one_of(query, "orderby", "date", ("date", "id", "include", "title", "slug", "modified")) in ("date", "id"):
            is_rising = one_of(query, "order", "desc", ("asc", "desc")) == "asc"
            if self.products.get(shown[0]["id"] if shown else 0) is not None:
                shown.sort(key=lambda product: int(product["id"]), reverse=not is_rising)
        per_page, page = number(query, "per_page", 10, 1, PER_PAGE_MAX), number(query, "page", 1, 1, None)
        offset = number(query, "offset", (page - 1) * per_page, 0, None)
        return self.rest._page(path, query, shown[offset : offset + per_page], len(shown), page, per_page)

    # Single ones

    def get_product(self, query: Query, body: Any, product_id: int) -> Answer:
        product = self.products.get(product_id)
        if product is not None and not product.is_variation:
            return Answer(200, self.shown(product))
        if not self.products.all():
            for one in map(recorded, RECORDED):
                if one["id"] == product_id:
                    return Answer(200, one)
        raise unknown_product(404)

    def create_product(self, query: Query, body: Json) -> Answer:
        self._check(body, 0)
        return Answer(201, self.shown(self.products.must(self.products.add(body))))

    def update_product(self, query: Query, body: Json, product_id: int) -> Answer:
        self._check(body, product_id)
        self._of(product_id, 0, 400)
        self.products.change(product_id, body)
        return Answer(200, self.shown(self.products.must(product_id)))

    def delete_product(self, query: Query, body: Json, product_id: int) -> Answer:
        product = self._of(product_id, 0, 404)
        if truth(query, "force", bool(body.get("force", False))):
            self.products.delete(product_id)
        elif product.post_status == "trash":
            raise Rejected(410, "woocommerce_rest_already_trashed", "The product has already been deleted.")
        else:
            self.products.trash(product_id)
        return Answer(200, self.shown(product))

    def get_variation(self, query: Query, body: Any, parent_id: int, variation_id: int) -> Answer:
        return Answer(200, self.shown(self._of(variation_id, parent_id, 404)))

    def create_variation(self, query: Query, body: Json, parent_id: int) -> Answer:
        self._parent(parent_id)
        self._check(body, 0)
        return Answer(201, self.shown(self.products.must(self.products.add(body, parent_id))))

    def update_variation(self, query: Query, body: Json, parent_id: int, variation_id: int) -> Answer:
        self._of(variation_id, parent_id, 400)
        self._check(body, variation_id)
        self.products.change(variation_id, body)
        return Answer(200, self.shown(self.products.must(variation_id)))

    def delete_variation(self, query: Query, body: Json, parent_id: int, variation_id: int) -> Answer:
        variation = self._of(variation_id, parent_id, 404)
        self.products.delete(variation_id)
        return Answer(200, self.shown(variation))

    # Batches

    def batch(self, query: Query, body: Json) -> Answer:
        return answer_batch(body, self._one(self.create_product), self._one(self.update_product), self._deleted)

    def batch_variations(self, query: Query, body: Json, parent_id: int) -> Answer:
        self._parent(parent_id)
        return answer_batch(
            body,
            lambda wanted: self.create_variation({}, wanted, parent_id).body,
            lambda wanted: self.update_variation({}, wanted, parent_id, _id(wanted)).body,
            lambda product_id: self.delete_variation({}, {}, parent_id, product_id).body,
        )

    def _one(self, act: Any) -> Callable[[Json], Json]:
        def one(wanted: Json) -> Json:
            answer: Answer = act({}, wanted, _id(wanted)) if "id" in wanted else act({}, wanted)
            return dict(answer.body)

        return one

    def _deleted(self, product_id: int) -> Json:
        return dict(self.delete_product({"force": "true"}, {}, product_id).body)

    # Small things

    def shown(self, product: Product) -> Json:
        """As REST shows it."""
        stock = self.products.stock_of(product)
        base = f"{self.shop.site_url}/wp-json/wc/v3/products"
        own = f"{base}/{product.parent_id}/variations/{product.id}" if product.is_variation else f"{base}/{product.id}"
        managed: Any = product.manages or ("parent" if stock is not None else False)
        body = {
            "id": product.id,
            **product.body,
            "sku": product.sku,
            "status": product.post_status,
            "parent_id": product.parent_id,
            "permalink": f"{self.shop.site_url}/?p={product.id}",
            "manage_stock": managed,
            "stock_quantity": None if stock is None else (stock.stock or 0) // PER_UNIT,
            "stock_status": (stock or product).status,
            "backorders": product.backorders,
            "backorders_allowed": product.backorders in ("yes", "notify"),
            "backordered": (stock or product).status == "onbackorder",
            "_links": {"self": [{"href": own}], "collection": [{"href": own.rpartition("/")[0]}]},
        }
        if product.body["type"] == "variable":
            body["variations"] = [one.id for one in self.products.all("parent_id = ?", (product.id,))]
        return body

    def _parent(self, parent_id: int) -> Product:
        return self._of(parent_id, 0, 404)

    def _of(self, product_id: int, parent_id: int, status: int) -> Product:
        try:
            product = self.products.must(product_id)
        except UnknownProduct:
            raise unknown_product(status) from None
        if product.parent_id != parent_id:
            raise unknown_product(status)
        return product

    def _check(self, body: Json, product_id: int) -> None:
        """WooCommerce refuses a SKU that another product has (imports and other plugins don't ask)."""
        if (sku := body.get("sku")) and any(p.id != product_id for p in self.products.all("sku = ?", (str(sku),))):
            message = "Invalid or duplicated SKU."
            raise Rejected(400, "product_invalid_sku", message, {"status": 400, "resource_id": 0})
        quantity = body.get("stock_quantity")
        if quantity is not None and (isinstance(quantity, bool) or not isinstance(quantity, int | float)):
            message = "Invalid parameter(s): stock_quantity"
            raise Rejected(400, "rest_invalid_param", message)


def unknown_product(status: int) -> Rejected:
    return Rejected(status, "woocommerce_rest_product_invalid_id", "Invalid ID.")


def _id(wanted: Json) -> int:
    return wanted["id"] if isinstance(wanted.get("id"), int) else 0


def answer_batch(
    body: Json,
    create: Callable[[Json], Json],
    update: Callable[[Json], Json],
    delete: Callable[[int], Json],
) -> Answer:
    """create, update, delete: what each asks for, and its result or its error inside an answer of 200."""
    wanted = {name: body.get(name) or [] for name in ("create", "update", "delete")}
    if sum(map(len, wanted.values())) > BATCH_MAX:
        message = f"Unable to accept more than {BATCH_MAX} items for this request."
        raise Rejected(413, "woocommerce_rest_request_entity_too_large", message)
    answers: dict[str, list[Json]] = {}
    acts: tuple[tuple[str, Callable[[Any], Json]], ...] = (("create", create), ("update", update), ("delete", delete))
    for name, act in acts:
        for one in wanted[name]:
            try:
                said = act(one)
            except Rejected as refused:
                code, message = refused.answer.body["code"], refused.answer.body["message"]
                error = {"code": code, "message": message, "data": refused.answer.body["data"]}
                said = {"id": one if isinstance(one, int) else _id(one), "error": error}
            answers.setdefault(name, []).append(said)
    return Answer(200, answers)
