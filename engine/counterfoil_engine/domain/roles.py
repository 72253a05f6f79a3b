"""Who may do what: a role for each person, and the least role of each command, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Role = Literal["viewer", "service", "operator", "controller", "admin"]

# Each may do what those before it may. viewer: sees all that moves nothing. service: lets a stuck order try again.
# operator: runs stores, and stops them. controller: what moves money or decides about it. admin: people, and which
# database writes.
ROLES: tuple[Role, ...] = ("viewer", "service", "operator", "controller", "admin")

LEAST_ROLE: Mapping[str, Role] = {
    "status": "viewer",
    "order": "viewer",
    "why": "viewer",
    "cases": "viewer",
    "sweep": "viewer",
    "breaks": "viewer",
    "break_": "viewer",
    "metrics": "viewer",
    "slo": "viewer",
    "alerts": "viewer",
    "kpi": "viewer",
    "case": "viewer",
    "preview_case": "viewer",
    "rules": "viewer",
    "shadow": "viewer",
    "restatements": "viewer",
    "users": "viewer",
    "audit": "viewer",
    "close_check": "viewer",
    "payouts": "viewer",
    "payout": "viewer",
    "clearing": "viewer",
    "refunds": "viewer",
    "erp_roles": "viewer",
    "erp_role": "viewer",
    "taken_over": "viewer",
    "proposals": "viewer",
    "proposal": "viewer",
    "parties": "viewer",
    "search": "viewer",
    "rotate_user": "viewer",  # one's own; another's token takes an admin
    "set_password": "viewer",  # one's own; another's takes an admin
    "raw_form": "service",  # with personal data
    "retry": "service",
    "retry_case": "service",
    "assign_case": "service",
    "snooze_case": "service",
    "comment_case": "service",
    "replay": "operator",
    "handover": "operator",
    "pass_over": "operator",
    "start_shadow": "operator",
    "stop_shadow": "operator",
    "switch": "operator",
    "hold_party": "operator",
    "release_party": "operator",
    "start_sweep": "operator",
    "accept_break": "operator",
    "heal_break": "operator",
    "correct_case": "operator",
    "reject_proposal": "operator",  # one's own; another's takes whoever may approve
    "load_rules": "controller",
    "fill_case": "controller",
    "approve": "controller",
    "release_brake": "controller",
    "change_erp": "controller",
    "link_taken_over": "controller",
    "take_payouts": "controller",
    "match_payout": "controller",
    "choose_payout_report": "controller",
    "pay_refund": "controller",
    "close_lock": "controller",
    "close_unlock": "controller",
    "evidence": "controller",
    "approve_proposal": "controller",
    "add_user": "admin",
    "remove_user": "admin",
    "confirm": "admin",
}


def may(role: Role, command: str) -> bool:
    """Whether a role may call a command; what the table doesn't name takes an admin."""
    return ROLES.index(role) >= ROLES.index(least_role(command))


def least_role(command: str) -> Role:
    return LEAST_ROLE.get(command, "admin")
