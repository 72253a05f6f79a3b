"""Requests that Schemathesis makes from the OpenAPI descriptions: of each operation, what breaks its schema."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import hypothesis
import schemathesis
from fuzz import corpus
from fuzz.attacks import AGENTS, HOSTILE, Keys, signed
from fuzz.wire import Attempt
from schemathesis import GenerationMode

# What these do by right would be felt by the good orders: they get a wrong token, and are attacked elsewhere.
WITHOUT_TOKEN = ("/v1/switch", "/v1/replay", "/v1/rules", "/v1/approve", "/v1/handover", "/v1/retry", "/v1/confirm")


def attempts(keys: Keys, seed: int, each: int) -> Iterator[Attempt]:
    """`each` of every operation of engine and ERP."""
    for target in ("engine", "erp"):
        schema = schemathesis.openapi.from_dict(corpus.description(target))
        for found in schema.get_all_operations():
            for case in _drawn(found.ok(), seed, each):
                attempt = _attempt(target, case)
                if attempt is not None:
                    yield _allowed(attempt, keys, random.Random(f"{seed} {attempt.path}"))


def _drawn(operation: Any, seed: int, each: int) -> list[Any]:
    drawn: list[Any] = []
    modes = [GenerationMode.NEGATIVE, GenerationMode.POSITIVE]
    for mode in modes:
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except Exception:  # where there are no parameters, there is nothing to negate
            continue
        count = max(1, each * (3 if mode is GenerationMode.NEGATIVE else 1) // 4)

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        @hypothesis.given(strategy)
        def keep(case: Any) -> None:
            drawn.append(case)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                keep()
            except Exception:  # nothing to negate here either
                continue
    return drawn


def _attempt(target: str, case: Any) -> Attempt | None:
    """As bytes of ours; None for what can't be put into a request line."""
    sent = case.as_transport_kwargs(base_url="http://x")
    body = sent.get("data") or b""
    if "json" in sent:
        body = json.dumps(sent["json"]).replace("eu1", HOSTILE).encode("utf-8", "surrogatepass")
    if not isinstance(body, bytes):
        body = str(body).encode("utf-8", "replace")
    parts = urlsplit(sent["url"])
    query = urlencode(sent.get("params") or {}, doseq=True, errors="replace")
    path = parts.path + (f"?{query}" if query else "")
    headers = [
        (str(name), str(value))
        for name, value in (sent.get("headers") or {}).items()
        if name.lower() not in ("authorization", "content-length", "connection") and not name.startswith("Counterfoil")
    ]
    if any(mark in part for part in (path, *map(str, headers)) for mark in ("\r", "\n", "\0")) or " " in path:
        return None
    return Attempt(target, f"described {case.path[:24]}", case.method, path[:3_000], headers, body, may_drop=True)


def _allowed(attempt: Attempt, keys: Keys, randomly: random.Random) -> Attempt:
    if attempt.target == "engine" and attempt.path in AGENTS:
        attempt.headers += signed(keys, HOSTILE, attempt)
    elif attempt.target == "erp":
        attempt.headers.append(("Authorization", f"Bearer {keys['erp']}"))
    else:
        is_harmless = attempt.method == "GET" or not attempt.path.startswith(WITHOUT_TOKEN)
        attempt.headers.append(("Authorization", f"Bearer {keys['api'] if is_harmless else keys.mark}"))
    return attempt
