"""One company's books in Tryton: the ids behind the names of the map, its periods, currencies and items.

Read once and kept; what isn't found is looked for again, so that what somebody makes in Tryton is seen at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from counterfoil_engine.adapters.erp.tryton.names import NameMap
from counterfoil_engine.adapters.erp.tryton.rpc import Tryton
from counterfoil_engine.domain.errors import Category, Unavailable

CALLS = 2  # of the module: what its models answer, and how
SETUP = "counterfoil erp setup tryton"


class Refusal(Exception):
    """A document that can't be made as things stand: what a case needs."""

    def __init__(self, category: Category, cause: str, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.category, self.cause, self.remedy = category, cause, remedy


@dataclass(frozen=True)
class Account:
    """id, role. is_revenue: an invoice's line may name it. needs_party: its lines must."""

    id: int
    code: str
    role: str
    needs_party: bool
    is_revenue: bool


@dataclass(frozen=True)
class Item:
    """A product. unit: the id of the unit that it is sold in, by the piece."""

    id: int
    code: str
    unit: int
    is_sold: bool
    is_by_the_piece: bool


@dataclass(frozen=True)
class Currency:
    id: int
    code: str
    digits: int

    def amount(self, minor: int) -> Decimal:
        return Decimal(minor).scaleb(-self.digits)

    def minor(self, amount: Decimal | int | None) -> int:
        """Minor units of an amount. It never has more digits than its currency."""
        return int(Decimal(amount or 0).scaleb(self.digits).to_integral_value())


@dataclass(frozen=True)
class Period:
    first: date
    last: date
    id: int
    is_open: bool


class Books:
    """What the adapter knows of a company. has_module: the module counterfoil answers there."""

    def __init__(self, tryton: Tryton, names: NameMap, uses_module: bool = True) -> None:
        self.tryton, self.names, self._uses_module = tryton, names, uses_module
        self.company = 0
        self.has_module = False
        self.currency = Currency(0, "", 2)
        self._accounts: dict[str, Account] = {}
        self._items: dict[str, Item | None] = {}
        self._currencies: dict[str, Currency] = {}
        self._taxes: dict[str, int] = {}
        self._warehouses: dict[str, dict[str, Any]] = {}
        self._journals: dict[str, int] = {}

    def open(self) -> Books:
        """Find the company, once. Raises Unavailable or RateLimited."""
        if not self.company:
            self._open()
        return self

    def _open(self) -> None:
        read, names = self.tryton.read, self.names
        found = read(
            "model.company.company.search_read", [("party.name", "=", names.company)], 0, 2, None, ["currency"]
        )
        if len(found) != 1:
            raise Unavailable(
                f"Tryton has {len(found)} companies named {names.company!r} that this user may work for.",
                f"Correct company in {names.path}, or add the company to the user's in Tryton.",
                category="contract",
            )
        self._currencies = {
            row["code"]: Currency(row["id"], row["code"], row["digits"])
            for row in read("model.currency.currency.search_read", [], 0, None, None, ["code", "digits"])
        }
        (self.currency,) = [one for one in self._currencies.values() if one.id == found[0]["currency"]]
        modules = read(
            "model.ir.module.search_read",
            [("name", "in", ["account_invoice", "sale", "stock", "counterfoil"]), ("state", "=", "activated")],
            *(0, None, None, ["name"]),
        )
        active = {row["name"] for row in modules}
        if missing := {"account_invoice", "sale", "stock"} - active:
            raise Unavailable(
                f"In this Tryton the module {min(missing)} isn't active.",
                f"Activate {', '.join(sorted(missing))} in Tryton (Administration, Modules).",
                category="contract",
            )
        self.has_module = self._uses_module and "counterfoil" in active
        if self.has_module:
            self._require_calls()
        self.company = found[0]["id"]
        self.tryton.context |= {"company": self.company}

    def _require_calls(self) -> None:
        calls = self.tryton.read("model.counterfoil.document.promises")["calls"]
        if calls != CALLS:
            raise Unavailable(
                f"The module counterfoil in this Tryton speaks version {calls} of its calls, the engine {CALLS}.",
                "Install the tryton-module of the engine's own release beside trytond, update the database with"
                " `trytond-admin -u counterfoil`, and restart trytond.",
                category="contract",
            )

    def of_company(self, *more: Any) -> list[Any]:
        return [("company", "=", self.company), *more]

    # Accounts, taxes, journals

    def account(self, role: str) -> Account:
        """The account of a role. Raises Refusal."""
        return self.accounts([role])[role]

    def accounts(self, roles: Iterable[str]) -> dict[str, Account]:
        wanted = set(roles)
        if not wanted <= self._accounts.keys():
            self._read_accounts()
        if missing := sorted(wanted - self._accounts.keys()):
            self._no_account(missing[0])
        return {role: self._accounts[role] for role in wanted}

    def all_accounts(self) -> Collection[Account]:
        """Those that the map names and that are there."""
        self._read_accounts()
        return self._accounts.values()

    def _read_accounts(self) -> None:
        roles = self.names.roles()
        fields = ["code", "party_required", "type.revenue", "type"]
        if self.has_module:
            fields.append("counterfoil")
        rows = self.tryton.read(
            "model.account.account.search_read",
            self.of_company(("code", "in", list(roles)), ("closed", "!=", True)),
            *(0, None, None, fields),
        )
        for row in rows:
            kind = row.get("type.") or {}
            is_revenue = bool(kind.get("revenue") or row.get("counterfoil"))
            role = roles[row["code"]]
            self._accounts[role] = Account(row["id"], row["code"], role, bool(row["party_required"]), is_revenue)

    def _no_account(self, role: str) -> None:
        code = self.names.accounts.get(role)
        if code is None:
            cause = f"{self.names.path} names no account for the role {role}."
        else:
            cause = f"The account {code}, which stands for the role {role}, isn't in Tryton's books of this company."
        remedy = f"Run `{SETUP}`, which proposes one, or name the account of this role under [accounts]."
        raise Refusal("missing_mapping", cause, remedy)

    def tax(self, role: str) -> int | None:
        """The tax by which Tryton's reports add up, where the map names one."""
        name = self.names.taxes.get(role)
        if name is not None and name not in self._taxes:
            rows = self.tryton.read(
                "model.account.tax.search_read", self.of_company(("name", "=", name)), 0, 1, None, ["id"]
            )
            if not rows:
                raise Refusal(
                    "missing_mapping",
                    f"The tax {name}, which stands for {role}, isn't in Tryton's books of this company.",
                    f"Correct [taxes] in {self.names.path}, or make the tax in Tryton.",
                )
            self._taxes[name] = rows[0]["id"]
        return self._taxes[name] if name is not None else None

    def journal(self, kind: str) -> int:
        """The journal of the map, or the one of sales."""
        if kind not in self._journals:
            domain = [("type", "=", "revenue")] if kind == "revenue" else [("code", "=", self.names.journal)]
            rows = self.tryton.read("model.account.journal.search_read", domain, 0, 1, None, ["id"])
            if not rows:
                raise Refusal(
                    "missing_mapping",
                    f"Tryton has no journal {'for sales' if kind == 'revenue' else self.names.journal!r}.",
                    f"Correct journal in {self.names.path}, or run `{SETUP}`.",
                )
            self._journals[kind] = rows[0]["id"]
        return self._journals[kind]

    # Currencies and rates

    def currency_of(self, code: str) -> Currency:
        if code not in self._currencies:
            raise Refusal(
                "missing_mapping",
                f"Tryton doesn't know the currency {code}, or not for this user.",
                "Make the currency in Tryton, with its digits and a rate.",
            )
        return self._currencies[code]

    def currency_code(self, currency: int | None) -> str:
        found = [one.code for one in self._currencies.values() if one.id == currency]
        return found[0] if found else self.currency.code

    def rate(self, currency: str, book: str, on: date) -> Decimal | None:
        """Units of currency for one of book, by Tryton's rates on or before that day."""
        theirs, ours = (self._rate(code, on) for code in (currency, book))
        return None if theirs is None or ours is None else theirs / ours

    def _rate(self, code: str, on: date) -> Decimal | None:
        if code not in self._currencies:
            return None
        rows = self.tryton.read(
            "model.currency.currency.rate.search_read",
            [("currency", "=", self._currencies[code].id), ("date", "<=", on)],
            *(0, 1, [("date", "DESC")], ["rate"]),
        )
        if rows:
            return Decimal(rows[0]["rate"]) or None
        return Decimal(1) if code == self.currency.code else None

    # Periods

    def periods(self) -> list[Period]:
        """Standard ones, by day. Asked each time: somebody closes them."""
        rows = self.tryton.read(
            "model.account.period.search_read",
            self.of_company(("type", "=", "standard")),
            *(0, None, [("start_date", "ASC")], ["start_date", "end_date", "state"]),
        )
        return [Period(row["start_date"], row["end_date"], row["id"], row["state"] == "open") for row in rows]

    # Items and warehouses

    def items(self, names: Collection[str]) -> dict[str, Item | None]:
        """Each item by our name; None: there is none."""
        code_of = {name: self.names.items.get(name, name) for name in names}
        wanted = [code for code in code_of.values() if self._items.get(code) is None]
        if wanted:
            rows = self.tryton.read(
                "model.product.product.search_read",
                [("code", "in", wanted)],
                *(0, None, None, ["code", "salable", "sale_uom", "sale_uom.category.name", "default_uom"]),
            )
            for row in rows:
                unit = row.get("sale_uom") or row["default_uom"]
                category = ((row.get("sale_uom.") or {}).get("category.") or {}).get("name")
                item = Item(row["id"], row["code"], unit, bool(row["salable"]), category in (None, "Unit", "Units"))
                self._items[row["code"]] = item
        return {name: self._items.get(code) for name, code in code_of.items()}

    def warehouse(self, code: str) -> Mapping[str, Any]:
        """id, input_location, storage_location of a warehouse by Tryton's code."""
        if code not in self._warehouses:
            rows = self.tryton.read(
                "model.stock.location.search_read",
                [("type", "=", "warehouse"), ("code", "=", code)],
                *(0, 2, None, ["code", "input_location", "storage_location"]),
            )
            if len(rows) != 1:
                raise Refusal(
                    "missing_mapping",
                    f"Tryton has {len(rows)} warehouses with the code {code}.",
                    f"Correct the warehouses in {self.names.path}, or the code in Tryton.",
                )
            self._warehouses[code] = rows[0]
        return self._warehouses[code]

    def forget(self) -> None:
        """Look accounts, taxes, items and warehouses up again: somebody may have mended what was refused."""
        self._accounts.clear()
        self._taxes.clear()
        self._items.clear()
        self._warehouses.clear()
