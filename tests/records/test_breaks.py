"""Breaks as kept, on both databases: one row for a place for ever, and a history that only grows."""

from __future__ import annotations

from datetime import date
from typing import Any

from counterfoil_engine.domain.breaks import Found, Scope, State
from counterfoil_engine.records import breaks
from counterfoil_engine.records.database import Database
from fakes.clock import FakeClock


def found(sku: str = "mug", units: int = 3, **more: Any) -> Found:
    return Found("stock", "eu1", f"stock eu/{sku}", "manual_edit_store", "It has 7.", "Look.", units=units, **more)


def keep(database: Database, *states: tuple[Found, State], came_back: frozenset[str] = frozenset()) -> None:
    with database.transaction() as tx:
        breaks.keep(tx, [(one, state, "automatic (default)") for one, state in states], came_back)


def rows(database: Database, *states: State) -> list[tuple[str, str, int | None, bool]]:
    with database.transaction() as tx:
        listed, _ = breaks.listed(tx, None, None, states or ("open", "proposed", "healing", "healed", "accepted"), 100)
        return [(row["subject"], row["state"], row["units"], bool(row["recurring"])) for row in listed]


def test_a_place_has_one_row_and_its_age_counts_from_when_it_was_found(database: Database, clock: FakeClock) -> None:
    keep(database, (found(), "open"))
    with database.transaction() as tx:
        first = breaks.listed(tx, "stock", "eu1", ["open"], 10)[0][0]["found_at"]
    clock.pass_time(60)
    keep(database, (found(units=5), "open"))
    with database.transaction() as tx:
        listed, count = breaks.listed(tx, "stock", "eu1", ["open"], 10)
    assert count == 1 and listed[0]["units"] == 5
    assert listed[0]["found_at"] == first and listed[0]["seen_at"] > first


def test_what_was_healed_and_comes_back_is_recurring_and_young_again(database: Database, clock: FakeClock) -> None:
    keep(database, (found(), "open"))
    with database.transaction() as tx:
        (break_id,) = breaks.ids_of(tx, "stock", "eu1", ["stock eu/mug"]).values()
        breaks.set_state(tx, [break_id], "healed", "agrees again", "sweep")
        before = breaks.read(tx, break_id)
    clock.pass_time(60)
    keep(database, (found(), "open"), came_back=frozenset({"stock eu/mug"}))
    assert rows(database) == [("stock eu/mug", "open", 3, True)]
    with database.transaction() as tx:
        after = breaks.read(tx, break_id)
    assert before is not None and after is not None and after["found_at"] > before["found_at"]


def test_its_history_says_what_happened_when_by_whom(database: Database) -> None:
    keep(database, (found(), "open"))
    with database.transaction() as tx:
        (break_id,) = breaks.ids_of(tx, "stock", "eu1", ["stock eu/mug"]).values()
        breaks.tell(tx, [(break_id, "found", "open", 3, None)], "sweep")
        breaks.set_state(tx, [break_id], "accepted", "a display piece", "anna")
        said = [(row["who"], row["what"], row["state"], row["units"]) for row in breaks.history(tx, break_id)]
    assert said == [("sweep", "found", "open", 3), ("anna", "a display piece", "accepted", 3)]


def test_what_a_whole_sweep_did_not_see_is_told_apart_from_what_it_did(database: Database, clock: FakeClock) -> None:
    keep(database, (found("mug"), "open"), (found("cup"), "accepted"), (found("jar"), "healed"))
    clock.pass_time(10)
    with database.transaction() as tx:
        began = tx.now()
    clock.pass_time(1)
    keep(database, (found("pot"), "open"))
    with database.transaction() as tx:
        seen = breaks.seen_since(tx, "stock", "eu1", began, "open")
        unseen = breaks.unseen(tx, "stock", "eu1", began, Scope())
        known = breaks.ids_of(tx, "stock", "eu1", [f"stock eu/{sku}" for sku in ("mug", "cup")])
    assert [row["subject"] for row in seen] == ["stock eu/pot"]
    assert unseen == sorted(known.values())


def test_what_a_sweep_did_not_look_at_is_neither_seen_nor_healed(database: Database, clock: FakeClock) -> None:
    old, older, newer = (found(str(day), day=date(2026, 11, day)) for day in (3, 1, 9))
    keep(database, (old, "open"), (older, "accepted"), (newer, "open"), (found("position"), "open"))
    clock.pass_time(10)
    with database.transaction() as tx:
        known = breaks.ids_of(tx, "stock", "eu1", [one.subject for one in (old, older, newer, found("position"))])
        name = {number: subject.removeprefix("stock eu/") for (subject, _), number in known.items()}

        def unseen(scope: Scope) -> set[str]:
            return {name[number] for number in breaks.unseen(tx, "stock", "eu1", tx.now(), scope)}

        assert unseen(Scope(date(2026, 11, 5))) == {"9", "position"}
        assert unseen(Scope(date(2026, 11, 5), older=(date(2026, 11, 3),))) == {"3", "9", "position"}
        assert unseen(Scope(but="stock eu/pos")) == {"1", "3", "9"}
        assert breaks.days_of(tx, "stock", ["eu1"], ["open"], date(2026, 11, 5), 10) == [date(2026, 11, 3)]


def test_what_is_on_its_way_stands_on(database: Database, clock: FakeClock) -> None:
    keep(database, (found("mug"), "healing"), (found("cup"), "open"))
    clock.pass_time(10)
    with database.transaction() as tx:
        breaks.stand_on(tx, "stock", ["eu1"], {"stock eu/mug", "stock eu/pot"}, tx.now())
        left = breaks.unseen(tx, "stock", "eu1", tx.now(), Scope())
        assert left == list(breaks.ids_of(tx, "stock", "eu1", ["stock eu/cup"]).values())


def test_thousands_of_breaks_are_kept_and_found_at_once(database: Database) -> None:
    many = [found(f"sku-{place}") for place in range(2_500)]
    keep(database, *((one, "open") for one in many))
    with database.transaction() as tx:
        known = breaks.known(tx, "stock", "eu1", [one.subject for one in many])
        breaks.set_state(tx, [kept.id for kept, _ in known.values()], "healing", "its repair began", "sweep")
        _, count = breaks.listed(tx, "stock", None, ["healing"], 1)
    assert len(known) == count == 2_500
