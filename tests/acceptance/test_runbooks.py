"""Runbooks, followed as they are written, in a town of real processes; what goes wrong in it goes wrong for real.

One town for all of them: each has to leave it well, which the next begins by looking at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, get_args

import pytest
from counterfoil_engine.domain.errors import Category
from counterfoil_engine.work.slo_file import own_objectives
from counterfoil_sandbox.shop_stock import PER_UNIT
from fakes.runbook import RUNBOOKS, blocks, follow
from fakes.town import Town, until
from woocommerce import API


def sweeps_soon(rules: dict[str, Any]) -> None:
    """No request of the shop takes longer than a second: what differs is looked at again after that."""
    rules["sweeps"] = [{"store": "*", "sweep": "*", "every_hours": "0", "longest_request_s": "1", "from": "2020-01-01"}]


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with ExitStack() as stack:
        town = Town(tmp_path_factory.mktemp("town"), stack, rules=sweeps_soon)
        (town.folder / "counterfoil.sqlite").symlink_to("engine.sqlite")
        product = {"name": "MUG", "sku": "MUG", "regular_price": "10", "manage_stock": True, "stock_quantity": 1}
        shop = API(town.shop_url, "ck_sandbox", "cs_sandbox", version="wc/v3", timeout=10)
        shop.post("products", product).raise_for_status()
        town.erp("/sandbox/positions", rows=[{"warehouse": "BER", "sku": "MUG", "on_hand": "40"}])
        town.order()
        done = "select 1 from intents where kind = 'application' and state = 'done'"
        until(lambda: town.rows("engine", done) or None, "an order is posted whole")
        until(lambda: stock(town) == 40 or None, "the shop has the warehouse's number")
        yield town


@pytest.fixture
def town(settled: Town) -> Town:
    """As every runbook finds it, and leaves it."""
    try:
        until(lambda: is_well(settled) or None, "all is as it should be")
    except pytest.fail.Exception:
        pytest.fail(settled.shell("counterfoil status").stdout)
    return settled


def is_well(town: Town) -> bool:
    """Nothing is wrong, nothing waits, and the engine has heard of every order of the shop."""
    waits = "select 1 from intents where state in ('ready', 'sent') union all select 1 from work"
    is_done = not town.rows("engine", waits) and sold(town) == heard_of(town)
    return is_done and town.shell("counterfoil status --check").returncode == 0


def sold(town: Town) -> int:
    return int(town.rows("shop", "select count(*) from orders")[0][0])


def heard_of(town: Town) -> int:
    return len(town.rows("engine", "select distinct subject from events where subject like 'order %'"))


def stock(town: Town) -> int:
    (row,) = town.rows("shop", "select stock from products where sku = 'MUG'")
    return int(row[0]) // PER_UNIT


def one_more_order(town: Town, recording: str = "order_simple_paid") -> None:
    """Somebody buys, and the engine hears of it."""
    before = len(town.rows("engine", "select 1 from events"))
    town.order(recording)
    until(lambda: len(town.rows("engine", "select 1 from events")) > before or None, "the order is heard of")


def test_an_erp_maintenance_window_holds_queues_and_drains(town: Town) -> None:
    typed = follow("maintenance.md", town, {("Queue", 0): lambda: one_more_order(town, "order_variation")})
    assert typed == 7
    assert town.rows("engine", "select count(*) from intents where state <> 'done'") == [(0,)]


def test_every_party_may_be_away(town: Town) -> None:
    def erp_goes() -> None:
        town.children["erp"].stop()
        one_more_order(town)

    happens = {
        ("The ERP", 0): erp_goes,
        ("The ERP", 1): town.children["erp"].start,
        ("A store", 0): town.children["shop"].stop,
        ("A store", 1): town.children["shop"].start,
        ("The engine", 1): town.order,
    }
    assert follow("outages.md", town, happens) == 10
    doubled = "select count(*) from documents group by key having count(*) > 1"
    assert town.rows("erp", doubled) == []


def test_a_store_that_is_stuck_comes_back_with_all_that_was_sold(town: Town) -> None:
    def agent_dies() -> None:
        town.children["agent"].kill()
        town.order()

    before = sold(town)
    assert follow("stuck-store.md", town, {("Which, since when", 0): agent_dies}) == 5
    until(lambda: heard_of(town) == before + 1 or None, "what was sold meanwhile is heard of")


def test_a_hole_is_looked_at(town: Town) -> None:
    assert follow("holes.md", town) == 4


def test_a_number_that_was_set_by_hand_is_found_and_written_again(town: Town) -> None:
    def somebody_edits() -> None:
        import sqlite3

        with sqlite3.connect(town.folder / "shop.sqlite", timeout=10) as shop:
            shop.execute(f"update products set stock = stock + {15 * PER_UNIT} where sku = 'MUG'")
        shop.close()

    offered = stock(town)
    follow("oversell.md", town, {("Is it what the engine wrote", 0): somebody_edits})
    until(lambda: stock(town) == offered or None, "the number is written again")


def test_a_backup_is_restored_and_nothing_is_posted_twice(town: Town) -> None:
    def since_the_backup() -> None:
        one_more_order(town)
        until(lambda: town.documents("ready") + town.documents("sent") == 0 or None, "it is posted")

    assert follow("backup.md", town, {("Restore", 0): since_the_backup}) == 11
    assert town.rows("erp", "select count(*) from documents group by key having count(*) > 1") == []


def test_an_upgrade_stops_nobody(town: Town) -> None:
    assert follow("upgrade.md", town, {("The engine first", 0): town.order}) == 8


@pytest.mark.parametrize("name", ["peak.md", "order-latency.md", "refunds.md"])
def test_what_has_only_to_be_looked_at_is_there_to_be_looked_at(town: Town, name: str) -> None:
    assert follow(name, town) >= 1


# What leads here


def headings(name: str) -> set[str]:
    """As links name them."""
    lines = (RUNBOOKS / name).read_text().splitlines()
    return {line.lstrip("# ").lower().replace(" ", "-").replace(",", "") for line in lines if line.startswith("#")}


@pytest.mark.parametrize("objective", own_objectives(), ids=lambda objective: objective.name)
def test_every_alert_leads_to_a_runbook_that_is_there(objective: Any) -> None:
    name, _, heading = objective.runbook.partition("#")
    assert (RUNBOOKS / name).is_file()
    assert not heading or heading in headings(name)


def test_every_category_of_cases_has_its_part_of_a_runbook() -> None:
    assert set(get_args(Category)) <= headings("cases.md")


def test_every_block_says_what_to_type() -> None:
    for path in sorted(RUNBOOKS.glob("*.md")):
        assert all(commands for _, commands in blocks(path.name)), path.name
