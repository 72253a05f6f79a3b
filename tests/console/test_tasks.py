"""What people come to the console for, each from sign-in to the answer in at most five clicks, in a real browser."""

from __future__ import annotations

from builders import a_line, an_order
from console.conftest import RULES, Person, Running
from playwright.sync_api import expect

HELD = 400


def unmapped(number: int) -> list:
    """Orders whose method of payment no rule knows yet."""
    return [an_order(a_line("MUG"), id=2000 + n, number=f"N-{n}", payment_method="klarna_later") for n in range(number)]


def answer(person: Person):
    return person.page.get_by_role("heading", level=1)


def test_task_1_which_store_is_behind_since_when_and_why(running: Running, person: Person):
    running.arrives(*unmapped(1))
    person.signs_in("vera")
    expect(answer(person)).to_contain_text("eu1 is behind")
    expect(answer(person)).to_contain_text("1 subject is stuck")
    reason = person.page.locator("#behind-eu1-1")
    expect(reason.locator("time")).to_be_visible()
    reason.get_by_role("link", name="Its cases").click()
    expect(person.page.get_by_text("The payment method 'klarna_later' has no mapping.")).to_be_visible()


def test_task_2_an_order_found_by_e_mail_shows_its_whole_way(running: Running, person: Person):
    running.arrives(an_order(a_line("MUG", 2, "9.90"), id=1001))
    person.signs_in("sam")
    person.page.keyboard.press("/")
    person.page.keyboard.type("E@Example.com")
    person.page.keyboard.press("Enter")
    expect(answer(person)).to_have_text("Order eu1/1001 is in the ERP, 23.56 EUR.")
    assert "example.com" not in person.page.url
    way = person.page.get_by_role("list", name="The way of this order")
    for step in ("Received", "Secured", "In ERP", "Invoiced"):
        expect(way.get_by_text(step, exact=True)).to_be_visible()
    expect(person.page.get_by_role("region", name="Journal")).to_contain_text("receivable")
    person.page.get_by_role("link", name="1.1").click()
    expect(person.page.get_by_label("Raw form")).to_contain_text('"billing"')


def test_task_3_an_unknown_payment_method_is_mapped_and_all_that_it_held_go(running, person, context):
    running.arrives(*unmapped(HELD))
    person.signs_in("carl")
    person.page.get_by_role("link", name=str(HELD), exact=True).first.click()
    person.page.get_by_role("link", name="Fill in").click()
    person.page.get_by_label("Gateway").fill("klarna")
    person.page.get_by_role("button", name="See what would be posted").click()
    expect(answer(person)).to_contain_text(f"would be posted, for {HELD} subjects")
    person.page.get_by_role("button", name=f"Fill it in so: {HELD} subjects go on").click()
    expect(person.page.get_by_role("status")).to_contain_text("somebody else has to approve it")
    proposal = person.page.url

    other = Person(context.browser.new_context().new_page(), running.url)
    other.signs_in("ada", proposal.removeprefix(running.url))
    other.page.get_by_role("button", name="Approve").click()
    expect(other.page.get_by_role("status")).to_contain_text("is approved, and done")
    other.page.context.close()

    person.page.goto(f"{running.url}/console/cases/1/watch")
    expect(answer(person)).to_have_text(f"0 of {HELD} subjects have gone; {HELD} are on their way.")
    running.chain.flow()
    expect(answer(person)).to_have_text(f"All {HELD} subjects that it held have gone.")


def test_task_4_a_stuck_order_is_replayed_after_seeing_what_would_be_posted(running, person):
    running.arrives(*unmapped(1))
    with running.chain.database.transaction() as tx:
        running.chain.engine.records.rules.load(tx, "two", with_klarna_later(), "test")
    person.signs_in("sam")
    person.page.get_by_role("link", name="Its cases").click()
    person.page.get_by_role("link", name="Open case 1").click()
    person.page.get_by_role("button", name="See what a replay would post").click()
    expect(answer(person)).to_contain_text("5 documents would be posted")
    expect(person.page.get_by_role("region", name="One by one")).to_contain_text("sales_order")
    person.page.get_by_role("button", name="Replay it").click()
    expect(person.page.get_by_role("status")).to_have_text("1 subject is looked at again.")
    running.chain.flow()
    person.page.reload()
    expect(answer(person)).to_contain_text("is in the ERP")


def with_klarna_later() -> str:
    """The rules of this test with the method mapped, under another name."""
    row = '  - {store: "*", method: klarna_later, gateway: klarna, accept_unpaid: false, from: 2020-01-01}\n'
    return RULES.replace("rules: one", "rules: two") + row


def test_task_11_an_erp_is_held_for_its_maintenance_and_gets_what_waited_once_released(running, person):
    person.signs_in("olga")
    person.page.get_by_role("link", name="Parties").click()
    person.page.get_by_role("link", name="erp of DE01").click()
    person.page.get_by_label("Why").fill("its upgrade")
    person.page.get_by_role("button", name="Hold it").click()
    expect(answer(person)).to_have_text("The ERP of DE01 is held: nothing waits.")

    running.arrives(an_order(a_line("MUG"), id=1001), an_order(a_line("CUP"), id=1002))
    person.page.reload()
    expect(answer(person)).to_contain_text("is held: 9 documents wait")
    with running.chain.database.transaction() as tx:
        assert tx.all("select key from intents where state = 'done'") == []

    person.page.get_by_role("button", name="Release: 9 documents go in their order").click()
    expect(person.page.get_by_role("status")).to_have_text("Released: 9 documents go now, in their order.")
    running.chain.flow()
    expect(answer(person)).to_have_text("The ERP of DE01 has drained: nothing waits.")
