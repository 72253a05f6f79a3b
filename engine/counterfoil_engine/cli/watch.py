"""How the engine keeps its promises: objectives and their budgets, alerts, key figures of each day. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, command


@command(
    "slo",
    exit_status="Exit status: 0 done (with --check: no alert stands), 1 not done (with --check: one stands),"
    " 2 wrong usage.",
)
@click.option("--check", is_flag=True, help="set the exit status for a monitor: 0 no alert stands, 1 one does")
def slo(context: Context, check: bool) -> int:
    """Each objective: how much was good, what is left of its error budget, how fast that burns, and what to do.

    Example: counterfoil slo
    """
    answer = context.client.get("slo")
    context.answer(answer, _slo)
    return int(check and any(line.get("alert") for line in answer.get("objectives", ())))


def _slo(answer: Mapping[str, Any]) -> None:
    lines = answer["objectives"]
    burning = [line for line in lines if line["alert"]]
    for line in burning:
        alert = line["alert"]
        show.line(f"{alert['severity']} since {alert['opened_at'][:16]}: {alert['cause']}", "red")
        show.line(f"  What to do: {alert['runbook']}")
    if not burning:
        show.line("Every objective is kept.", "green")
    for row in answer["untold"]:
        show.line(f"{row['messages']} message(s) of alerts did not reach {row['sink']}: {row['error']}", "yellow")
    show.table(
        ["objective", "promised", "good", "of", "is", "budget left", "burns now"],
        [
            [
                line["slo"],
                f"{line['percent']} % in {line['window_days']} d",
                line["good"],
                line["total"],
                "–" if line["good_percent"] is None else f"{line['good_percent']} %",
                f"{line['budget_left'] * 100:.1f} %",
                f"{line['burns'][0]['rate']} x",
            ]
            for line in lines
        ],
        right=("good", "of", "is", "budget left", "burns now"),
    )


@command("alerts")
@click.option("--all", "is_all", is_flag=True, help="also those that are over, newest first")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="at most so many")
def alerts(context: Context, is_all: bool, limit: int) -> None:
    """Alerts that stand: since when, why, and what to do.

    Example: counterfoil alerts --all --limit 20
    """

    def shown(answer: Mapping[str, Any]) -> None:
        if not answer["alerts"]:
            show.line("No alert stands." if not is_all else "There was none.", "green")
        for each in answer["alerts"]:
            until = f" until {each['resolved_at'][:16]}" if each["resolved_at"] else ""
            head = f"{each['id']}  {each['severity']}  {each['slo']}  since {each['opened_at'][:16]}{until}"
            show.line(head, "" if each["resolved_at"] else "red")
            show.line(f"   {each['cause']}")
            show.line(f"   What to do: {each['runbook']}")

    context.answer(context.client.get("alerts", all=str(is_all).lower(), limit=limit), shown)


@command("kpi")
@click.option("--days", type=click.IntRange(1, 400), default=28, show_default=True, help="over so many days")
@click.option("--store", help="only this store's; else all stores together")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="the last day, UTC (default: yesterday)")
def kpi(context: Context, days: int, store: str | None, until: Any) -> None:
    """Key figures, beside what they were in the first 14 days in preview, before anything was written.

    Example: counterfoil kpi --days 7 --store eu1
    """
    last = until.date().isoformat() if until else None
    context.answer(context.client.get("kpi", days=days, store=store, until=last), _kpi)


def _kpi(answer: Mapping[str, Any]) -> None:
    of = f"of {answer['store']}" if answer["store"] else "of all stores"
    show.line(f"From {answer['first_day']} to {answer['last_day']}, {of}.")
    show.table(
        ["figure", "now", "before", "", "by day", "what it says"],
        [
            [
                line["kpi"],
                _value(line, line["value"]),
                _value(line, line["baseline"]),
                {True: "better", False: "worse", None: ""}[line["is_better"]],
                spark([day["value"] for day in line["days"]][-28:]),
                line["says"],
            ]
            for line in answer["kpis"]
        ],
        right=("now", "before"),
    )


def _value(line: Mapping[str, Any], value: float | None) -> str:
    return "–" if value is None else f"{value:g} {'%' if line['unit'] == 'percent' else line['unit']}"


def spark(values: list[float | None]) -> str:
    """A line of blocks, the highest value the tallest; a day without a figure is a dot."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    steps = "▁▂▃▄▅▆▇█"
    return "".join(
        "·" if value is None else steps[round(7 * (value - low) / (high - low)) if high > low else 3]
        for value in values
    )
