"""`counterfoil users`: who may command, with which role; tokens are shown once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, command, counterfoil
from counterfoil_engine.domain.roles import ROLES
from counterfoil_engine.work.users import DAYS

DAYS_OPTION = click.option(
    "--days", type=click.IntRange(1, 3650), default=DAYS, show_default=True, help="how long the token holds"
)


@counterfoil.group("users")
def users() -> None:
    """Who may command, and as what; each with a token of their own (COUNTERFOIL_API_TOKEN where they type)."""


@command("list", users)
def users_list(context: Context) -> None:
    """Everybody who may command, with role and when the token expires.

    Example: counterfoil users list
    """

    def shown(value: Mapping[str, Any]) -> None:
        if not value["users"]:
            show.line("There is no named user; who bears the engine's COUNTERFOIL_API_TOKEN may do everything.")
            return
        columns = ["name", "role", "expires_at", "token_by", "added_by"]
        show.table(columns, [[row[name] for name in columns] for row in value["users"]])

    context.answer(context.client.get("users"), shown)


@command("add", users)
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(ROLES), help="what they may do: each more than the one before")
@DAYS_OPTION
def users_add(context: Context, name: str, role: str, days: int) -> None:
    """Give somebody a token; it is shown once. With the second user what moves money needs two people.

    Example: counterfoil users add anna --role controller
    """
    context.answer(context.client.post("users", body={"name": name, "role": role, "days": days}), _token)


@command("rotate", users)
@click.argument("name", required=False)
@DAYS_OPTION
def users_rotate(context: Context, name: str | None, days: int) -> None:
    """Another token in place of yours, or as an admin in place of somebody's; the old one is worth nothing at once.

    Example: counterfoil users rotate
    """
    context.answer(context.client.post("users", "rotate", body={"name": name, "days": days}), _token)


@command("password", users)
@click.argument("name", required=False)
@click.password_option(
    help="asked for where it isn't given; better so: what is typed here stays in the shell's history"
)
def users_password(context: Context, name: str | None, password: str) -> None:
    """Set your password for the console, or as an admin somebody's; all their sessions end. They change it there.

    Example: counterfoil users password anna
    """
    answer = context.client.post("users", "password", body={"name": name, "password": password})
    context.answer(answer, lambda value: show.line(f"{value['name']} signs in at the console with it: /console."))


@command("remove", users)
@click.argument("name")
def users_remove(context: Context, name: str) -> None:
    """Take somebody's token away. What they did stays in the audit log under their name.

    Example: counterfoil users remove anna
    """
    answer = context.client.post("users", "remove", body={"name": name})
    context.answer(answer, lambda value: show.line(f"{value['name']} may do nothing any more."))


def _token(value: Mapping[str, Any]) -> None:
    show.line(f"The token of {value['name']}, shown this once; it holds until {value['expires_at'][:10]}:")
    show.line(value["token"])
