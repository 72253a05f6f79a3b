"""Replacing an ERP: the next one runs beside, is given all that stands, takes over; nothing is posted twice or lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from counterfoil_engine.ports import Rejected
from counterfoil_engine.records import close, erp_roles
from counterfoil_engine.work.erp_roles import ErpByRole, ErpRoles, Mirror
from fakes.engine import World, a_document
from fakes.erp import FakeErp


@dataclass
class Replacing:
    """A world whose ERP has a successor."""

    world: World
    place: ErpByRole
    roles: ErpRoles

    @property
    def old(self) -> FakeErp:
        return self.world.erp

    @property
    def new(self) -> Any:
        return self.place.erps["new"]

    def poster(self) -> Any:
        return self.world.poster(choose=lambda tx: self.roles.choose(tx, "DE01"))

    def flow(self) -> None:
        poster = self.poster()
        self.world.run(poster=poster)
        poster.give_back()

    def mirror(self, steps: int = 20) -> None:
        mirror = Mirror(self.world.records, erp_roles, self.roles, self.place, "DE01")
        for _ in range(steps):
            if not mirror.step():
                self.world.clock.pass_time(400)

    def order(self, number: int, *more: Any) -> None:
        name = str(number)
        self.world.due(name, a_document("sales_order", 0, order=name), *more)

    def in_force(self) -> tuple[str, str | None, bool]:
        (row,) = self.roles.listed()["erps"]
        return row["counts"], row["beside"], row["is_handing_over"]


@pytest.fixture
def replacing(world: World) -> Replacing:
    place = ErpByRole("old", {"old": world.erp, "new": FakeErp(world.clock)})
    return Replacing(world, place, ErpRoles(world.records, erp_roles, close, {"DE01": place}))


def an_invoiced(number: int) -> tuple[Any, ...]:
    name = str(number)
    return (a_document("invoice", 100, order=name, after=("sales_order/x",)),)


def test_the_first_of_the_settings_counts_until_people_say_otherwise(replacing: Replacing) -> None:
    replacing.order(1001)
    replacing.flow()
    replacing.mirror()
    assert replacing.in_force() == ("old", None, False)
    assert replacing.old.posted() == ["eu1/1001/sales_order/x/r1"] and replacing.new.posted() == []


def test_the_one_beside_is_given_what_stood_before_and_what_comes_in_the_order_of_results(replacing: Replacing) -> None:
    replacing.order(1001, *an_invoiced(1001))
    replacing.flow()
    replacing.roles.begin("DE01", "anna")
    replacing.order(1002)
    replacing.flow()
    replacing.mirror()
    assert replacing.new.posted() == replacing.old.posted()
    assert replacing.new.posted()[:2] == ["eu1/1001/sales_order/x/r1", "eu1/1001/invoice/x/r1"]


def test_what_the_one_beside_refuses_parks_no_order_and_is_given_again_once_it_is_set_right(
    replacing: Replacing,
) -> None:
    replacing.roles.begin("DE01", "anna")
    replacing.new.refuse_kinds["invoice"] = "missing_mapping"
    replacing.order(1001, *an_invoiced(1001))
    replacing.flow()
    replacing.mirror(2)
    assert replacing.world.open_cases() == [] and set(replacing.world.states().values()) == {"done"}
    (refusal,) = replacing.roles.show("DE01")["refusals"]
    assert (refusal["category"], refusal["documents"]) == ("missing_mapping", 1)
    with pytest.raises(Rejected, match="refuses 1 document"):
        replacing.roles.hand_over("DE01", "anna")
    replacing.new.refuse_kinds.clear()
    replacing.mirror()
    assert replacing.new.posted() == replacing.old.posted()


def test_while_one_hands_over_nothing_new_is_posted_and_then_it_goes_to_the_next_alone(replacing: Replacing) -> None:
    replacing.order(1001)
    replacing.flow()
    replacing.roles.begin("DE01", "anna")
    replacing.roles.hand_over("DE01", "anna")
    replacing.order(1002)
    replacing.flow()
    assert replacing.old.posted() == ["eu1/1001/sales_order/x/r1"], "what is due waits"
    replacing.mirror()
    assert replacing.in_force() == ("new", None, False)
    replacing.flow()
    assert replacing.old.posted() == ["eu1/1001/sales_order/x/r1"]
    assert replacing.new.posted() == ["eu1/1001/sales_order/x/r1", "eu1/1002/sales_order/x/r1"]
    assert replacing.place.counts == "new"


def test_a_document_without_an_answer_is_looked_up_where_it_was_sent_before_the_next_one_counts(
    replacing: Replacing,
) -> None:
    replacing.roles.begin("DE01", "anna")
    replacing.order(1001)
    replacing.old.lose_answers = 1
    looker, poster = replacing.world.looker(), replacing.poster()
    while looker.step():
        pass
    poster.step()
    replacing.roles.hand_over("DE01", "anna")
    replacing.mirror(3)
    assert replacing.in_force() == ("old", "new", True), "its answer is awaited"
    poster.step()
    poster.give_back()
    replacing.mirror()
    assert replacing.in_force()[0] == "new"
    assert replacing.old.posted() == replacing.new.posted() == ["eu1/1001/sales_order/x/r1"]


def test_a_poster_that_chose_before_the_hand_over_marks_nothing_after_it(replacing: Replacing) -> None:
    replacing.roles.begin("DE01", "anna")
    replacing.order(1001)
    looker, poster = replacing.world.looker(), replacing.poster()
    while looker.step():
        pass
    send = poster._send
    poster._send = lambda batch, now: (replacing.roles.hand_over("DE01", "anna"), send(batch, now))
    poster.step()
    assert replacing.old.posted() == [] and replacing.world.states() == {"sales_order/x/r1": "ready"}


def test_a_hand_over_can_be_taken_back_and_posting_goes_on(replacing: Replacing) -> None:
    replacing.roles.begin("DE01", "anna")
    replacing.new.down = True
    replacing.roles.hand_over("DE01", "anna")
    replacing.roles.take_back("DE01", "anna")
    replacing.order(1001)
    replacing.flow()
    assert replacing.old.posted() == ["eu1/1001/sales_order/x/r1"]
    assert replacing.in_force() == ("old", "new", False)


def test_what_the_mirror_gave_is_looked_up_before_it_gives_it_again(replacing: Replacing) -> None:
    replacing.new.unique_keys, replacing.new.commit_lag_s = False, 6.0
    replacing.new.lose_answers = 1
    replacing.roles.begin("DE01", "anna")
    replacing.order(1001)
    replacing.flow()
    replacing.mirror()
    assert replacing.new.posted() == ["eu1/1001/sales_order/x/r1"]


def test_one_that_counted_before_may_run_beside_again_and_gets_only_what_it_lacks(replacing: Replacing) -> None:
    replacing.order(1001)
    replacing.flow()
    replacing.roles.begin("DE01", "anna")
    replacing.roles.hand_over("DE01", "anna")
    replacing.mirror()
    replacing.roles.begin("DE01", "anna")
    replacing.order(1002)
    replacing.flow()
    replacing.mirror()
    assert replacing.in_force() == ("new", "old", False)
    assert (
        replacing.old.posted()
        == replacing.new.posted()
        == [
            "eu1/1001/sales_order/x/r1",
            "eu1/1002/sales_order/x/r1",
        ]
    )


@pytest.mark.parametrize("change", ["end", "hand_over", "take_back"])
def test_what_makes_no_sense_is_refused_with_what_to_do(replacing: Replacing, change: str) -> None:
    with pytest.raises(Rejected) as no:
        getattr(replacing.roles, change)("DE01", "anna")
    assert no.value.cause and no.value.remedy
    with pytest.raises(Rejected, match="second ERP"):
        getattr(replacing.roles, change)("FR01", "anna")


def test_each_change_is_in_the_audit_log_and_the_roles_are_kept_by_time(replacing: Replacing) -> None:
    replacing.roles.begin("DE01", "anna")
    replacing.roles.hand_over("DE01", "bert")
    replacing.mirror()
    with replacing.world.database.transaction() as tx:
        rows = tx.all("select * from erp_roles order by n")
    assert [(row["counts"], row["beside"], row["who"]) for row in rows] == [
        ("old", "new", "anna"),
        ("old", "new", "bert"),
        ("new", None, "engine"),
    ]
