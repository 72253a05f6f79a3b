"""The HTTP adapter against ERPs that answer badly: every failure is one of ours, and what is doubtful is unknown."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests
import urllib3
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.domain.errors import CounterfoilError, Parked, RateLimited, Retry, Unavailable
from counterfoil_engine.ports import Posted, Posting, Refused, Unknown
from counterfoil_sandbox.books import Books
from counterfoil_sandbox.erp import create_erp
from counterfoil_sandbox.erp_in_process import in_process_session
from hypothesis import given, settings
from hypothesis import strategies as st
from sandbox.erp_documents import a_payment

ONE = Posting("eu1/1/payment/a/r1", "0" * 64, a_payment())
TWO = Posting("eu1/1/payment/b/r1", "1" * 64, a_payment(natural_id="b"))
BOTH_UNKNOWN = [Unknown(ONE.key), Unknown(TWO.key)]
SINCE = datetime(2026, 11, 23, tzinfo=UTC)
DAY = date(2026, 11, 23)
READS: dict[str, Callable[[HttpErp], Any]] = {
    "find": lambda erp: erp.find([ONE.key]),
    "list_since": lambda erp: list(erp.list_since(SINCE)),
    "rate": lambda erp: erp.rate("USD", "EUR", DAY),
    "open_day": lambda erp: erp.open_day("DE01", DAY),
    "balances": lambda erp: erp.balances("DE01"),
    "entries": lambda erp: list(erp.entries("DE01", DAY, DAY)),
    "find_old": lambda erp: erp.find_old("DE01", "invoice", ["WC-1"]),
}


class Answering:
    """A session whose ERP gives one answer to every call, or fails in one way."""

    def __init__(self, answer: tuple[int, bytes, dict[str, str]] | Exception) -> None:
        self.session = requests.Session()
        self.session.mount("http://", self._Adapter(answer))

    class _Adapter(requests.adapters.HTTPAdapter):
        def __init__(self, answer: Any) -> None:
            super().__init__()
            self.answer = answer

        def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
            if isinstance(self.answer, Exception):
                raise self.answer
            status, body, headers = self.answer
            from io import BytesIO

            raw = urllib3.HTTPResponse(body=BytesIO(body), status=status, headers=headers, preload_content=False)
            return self.build_response(request, raw)


def answering(body: Any, status: int = 200, **headers: str) -> HttpErp:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpErp("http://erp", "t", Answering((status, raw, named)).session, most_answer_bytes=10_000)


def failing(error: Exception) -> HttpErp:
    return HttpErp("http://erp", "t", Answering(error).session)


# Foreign errors


def _all_below(kind: type) -> set[type]:
    return {kind}.union(*(_all_below(below) for below in kind.__subclasses__()))


def _raisable(kind: type) -> Exception | None:
    for arguments in ((), ("why",), (None, "why"), (None, "url", "why"), (0, 0)):
        try:
            return kind(*arguments)
        except (TypeError, AttributeError):
            continue
    return None


FOREIGN = [
    error
    for kind in sorted(
        _all_below(requests.RequestException) | _all_below(urllib3.exceptions.HTTPError) | _all_below(OSError),
        key=lambda kind: kind.__qualname__,
    )
    if kind.__module__.split(".")[0] in ("requests", "urllib3", "builtins", "socket", "ssl")
    if (error := _raisable(kind)) is not None
]


def test_no_foreign_exception_leaks_from_any_call() -> None:
    assert len(FOREIGN) > 40
    for error in FOREIGN:
        erp = failing(error)
        for read in READS.values():
            with pytest.raises(Unavailable):
                read(erp)
        assert not erp.health().ok
        try:
            assert erp.post([ONE, TWO]) == BOTH_UNKNOWN
        except Unavailable:
            assert "Timeout" not in type(error).__name__ or "Connect" in type(error).__name__, error


def test_a_read_that_times_out_is_unknown_when_posting_and_a_connect_that_does_is_unavailable() -> None:
    assert failing(requests.ReadTimeout()).post([ONE, TWO]) == BOTH_UNKNOWN
    with pytest.raises(Unavailable):
        failing(requests.ConnectTimeout()).post([ONE])


def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable) as caught:
        HttpErp(f"http://127.0.0.1:{port}", "t").post([ONE])
    assert "127.0.0.1" not in caught.value.cause


def test_a_host_that_has_no_address_means_that_nothing_was_sent() -> None:
    with pytest.raises(Unavailable):
        HttpErp("http://erp.invalid", "t").post([ONE])


# A line that breaks: a server of raw bytes


@pytest.fixture
def raw_server() -> Iterator[Callable[[list[bytes], float], str]]:
    """Answers each call with these pieces, so many seconds apart, then closes."""
    servers: list[socket.socket] = []
    done = threading.Event()

    def start(pieces: list[bytes], pause_s: float = 0.0) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    line.settimeout(2)
                    try:
                        line.recv(1_000_000)
                        for piece in pieces:
                            line.sendall(piece)
                            if pause_s and done.wait(pause_s):
                                return
                    except OSError:
                        continue

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    done.set()
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"HTTP/1.1 200 OK\r\n"],
        [HEAD + b"Content-Length: 100\r\n\r\n" + b'{"outcomes":['],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"],
        [HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n{}{}"],
        [HEAD + b"Content-Length: 2\r\n" + b"X: y\r\n" * 200 + b"\r\n{}"],
        [HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n{}"],
        [b"\x00\xff" * 100],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
    ],
    ids=lambda pieces: repr(b"".join(pieces)[:60]),
)
def test_a_line_cut_or_garbled_in_the_middle_leaves_posts_unknown_and_reads_unavailable(
    raw_server: Any, pieces: list[bytes]
) -> None:
    erp = HttpErp(raw_server(pieces), "t", timeout_s=2)
    assert erp.post([ONE, TWO]) == BOTH_UNKNOWN
    with pytest.raises(Unavailable):
        erp.find([ONE.key])


def test_an_erp_that_never_answers_is_left_after_the_timeout(raw_server: Any) -> None:
    erp = HttpErp(raw_server([b""] * 20, 0.2), "t", timeout_s=0.3)
    assert erp.post([ONE]) == [Unknown(ONE.key)]


def test_an_erp_that_drips_its_answer_is_left_at_the_deadline(raw_server: Any) -> None:
    pieces = [HEAD + b"Content-Length: 1000\r\n\r\n", *([b" "] * 100)]
    erp = HttpErp(raw_server(pieces, 0.05), "t", timeout_s=0.4)
    assert erp.post([ONE]) == [Unknown(ONE.key)]


def test_a_huge_answer_is_not_read_to_its_end() -> None:
    erp = answering(b'{"outcomes":[' + b" " * 20_000 + b"]}")
    assert erp.post([ONE]) == [Unknown(ONE.key)]
    with pytest.raises(Unavailable):
        erp.find([ONE.key])


# Statuses


def test_429_asks_for_a_pause_in_seconds_or_until_a_date() -> None:
    for headers, expected in [
        ({"Retry_After": "17"}, 17.0),
        ({"Retry_After": "Mon, 23 Nov 2026 09:00:30 GMT", "Date": "Mon, 23 Nov 2026 09:00:00 GMT"}, 30.0),
        ({"Retry_After": "99999999"}, 3600.0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "-5"}, None),
        ({"Retry_After": "٣"}, None),
        ({}, None),
    ]:
        erp = answering({"detail": "Slow down."}, 429, **headers)
        for call in (
            lambda erp=erp: erp.post([ONE]),
            *(lambda read=read, erp=erp: read(erp) for read in READS.values()),
        ):
            with pytest.raises(RateLimited) as caught:
                call()
            assert caught.value.retry_after_s == expected
            assert "Slow down." in caught.value.cause


def test_503_is_unavailable_and_keeps_its_pause() -> None:
    with pytest.raises(Unavailable) as caught:
        answering(b"<h1>maintenance</h1>", 503, Retry_After="60").post([ONE])
    assert caught.value.retry_after_s == 60


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 407])
def test_a_wrong_set_up_is_unavailable_with_a_remedy_and_refuses_no_document(status: int) -> None:
    with pytest.raises(Unavailable) as caught:
        answering(b"", status, Location="http://elsewhere/").post([ONE, TWO])
    assert caught.value.category == "contract" and caught.value.remedy


@pytest.mark.parametrize("status", [201, 202, 204, 408, 500, 502, 504, 599])
def test_any_other_status_of_a_post_is_unknown_for_each(status: int) -> None:
    assert answering({"outcomes": []}, status).post([ONE, TWO]) == BOTH_UNKNOWN


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422, 451])
def test_a_rejected_batch_is_parked_for_its_sender_to_halve_and_a_single_document_is_refused(status: int) -> None:
    erp = answering({"detail": "The body is odd.", "remedy": "Send it even."}, status)
    with pytest.raises(Parked) as caught:
        erp.post([ONE, TWO])
    assert caught.value.category == "contract"
    (refused,) = erp.post([ONE])
    assert isinstance(refused, Refused)
    assert (refused.case.category, refused.case.remedy) == ("contract", "Send it even.")
    assert "The body is odd." in refused.case.cause
    with pytest.raises(Unavailable):
        erp.find([ONE.key])


# Answers that are not as the contract says

NOT_THE_CONTRACT: list[Any] = [
    b"",
    b"OK",
    b"<html>",
    b"\xff\xfe",
    b"NaN",
    b"[" * 50_00 + b"]" * 50_00,
    b'{"outcomes":[],"outcomes":[]}',
    None,
    [],
    "text",
    {},
    {"outcomes": None, "found": None, "rate": 1.25, "open_day": 20261123, "balances": {}},
    {"outcomes": {}, "found": [None], "rate": "1,25", "open_day": "2026-11-22", "balances": [None]},
    {"outcomes": [None, 7, []], "found": [{"key": ONE.key}], "rate": "-1", "open_day": "soon", "balances": [{}]},
    {"outcomes": [{"key": 7, "status": "posted", "number": "1"}], "found": "x", "rate": "0", "open_day": None},
]


@pytest.mark.parametrize("body", NOT_THE_CONTRACT, ids=range(len(NOT_THE_CONTRACT)))
def test_an_answer_that_is_not_the_contracts_is_unknown_to_a_post_and_never_an_empty_read(body: Any) -> None:
    erp = answering(body)
    assert erp.post([ONE, TWO]) == BOTH_UNKNOWN
    for read in READS.values():
        with pytest.raises(Unavailable) as caught:
            read(erp)
        assert caught.value.category == "contract" and caught.value.remedy
    assert not erp.health().ok


@pytest.mark.parametrize(
    "outcome",
    [
        {"key": ONE.key},
        {"key": ONE.key, "status": "done", "number": "7"},
        {"key": ONE.key, "status": "posted"},
        {"key": ONE.key, "status": "posted", "number": ""},
        {"key": ONE.key, "status": "posted", "number": 7},
        {"key": ONE.key, "status": ["posted"], "number": "7"},
        {"key": "another", "status": "posted", "number": "7"},
        {"key": ONE.key, "status": "unknown"},
    ],
    ids=str,
)
def test_a_doubtful_outcome_is_unknown_while_its_neighbours_is_taken(outcome: Any) -> None:
    erp = answering({"outcomes": [outcome, {"key": TWO.key, "status": "posted", "number": "8"}]})
    assert erp.post([ONE, TWO]) == [Unknown(ONE.key), Posted(TWO.key, "8")]


def test_two_outcomes_for_one_key_that_disagree_are_unknown() -> None:
    said = [{"key": ONE.key, "status": "posted", "number": number} for number in ("7", "8")]
    assert answering({"outcomes": said}).post([ONE]) == [Unknown(ONE.key)]


def test_a_refusal_keeps_category_cause_and_remedy_and_gets_them_where_they_lack() -> None:
    full = {"key": ONE.key, "status": "refused", "category": "tax", "cause": "No\x00\nrate.", "remedy": "Add it." * 500}
    bare = {"key": TWO.key, "status": "refused", "category": {"a": 1}}
    first, second = answering({"outcomes": [full, bare]}).post([ONE, TWO])
    assert isinstance(first, Refused) and isinstance(second, Refused)
    assert (first.case.category, first.case.cause) == ("tax", "No  rate.") and len(first.case.remedy) <= 600
    assert second.case.category == "contract" and second.case.cause and second.case.remedy


def test_found_under_a_key_that_was_not_asked_for_is_no_answer() -> None:
    row = {"key": ONE.key.upper(), "number": "7", "content_hash": "x", "posted_at": "2026-11-23T09:00:00Z"}
    with pytest.raises(Unavailable):
        answering({"found": [row]}).find([ONE.key])


@pytest.mark.parametrize("posted_at", [None, 7, "yesterday", "2026-11-23T09:00:00", "9999999-01-01T00:00:00Z"])
def test_found_at_no_moment_is_no_answer(posted_at: Any) -> None:
    row = {"key": ONE.key, "number": "7", "content_hash": "x", "posted_at": posted_at}
    with pytest.raises(Unavailable):
        answering({"found": [row]}).find([ONE.key])


def test_a_list_that_goes_in_circles_ends() -> None:
    with pytest.raises(Unavailable):
        list(answering({"found": [], "next": "1"}).list_since(SINCE))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["outcomes", "found", "next", "rate", "open_day", "balances", "key", "status", "number", "ok"]
            ),
            children,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(body=json_values, status=st.sampled_from([200, 200, 200, 400, 404, 429, 500, 503]))
def test_whatever_json_comes_back_the_port_keeps_its_promises(body: Any, status: int) -> None:
    erp = answering(body, status)
    for read in READS.values():
        try:
            read(erp)
        except Retry as error:
            assert error.cause and error.remedy
    erp.health()
    try:
        assert [outcome.key for outcome in erp.post([ONE, TWO])] == [ONE.key, TWO.key]
    except CounterfoilError as error:
        assert error.cause and error.remedy


# What is sent


def test_a_document_that_is_no_json_is_refused_and_its_neighbour_is_sent() -> None:
    erp = answering({"outcomes": [{"key": TWO.key, "status": "posted", "number": "8"}]})
    for nonsense in ({1, 2}, float("nan"), datetime(2026, 1, 1)):
        refused, posted = erp.post([Posting(ONE.key, "0", {"value": nonsense}), TWO])
        assert isinstance(refused, Refused) and refused.case.category == "contract"
        assert posted == Posted(TWO.key, "8")


@pytest.mark.parametrize(
    "url", ["", "erp", "ftp://erp", "http://", "http://erp:port", "http://a:b@erp", "http://[", "http://e?x=1"]
)
def test_an_address_that_is_none_is_said_at_once(url: str) -> None:
    with pytest.raises(CounterfoilError) as caught:
        HttpErp(url, "t")
    assert caught.value.remedy


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "ä", "\x00"])
def test_a_token_that_no_header_can_carry_is_said_at_once_and_not_repeated(token: str) -> None:
    with pytest.raises(CounterfoilError) as caught:
        HttpErp("http://erp", token)
    assert not token or token not in str(caught.value)


def test_the_token_is_in_no_error() -> None:
    erp = HttpErp("http://erp.invalid", "very-secret")
    with pytest.raises(Unavailable) as caught:
        erp.find([ONE.key])
    assert "very-secret" not in str(caught.value) and "very-secret" not in repr(caught.value)


# What the ERP declares


class _Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_what_the_erp_declares_is_asked_when_needed_and_a_minute_later_anew() -> None:
    sandbox, time = create_erp(Books(), "t"), _Time()
    erp = HttpErp("http://erp", "t", in_process_session(sandbox), monotonic=time)
    assert (erp.lanes, erp.batch_size, erp.commit_lag_s) == (8, 100, 0.0)
    sandbox.change_modes({"unique_keys": False, "commit_delay_s": 5})
    assert erp.commit_lag_s == 0.0
    time.now_s = 60.0
    assert erp.commit_lag_s >= 6.0


def test_before_the_erp_has_answered_the_adapter_is_careful() -> None:
    erp = failing(requests.ConnectionError())
    assert (erp.lanes, erp.batch_size, erp.commit_lag_s) == (1, 50, 30.0)


def test_what_the_operator_has_set_wins() -> None:
    sandbox = create_erp(Books(), "t")
    erp = HttpErp("http://erp", "t", in_process_session(sandbox), lanes=2, batch_size=7, commit_lag_s=0.0)
    sandbox.change_modes({"unique_keys": False, "commit_delay_s": 5})
    assert erp.health().ok
    assert (erp.lanes, erp.batch_size, erp.commit_lag_s) == (2, 7, 0.0)
