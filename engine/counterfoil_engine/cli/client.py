"""The engine's API as the command line calls it: one method, every failure with its cause and its remedy."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import requests

from counterfoil_engine.domain.errors import CounterfoilError

ANSWER_BYTES_MAX = 64 * 1024 * 1024


class Client:
    """url: the engine's address. The token comes from COUNTERFOIL_API_TOKEN."""

    def __init__(self, url: str, timeout_s: float = 60.0, answer_bytes_max: int | None = None) -> None:
        token = os.environ.get("COUNTERFOIL_API_TOKEN", "")
        if not (token.isascii() and token.isprintable()):
            raise CounterfoilError(
                "COUNTERFOIL_API_TOKEN holds a character that no token has.",
                "Set it to the engine's token.",
                "contract",
            )
        self._url, self._timeout_s, self._answer_bytes_max = (
            url.rstrip("/"),
            timeout_s,
            answer_bytes_max or ANSWER_BYTES_MAX,
        )
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, *path: str, **query: Any) -> dict[str, Any]:
        """The answer to a question; path: its parts, of any characters. Raises CounterfoilError."""
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a command; raises CounterfoilError."""
        return self._call("POST", path, json=dict(body))

    def send(self, *path: str, file: bytes, **query: Any) -> dict[str, Any]:
        """The answer to a file that is handed in as it is; raises CounterfoilError."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._call("POST", path, params=query, data=file, headers=headers)

    def _call(self, method: str, path: Sequence[str], **options: Any) -> dict[str, Any]:
        url = "/".join([self._url, "v1", *(quote(part, safe="") for part in path)])
        try:
            with self._session.request(
                method, url, timeout=self._timeout_s, allow_redirects=False, stream=True, **options
            ) as answer:
                status, content = answer.status_code, _bounded(answer, self._answer_bytes_max)
        except (requests.RequestException, ValueError, OSError):
            raise CounterfoilError(
                f"The engine at {self._url} doesn't answer.",
                "Start it (counterfoil serve --config FILE), or name it with --url or COUNTERFOIL_URL.",
                "outage",
            ) from None
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise CounterfoilError(
                f"What answers at {self._url} is no Counterfoil engine (status {status}).",
                "Check the address given with --url or COUNTERFOIL_URL.",
                "contract",
            )
        if status == 401 and body.get("type") != "/problems/token-expired":
            raise CounterfoilError(
                "The engine doesn't accept the token.", "Set COUNTERFOIL_API_TOKEN to the engine's.", "contract"
            )
        if status >= 400:
            raise CounterfoilError(
                str(body.get("detail") or f"The engine answered {status}."),
                str(body.get("remedy") or "See the engine's log."),
                "contract",
            )
        return body


def _bounded(answer: requests.Response, most: int) -> bytes:
    content = bytearray()
    for chunk in answer.iter_content(1 << 16):
        content += chunk
        if len(content) > most:
            raise CounterfoilError("The engine's answer is too large.", "Ask for less.", "contract")
    return bytes(content)
