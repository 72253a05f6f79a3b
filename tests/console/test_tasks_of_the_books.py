"""What merchandisers and controllers come for, from sign-in to the answer, at most five clicks; in a real browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from console import scene
from console.conftest import Person, Running
from counterfoil_engine.work import pack
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.usefixtures("browser")


@pytest.fixture
def rules() -> str:
    return scene.RULES


@pytest.fixture
def evidence_key(tmp_path: Path) -> bytes:
    """The public key of who signs evidence packs; the private one lies beside the engine."""
    private, public = pack.new_key()
    (tmp_path / "evidence.key").write_bytes(private)
    return public


@pytest.fixture
def environment(tmp_path: Path, evidence_key: bytes) -> dict[str, str]:
    return {"COUNTERFOIL_EVIDENCE_KEY": str(tmp_path / "evidence.key")}


def answer(person: Person) -> Locator:
    return person.page.get_by_role("heading", level=1)


def test_why_does_the_shop_show_eleven(person: Person, running: Running) -> None:
    scene.has_stock(running)
    person.signs_in("vera")
    person.page.get_by_role("link", name="Stock").click()
    person.page.get_by_label("SKU").fill("MUG-RED")
    person.page.get_by_role("button", name="Why this number?").click()
    expect(answer(person)).to_contain_text("11 of MUG-RED may be sold in eu")
    row = person.page.get_by_role("row", name=re.compile("^allocated, BER"))
    expect(row).to_contain_text("−16")
    expect(person.page.locator("tr.sum")).to_contain_text("11")


def test_refunds_that_the_gateway_knows_and_the_shop_does_not(person: Person, running: Running) -> None:
    """One of an order, told by the gateway itself; one that only its report has."""
    running.arrives(scene.an_order("order_simple_paid", transaction_id="ch_1"))
    scene.gives_back(running, "eu1/4317", 400)
    scene.is_paid_out(
        running, scene.a_charge("9.09", "0.50", "8.59", "1"), scene.a_refund("-3.00", "-3.00", "66"), net="5.59"
    )
    person.signs_in("carl")
    person.page.get_by_role("link", name="Money").click()
    person.page.get_by_role("link", name="Refunds that lack a side").click()
    expect(answer(person)).to_have_text(
        "2 refunds lack a side or differ. The gateway knows 2 of them, and the shop doesn't."
    )
    own = person.page.get_by_role("region", name="Refunds").get_by_role("row", name="eu1/4317")
    expect(own).to_contain_text("4.00 EUR")
    expect(own.get_by_role("link", name="eu1/4317")).to_be_visible()
    line = person.page.get_by_role("row", name=re.compile("^txn_r66"))
    expect(line).to_contain_text("−3.00 EUR")
    line.get_by_role("link", name="txn_r66").click()
    expect(person.page.locator("tr:target")).to_contain_text("ch_66")


def test_the_unexplained_remainder_of_a_gateway_yesterday_down_to_the_line(person: Person, running: Running) -> None:
    running.arrives(scene.an_order("order_simple_paid", transaction_id="ch_1"))
    scene.is_paid_out(
        running,
        scene.a_charge("9.09", "0.50", "8.59", "1"),
        scene.a_charge("20.00", "0.80", "19.20", "77"),
        net="27.79",
    )
    person.signs_in("carl")
    person.page.get_by_role("link", name="Money").click()
    person.page.get_by_role("link", name="stripe yesterday").click()
    expect(answer(person)).to_contain_text("20.00 EUR is unexplained at stripe of DE01")
    expect(answer(person)).to_contain_text("1 line has no order.")
    moved = person.page.get_by_role("region", name="What moved").get_by_role("row")
    expect(moved.filter(has_text="fee")).to_have_count(2)
    person.page.get_by_role("link", name="txn_77", exact=True).click()
    expect(person.page.locator("tr:target")).to_contain_text("20.00 EUR")
    expect(person.page.locator(".fault")).to_contain_text("Row 3 of payout po_1, a charge of 20.00 EUR")


def test_what_a_sweep_of_money_found_stands_on_its_day_with_its_orders(person: Person, running: Running) -> None:
    running.arrives(scene.an_order("order_simple_paid", transaction_id="ch_1"))
    day = scene.yesterday()
    number = scene.drifted(
        running,
        sweep="money",
        store="DE01",
        subject=f"payments DE01/stripe/EUR {day}",
        kind="missed",
        cause="stripe, which was heard since, has 1 payment not, which orders say came: 9.09 EUR.",
        units=None,
        amount_minor=-909,
        currency="EUR",
        detail={"orders_minor": 909, "gateway_minor": 0, "orders": ["order eu1/4317"]},
    )
    person.signs_in("carl")
    person.page.get_by_role("link", name="Money").click()
    person.page.get_by_role("link", name="stripe yesterday").click()
    expect(answer(person)).to_contain_text("9.09 EUR is unexplained")
    person.page.get_by_role("link", name=str(number), exact=True).click()
    person.page.get_by_role("link", name="order eu1/4317").click()
    expect(answer(person)).to_contain_text("Order eu1/4317 is in the ERP")


def test_a_rule_change_is_tried_on_past_orders_and_approved_by_a_second_person(
    person: Person, running: Running
) -> None:
    running.arrives(scene.an_order("order_simple_paid", transaction_id="ch_1"))
    person.signs_in("carl")
    person.page.get_by_role("link", name="Rules").click()
    person.page.get_by_role("link", name="Change the rules").click()
    text = person.page.get_by_label("Rules")
    text.fill(scene.RULES.replace("rules: one", "rules: two").replace("class: goods", "class: wares"))
    person.page.get_by_label("Over orders since").fill("2026-11-01")
    person.page.get_by_role("button", name="Try them").click()
    expect(answer(person)).to_have_text("The rules two wait to be tried.")
    assert running.chain.engine.step_trials()
    person.page.reload()
    expect(answer(person)).to_have_text("1 order would differ by two, over 1 order.")
    expect(person.page.get_by_role("row", name=re.compile("^revenue:wares"))).to_be_visible()
    person.page.get_by_role("button", name="Propose these rules").click()
    expect(answer(person)).to_contain_text("Put the rules two in force")
    expect(person.page.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)
    proposal = person.page.url.removeprefix(person.url)
    person.page.get_by_role("button", name="Sign out").click()
    person.signs_in("ada", proposal)
    person.page.get_by_role("button", name=re.compile("^Approve")).click()
    assert running.chain.engine.commands().rules()["current"] == "two"


def test_a_month_is_closed_and_its_evidence_downloaded(
    person: Person, running: Running, tmp_path: Path, evidence_key: bytes
) -> None:
    month = _last_month()
    person.signs_in("carl")
    person.page.get_by_role("link", name="Close").click()
    person.page.get_by_role("link", name=month).click()
    expect(answer(person)).to_have_text(f"DE01 {month} can be locked: all is settled.")
    person.page.get_by_role("button", name=f"Lock {month}").click()
    expect(answer(person)).to_contain_text("is locked by carl")
    with person.page.expect_download() as download:
        person.page.get_by_role("link", name="Download the evidence").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    found = pack.read(file)
    assert pack.faults(found, pack.public_key(evidence_key, "key")) == []
    assert pack.manifest_of(found)["locked_by"] == "carl"


def test_a_manual_stock_edit_in_a_store_is_healed_or_accepted(person: Person, running: Running) -> None:
    scene.has_stock(running)
    running.arrives()
    healed = scene.drifted(running)
    accepted = scene.drifted(running, subject="MUG-BLUE", cause="The store shows 3 of MUG-BLUE, the number is 0.")
    person.signs_in("olga")
    person.page.get_by_role("link", name="Differences").click()
    expect(answer(person)).to_have_text("2 differences stand: 2 wait for a person.")
    person.page.get_by_role("link", name=str(healed), exact=True).click()
    person.page.get_by_role("button", name="Heal it").click()
    expect(person.page.get_by_role("status")).to_contain_text("its repair has begun")
    person.begins()
    person.page.get_by_role("link", name="All differences").click()
    person.page.get_by_role("link", name=str(accepted), exact=True).click()
    person.page.get_by_label("Why it may stand").fill("display pieces")
    person.page.get_by_role("button", name="Accept it").click()
    expect(person.page.get_by_role("row", name=re.compile("accepted: display pieces"))).to_contain_text("olga")


def test_a_new_store_from_a_template_begins_in_preview_then_it_is_switched_on(person: Person, running: Running) -> None:
    person.signs_in("carl")
    person.page.goto(f"{person.url}/console/stores/new")
    person.page.get_by_label("Name of the new store").fill("fr1")
    person.page.get_by_role("button", name="Add it, in preview").click()
    expect(answer(person)).to_contain_text("fr1 is not in the rules yet")
    [waiting] = running.chain.engine.four_eyes().list(False, 10)["proposals"]
    person.page.get_by_role("button", name="Sign out").click()
    person.signs_in("ada", f"/console/proposals/{waiting['proposal']}")
    person.page.get_by_role("button", name=re.compile("^Approve")).click()
    person.page.goto(f"{person.url}/console/stores/fr1")
    expect(answer(person)).to_contain_text("fr1 is in preview")
    expect(person.page.get_by_text("COUNTERFOIL_STORE_SECRET_FR1")).to_be_visible()
    person.page.locator("#switch-erp").get_by_role("button", name="Switch on").click()
    expect(person.page.get_by_role("status")).to_contain_text("a second person decides")


def _last_month() -> str:
    now = datetime.now(UTC)
    return f"{now.year}-{now.month - 1:02d}" if now.month > 1 else f"{now.year - 1}-12"
