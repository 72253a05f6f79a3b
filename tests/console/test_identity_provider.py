"""Signing in by an identity provider: its word counts where it is signed, fresh and meant for us; roles stay ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from console.conftest import Person, Running, Visitor, a_running_console
from counterfoil_engine.adapters.identity.oidc import OpenIdProvider
from counterfoil_engine.config import settings
from counterfoil_engine.domain.errors import CounterfoilError
from fakes.identity import CLIENT, SECRET, Issuer, an_issuer
from joserfc.jwk import RSAKey
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def _issuer() -> Iterator[Issuer]:
    with an_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(_issuer: Issuer) -> Issuer:
    """One for all tests, which says the truth at the beginning of each."""
    _issuer.tells_the_truth()
    return _issuer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, _issuer: Issuer) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("console")
    oidc = {"issuer": _issuer.url, "client_id": CLIENT, "client_secret_env": "OIDC_SECRET"}
    with a_running_console(folder, environment={"OIDC_SECRET": SECRET}, console={"oidc": oidc}) as running:
        yield running


def came_back(visitor: Visitor) -> object:
    """What the console answers to who was sent to the provider and back."""
    there = visitor.get("/sign-in/elsewhere").headers["Location"]
    back = requests.get(there, allow_redirects=False, timeout=10).headers["Location"]
    return visitor.get("/sign-in/back?" + back.partition("?")[2])


def test_whom_the_provider_vouches_for_is_signed_in_with_the_role_they_have_here(running, issuer, person: Person):
    issuer.person = "sam"
    person.page.goto(f"{running.url}/console/cases")
    person.page.get_by_role("link", name="Sign in with the identity provider").click()
    expect(person.page.get_by_role("heading", level=1)).to_have_text("Nothing is stuck.")
    expect(person.page.locator(".who")).to_contain_text("sam service")


def test_whom_nobody_added_here_is_not_let_in(visitor, issuer):
    issuer.person = "stranger"
    answer = came_back(visitor)
    assert answer.status_code == 401
    assert "nobody of that name may use this engine" in answer.text


@pytest.mark.parametrize(
    "lie",
    [
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": int(time.time()) - 600},
        {"exp": None},
        {"preferred_username": None},
        {"preferred_username": ["ada"]},
    ],
)
def test_a_word_that_is_not_meant_for_this_sign_in_lets_nobody_in(visitor, issuer, lie):
    issuer.claims.update(lie)
    assert came_back(visitor).status_code == 401
    assert visitor.get("/").status_code == 302


def test_a_word_that_is_signed_by_another_key_lets_nobody_in(visitor, issuer):
    issuer.published = RSAKey.generate_key(2048, parameters={"kid": "1"})
    assert came_back(visitor).status_code == 401


def test_a_word_that_is_signed_by_a_shared_secret_lets_nobody_in(visitor, issuer):
    issuer.signs_by_a_shared_secret()
    assert came_back(visitor).status_code == 401


def test_a_provider_may_change_its_keys(running, issuer):
    assert came_back(Visitor(running.app)).status_code == 303
    issuer.key = RSAKey.generate_key(2048, parameters={"kid": "2"})
    assert came_back(Visitor(running.app)).status_code == 303


def test_a_way_back_that_another_browser_began_signs_nobody_in(running, issuer):
    other = Visitor(running.app)
    there = other.get("/sign-in/elsewhere").headers["Location"]
    back = requests.get(there, allow_redirects=False, timeout=10).headers["Location"]
    victim = Visitor(running.app)
    assert victim.get("/sign-in/back?" + back.partition("?")[2]).status_code == 401
    assert victim.get("/").status_code == 302


def test_a_way_back_is_gone_once(visitor, issuer):
    there = visitor.get("/sign-in/elsewhere").headers["Location"]
    back = requests.get(there, allow_redirects=False, timeout=10).headers["Location"].partition("?")[2]
    assert visitor.get(f"/sign-in/back?{back}").status_code == 303
    assert visitor.get(f"/sign-in/back?{back}").status_code == 401


def test_a_provider_that_is_away_is_said_with_another_way_in():
    away = OpenIdProvider("http://127.0.0.1:9", CLIENT, SECRET, "http://here/back", "preferred_username")
    with pytest.raises(CounterfoilError, match=r"doesn't answer as it should.*sign in with a password"):
        away.way("s", "n", "v")


def test_the_provider_of_another_name_than_it_says_is_not_believed(issuer):
    posing = OpenIdProvider(issuer.url.replace("127.0.0.1", "localhost"), CLIENT, SECRET, "http://x", "sub")
    with pytest.raises(CounterfoilError, match="doesn't answer as it should"):
        posing.way("s", "n", "v")


def test_with_a_provider_the_settings_need_the_address_that_people_come_back_to():
    oidc = {"issuer": "https://login.example", "client_id": "c", "client_secret_env": "OIDC"}
    with pytest.raises(CounterfoilError, match=r"\[console\] has no url"):
        settings({"console": {"oidc": oidc}}, {"OIDC": "x" * 32})
    told = settings({"console": {"url": "https://c.example/", "oidc": oidc}}, {"OIDC": "x" * 32}).console
    assert told == replace(told, url="https://c.example")
    assert "x" * 32 not in repr(told)
