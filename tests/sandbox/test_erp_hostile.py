"""Hostile input to the sandbox ERP: a clear 4xx or a refusal with its remedy, never a 500, and no neighbour lost."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import MOST_BYTES, SandboxErp, create_erp, serve_erp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox.erp_documents import a_customer, a_line, a_payment, an_invoice, an_order

AUTHORISED = {"Authorization": "Bearer t", "Content-Type": "application/json"}


def post(erp: SandboxErp, raw: bytes, path: str = "/v1/documents") -> Any:
    return erp.flask.test_client().post(path, data=raw, headers=AUTHORISED)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'{"documents":[]}',
        b'{"documents":{"a":1}}',
        b'{"documents":[NaN]}',
        b'{"documents":[1e999]}',
        b'{"documents":[{"key":1,"key":2}]}',
        b'{"documents":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        b'{"documents":[' + b"9" * 5_000 + b"]}",
        '{"documents":["ä"]}'.encode("latin-1"),
        '{"documents":[]}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"\x00" * 100,
    ],
    ids=lambda raw: repr(raw[:24]),
)
@pytest.mark.parametrize(
    "path", ["/v1/documents", "/v1/documents/find", "/sandbox/modes", "/sandbox/tamper", "/sandbox/items"]
)
def test_a_body_that_is_no_sound_json_is_answered_400_with_cause_and_remedy(raw: bytes, path: str) -> None:
    answer = post(create_erp(Books(), "t"), raw, path)
    if path == "/sandbox/modes" and raw == b"{}":
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert answer.json["detail"] and answer.json["remedy"]


def test_an_oversized_body_is_answered_413() -> None:
    answer = post(create_erp(Books(), "t"), b'{"documents":["' + b"x" * MOST_BYTES + b'"]}')
    assert answer.status_code == 413
    assert answer.json["remedy"]


def payment(**fields: Any) -> dict[str, Any]:
    return {**a_payment(), **fields}


HOSTILE: list[Any] = [
    None,
    7,
    "text",
    [],
    {},
    {"kind": ["payment"]},
    payment(kind="dividend"),
    payment(key=None),
    payment(key=7),
    payment(key="no revision"),
    payment(key="eu1/\x00/payment/1/r1"),
    payment(slot=""),
    payment(amount_minor=1.5),
    payment(amount_minor=3008.0),
    payment(amount_minor=True),
    payment(amount_minor="3008"),
    payment(amount_minor=2**63),
    payment(amount_minor=-(2**63)),
    payment(amount_minor=10**300),
    payment(book_minor=2**64, amount_minor=3008),
    payment(amount_minor=0, book_minor=0),
    payment(currency="€"),
    payment(currency="eur"),
    payment(currency="EUR\n"),
    payment(date="2026-02-30"),
    payment(date="23.11.2026"),
    payment(date=20261123),
    payment(date="9" * 5_000),
    payment(content_hash="x"),
    payment(entity="'; drop table documents; --"),
    payment(entity="DE01" * 100),
    payment(gateway="a:b"),
    payment(gateway="\ud800"),
    payment(to="my pocket"),
    payment(reverses=7),
    an_invoice(lines="all"),
    an_invoice(lines=[7]),
    an_invoice([a_line(1, type="bribe")], 1),
    an_invoice([a_line(1, quantity="many")], 1),
    an_invoice([a_line(1, **{"class": None})], 1),
    an_invoice([a_line(1, **{"class": "a:b"})], 1),
    an_invoice([a_line(2**63)], 2**63),
    an_invoice([a_line(1, taxes=[{"rate": "19 %"}])], 1),
    an_invoice([a_line(1)] * 10_001, 10_001),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_document_is_refused_and_its_neighbours_are_posted(hostile: Any) -> None:
    erp = create_erp(Books(), "t")
    neighbours = a_payment(natural_id="before"), a_payment(natural_id="after")
    answer = post(erp, json.dumps({"documents": [neighbours[0], hostile, neighbours[1]]}).encode())
    assert answer.status_code == 200
    first, refused, last = answer.json["outcomes"]
    assert (first["status"], refused["status"], last["status"]) == ("posted", "refused", "posted")
    assert refused["cause"] and refused["remedy"]
    assert erp.books.count() == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(index=st.integers(0, 4), data=st.data())
def test_any_value_in_any_field_is_posted_or_refused_but_never_a_failure(index: int, data: st.DataObject) -> None:
    documents = an_order()
    field = data.draw(st.sampled_from(sorted(documents[index])))
    documents[index][field] = data.draw(json_values)
    answer = post(create_erp(Books(), "t"), json.dumps({"documents": documents}).encode())
    assert answer.status_code == 200
    assert all(outcome["status"] in ("posted", "refused") for outcome in answer.json["outcomes"])


@pytest.mark.parametrize(
    "query",
    [
        "/v1/documents",
        "/v1/documents?since=yesterday",
        "/v1/documents?since=2026-11-23T09:10:39",
        "/v1/documents?since=0001-01-01T00:00:00%2B14:00",
        "/v1/documents?since=2026-11-23T09:10:39Z&cursor=-1",
        "/v1/documents?since=2026-11-23T09:10:39Z&cursor=99999999999999999999",
        "/v1/documents?since=2026-11-23T09:10:39Z&cursor=%D9%A3",
        "/v1/rates?currency=USD&book=EUR&on=2026-13-01",
        "/v1/rates?currency=%00&book=EUR&on=2026-11-23",
        "/v1/periods?entity=&on=2026-11-23",
        "/v1/balances?entity=%ff%00",
        "/v1/balances",
    ],
)
def test_hostile_queries_are_answered_400(query: str) -> None:
    answer = create_erp(Books(), "t").flask.test_client().get(query, headers=AUTHORISED)
    assert answer.status_code == 400
    assert answer.json["detail"] and answer.json["remedy"]


def test_sql_in_a_key_finds_nothing_and_harms_nothing() -> None:
    erp = create_erp(Books(), "t")
    erp.books.post([a_payment()])
    keys = ["' or 1=1 --", "'; drop table documents; --", "\ud800", "x" * 300]
    assert post(erp, json.dumps({"keys": keys}).encode(), "/v1/documents/find").json == {"found": []}
    assert erp.books.count() == 1


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer other", "Basic dDp0", "Bearer t\u00e4"])
def test_no_call_works_without_the_token(header: str) -> None:
    client = create_erp(Books(), "t").flask.test_client()
    for path in ("/v1/health", "/sandbox/modes"):
        answer = client.get(path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.json["remedy"]


def test_the_page_shows_hostile_names_as_text() -> None:
    erp = create_erp(Books(), "t")
    evil = "<script>alert(1)</script>\"'&"
    hostile_class = {"class": "<b>goods</b>"}
    erp.books.post(
        [
            {**a_customer(), "personal": {"name": evil, "email": "a@example.com"}},
            *an_order()[1:2],
            an_invoice([a_line(100, item=evil, **hostile_class)], 100, number=evil, why=evil),
            a_payment(natural_id="<img src=x onerror=alert(1)>"),
        ]
    )
    client = erp.flask.test_client()
    pages = [client.get("/")] + [client.get(f"/documents/{number}") for number in (1, 2, 3, 4)]
    for page in pages:
        assert page.status_code == 200
        assert "<script" not in page.text and "<b>goods" not in page.text and "<img" not in page.text
        assert "script-src" not in page.headers["Content-Security-Policy"]
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "&lt;b&gt;goods" in pages[0].text


@pytest.mark.parametrize("path", ["/?before=x", "/?before=-1", "/?before=" + "9" * 40, "/?before=%F0%9F%98%80"])
def test_the_page_ignores_a_hostile_place_to_begin(path: str) -> None:
    assert create_erp(Books(), "t").flask.test_client().get(path).status_code == 200


@pytest.mark.parametrize("path", ["/documents/7", "/documents/" + "9" * 40, "/documents/x", "/nowhere"])
def test_an_unknown_page_is_a_404(path: str) -> None:
    assert create_erp(Books(), "t").flask.test_client().get(path).status_code == 404


def test_a_form_of_another_site_turns_no_switch() -> None:
    erp = create_erp(Books(), "t")
    answer = erp.flask.test_client().post("/sandbox/modes", data={"fault": "down", "form_token": "guessed"})
    assert answer.status_code == 401
    assert erp.modes.fault is None


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /Erika HTTP/9.9\r\n\r\n",
        b"GET Erika\r\n\r\n",
        b"GET / Erika\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /v1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 10\r\n\r\n{}",
        b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_broken_request_on_the_line_harms_nobody_after_it(raw: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve_erp(create_erp(Books(), "t"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
            line.sendall(raw)
            line.shutdown(socket.SHUT_WR)
            answer = line.recv(1000)
        assert b" 500 " not in answer.split(b"\r\n")[0]
        assert b"505" not in answer and b"501" not in answer
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 200 " in line.recv(1000)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert "".join(capfd.readouterr()) == ""
