"""Whatever is typed into any form or address of the console is answered in plain words, and fails nothing."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest
from builders import a_line, an_order
from console.conftest import Running, Visitor, a_running_console
from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console import forms, pages, wrong
from counterfoil_engine.console.access import PUBLIC

HOSTILE = (
    "\x00",
    "x" * 5_000,
    "-1",
    "99999999999999999999999",
    "9" * 18,
    "' or 1=1; --",
    "{{ 7 * 7 }}<script>alert(1)</script>",
    "../../../etc/passwd",
    "\u202e\ufffd💥",
    "0001-01-01",
)
PARSERS = re.compile(r"Expected `|`str`|`int`|\$\.|regex|RFC3339|msgspec|Traceback|The command is not what")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with a_running_console(tmp_path_factory.mktemp("console")) as running:
        running.arrives(
            an_order(a_line("MUG"), id=1001), an_order(a_line("MUG"), id=1002, payment_method="klarna_later")
        )
        yield running


@pytest.fixture(scope="module")
def ada(running: Running) -> Visitor:
    visitor = Visitor(running.app)
    visitor.signs_in("ada")
    return visitor


def routes(running: Running) -> list[tuple[str, str, str]]:
    """Page, method, and path with `<…>` in it."""
    found = []
    for rule in running.app.url_map.iter_rules():
        owner, _, page = rule.endpoint.rpartition(".")
        if owner == "console" and page not in PUBLIC | {"sign_out"}:
            found += [(page, method, rule.rule) for method in rule.methods - {"HEAD", "OPTIONS"}]
    return sorted(found)


def sent(ada: Visitor, token: str, method: str, path: str, given: dict[str, str]):
    path = path.removeprefix("/console")
    return ada.get(path, query_string=given) if method == "GET" else ada.post(path, token=token, **given)


def taken(monkeypatch: pytest.MonkeyPatch, running: Running, ada: Visitor) -> dict[tuple[str, str, str], set[str]]:
    """The fields that each page reads from a form or a query, as its own reading of them shows."""
    read: list[type] = []
    said = forms._said
    monkeypatch.setattr(forms, "_said", lambda values, kind: read.append(kind) or said(values, kind))
    found, token = {}, ada.token()
    for page, method, rule in routes(running):
        read.clear()
        sent(ada, token, method, re.sub("<[^>]+>", "1", rule), {"no_such_field": "1"})
        of_path = set(re.findall(r"<(?:\w+:)?(\w+)>", rule))
        found[page, method, rule] = {name for kind in read for name in kind.__struct_fields__} - of_path
    return found


def test_no_form_and_no_address_fails_whatever_is_in_it(monkeypatch, running, ada):
    known = taken(monkeypatch, running, ada)
    assert sum(map(len, known.values())) > 60, "the pages' fields are read by their structs"
    token, tried = ada.token(), 0
    for (page, method, rule), fields in known.items():
        for text in HOSTILE:
            for path, given in (
                (re.sub("<[^>]+>", "1", rule), dict.fromkeys(fields, text)),
                (re.sub("<[^>]+>", lambda _, text=text: quote(text, safe=""), rule), {}),
            ):
                answer = sent(ada, token, method, path, given)
                assert answer.status_code < 500, (page, text, answer.status_code)
                assert not PARSERS.search(answer.text), (page, text, PARSERS.search(answer.text))
                assert "<script>alert" not in answer.text, (page, text)
                tried += 1
    assert tried > 1_000


def structs() -> list[type]:
    found = [importlib.import_module(f"{pages.__name__}.{each.name}") for each in pkgutil.iter_modules(pages.__path__)]
    kinds = [kind for module in found for kind in vars(module).values() if isinstance(kind, type)]
    return sorted({kind for kind in kinds if issubclass(kind, Strict) and kind is not Strict}, key=str)


@pytest.mark.parametrize("kind", structs(), ids=lambda kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}")
def test_what_is_wrong_with_a_field_is_said_in_plain_words(kind):
    for name in kind.__struct_fields__:
        for value in ("\x00", "x" * 600_000, "-1", "9" * 30, "colour", "", None):
            try:
                msgspec.convert({name: value}, kind, strict=False)
            except msgspec.ValidationError as error:
                cause, remedy = wrong.told(error, kind)
                assert cause.endswith(".") and remedy.endswith("."), (name, cause, remedy)
                assert not PARSERS.search(cause + remedy), (name, cause, remedy)


@pytest.mark.parametrize(
    ("path", "cause", "remedy"),
    [
        ("/cases?page=0", "The page can&#39;t be taken as it is.", "write a whole number from 1 to 100,000"),
        ("/cases?sort=colour", "The sort can&#39;t be taken as it is.", "choose one of age, money"),
        ("/cases/x", "The number in the address can&#39;t be taken as it is.", "a whole number of at least 1"),
        ("/cases?colour=1", "This page knows no field “colour”.", "Open the page anew"),
        ("/money/refunds?since=soon", "The since can&#39;t be taken as it is.", "write the day as 2026-10-01"),
        ("/money/clearing/stripe/2026-11-23", "The entity is not filled in.", "fill it in"),
    ],
)
def test_it_says_what_to_write_instead(ada, path, cause, remedy):
    answer = ada.get(path)
    assert answer.status_code == 400
    assert cause in answer.text and remedy in answer.text


def test_a_question_that_finds_no_case_does_not_say_that_nothing_is_stuck(ada):
    assert "Nothing of what was asked for is stuck." in ada.get("/cases", query_string={"store": "nowhere"}).text
    assert "1 subject is stuck" in ada.get("/cases").text


def test_a_wrong_place_in_a_list_and_a_wrong_password_are_each_called_by_their_name(ada):
    assert "The place in the list can" in ada.get("/audit", query_string={"before": "zz"}).text
    said = ada.post("/account/password", old="x" * 201, new="a new password", again="a new password").text
    assert "The password until now can" in said
    assert "The new password can" in ada.post("/account/password", old="x", new="x" * 201, again="x").text
