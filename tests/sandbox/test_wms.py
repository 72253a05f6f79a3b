"""The sandbox WMS: what it ships, stops, misses and takes back, and that its facts keep to their contracts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from counterfoil_contracts import faults
from counterfoil_sandbox.erp_journal import Refusal
from counterfoil_sandbox.wms import Wms
from fakes.clock import FakeClock
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox.erp_documents import a_payment
from sandbox.party_documents import a_cancellation, a_fulfilment, a_return, reversed_

ORDER = {"store": "eu1", "order": "1001"}


@pytest.fixture
def wms() -> Wms:
    clock = FakeClock()
    return Wms("wms", "hub-berlin", now=clock.now, random=Random(1))


def post(wms: Wms, *documents: dict[str, Any]) -> list[str]:
    return [outcome["status"] for outcome in wms.post(documents)]


def said(wms: Wms) -> list[tuple[str, dict[str, str]]]:
    """Kind and quantities of each fact."""
    return [
        (fact["fact"].split(".")[1], {line["line"]: line["quantity"] for line in fact.get("lines", [])})
        for fact in wms.told()
    ]


def test_a_fulfilment_is_released_and_shipped_in_parts(wms: Wms) -> None:
    assert post(wms, a_fulfilment()) == ["posted"]
    wms.command("release", **ORDER)
    wms.command("ship", **ORDER, lines={"item:46": "1"}, warehouse="PAR", tracking="0034")
    wms.command("ship", **ORDER)
    assert said(wms) == [("released", {"item:46": "4"}), ("shipment", {"item:46": "1"}), ("shipment", {"item:46": "3"})]
    first = wms.told()[1]
    assert (first["warehouse"], first["carrier"], first["tracking"]) == ("PAR", "DHL", "0034")
    with pytest.raises(Refusal):
        wms.command("ship", **ORDER)


def test_what_ships_was_released_before(wms: Wms) -> None:
    post(wms, a_fulfilment())
    wms.command("ship", **ORDER, lines={"item:46": "3"})
    assert said(wms) == [("released", {"item:46": "3"}), ("shipment", {"item:46": "3"})]


def test_more_than_is_left_does_not_ship(wms: Wms) -> None:
    post(wms, a_fulfilment())
    with pytest.raises(Refusal):
        wms.command("ship", **ORDER, lines={"item:46": "5"})
    assert said(wms) == []


def test_a_cancellation_before_the_release_takes_out_at_once(wms: Wms) -> None:
    post(wms, a_fulfilment(), a_cancellation("3"))
    wms.command("ship", **ORDER)
    assert said(wms)[0] == ("cancelled", {"item:46": "3"})
    assert said(wms)[-1] == ("shipment", {"item:46": "1"})


def test_a_cancellation_after_the_release_is_refused_or_agreed_to(wms: Wms) -> None:
    post(wms, a_fulfilment())
    wms.command("release", **ORDER)
    assert post(wms, a_cancellation("4")) == ["posted"]
    wms.modes = wms.modes.changed({"stops_released": 1.0})
    post(wms, a_cancellation("4", "2"))
    refused, agreed = wms.told()[1:]
    assert (refused["fact"], refused["of"]) == (
        "counterfoil.cancellation_refused.v1",
        "eu1/1001/cancellation/1/r1",
    )
    assert (agreed["fact"], agreed["of"]) == ("counterfoil.cancelled.v1", "eu1/1001/cancellation/2/r1")
    with pytest.raises(Refusal):
        wms.command("ship", **ORDER)


def test_what_has_left_is_never_cancelled(wms: Wms) -> None:
    post(wms, a_fulfilment())
    wms.command("ship", **ORDER)
    wms.modes = wms.modes.changed({"stops_released": 1.0})
    post(wms, a_cancellation("4"))
    assert said(wms)[-1][0] == "cancellation_refused"


def test_a_cancellation_taken_back_lets_the_goods_go(wms: Wms) -> None:
    cancellation = a_cancellation()
    post(wms, a_fulfilment(), cancellation, reversed_(cancellation))
    wms.command("ship", **ORDER)
    assert said(wms)[-1] == ("shipment", {"item:46": "4"})


def test_a_fulfilment_is_replaced_until_it_is_released(wms: Wms) -> None:
    first = a_fulfilment("4")
    assert post(wms, first, reversed_(first), a_fulfilment("2", revision=2)) == ["posted"] * 3
    wms.command("release", **ORDER)
    (refused,) = wms.post([reversed_(a_fulfilment("2", revision=2))])
    assert (refused["status"], refused["category"]) == ("refused", "conflict")
    assert said(wms) == [("released", {"item:46": "2"})]


def test_a_short_pick_never_ships(wms: Wms) -> None:
    post(wms, a_fulfilment())
    wms.command("short_pick", **ORDER, lines={"item:46": "1"})
    wms.command("ship", **ORDER)
    assert said(wms)[0] == ("short_pick", {"item:46": "1"})
    assert said(wms)[-1] == ("shipment", {"item:46": "3"})


def test_only_what_was_shipped_comes_back(wms: Wms) -> None:
    post(wms, a_fulfilment(), a_return())
    with pytest.raises(Refusal):
        wms.command("receive", **ORDER)
    wms.command("ship", **ORDER, lines={"item:46": "2"})
    wms.command("receive", **ORDER, lines={"item:46": "1"}, refund="1044", condition="damaged")
    receipt = wms.told()[-1]
    assert (receipt["refund"], receipt["lines"]) == (
        "1044",
        [{"line": "item:46", "quantity": "1", "condition": "damaged"}],
    )
    wms.command("receive", **ORDER)
    with pytest.raises(Refusal):
        wms.command("receive", **ORDER)


def test_it_works_by_itself_at_its_pace() -> None:
    clock = FakeClock()
    wms = Wms("wms", "hub-berlin", now=clock.now, random=Random(1))
    wms.modes = wms.modes.changed({"works_alone": True, "pace_s": 60.0})
    post(wms, a_fulfilment("1"))
    wms.advance()
    assert said(wms) == []
    for _ in range(2):
        clock.pass_time(61)
        wms.advance()
    assert [kind for kind, _ in said(wms)] == ["released", "shipment"]


def test_another_partys_document_is_refused_beside_neighbours_that_stand(wms: Wms) -> None:
    assert post(wms, a_payment(), a_fulfilment(), {**a_fulfilment(revision=2), "lines": "all"}) == [
        "refused",
        "posted",
        "refused",
    ]


def test_late_facts_come_in_another_order_and_none_is_missed() -> None:
    clock = FakeClock()
    wms = Wms("wms", "hub-berlin", now=clock.now, random=Random(3))
    wms.modes = wms.modes.changed({"late_facts_s": 600.0, "page_facts": 2})
    post(wms, a_fulfilment("9"))
    cursor, read = None, list[str]()
    for number in range(30):
        if number < 9:
            wms.command("ship", **ORDER, lines={"item:46": "1"})
        clock.pass_time(60)
        page = wms.page(cursor)
        cursor, read = page["cursor"], [*read, *(fact["id"] for fact in page["facts"])]
    assert sorted(read) == sorted(fact["id"] for fact in wms.told()) and len(read) == 18
    assert read != [fact["id"] for fact in wms.told()]


def test_doubled_facts_overlap_and_a_strange_cursor_begins_anew(wms: Wms) -> None:
    wms.modes = wms.modes.changed({"page_facts": 2})
    post(wms, a_fulfilment("3"))
    for _ in range(3):
        wms.command("ship", **ORDER, lines={"item:46": "1"})
    first = wms.page(None)
    assert (len(first["facts"]), first["more"]) == (2, True)
    wms.modes = wms.modes.changed({"doubled_facts": 1})
    second = wms.page(first["cursor"])
    assert second["facts"][0] == first["facts"][1] and len(second["facts"]) == 3
    assert wms.page("0000-7")["facts"][0] == first["facts"][0]
    assert wms.page(wms.page(second["cursor"])["cursor"])["more"] is False


def test_what_it_holds_outlives_its_process(tmp_path: Any) -> None:
    path = str(tmp_path / "wms.sqlite3")
    wms = Wms("wms", "hub-berlin", path, random=Random(1))
    post(wms, a_fulfilment())
    wms.command("ship", **ORDER, lines={"item:46": "1"})
    cursor = wms.page(None)["cursor"]
    wms.close()
    again = Wms("wms", "hub-berlin", path, random=Random(2))
    again.command("ship", **ORDER)
    assert [fact["fact"].split(".")[1] for fact in again.page(cursor)["facts"]] == ["released", "shipment"]


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["release", "ship", "short_pick", "receive", "cancel", "more", "work", "undo"]),
        st.integers(1, 3),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(ACTS, st.integers(0, 99))
def test_whatever_happens_no_more_leaves_than_was_ordered_and_each_fact_keeps_its_contract(
    acts: list[tuple[str, int]], seed: int
) -> None:
    moment = datetime(2026, 11, 23, 9, tzinfo=UTC)
    wms = Wms("wms", "hub-berlin", now=lambda: moment, random=Random(seed))
    wms.modes = wms.modes.changed({"stops_released": 0.5, "short_picks": 0.2})
    standing = [a_fulfilment("4")]
    wms.post(standing)
    for number, (act, units) in enumerate(acts):
        moment += timedelta(minutes=1)
        try:
            if act == "cancel":
                wms.post([a_cancellation(str(units), str(number))])
            elif act == "more":
                more = a_fulfilment(str(units), revision=number + 2)
                standing += [more] if wms.post([more])[0]["status"] == "posted" else []
            elif act == "undo":
                undone = wms.post([reversed_(standing[-1])])[0]["status"] == "posted"
                standing = standing[:-1] if undone and len(standing) > 1 else standing
            else:
                wms.command(act, **({} if act == "work" else {**ORDER, "lines": {"item:46": str(units)}}))
        except Refusal:
            continue
    for fact in wms.told():
        assert faults(f"facts/{fact['fact'].removeprefix('counterfoil.')}", fact) == []
    order = wms.thing("order", "eu1/1001")
    assert order is not None
    quantity = {name: Decimal(order.get(name, {}).get("item:46", "0")) for name in ("ordered", "released", "shipped")}
    gone, received = (Decimal(order.get(name, {}).get("item:46", "0")) for name in ("gone", "received"))
    assert 0 <= received <= quantity["shipped"] <= quantity["released"] <= quantity["ordered"] - gone
