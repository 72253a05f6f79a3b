"""Webhooks as they were recorded, and as they shouldn't be."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from counterfoil_agent import webhook
from counterfoil_agent.errors import Stop
from counterfoil_agent.webhook import LARGEST_BYTES, MOST_AT_ONCE, Deliveries, Listener, signature_of
from fakes.agent_shop import RECORDED
from fakes.clock import FakeClock
from requests.structures import CaseInsensitiveDict

SECRET = "s3cret"
RECORDINGS = sorted(path.name for path in RECORDED.glob("webhook_*.json"))


def delivery(name: str) -> tuple[CaseInsensitiveDict[str], bytes]:
    told = json.loads((RECORDED / name).read_text())
    return CaseInsensitiveDict(told["headers"]), told["raw_body"].encode()


class Taken:
    def __init__(self) -> None:
        self.hints: list[int] = []
        self.deliveries = Deliveries(SECRET, self.hints.append, FakeClock())


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def listener(taken: Taken) -> Iterator[Listener]:
    started = Listener(("127.0.0.1", 0), taken.deliveries)
    started.start()
    yield started
    started.stop()


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recorded_delivery_is_answered_200(taken: Taken, name: str) -> None:
    assert taken.deliveries.take(*delivery(name))[0] == 200


def test_only_the_order_id_is_taken(taken: Taken) -> None:
    for name in RECORDINGS:
        taken.deliveries.take(*delivery(name))
    status = taken.deliveries.status()
    assert 11208 in taken.hints
    assert (status["pings"], status["without_order"], status["wrong_signature"]) == (1, 1, 0)
    assert status["taken"] == len(taken.hints) == len(RECORDINGS) - 2


def test_one_changed_byte_is_refused(taken: Taken) -> None:
    headers, body = delivery("webhook_order_created.json")
    assert taken.deliveries.take(headers, body.replace(b"processing", b"completed!", 1))[0] == 401
    assert taken.hints == []


@pytest.mark.parametrize("signature", ["", "x", "ü", "=" * 5000, signature_of("other", b'{"id":5}')])
def test_a_wrong_signature_is_refused(taken: Taken, signature: str) -> None:
    headers = {"X-WC-Webhook-Signature": signature, "Content-Type": "application/json"}
    assert taken.deliveries.take(headers, b'{"id":5}')[0] == 401
    assert taken.hints == []


def test_an_unsigned_form_that_is_no_ping_is_refused(taken: Taken) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert taken.deliveries.take(headers, b"webhook_id=1&id=5")[0] == 401


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"id":"5"}', b'{"id":-1}', b'{"id":1e3}', b'{"id":NaN}', b"\xff", b"[" * 100_000]
)
def test_whatever_is_signed_is_answered_200_and_never_a_crash(taken: Taken, body: bytes) -> None:
    headers = {"X-WC-Webhook-Signature": signature_of(SECRET, body)}
    assert taken.deliveries.take(headers, body)[0] == 200
    assert taken.hints == []


def test_products_are_none_of_ours(taken: Taken) -> None:
    headers = {"X-WC-Webhook-Signature": signature_of(SECRET, b'{"id":5}'), "X-WC-Webhook-Resource": "product"}
    assert taken.deliveries.take(headers, b'{"id":5}')[0] == 200
    assert taken.hints == []


def test_a_delivery_over_the_wire(listener: Listener, taken: Taken) -> None:
    headers, body = delivery("webhook_order_deleted.json")
    answer = requests.post(f"http://127.0.0.1:{listener.port}/", data=body, headers=dict(headers), timeout=5)
    assert (answer.status_code, taken.hints) == (200, [11208])
    assert requests.get(f"http://127.0.0.1:{listener.port}/health", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n", b"411"),
        (f"POST / HTTP/1.1\r\nContent-Length: {LARGEST_BYTES + 1}\r\n\r\n".encode(), b"413"),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"POST / HTTP/9.9\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 50\r\n\r\nshort", b"400"),
    ],
)
def test_what_is_wrong_with_a_request_is_the_senders_fault(listener: Listener, sent: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    assert status in answer.split(b"\r\n", 1)[0] or answer.startswith(b"not taken")


def test_who_drips_holds_a_slot_no_longer_than_a_delivery_may_take(
    listener: Listener, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then, faster than any pause that is allowed: were it forever, the shop would be told `busy`."""
    monkeypatch.setattr(webhook, "TIMEOUT_S", 1)
    lines = [socket.create_connection(("127.0.0.1", listener.port), timeout=5) for _ in range(MOST_AT_ONCE)]
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.2):
            for line in lines:
                with suppress(OSError):
                    line.sendall(b"x")

    for line in lines:
        line.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        headers, body = delivery("webhook_order_deleted.json")
        end_s, status = time.monotonic() + 10, 429
        while status == 429 and time.monotonic() < end_s:
            time.sleep(0.3)
            address = f"http://127.0.0.1:{listener.port}/"
            status = requests.post(address, data=body, headers=dict(headers), timeout=5).status_code
        assert status == 200
    finally:
        ended.set()
        dripping.join()
        for line in lines:
            line.close()


def test_a_place_that_is_taken_is_told(listener: Listener, taken: Taken) -> None:
    with pytest.raises(Stop, match="listener"):
        Listener(("127.0.0.1", listener.port), taken.deliveries)


def test_a_flood_of_hints_is_bounded(world: Any) -> None:
    for order_id in range(1, 30_000):
        world.agent.hint(order_id)
    assert len(world.agent.intake._hints) == 10_000
