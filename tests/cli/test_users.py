"""Users at the command line: a token is shown once, and whoever types is who the audit log names."""

from __future__ import annotations

import json


def test_who_gets_a_token_acts_under_their_own_name(running, shell, monkeypatch):
    assert shell("users", "list").stdout.startswith("There is no named user")
    token = json.loads(shell("users", "add", "anna", "--role", "controller", "--json").stdout)["token"]
    assert "anna" in shell("users", "list").stdout and token not in shell("users", "list").stdout
    monkeypatch.setenv("COUNTERFOIL_API_TOKEN", token)
    assert shell("retry", "order eu1/1003").exit_code == 0
    refused = shell("users", "add", "ben", "--role", "admin")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("anna has the role controller; this takes at least admin.")
    assert [(row["who"], row["what"]) for row in running.written()["audit"]][-2:] == [
        ("operator", "add user"),
        ("anna", "retry"),
    ]


def test_a_token_that_was_replaced_is_worth_nothing(running, shell, monkeypatch):
    token = json.loads(shell("users", "add", "anna", "--role", "viewer", "--json").stdout)["token"]
    monkeypatch.setenv("COUNTERFOIL_API_TOKEN", token)
    said = shell("users", "rotate").stdout.splitlines()
    assert said[0].startswith("The token of anna, shown this once")
    assert shell("status").exit_code == 1
    monkeypatch.setenv("COUNTERFOIL_API_TOKEN", said[1])
    assert shell("users", "list").exit_code == 0


def test_who_was_removed_may_do_nothing(running, shell, monkeypatch):
    token = json.loads(shell("users", "add", "anna", "--role", "viewer", "--json").stdout)["token"]
    assert shell("users", "remove", "anna").stdout == "anna may do nothing any more.\n"
    monkeypatch.setenv("COUNTERFOIL_API_TOKEN", token)
    assert shell("users", "list").stderr.startswith("The engine doesn't accept the token.")
