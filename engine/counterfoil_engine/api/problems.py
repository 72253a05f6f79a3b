"""Every error of the API as problem details (RFC 9457): cause and remedy in plain words, never a trace or a secret."""

from __future__ import annotations

import math
import traceback
import uuid
from pathlib import Path
from typing import NamedTuple

import msgspec
from flask import Flask, Response, request
from loguru import logger
from werkzeug.exceptions import HTTPException

from counterfoil_engine.domain.errors import CounterfoilError, RateLimited, Retry
from counterfoil_engine.ports import Rejected

MEDIA_TYPE = "application/problem+json"

# What each kind of problem is called, and its status.
PROBLEMS: dict[str, tuple[int, str]] = {
    "request": (400, "The request can't be carried out"),
    "json": (400, "The body can't be read"),
    "contract": (400, "The request breaks its contract"),
    "gzip": (400, "The body can't be unpacked"),
    "rules": (400, "The rules can't be put in force"),
    "signature": (401, "The signature is wrong"),
    "clock": (401, "The clocks disagree"),
    "token": (401, "The token is wrong"),
    "token-expired": (401, "The token has expired"),
    "other-store": (403, "The request speaks for another store"),
    "token-not-set": (403, "Commands are off"),
    "role": (403, "The role may not do this"),
    "four-eyes": (403, "This takes a second person"),
    "no-such-path": (404, "There is nothing at this path"),
    "no-such-subject": (404, "There is no such subject"),
    "no-such-store": (404, "There is no such store"),
    "no-pool": (404, "The store has no pool"),
    "method": (405, "The path doesn't take this method"),
    "epoch": (409, "The sequence doesn't go on like this"),
    "other-installation": (409, "Another agent serves this store"),
    "contracts": (409, "No common version of a contract"),
    "too-large": (413, "The request is too large"),
    "media-type": (415, "The body has a form that is not taken"),
    "failed": (500, "The engine failed"),
    "unavailable": (503, "The engine can't do this now"),
}

_PIECE_BYTES, _MOST_PIECES = 65_536, 512  # 32 MB in all

_FAILED = (
    "The engine failed at this request; nothing of it was kept.",
    "Send it again later. If it stays, look into the engine's log for the instance named here.",
)
_OF_STATUS = {404: "no-such-path", 405: "method", 413: "too-large", 415: "media-type"}
_REMEDIES = {
    "no-such-path": "Look at the API's description: engine.openapi.yaml.",
    "method": "Use a method that the Allow header names.",
    "too-large": "Send it in smaller parts.",
    "media-type": "Send JSON in UTF-8, plain or with Content-Encoding: gzip.",
}


def handle_errors(app: Flask) -> None:
    """Let every error leave the app as a problem."""
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _answer)


def problem(slug: str, cause: str, remedy: str, status: int | None = None) -> Response:
    """The answer to a request that was not carried out. Its instance stands in the log too."""
    told = Told.of(slug, cause, remedy, request.method, str(request.url_rule or ""), status)
    return Response(told.body, status=told.status, content_type=MEDIA_TYPE)


class Told(NamedTuple):
    """A problem as it is sent. instance: by which the log names it."""

    status: int
    body: bytes
    instance: str

    @classmethod
    def of(cls, slug: str, cause: str, remedy: str, method: str, path: str, status: int | None = None) -> Told:
        """path: the route, not what was asked for, since it is logged; empty where there is none."""
        usual_status, title = PROBLEMS[slug]
        status = status or usual_status
        instance = f"urn:uuid:{uuid.uuid4()}"
        body = {
            "type": f"/problems/{slug}",
            "title": title,
            "status": status,
            "detail": cause,
            "remedy": remedy,
            "instance": instance,
        }
        logger.bind(path=path, method=method, instance=instance).info("rejected: {}", slug)
        return cls(status, msgspec.json.encode(body), instance)


def told_of(error: Exception, method: str, path: str) -> tuple[Told, dict[str, str]]:
    """An error as a problem, and the headers that go with it."""
    if isinstance(error, Rejected):
        slug = error.slug if error.slug in PROBLEMS else "request"
        return Told.of(slug, error.cause, error.remedy, method, path), {}
    if isinstance(error, Retry):
        pause = {"Retry-After": str(math.ceil(error.retry_after_s or 5))}
        status = 429 if isinstance(error, RateLimited) else None
        return Told.of("unavailable", error.cause, error.remedy, method, path, status), pause
    if isinstance(error, CounterfoilError):
        return Told.of("request", error.cause, error.remedy, method, path), {}
    told = Told.of("failed", *_FAILED, method, path)
    logger.bind(error=type(error).__name__, where=_where(error), instance=told.instance).error("failed")
    return told, {}


def _answer(error: Exception) -> Response:
    told, headers = told_of(error, request.method, str(request.url_rule or ""))
    return Response(told.body, status=told.status, content_type=MEDIA_TYPE, headers=headers)


def _of_http(error: HTTPException) -> Response:
    slug = _OF_STATUS.get(error.code or 500, "request")
    if (error.code or 500) >= 500:
        return _answer(error)
    if slug == "too-large":
        _take_in()
    cause = f"{PROBLEMS[slug][1]}: {request.method} {request.path[:200]}."
    answer = problem(slug, cause, _REMEDIES.get(slug, "Correct the request."), error.code)
    for name, value in error.get_headers():
        if name == "Allow":
            answer.headers[name] = value
    return answer


def _take_in() -> None:
    """Read a body that is too large to its end, or up to a bound: a sender whose line is cut never sees the answer."""
    stream = request.environ["wsgi.input"]
    for _ in range(_MOST_PIECES):
        if not stream.read(_PIECE_BYTES):
            return


def _where(error: Exception) -> str:
    """Only where a defect happened is logged: what an exception says may repeat what was sent."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return " > ".join(frames[-5:])
