"""The engine's API as the command line calls it: one method, every failure with its cause and its remedy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import requests

from counterfoil_engine.domain.errors import CounterfoilError

ANSWER_BYTES_MAX = 256 * 1024 * 1024


class Client:
    """url: the engine's address. The token comes from COUNTERFOIL_API_TOKEN."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        self._url, self._timeout_s = url.rstrip("/"), timeout_s
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {os.environ.get('COUNTERFOIL_API_TOKEN', '')}"

    def get(self, path: str, **query: Any) -> Any:
        """The answer to a question; raises CounterfoilError."""
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer to a command; raises CounterfoilError."""
        return self._call("POST", path, json=dict(body))

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._session.request(method, self._url + path, timeout=self._timeout_s, **options)
        except requests.RequestException:
            raise CounterfoilError(
                f"The engine at {self._url} doesn't answer.",
                "Start it (counterfoil serve --config FILE), or name it with --url or COUNTERFOIL_URL.",
                "outage",
            ) from None
        if len(answer.content) > ANSWER_BYTES_MAX:
            raise CounterfoilError("The engine's answer is too large.", "Ask for less.", "contract")
        try:
            body = answer.json()
        except ValueError:
            raise CounterfoilError(
                f"What answers at {self._url} is no Counterfoil engine (status {answer.status_code}).",
                "Check the address given with --url or COUNTERFOIL_URL.",
                "contract",
            ) from None
        if answer.status_code >= 400:
            if answer.status_code == 401:
                raise CounterfoilError(
                    "The engine doesn't accept the token.", "Set COUNTERFOIL_API_TOKEN to the engine's.", "contract"
                )
            body = body if isinstance(body, dict) else {}
            raise CounterfoilError(
                str(body.get("detail") or f"The engine answered {answer.status_code}."),
                str(body.get("remedy") or "See the engine's log."),
                "contract",
            )
        return body
