"""Alerts as JSON to an address, signed as agents sign what they send, so that the receiver knows who speaks.

POST <url>, Counterfoil-Timestamp: <s>, Counterfoil-Signature: v1=<HMAC-SHA256 over "POST\\n<path>\\n<s>\\n" + body>
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.domain.signing import signature
from counterfoil_engine.ports import Clock

TIMEOUT_S = 10.0


class WebhookSink:
    """secret: shared with the receiver. Whatever it answers but 2xx counts as not told."""

    name = "webhook"

    def __init__(self, url: str, secret: str, clock: Clock, session: requests.Session | None = None) -> None:
        self._url, self._secret, self._clock = url, secret, clock
        self._session = session or requests.Session()

    def send(self, message: Mapping[str, Any]) -> None:
        body = msgspec.json.encode(message)
        timestamp = str(int(self._clock.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Counterfoil-Timestamp": timestamp,
            "Counterfoil-Signature": signature(self._secret, "POST", urlsplit(self._url).path or "/", timestamp, body),
        }
        try:
            with self._session.post(
                self._url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True
            ) as answer:
                status = answer.status_code
        except requests.RequestException as error:
            raise _not_told(f"it does not answer ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise _not_told(f"it answered {status}")


def _not_told(why: str) -> Unavailable:
    return Unavailable(
        f"The alerts' webhook was not told: {why}.", "Check webhook in [alerts], and who receives there."
    )
