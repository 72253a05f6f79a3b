"""`counterfoil close`: check a period, lock it, open it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, command, counterfoil
from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.domain.money import show as money
from counterfoil_engine.domain.periods import Period


class Month(click.ParamType):  # type: ignore[type-arg]
    """A calendar month."""

    name = "period"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            return str(Period.named(str(value)))
        except ValueError:
            self.fail(f"{str(value)[:40]!r} is no period, such as 2026-10.", param, ctx)


PERIOD = click.argument("period", type=Month())


@counterfoil.group("close")
def close() -> None:
    """A legal entity's calendar month: is it complete, and nothing more into it."""


@command(
    "check",
    close,
    exit_status="Exit status: 0 the period is settled, 1 something ought to be settled first, 2 wrong usage.",
)
@click.argument("entity")
@PERIOD
def close_check(context: Context, entity: str, period: str) -> int:
    """Every line of a period: our figure, the ERP's, the difference, the orders behind it. Reads only.

    Example: counterfoil close check DE01 2026-10
    """
    answer = context.client.get("close", entity=entity, period=period)
    context.answer(answer, _shown)
    return int(not answer.get("is_clean"))


@command("lock", close)
@click.argument("entity")
@PERIOD
@click.option("--yes", is_flag=True, help="lock it although something is open; without it, that is only said")
def close_lock(context: Context, entity: str, period: str, yes: bool) -> None:
    """Post nothing into a period any more: what comes late gets the first open day after it.

    Example: counterfoil close lock DE01 2026-10
    """
    answer = context.client.post("close", "lock", body={"entity": entity, "period": period, "confirmed": yes})
    context.answer(answer, lambda value: show.line(f"{value['entity']} {value['period']} is locked.", "green"))


@command("unlock", close)
@click.argument("entity")
@PERIOD
def close_unlock(context: Context, entity: str, period: str) -> None:
    """Open a locked period again. Takes a second person.

    Example: counterfoil close unlock DE01 2026-10
    """
    answer = context.client.post("close", "unlock", body={"entity": entity, "period": period})
    context.answer(answer, show.or_proposed(lambda value: f"{value['entity']} {value['period']} is open again."))


def _shown(value: Mapping[str, Any]) -> None:
    of, said = f"{value['entity']} {value['period']}", value["open"]
    locked = f" Locked by {value['locked_by']}." if value["locked_by"] else ""
    show.line(
        (f"{of}: {len(said)} line(s) ought to be settled." if said else f"{of} is settled.") + locked,
        "bold red" if said else "bold green",
    )
    columns = ["what", "of", "ours", "ERP's", "difference", "behind it"]
    show.table(columns, [_row(line) for line in value["lines"]], right=columns[2:5])


def _row(line: Mapping[str, Any]) -> list[Any]:
    figures = [_figure(line[name], line["unit"]) for name in ("ours", "erps", "difference")]
    more = f" and {line['of'] - 3} more" if line["of"] > 3 else ""
    return [line["name"], line["detail"], *figures, ", ".join(line["subjects"][:3]) + more]


def _figure(value: int | None, unit: str) -> str:
    if value is None:
        return ""
    return money(value, unit) if unit in DECIMALS else f"{value} {unit}"
