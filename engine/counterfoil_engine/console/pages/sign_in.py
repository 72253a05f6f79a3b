"""Signing in and out, and one's own account."""

from __future__ import annotations

import secrets
from typing import Annotated

import msgspec
from flask import Blueprint, Response, g, make_response, redirect, request, url_for

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.access import SESSION, caller, check_token
from counterfoil_engine.console.forms import form
from counterfoil_engine.console.layout import go, page
from counterfoil_engine.console.parts import Console
from counterfoil_engine.ports import Rejected
from counterfoil_engine.work.passwords import LONGEST, SHORTEST
from counterfoil_engine.work.sign_in import ELSEWHERE_FOR, LIFE

BEFORE, ELSEWHERE = "counterfoil_before", "counterfoil_elsewhere"
_Password = Annotated[str, msgspec.Meta(max_length=LONGEST)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]


class _SignIn(Strict):
    name: _Name
    password: _Password
    wanted: str = ""


class _Change(Strict):
    old: _Password
    new: _Password
    again: _Password


def sign_in_pages(at: Blueprint, does: Console) -> None:
    doors = _Doors(does)
    _with_password(at, does, doors)
    _elsewhere(at, does, doors)
    _account(at, does, doors)


class _Doors:
    """The cookies by which a browser is known, and what sets them."""

    def __init__(self, does: Console) -> None:
        self._does = does
        self._is_safe = (does.settings.url or "").startswith("https://")

    def keep(self, answer: Response, name: str, value: str, seconds: int) -> Response:
        """A cookie that scripts can't read, and that other sites' forms don't bear."""
        path = url_for("console.fleet")
        answer.set_cookie(name, value, max_age=seconds, httponly=True, samesite="Lax", secure=self._is_safe, path=path)
        return answer

    def begun(self, secret: str, wanted: str) -> Response:
        """Signed in: the secret is a new one, and the session that this browser had before is over."""
        self._does.sign_in.end(request.cookies.get(SESSION, ""))
        answer = make_response(redirect(_own(wanted), code=303))
        answer.delete_cookie(BEFORE, path=url_for("console.fleet"))
        return self.keep(answer, SESSION, secret, int(LIFE.total_seconds()))

    def asked(self, status: int = 200, **said: str) -> Response:
        """The form; its token is the browser's cookie, since there is no session yet."""
        token = request.cookies.get(BEFORE) or secrets.token_urlsafe(32)
        fields = {"cause": "", "remedy": "", "name": "", "wanted": "", **said}
        elsewhere = self._does.provider is not None
        answer = page("sign_in.html", status=status, before=token, elsewhere=elsewhere, **fields)
        return self.keep(answer, BEFORE, token, 3_600)


def _with_password(at: Blueprint, does: Console, doors: _Doors) -> None:
    @at.get("/sign-in")
    def sign_in() -> Response:
        if g.session is not None:
            return go("fleet")
        return doors.asked(wanted=request.args.get("wanted", "")[:300])

    @at.post("/sign-in")
    def try_sign_in() -> Response:
        check_token(request.form.get("csrf", ""), request.cookies.get(BEFORE, ""))
        wanted = form(request, _SignIn)
        try:
            secret = does.sign_in.with_password(wanted.name, wanted.password, request.remote_addr or "")
        except Rejected as error:
            status = 429 if error.slug == "too-often" else 401
            said = {"name": wanted.name, "wanted": wanted.wanted[:300]}
            return doors.asked(status, cause=error.cause, remedy=error.remedy, **said)
        return doors.begun(secret, wanted.wanted)

    @at.post("/sign-out")
    def sign_out() -> Response:
        does.sign_in.end(request.cookies.get(SESSION, ""))
        answer = go("sign_in")
        answer.delete_cookie(SESSION, path=url_for("console.fleet"))
        return answer


def _elsewhere(at: Blueprint, does: Console, doors: _Doors) -> None:
    """An identity provider vouches for who comes."""

    @at.get("/sign-in/elsewhere")
    def go_elsewhere() -> Response:
        if does.provider is None:
            raise Rejected("No identity provider is set up.", "Sign in with a password.", slug="no-such-path")
        state, nonce, verifier = does.sign_in.begin_elsewhere(request.args.get("wanted", "")[:300])
        answer = make_response(redirect(does.provider.way(state, nonce, verifier), code=303))
        return doors.keep(answer, ELSEWHERE, state, int(ELSEWHERE_FOR.total_seconds()))

    @at.get("/sign-in/back")
    def come_back() -> Response:
        state = request.args.get("state", "")
        try:
            check_token(state, request.cookies.get(ELSEWHERE, ""))  # else anybody could sign this browser in
            begun_as = does.sign_in.came_back(state)
            if does.provider is None or begun_as is None or not request.args.get("code"):
                raise Rejected("The identity provider did not sign you in.", "Try again.", slug="signature")
            name = does.provider.name_of(request.args["code"][:4_000], begun_as["nonce"], begun_as["verifier"])
            secret = does.sign_in.named_elsewhere(name)
        except Rejected as error:
            return doors.asked(401, cause=error.cause, remedy=error.remedy)
        answer = doors.begun(secret, begun_as["wanted"])
        answer.delete_cookie(ELSEWHERE, path=url_for("console.fleet"))
        return answer


def _account(at: Blueprint, does: Console, doors: _Doors) -> None:
    @at.get("/account")
    def account() -> Response:
        return page("account.html", shortest=SHORTEST, how=g.session.how)

    @at.post("/account/password")
    def change_password() -> Response:
        wanted = form(request, _Change)
        if wanted.new != wanted.again:
            raise Rejected("The new password was typed in two ways.", "Go back, and type it twice alike.")
        secret = does.sign_in.change_password(wanted.old, wanted.new, caller(), request.remote_addr or "")
        does.sign_in.tell(secret, "Your password is changed; all your other sessions are over.")
        return doors.begun(secret, url_for("console.account"))


def _own(wanted: str) -> str:
    """The page that was wanted before signing in, where it is one of ours."""
    home = url_for("console.fleet")
    is_own = wanted.startswith(home) and "\\" not in wanted and not wanted.startswith("//") and wanted.isprintable()
    return wanted if is_own else home
