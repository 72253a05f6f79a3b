"""Publishing what may be sold: numbers, versions, bases and caps, over real records on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_engine.ports import Rejected, Written
from counterfoil_engine.records import store_writes
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock
from fakes.databases import DIALECTS, empty, open_database
from fakes.stock import EVERYTHING, RULES, StockWorld, feed_of, said


@pytest.fixture(scope="module")
def _clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module", params=DIALECTS)
def _database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _clock: FakeClock
) -> Iterator[Database]:
    with open_database(request.param, tmp_path_factory.mktemp("stock"), _clock) as opened:
        yield opened


@pytest.fixture
def world(_database: Database, _clock: FakeClock) -> StockWorld:
    _clock.start_anew()
    empty(_database)
    return StockWorld(_database, _clock)


def test_a_number_is_what_is_free_less_what_stores_have_sold(world: StockWorld) -> None:
    world.position("MUG", 10, allocated="1")
    world.position("MUG", 5, "HAM")
    world.sell("eu1", "1001", "46", "MUG", 2)
    world.sell("eu2", "7", "9", "mug ", 1)
    world.publish()
    assert world.number("MUG") == 11
    assert world.number("MUG", "eu2") == 11
    assert world.feed("eu1")["MUG"].basis == (1, 1)
    assert world.marks() == []


def test_only_what_changed_gets_a_version_and_a_counted_move_always_does(world: StockWorld) -> None:
    world.position("MUG", 0)
    world.position("CUP", 3)
    world.publish()
    mug, cup = world.version("MUG"), world.version("CUP")
    world.position("CUP", 3)
    world.position("MUG", 0, damaged="0")
    world.publish()
    assert (world.version("MUG"), world.version("CUP")) == (mug, cup)
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.publish()
    assert world.number("MUG") == -1 and world.version("MUG") > max(mug, cup)
    assert world.feed("eu1")["MUG"].basis == (1, 1)
    assert world.version("CUP") == cup


def test_versions_of_a_pool_rise_one_by_one_and_the_feed_gives_the_latest_of_each_sku(world: StockWorld) -> None:
    for on_hand in range(5, 8):
        for sku in ("MUG", "CUP"):
            world.position(sku, on_hand)
        world.publish()
    rows = sorted(world.feed().values(), key=lambda row: row.version)
    assert [row.version for row in rows] == [5, 6] and {row.number for row in rows} == {7}
    assert list(world.feed(since=5)) == [rows[1].sku]
    assert world.feed(since=6) == {}


def test_an_allocation_counts_with_its_position_and_the_number_stays(world: StockWorld) -> None:
    world.position("MUG", 10)
    world.sell("eu1", "1001", "46", "MUG", 3)
    world.publish()
    world.position("MUG", 10, allocated="3", lines={"eu1/1001/46": (3, 0)})
    world.publish()
    assert world.number("MUG") == 7
    world.position("MUG", 7, lines={"eu1/1001/46": (0, 3)})
    world.publish()
    assert world.number("MUG") == 7
    assert world.publisher.why("eu", "MUG")["reservations"] == []


def test_an_allocation_that_ends_reserves_again(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 3)
    world.position("MUG", 10, allocated="3", lines={"eu1/1001/46": (3, 0)})
    world.publish()
    world.position("MUG", 10)
    world.publish()
    assert world.number("MUG") == 7
    [reserved] = world.publisher.why("eu", "MUG")["reservations"]
    assert (reserved["reserved"], reserved["allocated"]) == (3, 0)


def test_a_position_without_its_lines_counts_an_allocation_twice_and_never_not_at_all(world: StockWorld) -> None:
    world.sell("eu1", "1001", "46", "MUG", 3)
    world.position("MUG", 10, allocated="3", lines={"eu1/1001/46": (3, 0)})
    world.position("MUG", 10, allocated="3", lines=None)
    world.publish()
    assert world.number("MUG") == 4
    world.position("MUG", 10, allocated="3", lines={"eu1/1001/46": (3, 0)})
    world.publish()
    assert world.number("MUG") == 7


def test_a_channels_cap_is_used_up_by_its_sales_and_refilled_by_a_receipt_or_at_night(world: StockWorld) -> None:
    share = {"pool": "*", "store": "eu1", "sku": "*", "share": "0.5", "from": "2020-01-01"}
    world.load_rules(caps=[share])
    world.position("MUG", 10)
    world.publish()
    assert (world.number("MUG", "eu1"), world.number("MUG", "eu2"), world.number("MUG")) == (5, 10, 10)
    world.sell("eu1", "1001", "46", "MUG", 3)
    world.publish()
    assert (world.number("MUG", "eu1"), world.number("MUG", "eu2")) == (2, 7)
    world.position("MUG", 7, lines={"eu1/1001/46": (0, 3)})
    world.publish()
    assert world.number("MUG", "eu1") == 2, "shipping is no count"
    world.sell("eu1", "1001", "46", "MUG", -1)
    world.publish()
    assert world.number("MUG", "eu1") == 3
    world.position("MUG", 17, lines={"eu1/1001/46": (0, 3)})
    world.publish()
    assert world.number("MUG", "eu1") == 8, "goods that came in are a count"
    world.load_rules(caps=[])
    world.publish()
    assert world.number("MUG", "eu1") == 17


def test_a_cap_is_counted_anew_each_night(world: StockWorld) -> None:
    if not world.database.is_sqlite:
        pytest.skip("the database's own clock can't be set")
    world.load_rules(caps=[{"pool": "*", "store": "eu1", "sku": "*", "share": "0.5", "from": "2020-01-01"}])
    world.position("MUG", 10)
    world.publish()
    world.sell("eu1", "1001", "46", "MUG", 4)
    world.publish()
    assert world.number("MUG", "eu1") == 1
    world.clock.pass_time(86_400)
    world.publish()
    assert world.number("MUG", "eu1") == 3


def test_a_number_unchanged_by_a_sale_still_tells_its_new_basis(world: StockWorld) -> None:
    world.load_rules(caps=[{"pool": "*", "store": "eu2", "sku": "*", "share": "0.2", "from": "2020-01-01"}])
    world.position("MUG", 10)
    world.publish()
    assert world.feed("eu2")["MUG"][2:5] == (1, 2, (0, 0)) or world.feed("eu2")["MUG"].basis == (1, 0)
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.publish()
    assert world.feed("eu2")["MUG"].number == 2 and world.feed("eu2")["MUG"].version == 2


def test_a_kit_has_what_its_scarcest_part_makes_and_a_kit_sold_takes_from_its_parts(world: StockWorld) -> None:
    parts = [{"sku": "CUP", "quantity": "2"}, {"sku": "PLATE", "quantity": "1"}]
    world.load_rules(kits=[{"pool": "*", "sku": "SET", "parts": parts, "from": "2020-01-01"}])
    world.position("CUP", 10)
    world.position("PLATE", 9)
    world.publish()
    assert world.number("set") == 5
    world.sell("eu1", "1001", "46", "SET", 2)
    world.publish()
    assert (world.number("CUP"), world.number("PLATE"), world.number("set")) == (6, 7, 3)
    world.position("CUP", 10, allocated="4", lines={"eu1/1001/46": (4, 0)})
    world.publish()
    assert (world.number("CUP"), world.number("set")) == (6, 3)


def test_a_reservation_counts_in_every_pool_that_shares_a_warehouse(world: StockWorld) -> None:
    pools = [{"id": "eu", "warehouses": ["BER", "HAM"]}, {"id": "outlet", "warehouses": ["BER"]}]
    stores = [*RULES["stores"], {**RULES["stores"][0], "id": "out1", "pool": "outlet"}]  # type: ignore[misc]
    world.load_rules(pools=pools, stores=stores)
    world.position("MUG", 10)
    world.position("MUG", 10, "HAM")
    world.publish()
    world.sell("eu1", "1001", "46", "MUG", 4)
    world.publish()
    assert world.feed(pool="outlet")["MUG"].number == 6
    world.position("MUG", 10, "HAM", allocated="4", lines={"eu1/1001/46": (4, 0)})
    world.publish()
    assert world.feed(pool="outlet")["MUG"].number == 10, "it is allocated in a warehouse that is not its own"
    assert world.number("MUG") == 16


def test_new_rules_compute_all_anew_and_give_versions_to_what_they_change(world: StockWorld) -> None:
    world.position("MUG", 10)
    world.position("CUP", 2)
    world.publish()
    cup = world.version("CUP")
    world.load_rules(
        availability=[{**EVERYTHING, "safety_units": "3"}, {**EVERYTHING, "sku": "CUP", "safety_units": "0"}]
    )
    world.publish()
    assert (world.number("MUG"), world.number("CUP"), world.version("CUP")) == (7, 2, cup)
    world.load_rules(availability=[{**EVERYTHING, "sku": "CUP", "excluded": True}])
    world.publish()
    assert world.feed()["CUP"].excluded and world.number("CUP") == 0


def test_what_is_expected_counts_once_its_day_is_near(world: StockWorld) -> None:
    if not world.database.is_sqlite:
        pytest.skip("the database's own clock can't be set")
    world.load_rules(availability=[{**EVERYTHING, "counts": ["on_hand", "in_transit"], "inbound_days": "2"}])
    day = (world.now() + timedelta(days=3)).date().isoformat()
    world.position("MUG", 1, inbound=[{"expected_on": day, "quantity": "5"}])
    world.publish()
    assert world.number("MUG") == 1
    world.clock.pass_time(86_400)
    world.publish()
    assert world.number("MUG") == 6


def test_a_number_with_an_end_is_told_anew_before_it_ends(world: StockWorld) -> None:
    if not world.database.is_sqlite:
        pytest.skip("the database's own clock can't be set")
    world.load_rules(availability=[{**EVERYTHING, "silence_hours": "4", "silence_share": "0.5"}])
    world.position("MUG", 10)
    world.publish()
    told, first = world.version("MUG"), world.feed()["MUG"]
    assert first.expires_at == world.now() + timedelta(hours=4)
    world.clock.pass_time(3_600)
    world.position("MUG", 10)
    world.publish()
    assert world.version("MUG") == told, "nothing has changed, and the end is far"
    world.clock.pass_time(3_700)
    world.publish()
    assert world.version("MUG") == told + 1, "also where it was computed in between"
    world.publish()
    assert world.version("MUG") == told + 1
    for hours in range(1, 9):
        world.clock.pass_time(3_600)
        world.publish()
    assert world.version("MUG") == told + 5
    assert world.feed()["MUG"].as_of == first.as_of


def test_a_store_that_moves_to_another_pool_is_told_only_versions_above_those_it_has(world: StockWorld) -> None:
    for on_hand in range(5, 12):
        world.position("MUG", on_hand)
        world.publish()
    held = world.feed("eu1")["MUG"].version
    pools = [{"id": "eu", "warehouses": ["BER", "HAM"]}, {"id": "outlet", "warehouses": ["HAM"]}]
    world.position("MUG", 3, "HAM")
    world.position("CUP", 1, "HAM")
    world.load_rules(pools=pools)
    world.publish()
    outlet = world.feed(pool="outlet")
    assert {row.number for row in outlet.values()} == {3, 1}
    assert min(row.version for row in outlet.values()) > held, "it is new, and begins above all others"
    for on_hand in range(20, 29):
        world.position("MUG", on_hand)
        world.publish()
    held = world.feed("eu1")["MUG"].version
    assert held > max(row.version for row in outlet.values())
    eu1, eu2 = RULES["stores"]
    world.load_rules(pools=pools, stores=[{**eu1, "pool": "outlet"}, eu2])  # type: ignore[dict-item]
    world.publish()
    moved = world.feed("eu1", pool="outlet")
    assert {row.number for row in moved.values()} == {3, 1}
    assert min(row.version for row in moved.values()) > held
    last = world.feed(pool="outlet")
    world.load_rules(pools=pools, stores=[{**eu1, "pool": "outlet"}, eu2])  # type: ignore[dict-item]
    world.publish()
    assert world.feed(pool="outlet") == last, "other rules alone tell nothing anew"


def test_unpaid_orders_keep_their_units_as_long_as_the_rule_says(world: StockWorld) -> None:
    world.load_rules(availability=[{**EVERYTHING, "unpaid_hours": "24"}])
    world.position("MUG", 10)
    world.sell_by_rest("eu1", "1001", "46", "MUG", 3, status="on-hold", created=world.now() - timedelta(hours=25))
    world.sell_by_rest("eu1", "1002", "47", "MUG", 2, status="on-hold", created=world.now() - timedelta(hours=1))
    world.publish()
    assert world.number("MUG") == 8


def test_a_mapping_that_comes_later_moves_the_reservation_to_its_item(world: StockWorld) -> None:
    world.position("MUG", 10)
    world.sell("eu1", "1001", "46", "OLD-MUG", 2)
    world.publish()
    assert world.number("MUG") == 10
    world.load_rules(items=[{"store": "eu1", "sku": "OLD-MUG", "item": "MUG", "class": "goods", "from": "2020-01-01"}])
    world.publish()
    assert world.number("MUG") == 8
    world.sell("eu1", "1002", "47", "OLD-MUG", 1)
    world.publish()
    assert world.number("MUG") == 7


def test_a_stock_set_by_hand_gives_the_item_a_new_version(world: StockWorld) -> None:
    world.position("MUG", 10)
    world.publish()
    before = world.version("MUG")
    move = {**world.move("", "MUG", 5, "set"), "order_item_id": None}
    world.take_in("eu1", world.order("eu1", "1001", move))
    world.publish()
    assert (world.number("MUG"), world.version("MUG")) == (10, before + 1)


def test_why_tells_each_term_reservation_and_what_the_stores_answered(world: StockWorld) -> None:
    world.load_rules(availability=[{**EVERYTHING, "safety_units": "1"}])
    world.position("MUG", 10, allocated="1", damaged="2")
    world.sell("eu1", "1001", "46", "MUG", 3)
    world.publish()
    with world.database.transaction() as tx:
        for version in range(1, 6):
            store_writes.note(tx, "eu1", [Written("mug", version, 3, "applied", 3)])
    told = world.publisher.why("eu", "mug")
    assert (told["number"], told["is_published"], told["published"]["version"]) == (3, True, (1 << 40) + 1)
    assert {term["name"]: term["units"] for term in told["terms"]} == {
        "on hand": 10,
        "allocated": -1,
        "damaged": -2,
        "reserved": -3,
        "safety stock": -1,
    }
    assert {term["name"]: term["source"] for term in told["terms"] if term["name"] != "safety stock"} == {
        **dict.fromkeys(("on hand", "allocated", "damaged"), "erp DE01"),
        "reserved": "1 order lines",
    }
    assert told["terms"][-1]["source"].startswith("rules ") and told["terms"][0]["age_s"] >= 0
    assert [(one["order"], one["reserved"]) for one in told["reservations"]] == [("1001", 3)]
    eu1 = next(store for store in told["stores"] if store["store"] == "eu1")
    assert eu1["basis"] == {"epoch": 1, "n": 1}
    assert [write["version"] for write in eu1["writes"]] == [5, 4, 3]


def test_why_of_what_nobody_knows_is_said(world: StockWorld) -> None:
    world.publish()
    with pytest.raises(Rejected, match="no pool 'us'"):
        world.publisher.why("us", "MUG")
    with pytest.raises(Rejected, match="position of 'CUP'"):
        world.publisher.why("eu", "CUP")


def test_a_move_counted_while_a_number_is_on_its_way_is_in_the_next_and_the_basis_says_which(world: StockWorld) -> None:
    world.position("MUG", 10)
    world.sell("eu1", "1001", "46", "MUG", 1)
    world.publish()
    world.sell("eu1", "1002", "47", "MUG", 2)
    assert world.feed("eu1")["MUG"][2:5] == (1, 9, (1, 1)), "this number doesn't count the second sale, and says so"
    with world.database.transaction() as tx:
        tx.run("delete from publications")
    assert world.feed("eu1") == {}, "which sales it counts can't be said any more: it is being computed anew"
    world.publish()
    assert world.feed("eu1")["MUG"][2:5] == (2, 7, (1, 2))
    with world.database.transaction() as tx:
        tx.run("delete from publications")
    assert world.feed("eu1")["MUG"].basis == (1, 2)


@pytest.mark.postgresql
def test_two_publishers_of_one_pool_never_skip_a_version_nor_give_one_twice(tmp_path: Path) -> None:
    clock = FakeClock()
    with open_database("postgresql", tmp_path, clock) as database:
        world = StockWorld(database, clock)
        world.say(*(said(f"S{number}", 100, as_of=world.now()) for number in range(40)))
        others = [Database(database.url, clock) for _ in range(3)]
        stop, failed = threading.Event(), list[BaseException]()

        def run(step: object) -> None:
            try:
                while not stop.is_set():
                    step()  # type: ignore[operator]
            except BaseException as error:
                failed.append(error)

        publishers = [world.another_publisher(each) for each in others[:2]]
        threads = [threading.Thread(target=run, args=(each.step,)) for each in publishers]
        seen: list[tuple[int, str, int, tuple[int, int]]] = []

        def follow() -> None:
            for row in feed_of(others[2], "eu", "eu1", seen[-1][0] if seen else 0):
                assert row.basis is not None
                seen.append((row.version, row.sku, row.number, row.basis))

        threads.append(threading.Thread(target=run, args=(follow,)))
        for thread in threads:
            thread.start()
        for order in range(60):
            world.sell("eu1", str(1000 + order), str(1 + order), f"S{order % 7}", 1)
        world.publish()
        stop.set()
        for thread in threads:
            thread.join()
        world.publish()
        run_last = threading.Thread(target=follow)
        run_last.start()
        run_last.join()
        for each in others:
            each.close()
        assert not failed
        versions = [version for version, *_ in seen]
        assert versions == sorted(set(versions))
        latest = {sku: number for _, sku, number, _ in seen}
        assert latest == {sku: row.number for sku, row in world.feed().items()}, "the follower missed nothing"
        for version, sku, number, (_, n) in seen:
            counted = sum(1 for order in range(60) if f"S{order % 7}" == sku and order < n)
            assert number == 100 - counted, f"version {version} counts other sales than its basis says"
