"""A Tryton database checked for what Counterfoil needs of it, and the map that names it; makes what a person allows.

What is there already is never changed: accounts, taxes, items, a journal and a party are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.books import Books
from counterfoil_engine.adapters.erp.tryton.known import NOBODY, identifier_of
from counterfoil_engine.adapters.erp.tryton.names import NameMap
from counterfoil_engine.adapters.erp.tryton.rpc import Said, Tryton
from counterfoil_engine.domain.errors import Unavailable

JOURNAL = "CFL"
# What a role is, by its first part; all others are liabilities.
ASSETS = frozenset({"bank", "in_transit", "clearing", "disputed", "reserve", "conversion"})
REVENUES = frozenset({"revenue", "discounts", "returns", "allowances", "goodwill", "breakage"})
EXPENSES = frozenset({"gateway_fees", "dispute_losses", "payment_differences", "fx_gain", "fx_loss", "rounding"})
ALWAYS = (
    *("receivable", "deposits", "refunds_owed", "unearned", "gift_cards", "revenue:shipping", "revenue:fees"),
    *("allowances", "goodwill", "gateway_fees", "disputed", "dispute_losses", "payment_differences"),
    *("fx_gain", "fx_loss"),
)
# What the user has to be able to make, and by which of Tryton's groups.
RIGHTS = {
    "party.party": "Party Administration",
    "sale.sale": "Sales",
    "account.invoice": "Accounting",
    "account.move": "Accounting",
    "stock.shipment.out": "Stock",
}


@dataclass(frozen=True)
class Needs:
    """What documents will name. roles: of the journal; items: with whether goods are; warehouses: those of the ERP."""

    roles: frozenset[str] = frozenset()
    items: Mapping[str, bool] = field(default_factory=dict)
    warehouses: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Finding:
    """ok: it is there. make: how to make it, where that can be done from here. remedy: where a person has to."""

    what: str
    ok: bool
    remedy: str = ""
    make: Callable[[], object] | None = None

    @property
    def mark(self) -> str:
        return "there" if self.ok else "can be made" if self.make else "missing"


class Setup:
    """Looks first, and says all that it finds; nothing is made until `make`."""

    def __init__(self, tryton: Tryton, names: NameMap, needs: Needs) -> None:
        self._tryton, self._needs = tryton, needs
        self._books = Books(tryton, names)
        self._types: dict[str, int] = {}

    @property
    def names(self) -> NameMap:
        """The map, with what was found and proposed."""
        return self._books.names

    def look(self) -> list[Finding]:
        """Everything that is needed, one finding each. Raises Unavailable or RateLimited."""
        self._books.open()
        return [*self._module(), *self._rights(), *self._periods(), *self._currencies(), *self._accounts(),
                *self._taxes(), self._journal(), self._nobody(), *self._items(), *self._warehouses()]  # fmt: skip

    def make(self, findings: Iterable[Finding]) -> list[str]:
        """Make what can be made; what Tryton refuses, in sentences."""
        refused = []
        for finding in findings:
            if finding.make is None or finding.ok:
                continue
            try:
                finding.make()
            except Said as said:
                refused.append(f"{finding.what}: {' '.join(said.text.split())[:300]}")
        self._books.forget()
        return refused

    # What only a person can mend

    def _module(self) -> list[Finding]:
        remedy = "Install tryton-module beside trytond and activate it (docs/runbooks/tryton.md): keys become unique."
        return [Finding("module counterfoil", self._books.has_module, remedy)]

    def _rights(self) -> list[Finding]:
        found = []
        for model, group in RIGHTS.items():
            try:
                allowed = self._tryton.read("model.ir.model.access.get_access", [model])[model]
                ok = all(allowed[right] is not False for right in ("read", "write", "create"))
            except (Unavailable, KeyError, TypeError):
                ok = False
            found.append(Finding(f"right to make {model}", ok, f"Give the user the group {group} in Tryton."))
        return found

    def _periods(self) -> list[Finding]:
        is_open = any(period.is_open for period in self._books.periods())
        return [Finding("an open period", is_open, "Make a fiscal year with periods and sequences in Tryton.")]

    def _currencies(self) -> list[Finding]:
        rows = self._tryton.read("model.currency.currency.search_read", [], 0, None, None, ["code"])
        there = {row["code"] for row in rows}
        remedy = "Make the currency in Tryton, with its digits and a rate."
        return [Finding(f"currency {code}", code in there, remedy) for code in sorted(self._needs.currencies)]

    # Accounts by role

    def _accounts(self) -> list[Finding]:
        names, domain = self.names, [("company", "=", self._books.company), ("closed", "!=", True)]
        rows = self._tryton.read(
            "model.account.account.search_read", domain, 0, None, None, ["code", "name", "type.receivable", "parent"]
        )
        by_code = {row["code"]: row for row in rows if row["code"]}
        roles = sorted({*ALWAYS, *self._needs.roles, *names.accounts})
        found = []
        for role in roles:
            code = names.accounts.get(role) or self._proposed_code(role, rows)
            self._books.names = replace(self.names, accounts={**self.names.accounts, role: code})
            make = None if code in by_code or role == "receivable" else self._maker(role, code)
            found.append(
                Finding(f"account of {role}: {code}", code in by_code, "Correct its code under [accounts].", make)
            )
        return found

    @staticmethod
    def _proposed_code(role: str, rows: Sequence[Mapping[str, Any]]) -> str:
        """The chart's own for what customers owe; else an account of the role's name, for an accountant to renumber."""
        if role == "receivable":
            theirs = [row["code"] for row in rows if row["code"] and (row.get("type.") or {}).get("receivable")]
            return min(theirs, default=role)
        return role

    def _maker(self, role: str, code: str) -> Callable[[], object]:
        def make() -> None:
            values: dict[str, Any] = {
                "name": f"Counterfoil {role}",
                "code": code,
                "company": self._books.company,
                "type": self._type(role.partition(":")[0]),
                "parent": self._root(),
                "reconcile": role.partition(":")[0] in ASSETS | {"deposits", "refunds_owed"},
                "party_required": False,
            }
            if self._books.has_module and role in ("gift_cards", "unearned"):
                values["counterfoil"] = True
            self._tryton.write("model.account.account.create", [values])

        return make

    def _root(self) -> int:
        domain = [("company", "=", self._books.company), ("parent", "=", None)]
        return self._one("model.account.account.search", domain)

    def _one(self, method: str, domain: list[Any]) -> int:
        """The first that a search finds. Raises Unavailable where the books have none."""
        found = self._tryton.read(method, domain, 0, 1, None)
        if not found:
            raise Unavailable(
                f"The books of {self.names.company} have no chart of accounts that this user sees.",
                "Make one in Tryton, and let the user work for all its companies (User, Current Companies: All).",
                category="contract",
            )
        return int(found[0])

    def _type(self, first: str) -> int:
        """The type of the accounts of a role: the chart's own for revenue and expense, else one beside what customers
        owe or suppliers get."""
        kind = (
            *("asset" for _ in range(first in ASSETS)),
            *("revenue" for _ in range(first in REVENUES)),
            *("expense" for _ in range(first in EXPENSES)),
            "liability",
        )[0]
        if kind not in self._types:
            self._types[kind] = self._found_type(kind)
        return self._types[kind]

    def _found_type(self, kind: str) -> int:
        model, company = "model.account.account.type", ("company", "=", self._books.company)
        if kind in ("revenue", "expense"):
            return self._one(f"{model}.search", [company, (kind, "=", True)])
        name = f"Counterfoil {kind}"
        if there := self._tryton.read(f"{model}.search", [company, ("name", "=", name)], 0, 1, None):
            return int(there[0])
        beside = self._one(f"{model}.search", [company, ("receivable" if kind == "asset" else "payable", "=", True)])
        (like,) = self._tryton.read(f"{model}.read", [beside], ["parent"])
        values = {
            "name": name,
            "company": self._books.company,
            "parent": like["parent"],
            "statement": "balance",
            "assets": kind == "asset",
        }
        return int(self._tryton.write(f"{model}.create", [values])[0])

    # Taxes, journal, party

    def _taxes(self) -> list[Finding]:
        roles = sorted(role for role in self._needs.roles if role.startswith("tax:"))
        domain = [("company", "=", self._books.company)]
        rows = self._tryton.read("model.account.tax.search_read", domain, 0, None, None, ["name"])
        there, found = {row["name"] for row in rows}, []
        for role in roles:
            name = self.names.taxes.get(role, role)
            self._books.names = replace(self.names, taxes={**self.names.taxes, role: name})
            found.append(
                Finding(f"tax {name}", name in there, "Correct its name under [taxes].", self._tax_maker(role, name))
            )
        return found

    def _tax_maker(self, role: str, name: str) -> Callable[[], object]:
        def make() -> None:
            account = self._books.account(role).id
            values: dict[str, Any] = {
                "name": name,
                "description": name,
                "type": "percentage",
                "rate": Decimal(role.rpartition(":")[2]) / 100,
                "company": self._books.company,
                "invoice_account": account,
                "credit_note_account": account,
            }
            self._tryton.write("model.account.tax.create", [values])

        return make

    def _journal(self) -> Finding:
        code = self.names.journal
        there = self._tryton.read("model.account.journal.search", [("code", "=", code)], 0, 1, None)
        values = {"name": "Counterfoil", "code": code, "type": "general"}
        make = lambda: self._tryton.write("model.account.journal.create", [values])  # noqa: E731
        return Finding(f"journal {code}", bool(there), "", make)

    def _nobody(self) -> Finding:
        identifier = identifier_of(NOBODY)
        there = self._tryton.read("model.party.identifier.search", [("code", "=", identifier)], 0, 1, None)
        values: dict[str, Any] = {
            "name": "Orders taken over",
            "identifiers": [("create", [{"code": identifier}])],
            "addresses": [("create", [{}])],
        }
        make = lambda: self._tryton.write("model.party.party.create", [values])  # noqa: E731
        return Finding("party of orders taken over", bool(there), "", make)

    # Items and warehouses

    def _items(self) -> list[Finding]:
        wanted = {name: self.names.items.get(name, name) for name in self._needs.items}
        found = []
        there = self._books.items(list(wanted))
        for name, code in sorted(wanted.items()):
            item = there[name]
            if item is None:
                remedy = "Make the product in Tryton, or name its code under [items]."
                found.append(Finding(f"item {code}", False, remedy, self._item_maker(code, self._needs.items[name])))
            else:
                fits = item.is_sold and item.is_by_the_piece
                found.append(Finding(f"item {code}", fits, "Make it salable in Tryton, and sold by the piece."))
        return found

    def _item_maker(self, code: str, is_goods: bool) -> Callable[[], object]:
        def make() -> None:
            unit = self._tryton.read("model.product.uom.search", [("name", "=", "Unit")], 0, 1, None)[0]
            values: dict[str, Any] = {
                "name": code,
                "type": "goods" if is_goods else "service",
                "default_uom": unit,
                "sale_uom": unit,
                "salable": True,
                "list_price": Decimal(0),
                "account_category": self._category(),
                "products": [("create", [{"suffix_code": code}])],
            }
            self._tryton.write("model.product.template.create", [values])

        return make

    def _category(self) -> int:
        """Tryton sells nothing without one: it says the accounts of invoices that are typed there."""
        name, model = "Counterfoil", "model.product.category"
        domain = [("name", "=", name), ("accounting", "=", True)]
        if there := self._tryton.read(f"{model}.search", domain, 0, 1, None):
            return int(there[0])
        role = min((role for role in self.names.accounts if role.startswith("revenue:")), default="revenue:fees")
        values = {"name": name, "accounting": True, "account_revenue": self._books.account(role).id}
        return int(self._tryton.write(f"{model}.create", [values])[0])

    def _warehouses(self) -> list[Finding]:
        rows = self._tryton.read(
            "model.stock.location.search_read", [("type", "=", "warehouse")], 0, None, None, ["code", "name"]
        )
        codes = sorted(row["code"] for row in rows if row["code"])
        found = []
        for ours in sorted(self._needs.warehouses):
            code = self.names.warehouses.get(ours) or (ours if ours in codes or len(codes) != 1 else codes[0])
            if code in codes:
                self._books.names = replace(self.names, warehouses={**self.names.warehouses, ours: code})
            remedy = f"Name its code under [warehouses]; Tryton has {', '.join(codes) or 'none with a code'}."
            found.append(Finding(f"warehouse {ours}", code in codes, remedy))
        return found
