"""How every page reads: by axe, on a phone and on a desk, light and dark; without JavaScript, and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import a_line, an_order
from console.conftest import Person, Running, a_running_console
from fakes.browser import faults_by_axe, with_axe
from playwright.sync_api import Browser, expect

# Every page that somebody reads, by its path below /console.
SHOWN = [
    "/",
    "/account",
    "/search?q=MUG",
    "/search?q=nothing-like-it",
    "/orders/eu1/1001",
    "/orders/eu1/1003",
    "/orders/eu1/1001/fact?epoch=1&n=1",
    "/orders/eu1/1001/document?key=eu1/1001/sales_order/order/r1",
    "/cases",
    "/cases?single=true",
    "/cases/1",
    "/cases/1/watch",
    "/proposals",
    "/proposals/1",
    "/parties",
    "/parties/erp/DE01",
    "/audit",
    "/stock",
    "/differences",
    "/money",
    "/money/clearing/bacs",
    "/money/refunds",
    "/close",
    "/close/DE01/2026-11",
    "/rules",
    "/rules/versions/one",
    "/rules/change",
    "/stores/new",
    "/stores/eu1",
    "/no-such-page",
]


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A console with something on each page."""
    with a_running_console(tmp_path_factory.mktemp("console")) as running:
        running.arrives(
            an_order(a_line("MUG", 2, "9.90"), id=1001),
            an_order(a_line("CUP"), id=1002),
            *[an_order(a_line("MUG"), id=1003 + n, payment_method="klarna") for n in range(3)],
        )
        hands = running.chain.engine.case_desk().hands
        hands.fill(1, {"gateway": "klarna", "accept_unpaid": "false"}, running.caller("carl"))
        yield running


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_every_page_reads_well(browser: Browser, living: Running, width: int, scheme: str):
    """Contrast, names of fields, order of headings and more; nothing that a narrow screen cuts off, nor anything that
    the content policy forbids."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    person = Person(context.new_page(), living.url)
    said: list[str] = []
    person.page.on("console", lambda message: said.append(message.text))
    person.page.on("pageerror", lambda error: said.append(str(error)))
    with_axe(person.page)
    person.signs_in("ada")
    faults = []
    for path in SHOWN:
        person.page.goto(f"{living.url}/console{path}")
        faults += [(path, *fault) for fault in faults_by_axe(person.page)]
        too_wide = person.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        faults += [(path, "wider than the screen", width)] if too_wide else []
        assert person.page.locator("h1").count() == 1, path
    context.close()
    assert (faults, [each for each in said if "404" not in each]) == ([], [])


def test_the_sign_in_reads_well(browser: Browser, living: Running):
    page = browser.new_page()
    with_axe(page)
    page.goto(f"{living.url}/console/sign-in")
    assert faults_by_axe(page) == []
    page.close()


def test_everything_is_read_and_done_without_javascript(browser: Browser, living: Running):
    context = browser.new_context(java_script_enabled=False)
    person = Person(context.new_page(), living.url)
    person.signs_in("sam")
    person.page.get_by_label("Search").fill("1001")
    person.page.keyboard.press("Enter")
    expect(person.page.get_by_role("heading", level=1)).to_contain_text("Order eu1/1001 is in the ERP")
    person.page.get_by_role("link", name="Cases").click()
    person.page.get_by_role("link", name="Open case 1").click()
    person.page.get_by_label("Say something").fill("asked the shop")
    person.page.get_by_role("button", name="Say it").click()
    expect(person.page.get_by_role("status")).to_have_text("Said at 1 case.")
    context.close()


def test_the_first_key_leads_to_the_answer_and_the_next_through_the_navigation(browser: Browser, living: Running):
    page = browser.new_page()
    person = Person(page, living.url)
    person.signs_in("vera")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the answer")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Stores")).to_be_focused()
    page.close()
