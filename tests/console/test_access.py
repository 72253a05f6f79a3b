"""Who may open which page: every route is tried as everybody, signed in or not; forms of other sites do nothing."""

from __future__ import annotations

import re

import pytest
from console.conftest import PEOPLE, Visitor
from counterfoil_engine.console.access import PAGES, PUBLIC, page_role
from counterfoil_engine.domain.roles import LEAST_ROLE, ROLES


def routes(app) -> list[tuple[str, str, str]]:
    """Page, method, path with something in place of what it names."""
    found = []
    for rule in app.url_map.iter_rules():
        owner, _, name = rule.endpoint.rpartition(".")
        if owner == "console":
            path = re.sub(r"<[^>]+>", "1", rule.rule.removeprefix("/console"))
            found += [(name, method, path) for method in rule.methods - {"HEAD", "OPTIONS"}]
    return found


def test_each_page_is_in_the_table_and_takes_the_role_of_a_command_that_there_is(running):
    pages = {name for name, _, _ in routes(running.app)}
    assert pages == PAGES.keys() | PUBLIC
    assert set(PAGES.values()) <= LEAST_ROLE.keys()


@pytest.mark.parametrize("name", PEOPLE)
def test_everybody_opens_and_does_what_their_role_allows_and_nothing_else(running, name):
    role = PEOPLE[name]
    for page, method, path in routes(running.app):
        if page in PUBLIC:
            continue
        visitor = Visitor(running.app)
        assert visitor.signs_in(name).status_code == 303
        answer = visitor.get(path) if method == "GET" else visitor.post(path)
        is_allowed = ROLES.index(role) >= ROLES.index(page_role(page))
        assert (answer.status_code == 403) == (not is_allowed), (page, role, answer.status_code)
        assert answer.status_code < 500, (page, answer.text)


def test_an_address_that_leads_nowhere_is_a_page_that_says_so(visitor):
    visitor.signs_in("vera")
    answer = visitor.get("/no-such-page")
    assert answer.status_code == 404
    assert "There is nothing at this path." in answer.text


def test_who_is_not_signed_in_sees_nothing_but_the_way_in(running):
    for page, method, path in routes(running.app):
        if page in PUBLIC:
            continue
        visitor = Visitor(running.app)
        answer = visitor.get(path) if method == "GET" else visitor.post(path, token="x")
        if method == "GET":
            assert answer.status_code == 302
            assert answer.headers["Location"].startswith("/console/sign-in?wanted=")
        else:
            assert answer.status_code == 401


def test_a_form_without_its_sessions_token_does_nothing(running):
    for page, method, path in routes(running.app):
        if page in PUBLIC or method != "POST":
            continue
        visitor = Visitor(running.app)
        visitor.signs_in("ada")
        others = Visitor(running.app)
        others.signs_in("carl")
        for token in ("", "x", others.token()):
            answer = visitor.post(path, token=token)
            assert answer.status_code == 403, page
            assert "not made for this session" in answer.text
        assert visitor.get("/account").status_code == 200


def test_a_form_that_another_site_sent_does_nothing(visitor):
    visitor.signs_in("ada")
    answer = visitor.post("/sign-out", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert visitor.get("/account").status_code == 200


def test_every_answer_forbids_scripts_frames_and_what_is_elsewhere(visitor):
    visitor.signs_in("vera")
    for path in ("/", "/account", "/no-such-page", "/static/console.css", "/sign-in"):
        headers = visitor.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert policy["frame-ancestors"] == "'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_no_page_holds_a_script_or_a_style_of_its_own(visitor):
    visitor.signs_in("ada")
    for path in ("/", "/account", "/sign-in"):
        text = visitor.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text), path


def test_what_a_page_shows_is_kept_by_nobody(visitor):
    visitor.signs_in("vera")
    assert visitor.get("/").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "fields", [{"name": "x" * 70_000}, {f"field{n}": "x" for n in range(1_000)}, {"name": "\x00"}, {"unknown": "1"}]
)
def test_a_form_that_is_too_large_or_unknown_is_refused_with_a_remedy(visitor, fields):
    visitor.signs_in("vera")
    answer = visitor.post("/account/password", **fields)
    assert answer.status_code in (400, 403, 413)
    assert "<h1>" in answer.text
