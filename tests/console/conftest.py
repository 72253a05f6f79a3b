"""The console of a running engine: people of every role, a real browser, and orders that come in from a store."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from counterfoil_agent.snapshot import order_event
from counterfoil_engine import config
from counterfoil_engine.domain.roles import Role
from counterfoil_engine.ports import Caller
from counterfoil_engine.rehearsal.chain import Chain
from counterfoil_engine.work.passwords import Scrypt
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.browser import a_browser
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page
from rehearsal.checks import Json
from werkzeug.serving import make_server

PASSWORD = "four words of one's own"
PEOPLE: dict[str, Role] = {
    "vera": "viewer",
    "sam": "service",
    "olga": "operator",
    "carl": "controller",
    "ada": "admin",
}
RULES = (Path(__file__).parents[1] / "cli" / "rules.yaml").read_text("utf-8")


@dataclass
class Running:
    """An engine that answers at url; chain: its parts, to let things happen in it."""

    url: str
    chain: Chain
    app: Flask

    def arrives(self, *orders: Json) -> None:
        self.chain.append([order_event(json.dumps(order).encode(), []) for order in orders])
        self.chain.flow()

    @staticmethod
    def caller(name: str) -> Caller:
        return Caller(name, PEOPLE[name])


@pytest.fixture
def rules() -> str:
    """In force from the start; a module may have its own."""
    return RULES


@pytest.fixture
def environment() -> dict[str, str]:
    """Of the engine's process."""
    return {}


@pytest.fixture
def running(tmp_path: Path, rules: str, environment: dict[str, str]) -> Iterator[Running]:
    with a_running_console(tmp_path / "engine", rules, environment) as running:
        yield running


@contextlib.contextmanager
def a_running_console(
    folder: Path,
    rules: str = RULES,
    environment: Mapping[str, str] | None = None,
    console: Mapping[str, Any] | None = None,
) -> Iterator[Running]:
    """An engine with its console, and somebody of every role. Passwords are quick to try, as no real one is.

    console: its settings, but for the address."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("counterfoil_engine.work.sign_in.Scrypt", lambda: Scrypt(n=2, p=1))
        chain = Chain(folder, "eu1", rules, datetime.now(UTC))
        add_people(chain)
        server = make_server("127.0.0.1", 0, Flask("not yet"), threaded=True)
        table = {"console": {"url": f"http://127.0.0.1:{server.server_port}", **(console or {})}}
        server.app = app = chain.engine.app(config.settings(table, environment or {}))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Running(f"http://127.0.0.1:{server.server_port}", chain, app)
        server.shutdown()
        thread.join()
        server.server_close()
        chain.close()


def add_people(chain: Chain) -> None:
    """Somebody of each role, who chose their own password."""
    control = chain.engine.control()
    for name, role in PEOPLE.items():
        control.users.add(name, role, 30, BOOTSTRAP)
        control.sign_in.set_password(None, PASSWORD, Caller(name, role))


class Visitor:
    """A browser's line without its window, for what has no looks: cookies are kept, redirects are not followed."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client()

    def get(self, path: str, **more: Any) -> Any:
        return self._client.get(f"/console{path}", **more)

    def post(self, path: str, /, token: str | None = None, headers: Any = None, **fields: Any) -> Any:
        """A form with the token of the page that somebody is at, or with another one."""
        given = self.token() if token is None else token
        return self._client.post(f"/console{path}", data={"csrf": given, **fields}, headers=headers)

    def token(self, page: str = "/account") -> str:
        found = re.search('name="csrf" value="([^"]*)"', self.get(page).text)
        return found[1] if found else ""

    def signs_in(self, name: str, password: str = PASSWORD, **fields: str) -> Any:
        fields = {"token": self.token("/sign-in"), **fields}
        return self.post("/sign-in", name=name, password=password, **fields)

    def cookie(self, name: str) -> Any:
        return self._client.get_cookie(name, path="/console/")

    def bears(self, name: str, value: str) -> None:
        self._client.set_cookie(name, value, path="/console/")


@pytest.fixture
def visitor(running: Running) -> Visitor:
    return Visitor(running.app)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as opened:
        yield opened


MOST_CLICKS = 5  # from sign-in to the answer


class Person:
    """Somebody at a browser, whose clicks are counted from signing in (a form sent by a key is one too)."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.clicks: list[str] = []
        page.expose_function("clicked", lambda name: self.clicks.append(name))
        page.add_init_script("addEventListener('click', (event) => clicked(event.target.textContent.trim()), true)")

    def signs_in(self, name: str, at: str = "/console/") -> None:
        self.has_not_clicked_much()
        self.page.goto(f"{self.url}{at}")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_load_state()
        self.clicks.clear()

    def begins(self) -> None:
        """Another task, of which no click is counted yet."""
        self.has_not_clicked_much()
        self.clicks.clear()

    def has_not_clicked_much(self) -> None:
        assert len(self.clicks) <= MOST_CLICKS, self.clicks


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def person(context: BrowserContext, running: Running) -> Iterator[Person]:
    person = Person(context.new_page(), running.url)
    yield person
    person.has_not_clicked_much()
