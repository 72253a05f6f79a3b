"""An order's notes in the sandbox shop and its REST API, as WooCommerce keeps them: beside the order, not in it.

They are listed whole, newest first, without pages. A note moves no date of the order and fires no webhook. That the
order is unknown is said in two codes: one where notes are listed, another where one is written or named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.shop_answers import Answer, Rejected, invalid_parameter, one_of, truth

if TYPE_CHECKING:
    from counterfoil_sandbox.shop_orders import Shop

SCHEMA = """
create table if not exists notes (id integer primary key, order_id integer not null, created text not null,
  author text not null, note text not null, customer integer not null);
create index if not exists notes_of_order on notes (order_id);
"""

Json = dict[str, Any]
Query = Mapping[str, str]


class Notes:
    """Those of every order."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        shop.connection.executescript(SCHEMA)

    def of(self, order_id: int) -> list[Json]:
        """As REST shows them, newest first."""
        rows = self.shop._all(
            "select id, author, created, note, customer from notes where order_id = ? order by created desc, id desc",
            (order_id,),
        )
        return [self._shown(order_id, *row) for row in rows]

    def add(self, order_id: int, text: str, customer: bool = False, author: str = "system") -> Json:
        with self.shop.transaction():
            note_id = self.shop.next_id("note", 1)
            created = self.shop.now().replace(tzinfo=None).isoformat()
            self.shop.connection.execute(
                "insert into notes (id, order_id, created, author, note, customer) values (?, ?, ?, ?, ?, ?)",
                (note_id, order_id, created, author, text, int(customer)),
            )
            return self._shown(order_id, note_id, author, created, text, int(customer))

    def delete(self, note_id: int) -> None:
        with self.shop.transaction():
            self.shop.connection.execute("delete from notes where id = ?", (note_id,))

    def delete_of(self, order_id: int) -> None:
        self.shop.connection.execute("delete from notes where order_id = ?", (order_id,))

    def _shown(self, order_id: int, note_id: int, author: str, created: str, text: str, customer: int) -> Json:
        base = f"{self.shop.site_url}/wp-json/wc/v3/orders/{order_id}"
        return {
            "id": note_id,
            "author": author,
            "date_created": self.shop.local(created),
            "date_created_gmt": created,
            "note": text,
            "customer_note": bool(customer),
            "_links": {
                "self": [{"href": f"{base}/notes/{note_id}"}],
                "collection": [{"href": f"{base}/notes"}],
                "up": [{"href": base}],
            },
        }


class NoteRest:
    """The routes of notes."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.routes: list[tuple[str, str, Any]] = [
            ("GET", r"orders/(\d+)/notes", self.list_notes),
            ("POST", r"orders/(\d+)/notes", self.create_note),
            ("GET", r"orders/(\d+)/notes/(\d+)", self.get_note),
            ("DELETE", r"orders/(\d+)/notes/(\d+)", self.delete_note),
        ]

    def list_notes(self, query: Query, body: Any, order_id: int) -> Answer:
        if self.shop.order(order_id) is None:
            raise Rejected(404, "woocommerce_rest_shop_order_invalid_id", "Invalid order ID.")
        wanted = one_of(query, "type", "any", ("any", "customer", "internal"))
        notes = [note for note in self.shop.notes.of(order_id) if wanted in ("any", _kind(note))]
        return Answer(200, notes)

    def create_note(self, query: Query, body: Any, order_id: int) -> Answer:
        text = body.get("note")
        if text is None:
            data = {"status": 400, "params": ["note"]}
            raise Rejected(400, "rest_missing_callback_param", "Missing parameter(s): note", data)
        if not isinstance(text, str):
            raise invalid_parameter("note", "note is not of type string.", "rest_invalid_type")
        self._known(order_id)
        author = "admin" if body.get("added_by_user") is True else "system"
        note = self.shop.notes.add(order_id, text, body.get("customer_note") is True, author)
        return Answer(201, note, {"Location": note["_links"]["self"][0]["href"]})

    def get_note(self, query: Query, body: Any, order_id: int, note_id: int) -> Answer:
        self._known(order_id)
        for note in self.shop.notes.of(order_id):
            if note["id"] == note_id:
                return Answer(200, note)
        raise Rejected(404, "woocommerce_rest_invalid_id", "Invalid resource ID.")

    def delete_note(self, query: Query, body: Any, order_id: int, note_id: int) -> Answer:
        if not truth(query, "force", bool(body.get("force", False))):
            raise Rejected(501, "woocommerce_rest_trash_not_supported", "Webhooks do not support trashing.")
        answer = self.get_note(query, body, order_id, note_id)
        self.shop.notes.delete(note_id)
        return answer

    def _known(self, order_id: int) -> None:
        if self.shop.order(order_id) is None:
            raise Rejected(404, "woocommerce_rest_order_invalid_id", "Invalid order ID.")


def _kind(note: Json) -> str:
    return "customer" if note["customer_note"] else "internal"
