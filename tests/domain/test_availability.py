"""Available to sell: the waterfall, policy, kits, caps, and what is reserved, in the trade's own examples."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from counterfoil_engine.domain.availability import (
    Availability,
    Part,
    Policies,
    Policy,
    Stock,
    available,
    cap_of,
    item_key,
    kit,
    left_of,
    next_change,
)
from counterfoil_engine.domain.reservations import Held, Reservation, Seen, SoldLine, reservation
from counterfoil_engine.domain.rules import Entity, Row, Rules, Store
from counterfoil_engine.domain.stock import (
    Move,
    Position,
    read_moves,
    read_order_stock,
    read_position,
    read_sku,
    sku_key,
)
from domain.recorded import RECORDED, read

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOON = NOW - timedelta(hours=1)
ALWAYS = date(2020, 1, 1)


def stock(on_hand: int = 0, warehouse: str = "BER", **more: Any) -> Stock:
    fields = {"allocated": 0, "damaged": 0, "quarantined": 0, "inbound": (), "as_of": NOON}
    return Stock(warehouse, on_hand, **{**fields, **more})


def sold(units: int, restocked: int = 0, **more: Any) -> SoldLine:
    return SoldLine("eu1", "1001", "46", "mug", units, restocked, **more)


def reserved(units: int) -> list[Reservation]:
    return [Reservation(sold(units), units, 0, 0, 0)]


def number(positions: list[Stock], reservations: list[Reservation] = [], **policy: Any) -> int:
    found = available(positions, reservations, Policy(**policy), NOW)
    assert found.number == sum(term.units for term in found.terms), "the waterfall doesn't add up"
    return found.number


# The waterfall


def test_what_is_free_in_all_warehouses_less_what_is_reserved_may_be_sold() -> None:
    assert number([stock(10, allocated=2, damaged=1), stock(5, "HAM", quarantined=1)], reserved(3)) == 8


def test_a_warehouse_that_owes_takes_nothing_from_another() -> None:
    assert number([stock(1, allocated=5), stock(5, "HAM")]) == 5


def test_more_sold_than_there_is_is_a_debt_which_what_is_put_back_pays_first() -> None:
    assert number([stock(2)], reserved(5)) == -3
    assert number([stock(2)], reserved(5), backorders=True) == -3
    assert number([stock(2)], reserved(5), minimum_shown=2) == -3


@pytest.mark.parametrize(("units", "share", "left"), [(3, "0", 17), (1, "0.1", 18), (0, "0.11", 17), (50, "0", 0)])
def test_the_larger_of_safety_units_and_share_is_held_back(units: int, share: str, left: int) -> None:
    assert number([stock(20)], safety_units=units, safety_share=Decimal(share)) == left


def test_what_is_in_transit_counts_within_the_horizon_and_the_day_it_comes_within_it_is_told() -> None:
    position = stock(1, inbound=(("2026-11-26", 5), ("2026-12-24", 7)))
    counts = frozenset({"on_hand", "in_transit"})
    found = available([position], [], Policy(counts=counts, inbound_days=7), NOW)
    assert (found.number, found.again_at) == (6, datetime(2026, 12, 17, tzinfo=UTC))
    assert available([position], [], Policy(counts=counts, inbound_days=7), found.again_at).number == 13
    assert number([position]) == 1
    assert number([position], counts=counts, inbound_days=60, discontinued=True) == 1


def test_an_outlet_sells_what_is_damaged_and_a_showroom_sells_nothing_on_hand() -> None:
    position = stock(10, damaged=4, quarantined=1)
    assert number([position], counts=frozenset({"on_hand", "damaged"})) == 9
    assert number([position], counts=frozenset({"damaged"})) == 4
    assert number([position], counts=frozenset()) == 0


def test_fewer_than_the_minimum_are_shown_as_none() -> None:
    assert number([stock(2)], minimum_shown=3) == 0
    assert number([stock(3)], minimum_shown=3) == 3


def test_each_term_says_of_which_warehouse_or_by_which_rules_it_is() -> None:
    on_hand, safety = available([stock(10)], [], Policy("v1", safety_units=2), NOW).terms
    assert on_hand == ("on hand", 10, "BER", "", NOON)
    assert safety == ("safety stock", -2, None, "rules v1", None)


def test_a_kit_has_as_many_as_its_scarcest_part_makes() -> None:
    def part(key: str, each: int, there: int) -> tuple[Part, Availability]:
        return Part(key, each), available([stock(there)], [], Policy(), NOW)

    assert kit([part("cup", 2, 9), part("plate", 1, 5)], Policy()).number == 4
    assert kit([part("cup", 2, 9), part("plate", 1, 5)], Policy(safety_units=3)).number == 1
    assert kit([part("cup", 2, 1)], Policy()).number == 0
    owed = available([stock(1)], reserved(4), Policy(), NOW)
    assert kit([(Part("cup", 2), owed), part("plate", 1, 5)], Policy(safety_units=3)).number == -2


# Reserved


def test_what_a_store_lowered_is_reserved_until_a_position_shows_it() -> None:
    assert reservation(sold(3), [], {}, NOW).units == 3
    held = [Held("BER", 3, 0, NOON)]
    older = {"BER": Seen(NOON - timedelta(seconds=1), NOON)}
    assert reservation(sold(3), held, older, NOW)[1:5] == (3, 0, 0, 3)
    assert reservation(sold(3), held, {"BER": Seen(NOON, NOON)}, NOW).units == 0
    assert reservation(sold(3), held, {"HAM": Seen(NOW, NOW)}, NOW).units == 3


def test_a_reservation_opens_again_when_its_allocation_ends() -> None:
    facts = [Held("BER", 3, 0, NOON), Held("BER", 0, 1, NOW)]
    assert reservation(sold(3), facts, {"BER": Seen(NOON, NOON)}, NOW).units == 0
    assert reservation(sold(3), facts, {"BER": Seen(NOW, NOW)}, NOW).units == 2


def test_an_allocation_counts_only_while_all_lines_of_the_position_are_known() -> None:
    held = [Held("BER", 2, 1, NOON)]
    assert reservation(sold(3), held, {"BER": Seen(NOW, NOW)}, NOW).units == 0
    # It may have ended since: what is shipped stays shipped, the rest counts twice for a moment.
    assert reservation(sold(3), held, {"BER": Seen(NOW, NOON)}, NOW).units == 2
    assert reservation(sold(3), held, {"BER": Seen(NOW, None)}, NOW).units == 2


def test_a_restock_counts_only_for_what_is_not_shipped() -> None:
    seen = {"BER": Seen(NOON, NOON)}
    assert reservation(sold(4, restocked=1), [], seen, NOW).units == 3
    assert reservation(sold(4, restocked=2), [Held("BER", 0, 3, NOON)], seen, NOW).units == 0


def test_an_order_keeps_its_units_unpaid_as_long_as_the_rule_says() -> None:
    line = sold(2, unpaid_since=NOW - timedelta(hours=47))
    found = reservation(line, [], {}, NOW, unpaid_hours=48)
    assert (found.units, found.again_at) == (2, NOW + timedelta(hours=1))
    assert reservation(line, [], {}, NOW + timedelta(hours=1), unpaid_hours=48).units == 0
    assert reservation(line, [], {}, NOW, unpaid_hours=None).again_at is None


def test_where_no_warehouse_names_lines_what_the_store_completed_is_shipped_once_all_positions_are_later() -> None:
    line = sold(2, completed_at=NOON)
    seen = {"BER": Seen(NOW, None), "HAM": Seen(NOON - timedelta(hours=1), None)}
    assert reservation(line, [], seen, NOW, by_store=True).units == 2
    assert reservation(line, [], {**seen, "HAM": Seen(NOW, None)}, NOW, by_store=True).units == 0
    assert reservation(line, [], {**seen, "HAM": Seen(NOW, None)}, NOW).units == 2


# Caps


def test_a_share_is_a_cap_that_sales_use_up_and_shipping_does_not_refill() -> None:
    cap = cap_of(Decimal("0.5"), 10, sold=40)
    assert left_of(cap, 40) == 5
    assert left_of(cap, 43) == 2
    assert left_of(cap, 46) == -1, "a debt, too: what is put back pays it first"
    assert cap_of(Decimal("0.3"), 9, 0).units == 2
    assert cap_of(Decimal("0.3"), -4, 0).units == 0


# Policy


def rules(**tables: list[Row]) -> Rules:
    store = Store("eu1", "DE01", NOW, "eu")
    return Rules("v7", {"DE01": Entity("DE01", "EUR", "UTC", "DE")}, {"eu1": store}, tables)


def row(since: date = ALWAYS, match: dict[str, str] | None = None, **values: Any) -> Row:
    return Row(match or {}, since, values)


def test_each_value_comes_from_the_closest_row_that_sets_it() -> None:
    policies = Policies(
        rules(
            availability=[
                row(safety_units="2", minimum_shown="1"),
                row(match={"pool": "eu"}, safety_units="3"),
                row(match={"sku": "MUG-*"}, safety_units="4"),
                row(match={"sku": "Mug-Red"}, backorders=True),
                row(match={"pool": "us", "sku": "MUG-RED"}, safety_units="9"),
                row(date(2027, 1, 1), {"sku": "MUG-RED"}, safety_units="9"),
            ]
        ),
        "eu",
        NOW.date(),
    )
    red, blue, cup = policies.of("MUG-RED"), policies.of("mug-blue"), policies.of("CUP")
    assert (red.safety_units, red.minimum_shown, red.backorders, red.version) == (4, 1, True, "v7")
    assert (blue.safety_units, blue.backorders) == (4, False)
    assert (cup.safety_units, cup.minimum_shown) == (3, 1)
    assert policies.of("MUG-RED") is red


def test_a_warehouse_may_have_its_own_buckets_and_horizon() -> None:
    policies = Policies(
        rules(
            availability=[
                row(inbound_days="3"),
                row(match={"warehouse": "HAM"}, counts=["on_hand", "in_transit"]),
            ]
        ),
        "eu",
        NOW.date(),
    )
    policy = policies.of("MUG")
    assert policy.of_warehouse("HAM") == (frozenset({"on_hand", "in_transit"}), 3)
    assert policy.of_warehouse("BER") == (frozenset({"on_hand"}), 3)


def test_a_class_of_items_has_its_policy() -> None:
    items = [row(match={"store": "*", "sku": "MUG"}, **{"class": "fragile"}, item="MUG")]
    policies = Policies(
        rules(items=items, availability=[row(match={"class": "fragile"}, safety_units="5")]), "eu", NOW.date()
    )
    assert (policies.of("MUG").safety_units, policies.of("CUP").safety_units) == (5, 0)


def test_shares_and_kits_are_of_the_pool_and_the_day() -> None:
    table = rules(
        caps=[
            row(match={"store": "eu1", "sku": "*"}, share="0.5"),
            row(match={"store": "eu1", "sku": "CUP"}, share="0"),
        ],
        kits=[row(match={"sku": "SET"}, parts=[{"sku": "Cup", "quantity": "2"}])],
    )
    policies = Policies(table, "eu", NOW.date())
    assert policies.share("eu1", "MUG") == Decimal("0.5")
    assert policies.share("eu1", "cup") == 0
    assert policies.share("eu2", "MUG") is None
    assert policies.kits == {"set": (Part("cup", 2),)} and policies.kits_with == {"cup": ["set"]}
    assert Policies(table, "eu", date(2019, 1, 1)).kits == {}


def test_the_next_day_on_which_policy_changes_is_known() -> None:
    table = rules(availability=[row(), row(date(2026, 12, 1)), row(date(2026, 11, 25))])
    assert next_change(table, NOW.date()) == date(2026, 11, 25)
    assert next_change(table, date(2027, 1, 1)) is None


def test_a_stores_sku_stands_for_the_pools_by_the_items_table_else_for_itself() -> None:
    table = rules(items=[row(match={"store": "eu1", "sku": "#12"}, item="MUG")])
    assert item_key(table, "eu1", "#12", NOW.date()) == "mug"
    assert item_key(table, "eu1", "#13", NOW.date()) == "eu1#13"
    assert item_key(table, "eu1", " Cup ", NOW.date()) == "cup"


# What is said


def said(**more: Any) -> dict[str, Any]:
    row = {"warehouse": "BER", "sku": "MUG", "as_of": "2026-11-24T11:00:00Z", "on_hand": "10"}
    return {**row, **more}


def test_a_position_is_read_with_its_buckets_arrivals_and_lines() -> None:
    position, cases = read_position(
        said(
            allocated="2",
            inbound=[{"expected_on": "2026-12-01", "quantity": "5"}, {"expected_on": "2026-11-30", "quantity": 1}],
            lines=[{"store": "eu1", "order": "1001", "line": "46", "allocated": "2"}],
        ),
        NOW,
    )
    assert not cases and position is not None
    assert position.inbound == (("2026-11-30", 1), ("2026-12-01", 5))
    assert position.lines == (("eu1", "1001", "46", 2, 0),) and position.is_complete


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"sku": None}, "the SKU is missing"),
        ({"sku": "  "}, "the SKU is empty"),
        ({"sku": "MUG\u200b"}, "can't be seen"),
        ({"sku": "M" * 201}, "more than 200"),
        ({"sku": 7}, "no text"),
        ({"warehouse": ""}, "no name"),
        ({"on_hand": "many"}, "no number"),
        ({"on_hand": "2.5"}, "no whole number"),
        ({"on_hand": "1e9"}, "no number"),
        ({"on_hand": 10**40}, "no number"),
        ({"on_hand": "9999999999"}, "more than can be"),
        ({"on_hand": True}, "no number"),
        ({"on_hand": None}, "missing"),
        ({"damaged": "-1"}, "below 0"),
        ({"inbound": [{"expected_on": "soon", "quantity": "1"}]}, "no day"),
        ({"inbound": "5"}, "no list"),
        ({"as_of": "2026-11-24T11:00:00"}, "no moment with its offset"),
        ({"as_of": "2026-11-25T11:00:00Z"}, "still to come"),
    ],
)
def test_a_row_that_can_not_be_read_is_a_case_with_its_remedy(more: dict[str, Any], why: str) -> None:
    position, [case] = read_position(said(**more), NOW)
    assert position is None
    assert why in case.cause and "next reading" in case.remedy and len(case.cause) < 250


def test_a_row_that_is_no_object_is_a_case_too() -> None:
    assert read_position(7, NOW)[0] is None


def test_less_than_none_on_hand_is_kept_and_told() -> None:
    position, [case] = read_position(said(on_hand="-4"), NOW)
    assert position is not None and position.on_hand == -4 and "below none" in case.cause


def test_a_position_of_which_one_line_can_not_be_read_does_not_know_all_of_its_lines() -> None:
    lines = [{"store": "eu1", "order": "1", "line": "2", "allocated": "x"}, {"store": "eu1", "order": "1", "line": "3"}]
    position, [case] = read_position(said(lines=lines), NOW)
    assert position is not None and len(position.lines) == 1 and not position.is_complete
    assert "never not at all" in case.remedy


def test_skus_are_compared_without_outer_space_case_and_unicode_form() -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    assert sku_key(composed) == sku_key(decomposed) == sku_key(f" {composed.upper()} ")
    assert read_sku(decomposed) == (composed, "another Unicode form (NFC is read)")
    assert read_sku(" MUG ") == ("MUG", "space around it")
    assert read_sku("MUG") == ("MUG", None)


def test_moves_are_read_and_a_fraction_counts_as_more_sold_never_less() -> None:
    moves, cases = read_moves(
        [
            {"move_id": "a" * 32, "order_item_id": 46, "stock_id": 11, "sku": "MUG", "quantity": "-2", "kind": "order"},
            {"move_id": "b" * 32, "order_item_id": 46, "stock_id": 11, "sku": "MUG", "quantity": "-1.5"},
            {
                "move_id": "c" * 32,
                "order_item_id": 46,
                "stock_id": 11,
                "sku": "MUG",
                "quantity": "1.5",
                "kind": "refund",
            },
            {"move_id": "d" * 32, "stock_id": 11, "quantity": "lots"},
            {"quantity": "-1"},
            7,
        ]
    )
    assert moves[0] == Move("a" * 32, "46", "11", "MUG", -2, "order", None)
    assert [move.units for move in moves] == [-2, -2, 1]
    assert len(cases) == 5
    assert read_moves("x")[0] == [] and read_moves(None)[1]


def test_a_recorded_order_tells_what_it_lowered_and_has_not_raised_again() -> None:
    order = read(RECORDED / "woocommerce" / "order_after_partial_refund.json")
    assert [line.lowered for line in read_order_stock(order).lines] == [3, 2]
    assert read_order_stock(order).unpaid_since is None


def test_any_order_without_sense_tells_nothing() -> None:
    order = {"line_items": [7, {"id": 1, "meta_data": [{"key": "_reduced_stock", "value": "many"}]}, {"id": "x"}]}
    assert [line.lowered for line in read_order_stock(order).lines] == [0]


def test_what_no_column_can_hold_and_no_calendar_reaches_is_bounded() -> None:
    order = {
        "status": "on-hold",
        "date_created_gmt": "9999-12-31T23:59:59",
        "line_items": [{"id": 1, "sku": "A\x00B"}],
    }
    told = read_order_stock(order)
    assert told.unpaid_since is None and told.lines[0].sku == "A\ufffdB"
    assert read_moves([{"move_id": "a" * 32, "sku": "A\x00", "quantity": "-1"}])[0][0].sku == "A\ufffd"
    long = {"inbound_days": "999999999", "unpaid_hours": "999999999", "counts": ["on_hand", "in_transit"]}
    policy = Policies(rules(availability=[row(**long)]), "eu", NOW.date()).of("MUG")
    available([stock(1, inbound=(("9999-12-31", 1), ("0001-01-01", 2)))], [], policy, NOW)
    assert reservation(sold(1, unpaid_since=NOW), [], {}, NOW, unpaid_hours=policy.unpaid_hours).units == 1


def test_a_position_is_a_plain_value() -> None:
    assert Position("BER", "MUG", "mug", 1, 0, 0, 0, (), NOON) == Position("BER", "MUG", "mug", 1, 0, 0, 0, (), NOON)
