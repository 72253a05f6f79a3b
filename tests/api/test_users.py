"""Who may command: each token is somebody's, each command has a least role, and who asked stands in the audit log."""

from __future__ import annotations

import pytest
from counterfoil_engine.api.app import Engine, create_app
from counterfoil_engine.config import settings
from counterfoil_engine.domain.roles import LEAST_ROLE, ROLES, may
from fakes.commands import FakeCommands
from fakes.control import a_control
from fakes.store_agent import TOKEN

BOOTSTRAP = {"Authorization": f"Bearer {TOKEN}"}


def bearer(client, name: str, role: str) -> dict[str, str]:
    """The header of a new user."""
    answer = client.post("/v1/users", json={"name": name, "role": role}, headers=BOOTSTRAP)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json['token']}"}


def test_every_command_has_its_least_role():
    assert {role: sorted(name for name, least in LEAST_ROLE.items() if least == role) for role in ROLES} == {
        "viewer": [
            "alerts",
            "audit",
            "break_",
            "breaks",
            "case",
            "cases",
            "clearing",
            "close_check",
            "erp_role",
            "erp_roles",
            "kpi",
            "metrics",
            "order",
            "parties",
            "payout",
            "payouts",
            "preview_case",
            "proposal",
            "proposals",
            "refunds",
            "restatements",
            "rotate_user",
            "rules",
            "search",
            "set_password",
            "shadow",
            "slo",
            "status",
            "sweep",
            "taken_over",
            "users",
            "why",
        ],
        "service": ["assign_case", "comment_case", "raw_form", "retry", "retry_case", "snooze_case"],
        "operator": [
            "accept_break",
            "correct_case",
            "handover",
            "heal_break",
            "hold_party",
            "pass_over",
            "reject_proposal",
            "release_party",
            "replay",
            "start_shadow",
            "start_sweep",
            "stop_shadow",
            "switch",
        ],
        "controller": [
            "approve",
            "approve_proposal",
            "change_erp",
            "choose_payout_report",
            "close_lock",
            "close_unlock",
            "evidence",
            "fill_case",
            "link_taken_over",
            "load_rules",
            "match_payout",
            "pay_refund",
            "release_brake",
            "take_payouts",
        ],
        "admin": ["add_user", "confirm", "remove_user"],
    }


def test_the_table_names_every_command_that_the_api_takes(client):
    taken = {
        rule.endpoint.rpartition(".")[2]
        for rule in client.application.url_map.iter_rules()
        if rule.endpoint.partition(".")[0]
        in ("commands", "control", "cases", "finance", "sweep_commands", "watch", "lookup", "erps")
    }
    assert taken | {"raw_form"} == set(LEAST_ROLE)  # what the console alone shows


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_table_says_and_no_more(client, role):
    who = bearer(client, "anna", role)
    for rule in client.application.url_map.iter_rules():
        if not rule.endpoint.startswith(
            ("commands.", "control.", "cases.", "finance.", "sweep_commands.", "watch.", "lookup.", "erps.")
        ):
            continue
        name = rule.endpoint.rpartition(".")[2]
        path = rule.rule.replace("<store>", "eu1").replace("<order_id>", "1001").replace("<number>", "1")
        path = path.replace("<entity>", "DE01")
        method = "POST" if "POST" in rule.methods else "GET"
        answer = client.open(path, method=method, json={"unknown": 1}, headers=who)
        assert (answer.status_code == 403) == (not may(role, name)), (role, name, answer.text)


def test_what_a_role_may_not_do_is_told_with_cause_and_remedy(client):
    answer = client.post("/v1/approve", json={"version": "2"}, headers=bearer(client, "anna", "operator"))
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/role")
    assert answer.json["detail"] == "anna has the role operator; this takes at least controller."
    assert "admin" in answer.json["remedy"]


def test_a_command_that_the_table_forgot_takes_an_admin():
    assert may("admin", "erase_everything") and not may("controller", "erase_everything")


def test_an_expired_token_says_when_it_expired(client, clock, database):
    database.now = clock.now
    who = bearer(client, "anna", "viewer")
    clock.pass_time(366 * 86_400)
    answer = client.get("/v1/status", headers=who)
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/token-expired")
    assert "counterfoil users rotate anna" in answer.json["remedy"]
    del database.now


def test_with_users_the_engine_needs_no_token_of_its_own(client, database, clock):
    who = bearer(client, "anna", "viewer")
    without = create_app(
        Engine(None, FakeCommands(), lambda: None, clock, settings({}, {}), a_control(database))
    ).test_client()
    assert without.get("/v1/status", headers=who).status_code == 200
    assert without.get("/v1/status", headers=BOOTSTRAP).json["type"] == "/problems/token"
    assert without.get("/v1/status", headers={"Authorization": "Bearer "}).status_code == 401


def test_who_was_removed_is_nobody(client):
    who = bearer(client, "anna", "viewer")
    assert client.post("/v1/users/remove", json={"name": "anna"}, headers=BOOTSTRAP).json["removed"] is True
    assert client.get("/v1/status", headers=who).status_code == 401
    assert client.post("/v1/users/remove", json={"name": "anna"}, headers=BOOTSTRAP).status_code == 400


def test_a_list_of_users_shows_no_token(client):
    token = bearer(client, "anna", "viewer")["Authorization"].removeprefix("Bearer ")
    told = client.get("/v1/users", headers=BOOTSTRAP)
    assert [(row["name"], row["role"], row["token_by"]) for row in told.json["users"]] == [
        ("anna", "viewer", "operator")
    ]
    assert token not in told.text and "hash" not in told.text


@pytest.mark.parametrize(
    "body",
    [
        {"name": "anna"},
        {"name": "anna", "role": "owner"},
        {"name": "anna", "role": "viewer", "days": 0},
        {"role": "viewer"},
    ],
)
def test_a_user_without_name_role_or_a_sound_term_is_refused(client, body):
    assert client.post("/v1/users", json=body, headers=BOOTSTRAP).status_code == 400
