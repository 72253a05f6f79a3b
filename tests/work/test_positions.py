"""Reading positions: each bad row is a case with its remedy, and every other SKU goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.ports import PositionPage, TokenForgotten
from counterfoil_engine.records import cases, positions
from counterfoil_engine.work.positions import PositionReader
from fakes.stock import RULES, StockWorld, said


@dataclass
class Owner:
    """Says what it is told to say. pages: the next readings' rows; None: the token is forgotten."""

    world: StockWorld
    pages: list[Sequence[Any] | None] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    down: bool = False

    def positions(self, since: str | None = None) -> Iterator[PositionPage]:
        self.asked.append(since)
        if self.down:
            raise Unavailable("The ERP can't be reached.", "It is tried again by itself.")
        rows = self.pages.pop(0) if self.pages else []
        if rows is None:
            raise TokenForgotten
        began = self.world.now()
        half = len(rows) // 2
        yield PositionPage(rows[:half], began)
        yield PositionPage(rows[half:], began, f"t{len(self.asked)}")


@dataclass
class Reading:
    world: StockWorld
    owner: Owner
    reader: PositionReader

    def read(self, *rows: Any) -> int:
        self.world.clock.pass_time(1)
        self.owner.pages.append([self.dated(row) for row in rows])
        return self.reader.step()

    def dated(self, row: Any) -> Any:
        now: datetime = self.world.now()
        return {**row, "as_of": row.get("at") or now.isoformat()} if isinstance(row, dict) else row

    def kept(self) -> dict[str, int]:
        with self.world.database.transaction() as tx:
            return {row["sku"]: row["on_hand"] for row in tx.all("select sku, on_hand from positions order by sku")}


@pytest.fixture
def reading(database, clock) -> Reading:
    world = StockWorld(database, clock)
    world.publish()
    owner = Owner(world)
    return Reading(world, owner, PositionReader(database, world.book, positions, cases, owner, "erp", "DE01"))


def test_all_is_read_first_then_what_changed_and_all_again_under_new_rules(reading: Reading) -> None:
    assert reading.read(said("MUG", 10), said("CUP", 1)) == 2
    assert reading.read(said("MUG", 9)) == 1
    assert reading.kept() == {"CUP": 1, "MUG": 9}
    reading.world.load_rules()
    reading.read(said("MUG", 9), said("CUP", 2))
    assert reading.owner.asked == [None, "t1", None]


def test_a_token_that_the_owner_forgot_leads_to_a_full_reading(reading: Reading) -> None:
    reading.read(said("MUG", 10))
    reading.owner.pages = [None]
    reading.read(said("MUG", 8))
    assert reading.owner.asked == [None, "t1", None] and reading.kept() == {"MUG": 8}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(said("BAD", "-1", damaged="-1"), id="negative"),
        pytest.param(said("BAD", "2.5"), id="fractional"),
        pytest.param(said("BAD", "1" * 40), id="huge"),
        pytest.param(said("BAD", "many"), id="non-numeric"),
        pytest.param(said(None, 5), id="SKU missing"),
        pytest.param(said(" ", 5), id="SKU blank"),
        pytest.param(said("BAD\u200b", 5), id="SKU with what nobody sees"),
        pytest.param(7, id="no row"),
        pytest.param({}, id="empty row"),
    ],
)
def test_a_bad_row_is_a_case_that_resolves_itself_and_its_neighbours_go_on(reading: Reading, bad: Any) -> None:
    reading.read(said("MUG", 10), bad, said("CUP", 1))
    assert reading.kept() == {"CUP": 1, "MUG": 10}
    [case] = reading.world.cases()
    assert "can't be read" in case
    reading.world.load_rules()
    reading.read(said("MUG", 10), said("BAD", 3), said("CUP", 1))
    assert reading.world.cases() == [] and reading.kept() == {"BAD": 3, "CUP": 1, "MUG": 10}


def test_a_good_row_resolves_its_case_without_a_full_reading(reading: Reading) -> None:
    reading.read(said("MUG", "x"), said("CUP", "x"))
    reading.read(said("MUG", 1))
    [case] = reading.world.cases()
    assert "CUP" in case


def test_skus_that_stores_can_not_tell_apart_are_a_case_and_the_first_counts(reading: Reading) -> None:
    reading.read(said("MUG", 10), said("Mug", 99), said("Caf\u00e9", 1), said("CAFE\u0301", 5), said("CUP", 2))
    assert reading.kept() == {"CUP": 2, "Caf\u00e9": 1, "MUG": 10}
    assert sum("can't tell them apart" in case for case in reading.world.cases()) == 2
    reading.read(said("mug", 50))
    assert reading.kept()["MUG"] == 10


def test_a_padded_sku_counts_and_is_told(reading: Reading) -> None:
    reading.read(said(" MUG ", 10))
    assert reading.kept() == {"MUG": 10}
    assert "space around it" in reading.world.cases()[0]


def test_one_sku_twice_as_of_one_moment_with_other_numbers_is_a_case(reading: Reading) -> None:
    now = reading.world.now().isoformat()
    reading.owner.pages.append([{**said("MUG", 10), "as_of": now}, {**said("MUG", 20), "as_of": now}, 7, 7])
    reading.reader.step()
    assert reading.kept() in ({"MUG": 10}, {"MUG": 20})


def test_a_warehouse_that_nobody_knows_is_one_case_with_the_row_to_fill_in(reading: Reading) -> None:
    reading.read(said("MUG", 10), said("MUG", 5, "NEW"), said("CUP", 5, "NEW"))
    [case] = reading.world.cases()
    assert "The warehouse 'NEW' is not in the rules" in case
    with reading.world.database.transaction() as tx:
        [row] = cases.of_origin(tx, "positions")
    assert '"table": "warehouses"' in row["missing_rows"]
    reading.world.load_rules(warehouses=[*RULES["warehouses"], {"id": "NEW", "owner": "erp", "entity": "DE01"}])
    reading.read(said("MUG", 10), said("MUG", 5, "NEW"), said("CUP", 5, "NEW"))
    assert reading.world.cases() == []
    with reading.world.database.transaction() as tx:
        assert len(tx.all("select sku from positions")) == 3


def test_a_warehouse_has_one_owner(reading: Reading) -> None:
    warehouses = [{"id": "BER", "owner": "erp", "entity": "DE01"}, {"id": "HAM", "owner": "wms", "entity": "DE01"}]
    reading.world.load_rules(warehouses=warehouses)
    reading.read(said("MUG", 10), said("MUG", 5, "HAM"))
    assert "which wms DE01 owns" in reading.world.cases()[0]
    with reading.world.database.transaction() as tx:
        assert [row["warehouse"] for row in tx.all("select warehouse from positions")] == ["BER"]


def test_what_a_full_reading_leaves_out_has_nothing_unless_it_leaves_out_too_much(reading: Reading) -> None:
    rows = [said(f"S{number:02}", 5) for number in range(30)]
    reading.read(*rows)
    reading.world.load_rules()
    reading.read(*rows[:27])
    assert [sku for sku, on_hand in reading.kept().items() if not on_hand] == ["S27", "S28", "S29"]
    reading.world.load_rules()
    reading.read(*rows[:3])
    assert sum(1 for on_hand in reading.kept().values() if on_hand) == 27
    assert "left out 24 of 30 SKUs" in reading.world.cases()[0]


def test_an_owner_that_is_away_leaves_all_as_it_was(reading: Reading) -> None:
    reading.read(said("MUG", 10))
    reading.owner.down = True
    with pytest.raises(Unavailable):
        reading.reader.step()
    assert reading.kept() == {"MUG": 10}


def test_who_owns_no_warehouse_is_not_asked(reading: Reading) -> None:
    reader = PositionReader(reading.world.database, reading.world.book, positions, cases, reading.owner, "wms", "DE01")
    assert reader.step() == 0 and reading.owner.asked == []
