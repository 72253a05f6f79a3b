"""Every error of the console as a page: cause and remedy in whole sentences, never a trace."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.exceptions import HTTPException

from counterfoil_engine.api.problems import PROBLEMS, Told, told_of
from counterfoil_engine.console.access import SignedOut
from counterfoil_engine.console.layout import page
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.ports import Rejected

_REMEDIES = {"too-large": "Go back, and send less: a form takes 64 KB, one with rules 2 MB."}
_STATUS = {"too-often": 429, "signature": 401}


def handle_errors(blueprint: Blueprint) -> None:
    blueprint.register_error_handler(SignedOut, _signed_out)
    blueprint.register_error_handler(HTTPException, _of_http)
    blueprint.register_error_handler(Exception, _failed)


def shown(cause: str, remedy: str, status: int) -> Response:
    return page("problem.html", status=status, cause=cause, remedy=remedy, code=status)


def _signed_out(error: SignedOut) -> Response:
    if request.method == "GET" and "HX-Request" not in request.headers:
        wanted = request.full_path.rstrip("?")
        return redirect(url_for("console.sign_in", wanted=wanted))  # type: ignore[return-value]
    return shown("You are not signed in any more.", "Sign in, and do it again: nothing of it was done.", 401)


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _failed(error)
    slug = {404: "no-such-path", 405: "method", 413: "too-large"}.get(status, "request")
    Told.of(slug, "", "", request.method, str(request.url_rule or ""))
    return shown(f"{PROBLEMS[slug][1]}.", _REMEDIES.get(slug, "Go back, or begin at the stores."), status)


def _failed(error: Exception) -> Response:
    told, headers = told_of(error, request.method, str(request.url_rule or ""))
    status = _STATUS.get(error.slug, told.status) if isinstance(error, Rejected) else told.status
    if isinstance(error, CounterfoilError):
        answer = shown(error.cause, error.remedy, status)
    else:
        answer = shown(
            "The engine failed at this page; nothing of it was kept.",
            f"Try again later. If it stays, look into the engine's log for {told.instance}.",
            status,
        )
    answer.headers.update(headers)
    return answer
