"""No engine, another's token, something else at the address, hostile answers: cause and remedy, and exit status 1."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cli.test_answers import ASKING
from counterfoil_engine.cli import client


class _Answering(BaseHTTPRequestHandler):
    """Answers everything with what the server was given: (status, headers, body)."""

    def _say(self) -> None:
        status, headers, body = self.server.said  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _say

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering(monkeypatch) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Answering)
    server.said = (200, {}, b"{}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("COUNTERFOIL_URL", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _told(shell, *words: str) -> str:
    wrong = shell(*words)
    assert (wrong.exit_code, wrong.stdout) == (1, ""), (words, wrong.output)
    assert len(wrong.stderr.strip().splitlines()) == 2, wrong.stderr
    assert "unforeseen" not in wrong.stderr
    return wrong.stderr


def test_an_engine_that_is_down_is_said_to_be_with_how_to_start_it(shell):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for words in ASKING:
        assert "doesn't answer.\nStart it" in _told(shell, "--url", url, *words)


@pytest.mark.parametrize(
    "url", ["", "nowhere", "ftp://127.0.0.1/", "http://", "http://[::1", "http://a b", "http://\xfc."]
)
def test_an_address_that_is_none_is_told(shell, url):
    assert "--url" in _told(shell, "--url", url, "status")


def test_a_wrong_token_is_told_and_never_repeated(running, shell, monkeypatch):
    for token in ("", "another", "a" * 5000):
        monkeypatch.setenv("COUNTERFOIL_API_TOKEN", token)
        told = _told(shell, "status")
        assert told == "The engine doesn't accept the token.\nSet COUNTERFOIL_API_TOKEN to the engine's.\n"
    for token in ("\xfc", "a\nb"):
        monkeypatch.setenv("COUNTERFOIL_API_TOKEN", token)
        assert "character" in _told(shell, "status")


NOT_AN_ENGINE = [
    (200, {}, b"<html>It works!</html>"),
    (404, {}, b"Not found"),
    (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""),
    (200, {}, b""),
    (200, {}, b"[]"),
    (200, {}, b"null"),
    (200, {}, b"[" * 100_000),
    (200, {}, b"\xff\xfe"),
    (200, {"Content-Encoding": "gzip"}, b"no gzip"),
    (502, {}, b"<h1>Bad gateway</h1>"),
    (200, {}, b"{" + b'"a":{' * 50_000),
]


@pytest.mark.parametrize("said", NOT_AN_ENGINE, ids=range(len(NOT_AN_ENGINE)))
def test_something_else_at_the_address_is_no_engine(answering, shell, said):
    answering.said = said
    for words in (["status"], ["rules", "show", "--json"][:2], ["retry", "order eu1/1"]):
        assert "--url or COUNTERFOIL_URL" in _told(shell, *words)


ODD = [
    b"{}",
    b'{"stores": 7, "problems": [], "ok": true}',
    b'{"stores": [{}], "problems": [], "ok": true, "parties": []}',
    b'{"ok": false, "problems": [], "stores": []}',
    b'{"causes": {"a": 1}, "text": 7, "held": [7], "subjects": null, "would": 7}',
    b'{"causes": [{"category": 1}], "held": [[]], "version": {}}',
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_answers_of_another_form_are_told_or_shown_and_never_crash(answering, shell, body):
    answering.said = (200, {}, body)
    for words in ASKING:
        answer = shell(*words)
        assert answer.exit_code in (0, 1), (words, answer.output)
        assert "unforeseen" not in answer.output, (words, answer.output)


def test_an_answer_without_an_end_is_given_up(answering, shell, monkeypatch):
    monkeypatch.setattr(client, "ANSWER_BYTES_MAX", 1000)
    answering.said = (200, {}, b'{"a": "' + b"x" * 100_000 + b'"}')
    assert "too large" in _told(shell, "status")


def test_what_an_answer_says_cannot_steer_a_terminal(answering, shell):
    answering.said = (400, {}, b'{"detail": "\\u001b[2Jgone [bold]x", "remedy": "\\u0007\\u009b31m"}')
    told = _told(shell, "status")
    assert "[2Jgone [bold]x" in told
    assert not set(told) & set("\x1b\x07\x9b")
    answering.said = (200, {}, b'{"ok": false, "problems": ["\\u001b[2J\\ud800"], "stores": []}')
    assert "\x1b" not in shell("status").output
