"""A shop's orders that can be told something: in memory, over the fake shop, with a fault at any call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from counterfoil_agent.errors import Unavailable
from counterfoil_agent.ports import Absent, OrderState
from counterfoil_agent.updates import TOLD, TRACKING
from fakes.agent_shop import UNKNOWN, FakeShop

CALLS = ("state", "notes", "add_note", "change")


class Killed(BaseException):
    """The agent's process ends here."""


@dataclass
class FakeOrders:
    """before, after: called with each call's name, before and after it is carried out; may raise. late: writes whose
    caller gave up, carried out when `commit_late` is called."""

    shop: FakeShop
    written: dict[int, list[str]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda what: None
    after: Callable[[str], None] = lambda what: None
    calls: list[str] = field(default_factory=list)
    is_late: bool = False
    late: list[Callable[[], None]] = field(default_factory=list)

    def state(self, order_id: int) -> OrderState | Absent:
        self._begin("state")
        order = self.shop.orders.get(order_id)
        if order is None:
            return Absent(404, UNKNOWN["code"])
        meta = {each["key"]: each["value"] for each in order["meta_data"]}
        told = OrderState(order["status"], meta.get(TOLD, ()), meta.get(TRACKING, ()))
        self.after("state")
        return told

    def notes(self, order_id: int) -> Sequence[str]:
        self._begin("notes")
        found = list(self.written.get(order_id, []))
        self.after("notes")
        return found

    def add_note(self, order_id: int, text: str) -> None:
        self._write("add_note", lambda: self.written.setdefault(order_id, []).append(text))

    def change(self, order_id: int, status: str | None, meta: Mapping[str, Any]) -> None:
        def carry_out() -> None:
            order = self.shop.orders[order_id]
            kept = [each for each in order["meta_data"] if each["key"] not in meta]
            said = [{"id": 0, "key": key, "value": value} for key, value in meta.items()]
            self.shop.put(order_id, status=status or order["status"], meta_data=kept + said)

        self._write("change", carry_out)

    def _begin(self, what: str) -> None:
        self.calls.append(what)
        self.before(what)

    def _write(self, what: str, carry_out: Callable[[], None]) -> None:
        self._begin(what)
        if self.is_late:
            self.late.append(carry_out)
            raise Unavailable("No answer came in time.", "Nothing to do.")
        carry_out()
        self.after(what)

    def commit_late(self) -> None:
        """What was under way when its caller gave up is carried out after all."""
        while self.late:
            self.late.pop(0)()

    def meta(self, order_id: int, key: str) -> Any:
        return next((each["value"] for each in self.shop.orders[order_id]["meta_data"] if each["key"] == key), None)
