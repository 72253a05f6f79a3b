"""Who sends a request, and what is in it: signatures, tokens, sizes, forms. All of it bounded before it is read."""

from __future__ import annotations

import hmac
import re
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from flask import Request
from werkzeug.http import parse_options_header

from counterfoil_engine.config import Limits
from counterfoil_engine.domain.signing import signature
from counterfoil_engine.ports import Rejected

_SIGNATURE = re.compile(r"v1=([0-9a-f]{64})")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_NOBODY = ("no store has this secret, so nothing compares equal",)
Asked = TypeVar("Asked")
Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f]{1,200}\Z")]

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """What a command takes, and nothing else."""


class Headers(Protocol):
    """A request's headers, asked by the names that stand here."""

    def get(self, name: str, default: str) -> str: ...


def signed_body(
    request: Request, secrets: Mapping[str, tuple[str, ...]], now: datetime, limits: Limits
) -> tuple[str, bytes]:
    """The store that signed the request, and its body, unpacked. Rejects what is unsigned, wrong, or too old."""
    parts = (request.method, request.path, request.headers, lambda: request.get_data(cache=False))
    return opened(*parts, secrets, now, limits)


def opened(
    method: str,
    path: str,
    headers: Headers,
    read: Callable[[], bytes],
    secrets: Mapping[str, tuple[str, ...]],
    now: datetime,
    limits: Limits,
) -> tuple[str, bytes]:
    """As `signed_body`, of a request in its parts. read: its body, which is left unread where nobody has signed it."""
    store = headers.get("Counterfoil-Store", "")
    timestamp = headers.get("Counterfoil-Timestamp", "")
    given = headers.get("Counterfoil-Signature", "")
    if not (store and _TIMESTAMP.fullmatch(timestamp) and _SIGNATURE.fullmatch(given)):
        raise _unsigned("It lacks Counterfoil-Store, -Timestamp or -Signature, or one is malformed.")
    body = read()
    known = [
        hmac.compare_digest(signature(secret, method, path, timestamp, body), given)
        for secret in secrets.get(store, _NOBODY)
    ]
    if store not in secrets or not any(known):
        raise _unsigned("Store, secret and body don't fit together.")
    skew_s = int(timestamp) - int(now.timestamp())
    if abs(skew_s) > limits.clock_skew_s:
        raise Rejected(
            f"The request was signed {abs(skew_s)} s {'ahead of' if skew_s > 0 else 'behind'} the engine's clock.",
            "Take the time from this answer's Date header, and sign again by it.",
            slug="clock",
        )
    return store, _unpacked(headers, body, limits.unpacked_bytes)


def asked(request: Request, kind: type[Asked], limits: Limits) -> Asked:
    """The body of a command, as the struct it has to be."""
    body = _unpacked(request.headers, request.get_data(cache=False), limits.unpacked_bytes)
    return _converted(lambda: msgspec.json.decode(body, type=kind))


def file_of(request: Request, most_bytes: int) -> bytes:
    """The body of a request that is a file, unpacked: bytes in whatever encoding they are."""
    request.max_content_length = most_bytes
    kind, _ = parse_options_header(request.headers.get("Content-Type", ""))
    if kind.lower() not in ("text/csv", "application/octet-stream"):
        raise Rejected(
            f"The body's form is {kind[:100]!r}.",
            "Send the file as it is, as text/csv or application/octet-stream, plain or with Content-Encoding: gzip.",
            slug="media-type",
        )
    body = request.get_data(cache=False)
    return _decoded(request.headers.get("Content-Encoding", "identity"), body, most_bytes)


def named(values: Mapping[str, str], kind: type[Asked]) -> Asked:
    """What the query or the path of a command names, as the struct it has to be."""
    return _converted(lambda: msgspec.convert(values, kind, strict=False))


def _converted(convert: Callable[[], Asked]) -> Asked:
    try:
        return convert()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        cause = f"The command is not what this path takes: {str(error)[:300]}."
        raise Rejected(cause, "Look at the API's description: engine.openapi.yaml.", slug="contract") from None


def _unpacked(headers: Headers, body: bytes, most_bytes: int) -> bytes:
    kind, options = parse_options_header(headers.get("Content-Type", ""))
    if kind.lower() not in (
        "application/json",
        "application/cloudevents-batch+json",
        "application/cloudevents+json",
    ):
        raise _form(f"The body's form is {kind[:100]!r}.")
    if options.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise _form("The body's character set is not UTF-8.")
    return _decoded(headers.get("Content-Encoding", "identity"), body, most_bytes)


def _decoded(given: str, body: bytes, most_bytes: int) -> bytes:
    encoding = given.strip().lower()
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise _form(f"The body's encoding is {encoding[:40]!r}.")
    return _gunzipped(body, most_bytes)


def _gunzipped(body: bytes, most_bytes: int) -> bytes:
    """Unpack, but never more than so many bytes: a few KB can hold gigabytes."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, most_bytes + 1)
    except zlib.error:
        raise _broken_gzip("is no gzip") from None
    if len(unpacked) > most_bytes:
        cause = f"The body is larger than {most_bytes} bytes when unpacked."
        raise Rejected(cause, "Send it in smaller parts.", slug="too-large")
    if not unpacker.eof or unpacker.unused_data:
        raise _broken_gzip("ends before its gzip does, or goes on after it")
    return unpacked


def _broken_gzip(how: str) -> Rejected:
    return Rejected(f"The body {how}.", "Pack it anew, as one gzip member, or send it plain.", slug="gzip")


def _form(cause: str) -> Rejected:
    return Rejected(cause, "Send JSON in UTF-8, plain or with Content-Encoding: gzip.", slug="media-type")


def _unsigned(cause: str) -> Rejected:
    return Rejected(
        f"The request's signature can't be accepted. {cause}",
        "Check the store's name and that agent and engine have the same COUNTERFOIL_STORE_SECRET for it.",
        slug="signature",
    )


def answer(body: Mapping[str, Any]) -> tuple[bytes, int, dict[str, str]]:
    """A JSON answer."""
    return msgspec.json.encode(body), 200, {"Content-Type": "application/json"}
