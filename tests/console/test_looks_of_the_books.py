"""How the pages of stock, money, close, rules and figures read: by axe, on a phone and on a desk, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from console import scene
from console.conftest import Person, Running, a_running_console
from counterfoil_engine.domain.kpis import Figures
from counterfoil_engine.records import kpis
from fakes.browser import faults_by_axe, with_axe
from playwright.sync_api import Browser

SHOWN = [
    "/figures",
    "/stock",
    "/stock/eu/MUG-RED",
    "/differences",
    "/differences/1",
    "/money",
    "/money/clearing/stripe",
    f"/money/clearing/stripe/{scene.yesterday()}?entity=DE01",
    "/money/clearing/nobody/2026-01-01?entity=DE01",
    "/money/payouts/stripe/po_1",
    "/money/refunds?all=1",
    "/close",
    "/close/DE01/2026-11",
    "/rules",
    "/rules/change",
    "/rules/versions/one",
    "/rules/trials/1",
    "/stores/new",
    "/stores/eu1",
]


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with a_running_console(tmp_path_factory.mktemp("books"), scene.RULES) as running:
        scene.has_stock(running)
        running.arrives(scene.an_order("order_simple_paid", transaction_id="ch_1"))
        charges = scene.a_charge("9.09", "0.50", "8.59", "1"), scene.a_charge("20.00", "0.80", "19.20", "77")
        scene.is_paid_out(running, *charges, net="27.79")
        scene.drifted(running)
        engine = running.chain.engine
        since = running.chain.clock.now() - timedelta(days=30)
        engine.trials().ask(scene.RULES.replace("rules: one", "rules: two"), since, running.caller("carl"))
        engine.step_trials()
        with running.chain.database.transaction() as tx:
            for ago in range(1, 20):
                day = tx.now().date() - timedelta(days=ago)
                kpis.keep(tx, day, [Figures("order_latency", "eu1", day, 200 + ago, 100)], frozenset())
        yield running


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_the_books_pages_read_well(browser: Browser, living: Running, width: int, scheme: str) -> None:
    """And none does what its content policy forbids, or is wider than the screen."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    person, said, faults = Person(context.new_page(), living.url), list[str](), list[object]()
    person.page.on("console", lambda message: said.append(message.text))
    person.page.on("pageerror", lambda error: said.append(str(error)))
    with_axe(person.page)
    person.signs_in("ada")
    for path in SHOWN:
        answer = person.page.goto(f"{living.url}/console{path}")
        assert answer is not None and answer.status == 200, path
        faults += [(path, *fault) for fault in faults_by_axe(person.page)]
        if person.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            faults.append((path, "wider than the screen", width))
    context.close()
    assert (faults, said) == ([], [])


def test_key_figures_are_drawn_and_stand_beside_their_picture(browser: Browser, living: Running) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    person = Person(context.new_page(), living.url)
    person.signs_in("vera", "/console/figures")
    picture = person.page.get_by_label("order latency", exact=True)
    assert picture.locator("canvas").count() == 1
    picture.get_by_text("By day").click()
    assert picture.get_by_role("row").count() == 20
    context.close()
