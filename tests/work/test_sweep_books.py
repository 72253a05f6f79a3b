"""Sweeps of an entity's books over a whole engine and the sandbox ERP: what hands do in the ERP is found and named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from builders import a_line, an_order
from counterfoil_engine.domain.breaks import Class
from counterfoil_sandbox.erp_stock import Stock
from fakes.booked import ANNA, Booked, booked_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Booked]:
    with booked_store(tmp_path) as made:
        yield made


def test_books_that_nobody_touched_agree(shop: Booked) -> None:
    run = shop.sweep("erp")
    assert (run["state"], run["found"], run["in_flight"]) == ("done", {}, {})
    assert run["compared"] == len(shop.posted()) > 4
    assert shop.sweep("money")["found"] == {}


def test_a_document_deleted_by_hand_is_missed_and_posted_again_under_its_own_key_after_a_yes(shop: Booked) -> None:
    key = shop.key("invoice", 1001)
    journal = shop.journal()
    shop.by_hand.delete(key)
    run = shop.sweep("erp")
    assert run["found"] == {"missed": {"breaks": 1, "units": 1, "amounts": {"EUR": 2356}}} and run["healing"] == 0
    assert shop.breaks() == {f"document {key}": ("eu1", "missed", -1, -2356, "proposed")}
    shop.heal(f"document {key}")
    shop.flow()
    assert shop.posted().count(key) == 1 and shop.journal() == journal, "its journal is not written twice"
    assert shop.sweep("erp")["found"] == {} and shop.sweep("erp")["in_flight"] == {}
    assert shop.breaks()[f"document {key}"][4] == "healed"


def test_what_a_person_restored_meanwhile_is_found_by_its_key_and_not_posted_twice(shop: Booked) -> None:
    key = shop.key("invoice", 1001)
    body = shop.body(key)
    shop.by_hand.delete(key)
    shop.sweep("erp")
    shop.chain.books.post([body])
    shop.heal(f"document {key}")
    shop.flow()
    assert shop.posted().count(key) == 1 and shop.sweep("erp")["found"] == {}


def test_a_document_that_was_edited_there_is_a_manual_edit_of_that_amount(shop: Booked) -> None:
    key = shop.key("invoice", 1001)
    shop.chain.books.tamper(key, 2456)
    assert shop.sweep("erp")["found"] == {"manual_edit_erp": {"breaks": 1, "units": 0, "amounts": {"EUR": 100}}}
    assert shop.breaks() == {f"document {key}": ("eu1", "manual_edit_erp", None, 100, "proposed")}
    shop.chain.books.tamper(key, 2356)
    assert shop.sweep("erp")["found"] == {} and shop.breaks()[f"document {key}"][4] == "healed"


def test_a_manual_edit_keeps_between_which_sweeps_it_was_made(shop: Booked) -> None:
    before = shop.sweep("erp")["started_at"]
    shop.chain.books.tamper(shop.key("invoice", 1001), 2456)
    shop.sweep("erp")
    (row,) = shop.listed()
    assert row["detail"]["changed_after"] == before and row["detail"]["what"] == "other amount"


@pytest.mark.parametrize("with_key", [True, False], ids=["with our key", "without a key"])
def test_a_document_posted_once_more_by_hand_is_doubled(shop: Booked, with_key: bool) -> None:
    number = shop.by_hand.copy(shop.key("invoice", 1001), with_key)
    assert shop.sweep("erp")["found"] == {"doubled": {"breaks": 1, "units": 1, "amounts": {"EUR": 2356}}}
    assert shop.breaks() == {f"entry DE01/{number}": ("eu1", "doubled", 1, 2356, "proposed")}


def test_nothing_here_heals_what_has_to_be_put_right_in_the_erp_and_the_remedy_says_so(shop: Booked) -> None:
    shop.by_hand.copy(shop.key("invoice", 1001), True)
    shop.sweep("erp")
    (row,) = shop.listed()
    with pytest.raises(Exception, match="Nothing here can heal"):
        shop.heal(row["subject"])


def test_a_journal_by_hand_on_a_control_account_is_a_manual_edit_and_one_elsewhere_is_nobodys_business(
    shop: Booked,
) -> None:
    number = shop.manual_journal(500, "receivable", "bank")
    shop.manual_journal(700, "rent", "bank")
    assert shop.sweep("erp")["found"] == {"manual_edit_erp": {"breaks": 1, "units": 1, "amounts": {"EUR": 500}}}
    assert list(shop.breaks()) == [f"entry DE01/{number}"]


def test_a_key_of_ours_of_which_nothing_is_known_here_is_named(shop: Booked) -> None:
    body = shop.body(shop.key("customer", None))
    other = {**body, "key": "eu1/-/customer/someone/r1", "slot": "eu1/-/customer/someone", "counterparty": "someone"}
    shop.chain.books.post([other])
    assert set(shop.sweep("erp")["found"]) == {"unknown"}
    assert "counterfoil confirm" in shop.listed()[0]["remedy"]


def test_what_is_sent_and_has_no_result_yet_is_no_break(shop: Booked) -> None:
    with shop.chain.database.transaction() as tx:
        tx.run("update intents set state = 'sent' where key = %s", shop.key("invoice", 1001))
    assert shop.sweep("erp")["found"] == {}


def test_what_changes_while_the_ledger_is_read_is_on_its_way_and_counted(shop: Booked) -> None:
    key = shop.key("invoice", 1001)
    shop.between_readings(lambda: shop.by_hand.copy(key, True), each=True)
    run = shop.sweep("erp")
    assert run["found"] != {} and run["in_flight"]["changed while it was read"] == 1 and run["answers"] == 4
    assert run["found"]["doubled"]["breaks"] == 2, "those that both last readings have"


def test_a_change_during_one_reading_alone_is_read_until_two_agree(shop: Booked) -> None:
    shop.pages_shift()
    run = shop.sweep("erp")
    assert (run["found"], run["state"], run["answers"]) == ({}, "done", 3)


def test_a_role_that_differs_with_every_document_right_is_a_remainder(shop: Booked) -> None:
    shop.manual_journal(500, "receivable", "bank", day=date(2019, 1, 1))
    assert shop.sweep("erp")["found"] == {"unknown": {"breaks": 1, "units": 0, "amounts": {"EUR": 500}}}
    assert shop.breaks() == {"role DE01/receivable/EUR": ("DE01", "unknown", None, 500, "proposed")}


def test_money_is_compared_by_gateway_and_day_three_ways(shop: Booked) -> None:
    key = shop.key("payment", 1001)
    amount = shop.body(key)["amount_minor"]
    shop.by_hand.delete(key)
    assert shop.sweep("money")["found"] == {"missed": {"breaks": 1, "units": 0, "amounts": {"EUR": amount}}}
    (row,) = shop.listed()
    assert row["subject"].startswith("clearing DE01/") and row["amount_minor"] == -amount
    said = row["detail"]
    assert said["orders_minor"] - said["erp_minor"] == amount and said["remainder_minor"] == 0


def test_a_dry_run_keeps_nothing(shop: Booked) -> None:
    shop.by_hand.delete(shop.key("invoice", 1001))
    assert shop.sweep("erp", dry_run=True)["found"]["missed"]["breaks"] == 1
    assert shop.breaks() == {}


def test_an_empty_erp_is_not_filled_again_by_itself(shop: Booked) -> None:
    shop.arrives(an_order(a_line("CUP"), id=1003))
    shop.rules("healing", {"store": "*", "sweep": "erp", "class": "missed", "heal": "automatic", "from": "2020-01-01"})
    for key in shop.posted():
        shop.by_hand.delete(key)
    run = shop.sweep("erp")
    assert run["healing"] == 0 and run["braked"] >= 10
    assert {state for *_, state in shop.breaks().values()} == {"proposed"}
    shop.flow()
    assert shop.posted() == []


def test_one_that_is_missing_is_posted_again_by_itself_where_a_rule_says_so(shop: Booked) -> None:
    shop.rules("healing", {"store": "*", "sweep": "erp", "class": "missed", "heal": "automatic", "from": "2020-01-01"})
    key = shop.key("invoice", 1001)
    shop.by_hand.delete(key)
    assert shop.sweep("erp")["healing"] == 1
    shop.flow()
    assert key in shop.posted()


def test_an_erp_that_is_away_fails_the_sweep_with_a_remedy_and_writes_nothing(shop: Booked) -> None:
    shop.by_hand.delete(shop.key("invoice", 1001))
    shop.erp.change_modes({"fault": "down", "fault_on": "all"})
    run = shop.sweep("erp")
    assert run["state"] == "failed" and run["cause"] and run["remedy"]
    assert shop.breaks() == {}


NONSENSE: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "days that weren't asked for": (lambda one: replace(one, day=date(2031, 1, 1)), "was asked from"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_ledger_that_cant_be_right_ends_the_sweep_and_nothing_is_written(shop: Booked, name: str) -> None:
    twist, said = NONSENSE[name]
    shop.twisted(twist)
    run = shop.sweep("erp")
    assert run["state"] == "failed" and said in run["cause"] and run["remedy"].endswith(".")
    assert shop.breaks() == {}


def test_a_pages_end_that_never_comes_ends_the_sweep(shop: Booked) -> None:
    shop.chain.books.entries = lambda *_: ([], 7)  # type: ignore[method-assign]
    run = shop.sweep("erp")
    assert run["state"] == "failed" and "second time" in run["cause"]
    assert shop.breaks() == {}


def test_every_class_of_break_has_a_section_in_the_runbook_that_it_links_to(shop: Booked) -> None:
    shop.by_hand.delete(shop.key("invoice", 1001))
    shop.sweep("erp")
    page, _, section = shop.listed()[0]["runbook"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert section == "missed" and set(headings) >= set(get_args(Class))


def nothing_but_an_hour_ahead(shop: Booked) -> None:
    shop.erp.stock = Stock(now=lambda: shop.chain.clock.now() + timedelta(hours=2))


def a_page_that_breaks_off(shop: Booked) -> None:
    def positions(*_: Any) -> Iterator[Any]:
        raise ZeroDivisionError
        yield

    shop.chain.erp.positions = positions  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("goes_wrong", "said"),
    [(nothing_but_an_hour_ahead, "can't be told apart"), (a_page_that_breaks_off, "ZeroDivisionError")],
    ids=["its clock is apart", "its adapter fails"],
)
def test_positions_that_cant_be_read_leave_documents_compared_and_their_own_breaks_as_they_were(
    shop: Booked, goes_wrong: Callable[[Booked], None], said: str
) -> None:
    stock = a_warehouse(shop)
    take_from_the_shelf(stock, 7)
    shop.by_hand.delete(shop.key("payment", 1001))
    shop.sweep("erp")
    goes_wrong(shop)
    key = shop.key("invoice", 1001)
    shop.by_hand.delete(key)
    run = shop.sweep("erp")
    assert run["state"] == "failed" and run["remedy"].endswith(".") and said in run["cause"]
    assert run["cause"].startswith("Documents and roles were compared, positions could not be.")
    assert run["found"]["missed"]["breaks"] == 2 and shop.breaks()[f"document {key}"][4] == "proposed"
    assert shop.breaks()["position BER/MUG"][4] == "proposed", "nobody has seen that it agrees"


def a_warehouse(shop: Booked) -> Stock:
    """With nine mugs, read by the engine an hour ago."""
    shop.rules("warehouses", {"id": "BER", "owner": "erp", "entity": "DE01"})
    shop.erp.stock = stock = Stock(now=shop.chain.clock.now)
    stock.put([{"warehouse": "BER", "sku": "MUG", "on_hand": "9"}])
    shop.chain.engine.step_positions()
    shop.chain.clock.sleep(3_600)
    return stock


def take_from_the_shelf(stock: Stock, left: int) -> None:
    """In the ERP's database, past its own ways."""
    with stock._lock:
        stock._connection.execute("update stock set row = json_set(row, '$.on_hand', ?)", (str(left),))


def test_a_break_stands_until_both_sides_were_seen_to_agree_however_long_ago_its_day_is(shop: Booked) -> None:
    key = shop.key("invoice", 1001)
    shop.by_hand.delete(key)
    shop.sweep("erp")
    shop.chain.clock.sleep(50 * 86_400)
    assert shop.sweep("erp")["found"]["missed"]["breaks"] == 1, "its day is looked at as long as it stands"
    shop.heal(f"document {key}")
    shop.flow()
    assert shop.sweep("erp")["healed"] == 1 and shop.breaks()[f"document {key}"][4] == "healed"


def test_what_was_accepted_explains_its_role_however_long_ago_its_day_is(shop: Booked) -> None:
    key = shop.key("invoice", 1001)
    shop.by_hand.delete(key)
    shop.sweep("erp")
    (row,) = shop.listed()
    shop.sweeping.desk.settle(row["id"], "accept", "it is in the old books", ANNA)
    shop.chain.clock.sleep(50 * 86_400)
    run = shop.sweep("erp")
    assert run["healed"] == 0
    assert shop.breaks() == {f"document {key}": ("eu1", "missed", -1, -2356, "accepted")}


def test_a_repair_on_its_way_is_not_called_healed_before_it_is(shop: Booked) -> None:
    key = shop.key("invoice", 1001)
    shop.by_hand.delete(key)
    shop.sweep("erp")
    shop.heal(f"document {key}")
    run = shop.sweep("erp")
    assert run["found"] == {} and run["healed"] == 0 and shop.breaks()[f"document {key}"][4] == "healing"
    shop.flow()
    assert shop.sweep("erp")["healed"] == 1
    assert [row["recurring"] for row in shop.listed()] == [False]


def test_a_gateways_day_is_not_called_healed_while_its_payment_is_looked_up(shop: Booked) -> None:
    key = shop.key("payment", 1001)
    shop.by_hand.delete(key)
    shop.sweep("erp")
    shop.sweep("money")
    (day,) = (subject for subject in shop.breaks() if subject.startswith("clearing "))
    shop.heal(f"document {key}")
    assert shop.sweep("money")["healed"] == 0 and shop.breaks()[day][4] == "proposed"
    shop.flow()
    assert shop.sweep("money")["healed"] == 1 and shop.breaks()[day][4] == "healed"


def test_a_position_that_was_changed_past_the_erps_own_ways_is_a_manual_edit_and_read_anew(shop: Booked) -> None:
    stock = a_warehouse(shop)
    assert shop.sweep("erp")["found"] == {}
    take_from_the_shelf(stock, 7)
    assert shop.sweep("erp")["found"] == {"manual_edit_erp": {"breaks": 1, "units": 2, "amounts": {}}}
    assert shop.breaks() == {"position BER/MUG": ("DE01", "manual_edit_erp", -2, None, "proposed")}
    shop.heal("position BER/MUG")
    shop.chain.engine.step_positions()
    assert shop.sweep("erp")["found"] == {} and shop.breaks()["position BER/MUG"][4] == "healed"


def test_an_engine_that_was_put_back_compares_nothing_until_it_knows_what_the_erp_holds(shop: Booked) -> None:
    with shop.chain.database.transaction() as tx:
        shop.chain.engine.records.identity.doubt(tx, "put back")
    run = shop.sweep("erp")
    assert run["state"] == "failed" and "counterfoil confirm" in run["remedy"] and shop.breaks() == {}
