"""Rules in shadow beside live looks, on both databases: they keep what differs, within bounds, and nothing else."""

from __future__ import annotations

import json

import pytest
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.records import shadows
from counterfoil_engine.work.restate import held
from counterfoil_engine.work.shadow import Shadow
from fakes.engine import a_document, the_rules
from work.test_restate import an_order, dearer, look_again


def parse(text: str):
    said = json.loads(text)
    return the_rules(said["version"], said["switch"])


@pytest.fixture
def shadow(world):
    """Rules v2, by which every invoice is 100 dearer, run in shadow beside v1."""
    world.by_rules["v2"] = dearer
    shadow = Shadow(world.records, shadows, world.dues, parse)
    shadow.start(json.dumps({"version": "v2", "switch": "on"}), "anna")
    return shadow


def run(world, shadow) -> None:
    world.run(world.looker(shadow=shadow))


def test_a_look_keeps_what_rules_in_shadow_would_make_otherwise_and_posts_by_those_in_force(world, shadow):
    world.due("1001", *an_order())
    run(world, shadow)
    (row,) = shadow.show("v2")["documents"]
    assert (row["how"], row["kind"], row["before_minor"], row["after_minor"]) == ("posted anew", "invoice", 1000, 1100)
    assert world.erp.standing()["eu1/1001/invoice/a/r1"]["amount_minor"] == 1000
    assert held(world.records) == []


def test_what_a_shadow_shows_is_what_is_held_once_its_rules_are_loaded(world, shadow):
    world.due("1001", *an_order())
    world.due("1002", a_document("invoice", 500, order="1002"))
    run(world, shadow)
    said = shadow.show("v2")
    world.load_rules("v2")
    with world.database.transaction() as tx:
        world.records.work.mark_due(tx, ["order eu1/1002"], "repair")
    look_again(world)
    (row,) = held(world.records)
    assert (row["subjects"], row["slots"]) == (said["differ"], sum(each["documents"] for each in said["documents"]))
    assert (row["standing_minor"], row["due_minor"]) == (1500, 1700)
    assert sum(each["after_minor"] for each in said["documents"]) == 1700


def test_the_last_look_counts(world, shadow):
    world.due("1001", *an_order(1000))
    run(world, shadow)
    world.due("1001", *an_order(700))
    run(world, shadow)
    (row,) = shadow.show("v2")["documents"]
    assert (row["documents"], row["before_minor"], row["after_minor"]) == (1, 700, 800)
    world.due("1001", a_document("sales_order", 700, "order"))
    run(world, shadow)
    assert shadow.show("v2")["differ"] == 0


def test_no_more_subjects_are_kept_than_the_bound_and_the_answer_says_so(world, shadow, monkeypatch):
    monkeypatch.setattr(shadows, "MOST_SUBJECTS", 2)
    for number in ("1001", "1002", "1003"):
        world.due(number, a_document("invoice", 100, order=number))
        run(world, shadow)
    said = shadow.show("v2")
    assert (said["differ"], said["full"]) == (2, True)
    world.due("1002", a_document("invoice", 300, order="1002"))  # one that is kept goes on being kept
    run(world, shadow)
    assert sorted(each["documents"][0]["before_minor"] for each in shadow.show("v2")["named"]) == [100, 300]


def test_a_look_costs_one_computation_more_while_rules_run_in_shadow_and_none_once_they_are_stopped(world, shadow):
    world.due("1001", *an_order())
    world.looker(shadow=shadow).step()
    assert world.looked == ["1001", "1001"]
    shadow.stop("v2", "anna")
    world.due("1001", *an_order(700))
    world.clock.pass_time(2)
    world.looker(shadow=shadow).step()
    assert world.looked == ["1001", "1001", "1001"]


def test_rules_that_no_reader_can_read_any_more_stop_no_look(world, shadow):
    with world.database.transaction() as tx:
        tx.run("update shadow set body = 'rules of an older engine'")
    world.due("1001", *an_order())
    run(world, Shadow(world.records, shadows, world.dues, _refuses))
    assert len(world.erp.posted()) == 2


def _refuses(text: str):
    raise CounterfoilError("These rules can't be read.", "Write them anew.", "contract")
