"""Who may open which page: one table. Each page takes the least role of a command (`domain/roles.py`), so that a page
never shows or does what the command line would refuse. A page that isn't here is an admin's."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from flask import Request, g
from werkzeug.exceptions import HTTPException

from counterfoil_engine.domain.roles import Role, least_role, may
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.work.sign_in import Session

SESSION = "counterfoil_session"  # the cookie

# Pages that anybody may open, signed in or not.
PUBLIC = frozenset({"static", "sign_in", "try_sign_in", "go_elsewhere", "come_back"})

# Page → the command whose least role it takes.
PAGES: Mapping[str, str] = {
    "fleet": "status",
    "nowhere": "status",
    "ask": "search",
    "search": "search",
    "order": "order",
    "raw_fact": "raw_form",
    "raw_said": "raw_form",
    "raw_document": "raw_form",
    "cases": "cases",
    "case": "case",
    "watch_case": "case",
    "preview_case": "preview_case",
    "fill_case": "fill_case",
    "retry_case": "retry_case",
    "assign_case": "assign_case",
    "snooze_case": "snooze_case",
    "comment_case": "comment_case",
    "correct_case": "correct_case",
    "proposals": "proposals",
    "proposal": "proposal",
    "approve_proposal": "approve_proposal",
    "reject_proposal": "reject_proposal",
    "parties": "parties",
    "party": "parties",
    "hold_party": "hold_party",
    "release_party": "release_party",
    "audit": "audit",
    "account": "set_password",
    "change_password": "set_password",
    "sign_out": "set_password",
    "store": "status",
    "new_store": "load_rules",
    "add_store": "load_rules",
    "switch": "switch",
    "figures": "kpi",
    "stock": "why",
    "why": "why",
    "differences": "breaks",
    "difference": "break_",
    "accept_difference": "accept_break",
    "heal_difference": "heal_break",
    "begin_sweep": "start_sweep",
    "sweep": "sweep",
    "money": "payouts",
    "clearing": "clearing",
    "clearing_day": "clearing",
    "payout": "payout",
    "match_line": "match_payout",
    "refunds": "refunds",
    "close": "close_check",
    "period": "close_check",
    "lock_period": "close_lock",
    "unlock_period": "close_unlock",
    "evidence_pack": "evidence",
    "rules": "rules",
    "rules_version": "rules",
    "change_rules": "load_rules",
    "propose_rules": "load_rules",
    "try_rules": "load_rules",
    "trial": "rules",
    "approve_restatement": "approve",
}


class SignedOut(HTTPException):
    """Nobody is signed in."""

    code = 401
    description = "Nobody is signed in, or the session is over."


def page_role(page: str) -> Role:
    """The least role of a page, by its name without the blueprint's."""
    return least_role(PAGES.get(page, ""))


def admit(request: Request, session: Session | None) -> None:
    """Let a request pass under its person's name (`g.session`); rejects who isn't signed in, whose role is too little,
    and a form that wasn't made for this session."""
    page = (request.endpoint or "").rpartition(".")[2]
    g.session = session
    if request.method == "POST":
        _refuse_other_sites(request)
    if page in PUBLIC:
        return
    if session is None:
        raise SignedOut
    if not may(session.caller.role, PAGES.get(page, "")):
        raise Rejected(
            f"{session.caller.name} has the role {session.caller.role}; this takes at least {page_role(page)}.",
            "Ask somebody who may, or an admin for another role.",
            slug="role",
        )
    if request.method == "POST":
        check_token(request.form.get("csrf", ""), session.csrf)


def check_token(given: str, expected: str) -> None:
    """A form has to bear what its page was given."""
    if not expected or not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        raise Rejected(
            "This form was not made for this session.", "Open its page anew, and send it from there.", slug="role"
        )


def _refuse_other_sites(request: Request) -> None:
    """Browsers say where a form was sent from; one of another site is never ours."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Rejected(
            "This form was sent by another site.", "Open the page here, and send it from there.", slug="role"
        )


def caller() -> Caller:
    """Who is signed in at the request that is being answered."""
    session: Session = g.session
    return session.caller


def can(command: str) -> bool:
    """Whether who is signed in may do a command: what they may not isn't offered."""
    session: Session | None = g.get("session")
    return session is not None and may(session.caller.role, command)
