"""A shop sells on the sandbox ERP, then on both, then on Tryton alone: nothing is posted twice, nothing is lost."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from counterfoil_engine.adapters.erp.tryton.names import written
from fakes.town import Town, until

from tryton import server as servers

ORDERS = ("order_simple_paid", "order_guest_fr", "order_multiline_coupon_fee")


def _town(folder: Path, stack: ExitStack, tryton: servers.Server) -> Town:
    (folder / "map.toml").write_text(written(tryton.maps["DE01"]))
    successor = (
        f'name = "sandbox"\n\n[successor.DE01]\nname = "tryton"\nadapter = "tryton"\nurl = "{tryton.url}"\n'
        f'token_env = "TRYTON_PASSWORD"\noptions = {{ map = "{folder / "map.toml"}" }}\n'
    )
    return Town(folder, stack, successor, {"TRYTON_PASSWORD": servers.PASSWORD}, rules=_one_product)


def _one_product(rules: dict[str, Any]) -> None:
    for row in rules["items"]:
        row["item"] = "GOODS"


def _says(town: Town, *words: str) -> Any:
    told = town.shell(" ".join(["counterfoil", *words, "--json"]))
    assert told.returncode == 0, told.stdout + told.stderr
    return json.loads(told.stdout)


def _standing(town: Town) -> dict[str, str]:
    """Key → content hash of all that has a result."""
    rows = town.rows("engine", "select key, content_hash from intents where state = 'done' and party = 'erp'")
    return dict(rows)


def _at_rest(town: Town, orders: int) -> None:
    sold = "select count(distinct about) from intents where kind = 'sales_order' and state = 'done'"
    open_still = "select 1 from intents where state in ('ready', 'sent') limit 1"
    until(
        lambda: (town.rows("engine", sold)[0][0] == orders and not town.rows("engine", open_still)) or None,
        f"{orders} orders are posted",
        120,
    )


def test_a_shop_goes_from_the_sandbox_erp_to_tryton_while_it_sells(tmp_path: Path, tryton: servers.Server) -> None:
    erp = tryton.erp(tryton.maps["DE01"])
    with ExitStack() as stack:
        town = _town(tmp_path, stack, tryton)
        town.order(ORDERS[0])
        _at_rest(town, 1)
        assert erp.find(list(_standing(town))) == {}, "Tryton has nothing yet"

        _says(town, "erp", "beside", "DE01")
        town.order(ORDERS[1])
        _at_rest(town, 2)
        until(lambda: _says(town, "erp", "roles", "DE01")["behind"] == 0 or None, "Tryton has all that stands", 120)
        shown = _says(town, "erp", "roles", "DE01")
        assert shown["refusals"] == [] and (shown["counts"], shown["differing"]) == ("sandbox", 0)

        _says(town, "erp", "hand-over", "DE01")
        until(lambda: _says(town, "erp", "roles", "DE01")["counts"] == "tryton" or None, "Tryton counts", 120)
        left_behind = town.rows("erp", "select count(*) from documents")
        town.order(ORDERS[2])
        _at_rest(town, 3)
        assert town.rows("erp", "select count(*) from documents") == left_behind
        standing = _standing(town)
    found = erp.find(list(standing))
    assert {key: [one.content_hash for one in there] for key, there in found.items()} == {
        key: [content_hash] for key, content_hash in standing.items()
    }, "each document stands once in Tryton, as it is due"
