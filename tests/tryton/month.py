"""The worked month on a real Tryton: `make month-tryton`. The same plan, engine and tie-outs as `make month`.

What an accountant does wrong in the ERP by hand is planted on the sandbox alone: Tryton lets nobody delete a move.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from counterfoil_engine.adapters.erp.tryton import TrytonErp
from loguru import logger
from month.ledgers import TheirDocument
from month.planted import DELETED, DOUBLED, KINDS, ON_CONTROL, OTHER_TAX
from month.result import Result, worked
from month.show import lines_of

from tryton import server as servers
from tryton.needs import NEEDS

PLANTED = tuple(kind for kind in KINDS if kind not in (DELETED, DOUBLED, OTHER_TAX, ON_CONTROL))
EACH_PER_ORDERS = 400
# The second rate of Quebec is of the same lines as the first.
COMPOUND = "tax:domestic:CA-QC:9.975"


@dataclass
class Books:
    """A company's ERP that also tells the bases of its invoices' taxes, as Tryton has them."""

    erp: TrytonErp
    entity: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.erp, name)

    def documents(self) -> Iterator[TheirDocument]:
        read = self.erp.tryton.read
        fields = ["reference", "number", "currency.code", "currency.digits", "untaxed_amount"]
        fields += ["taxes.description", "taxes.base", "lines.account.code", "lines.amount"]
        domain = [("type", "=", "out"), ("state", "in", ["posted", "paid"]), ("company.party.name", "=", self.entity)]
        for row in read("model.account.invoice.search_read", domain, 0, None, None, fields):
            key, currency = row["reference"], row["currency."]
            kind = "invoice" if "/invoice/" in key else "credit_note"
            undone = -1 if key.endswith("/reversal") else 1
            # Amounts are positive on an invoice, negative on a credit note; of what it reverses, the other way round.
            sign = undone * (1 if kind == "invoice" else -1)
            lines = [_line(role, int(sign * base * 10 ** currency["digits"])) for role, base in _bases(row)]
            yield TheirDocument(key, row["number"], self.entity, kind, currency["code"], {"lines": lines}, undone)


def _bases(row: Any) -> Iterator[tuple[str, Any]]:
    """(role, or gift_cards, or nothing for what bears no tax; base) of an invoice."""
    taxed = gift_cards = 0
    for tax in row["taxes."]:
        yield tax["description"], tax["base"]
        taxed += 0 if tax["description"] == COMPOUND else tax["base"]
    for line in row["lines."]:
        if line["account."]["code"] == "gift_cards":
            gift_cards += line["amount"]
    yield "gift_cards", gift_cards
    yield "", row["untaxed_amount"] - taxed - gift_cards


def _line(role: str, minor: int) -> dict[str, Any]:
    """As a document's line says it."""
    names, parts = ("treatment", "jurisdiction", "rate"), role.split(":")[1:]
    taxes = [{**dict(zip(names, parts, strict=True)), "tax_minor": 0}] if parts else []
    return {"net_minor": minor, "taxes": taxes, "class": role or None}


def month_on(server: servers.Server, seed: int, orders: int, kinds: Collection[str], is_with_module: bool) -> Result:
    erps = {
        name: Books(server.erp(server.map_of(name, needs, ships=False), module=is_with_module, commit_lag_s=0.0), name)
        for name, needs in NEEDS.items()
    }
    return worked(seed, orders, kinds, max(1, orders // EACH_PER_ORDERS), erps=erps)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make month-tryton", description=__doc__)
    parser.add_argument("--orders", type=int, default=2000, help="orders of the month. Defaults to 2000")
    parser.add_argument("--seed", type=int, default=1, help="of all that is by chance. Defaults to 1")
    parser.add_argument("--plant", default="all", help="all, none, or a kind of error. Defaults to all")
    parser.add_argument("--without-module", action="store_true", help="do without the module counterfoil")
    options = parser.parse_args()
    if reason := servers.missing():
        print(reason, file=sys.stderr)
        return 2
    logger.remove()
    kinds = {"all": PLANTED, "none": ()}.get(options.plant, (options.plant,))
    with servers.copied(NEEDS) as server:
        result = month_on(server, options.seed, options.orders, kinds, not options.without_module)
    for line in lines_of(result):
        print(line)
    return 0 if result.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
