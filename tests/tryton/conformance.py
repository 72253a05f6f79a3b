"""The conformance kit on a real Tryton: `make conformance ERP=tryton`, with and without the module counterfoil."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path

from counterfoil_engine.adapters.erp.tryton.names import written
from counterfoil_engine.cli.erp_trial import ON_SHELF, Place
from counterfoil_engine.conformance.checks import ALL
from counterfoil_engine.conformance.company import Company
from counterfoil_engine.conformance.run import conform, verdict

from tryton import server as servers
from tryton.needs import NEEDS

CLOSED = date(2026, 1, 15)
STOCK = ({**ON_SHELF, "sku": "SKU-2", "on_hand": "12", "allocated": "0", "damaged": "0", "quarantined": "0"},)


def close_period(server: servers.Server, day: date) -> None:
    """Close the period of a day in DE01, as an accountant does."""
    client = server.client()
    client.context["company"] = company_id(server)
    domain = [("company.party.name", "=", "DE01"), ("start_date", "<=", day), ("end_date", ">=", day)]
    client.write("model.account.period.close", client.read("model.account.period.search", domain, 0, None, None))


def open_period(server: servers.Server, day: date) -> None:
    client = server.client()
    client.context["company"] = company_id(server)
    domain = [("company.party.name", "=", "DE01"), ("start_date", "<=", day), ("end_date", ">=", day)]
    client.write("model.account.period.reopen", client.read("model.account.period.search", domain, 0, None, None))


def company_id(server: servers.Server) -> int:
    return int(server.client().read("model.company.company.search", [("party.name", "=", "DE01")], 0, 1, None)[0])


def put_stock(server: servers.Server, code: str, units: dict[str, int]) -> None:
    """Count an item in the storage zone of warehouses, by Tryton's code."""
    client = server.client()
    client.context["company"] = company_id(server)
    (product,) = client.read("model.product.product.search", [("code", "=", code)], 0, 1, None)
    for warehouse, quantity in units.items():
        (place,) = client.read(
            *("model.stock.location.search_read", [("code", "=", warehouse)], 0, 1, None, ["storage_location"])
        )
        line = {"product": product, "quantity": float(quantity)}
        values = {
            **{"company": client.context["company"], "location": place["storage_location"], "date": date(2026, 11, 1)},
            "lines": [("create", [line])],
        }
        client.write("model.stock.inventory.confirm", client.write("model.stock.inventory.create", [values]))


@contextmanager
def prepared(is_with_module: bool) -> Iterator[Place]:
    """A company for trials in a Tryton of its own."""
    with servers.copied(NEEDS) as server:
        close_period(server, CLOSED)
        put_stock(server, "SKU-2", {"MAIN": 12})  # the kit has its own item returned, which changes what is there
        map_file = Path(server.folder) / "map.toml"
        map_file.write_text(written(server.map_of("DE01", NEEDS["DE01"])))
        company = Company(
            entity="DE01", closed_day=CLOSED, day=date(2026, 11, 20), stock=STOCK, least_documents_per_s=Decimal("0.2")
        )
        options = {"map": str(map_file), "module": is_with_module, "commit_lag_s": 0 if is_with_module else 2}
        yield Place("tryton", company, {"url": server.url, "options": options}, servers.PASSWORD)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make conformance ERP=tryton", description=__doc__)
    parser.add_argument("--without-module", action="store_true", help="do without the module counterfoil")
    options = parser.parse_args()
    if reason := servers.missing():
        print(reason, file=sys.stderr)
        return 2
    with prepared(not options.without_module) as place:
        results = []
        for result in conform(place.trial(), ALL):
            results.append(result)
            print(f"{result.state:<12}  {result.check.topic}: {result.check.name}: {result.came}", flush=True)
    passed, counting = verdict(results)
    print(f"conformance: {passed} of {counting} passed")
    return int(passed < counting)


if __name__ == "__main__":
    sys.exit(main())
