"""A store's agent as the engine's API sees it: signs what it sends, and can be told to do it wrong."""

from __future__ import annotations

import gzip as gzip_module
import json
from typing import Any

from counterfoil_engine.api.requests import signature
from fakes.clock import FakeClock
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

SECRET = "the secret of the store eu1, for tests"
OTHER_SECRET = "the secret of the store us1, for tests"
TOKEN = "the operators' token, for tests"
INSTALLATION = "1" * 32


class StoreAgent:
    """Signs what it sends as a store's agent does."""

    def __init__(self, client: FlaskClient, clock: FakeClock, store: str = "eu1", secret: str = SECRET) -> None:
        self.client, self.clock, self.store, self.secret = client, clock, store, secret

    def post(
        self, path: str, body: Any, gzip: bool = False, timestamp: int | None = None, **headers: str | None
    ) -> TestResponse:
        """body: bytes as they are, anything else as JSON. headers: replace or, with None, take away one."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        raw = gzip_module.compress(raw) if gzip else raw
        at = str(int(self.clock.now().timestamp()) if timestamp is None else timestamp)
        given: dict[str, str | None] = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip" if gzip else None,
            "Counterfoil-Store": self.store,
            "Counterfoil-Timestamp": at,
            "Counterfoil-Signature": signature(self.secret, "POST", path, at, raw),
        } | {name.replace("_", "-").title(): value for name, value in headers.items()}
        return self.client.post(path, data=raw, headers={name: value for name, value in given.items() if value})

    def hello(self, installation: str = INSTALLATION, **fields: Any) -> TestResponse:
        contracts = {"order": [1], "gone": [1], "heartbeat": [1]}
        asked = {"store": self.store, "installation": installation, "agent_version": "0.1.0", "contracts": contracts}
        return self.post("/v1/hello", asked | {"epoch": None, "last": None} | fields)

    def send(self, *events: Any, **how: Any) -> TestResponse:
        return self.post("/v1/events", list(events), **how)

    def send_raw(self, *parts: bytes) -> TestResponse:
        return self.post("/v1/events", b"[" + b",".join(parts) + b"]")
