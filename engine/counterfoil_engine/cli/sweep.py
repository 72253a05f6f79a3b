"""`counterfoil sweep` and `counterfoil breaks`: prove that stores agree, and settle what doesn't."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, command, counterfoil
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.money import show as money

LOOK_S = 1.0
KINDS = ("stock", "orders", "erp", "money")
WHAT = {"stock": "SKUs", "orders": "orders"}
NUMBERS = click.argument("numbers", type=click.IntRange(1, 2**62), nargs=-1, required=True)


@command(
    "sweep",
    exit_status="Exit status: 0 all agreed or is being healed, 1 a sweep failed or found what waits for a person,"
    " 2 wrong usage.",
)
@click.argument("kinds", metavar="[stock|orders|erp|money]...", type=click.Choice(KINDS), nargs=-1)
@click.option("--store", "stores", multiple=True, help="only this store; may be given several times (default: all)")
@click.option("--dry-run", is_flag=True, help="say what is found; keep and heal nothing")
@click.option(
    "--wait", "wait_s", default=900, show_default=True, type=click.IntRange(0, 86_400), help="seconds at most"
)
def sweep(context: Context, kinds: Sequence[str], stores: Sequence[str], dry_run: bool, wait_s: int) -> int:
    """Compare now: stores' stock and orders, their entities' documents in the ERP, money three ways; or all of it.

    Each store's agent is asked, and fetches the question within 20 s. What differs in an order is looked at twice, some
    minutes apart. The ERP is read by the engine itself. Example: counterfoil sweep erp --store eu1 --dry-run
    """
    client = context.client
    names = stores or [row["store"] for row in client.get("status")["stores"]]
    if not names:
        raise CounterfoilError("No store's agent has ever said hello.", "Start one, then sweep.", "data")
    begun: dict[int, Mapping[str, Any]] = {}
    for store in names:
        for kind in kinds or KINDS:
            try:
                run = client.post("sweep", body={"sweep": kind, "store": store, "dry_run": dry_run})
            except CounterfoilError as error:
                if kinds:
                    raise
                context.tell(f"{kind} of {store} is left out. {error.cause} {error.remedy}")
                continue
            begun[run["id"]] = run  # two stores may have one ERP
    runs = list(begun.values())
    runs = [_awaited(context, run, time.monotonic() + wait_s) for run in runs]
    context.answer({"sweeps": runs}, _show_runs)
    return int(any(run["state"] != "done" or _waits(run) for run in runs))


def _awaited(context: Context, run: Mapping[str, Any], until_s: float) -> Mapping[str, Any]:
    """The run once it has ended, or as it is when the time is over; its progress is told meanwhile."""
    told = ""
    while run["state"] == "running" and time.monotonic() < until_s:
        time.sleep(LOOK_S)
        run = context.client.get("sweeps", str(run["id"]))
        now = f"{run['sweep']} of {run['store']}: {run.get('answers', 0)} answer(s), {run.get('unanswered', 0)} asked"
        if now != told:
            context.tell(now)
            told = now
    return run


def _waits(run: Mapping[str, Any]) -> bool:
    """Whether something that it found waits for a person."""
    found = sum(one["breaks"] for one in run.get("found", {}).values())
    return found > run.get("healing", 0)


def _show_runs(value: Mapping[str, Any]) -> None:
    for run in value["sweeps"]:
        if run["state"] == "failed":
            show.line(f"{run['sweep']} of {run['store']} could not be compared. {run['cause']} {run['remedy']}", "red")
            if run.get("found"):  # what could be compared
                _show_done(run)
        elif run["state"] == "running":
            show.line(f"{run['sweep']} of {run['store']} goes on: counterfoil sweep shows it again.", "yellow")
        else:
            _show_done(run)


def _show_done(run: Mapping[str, Any]) -> None:
    found, in_flight = run.get("found", {}), sum(run.get("in_flight", {}).values())
    what = WHAT.get(run["sweep"], "documents")
    beside = f", {in_flight} on their way" if in_flight else ""
    size = f"{run.get('engine_ms', 0)} ms, {run.get('size_bytes', 0)} bytes"
    if not found:
        show.line(f"{run['sweep']} of {run['store']} agrees: {run['compared']} {what}{beside} ({size}).", "green")
        return
    sizes = [f"{one['breaks']} {kind}{_sum(one)}" for kind, one in sorted(found.items())]
    done = "dry run: nothing kept" if run["dry_run"] else f"{run.get('healing', 0)} are being healed"
    show.line(
        f"{run['sweep']} of {run['store']} differs: {', '.join(sizes)} of {run['compared']} {what}{beside}; {done}."
    )
    show.table(["subject", "class", "cause"], [[one["subject"], one["class"], one["cause"]] for one in run["named"]])


def _sum(one: Mapping[str, Any]) -> str:
    amounts = [money(amount, currency) for currency, amount in sorted(one["amounts"].items())]
    parts = [*([f"{one['units']} units"] if one["units"] else []), *amounts]
    return f" ({', '.join(parts)})" if parts else ""


@counterfoil.group("breaks", invoke_without_command=True)
@click.option("--sweep", type=click.Choice(KINDS), help="only those of this sweep")
@click.option("--store", help="only this store's")
@click.option("--settled", is_flag=True, help="also what is healed or accepted")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="how many at most")
@click.option("--json", "as_json", is_flag=True, help="answer in JSON, for programs")
@click.pass_context
def breaks(
    click_context: click.Context, sweep: str | None, store: str | None, settled: bool, limit: int, as_json: bool
) -> None:
    """Where a store and the engine disagree, the oldest first, with class, size, age and what heals it.

    Example: counterfoil breaks --store eu1
    """
    if as_json:
        click_context.obj = Context(click_context.obj.url, True)
    if click_context.invoked_subcommand is not None:
        return
    context: Context = click_context.obj
    query = {"sweep": sweep, "store": store, "settled": "true" if settled else None, "limit": limit}

    def shown(value: Mapping[str, Any]) -> None:
        rows = [
            [one["id"], one["store"], one["subject"], one["class"], _size(one), _age(one), _state(one), one["policy"]]
            for one in value["breaks"]
        ]
        columns = ["number", "store", "subject", "class", "size", "age", "state", "policy"]
        show.table(columns, rows, right=["number", "size", "age"])
        if not rows:
            show.line("No break stands.", "green")
        elif value["count"] > len(rows):
            show.line(f"{len(rows)} of {value['count']} are shown (--limit).")

    context.answer(context.client.get("breaks", **query), shown)


@command("show", breaks)
@click.argument("number", type=click.IntRange(1, 2**62))
def breaks_show(context: Context, number: int) -> None:
    """All of a break: its cause, its remedy, and its history.

    Example: counterfoil breaks show 7
    """

    def shown(value: Mapping[str, Any]) -> None:
        show.line(f"Break {value['id']} of {value['store']}, {value['class']}, {_size(value)}: {value['subject']}")
        show.line(f"{value['cause']} {value['remedy']} More: {value['runbook']}")
        rows = [[one["at"][:19], one["who"], one["what"], one["state"]] for one in value["history"]]
        show.table(["at", "who", "what", "state"], rows)

    context.answer(context.client.get("breaks", str(number)), shown)


@command("accept", breaks)
@NUMBERS
@click.option("--reason", required=True, help="why it may stand, for who looks at it later and for the audit log")
def breaks_accept(context: Context, numbers: Sequence[int], reason: str) -> None:
    """Let breaks stand as they are. One that gets another size is open again.

    Example: counterfoil breaks accept 7 --reason "display piece"
    """
    done = [context.client.post("breaks", "accept", body={"number": number, "reason": reason}) for number in numbers]
    context.answer({"breaks": done}, _each(lambda one: f"Break {one['break']} is accepted."))


@command("heal", breaks)
@NUMBERS
def breaks_heal(context: Context, numbers: Sequence[int]) -> None:
    """Let the repair of breaks begin: a number is written again, an order is read again. The next sweep proves it.

    Example: counterfoil breaks heal 7 8 9
    """
    done = [context.client.post("breaks", "heal", body={"number": number}) for number in numbers]
    context.answer({"breaks": done}, _each(lambda one: f"The repair of {one['subject']} has begun."))


def _each(said: Any) -> Any:
    def shown(value: Mapping[str, Any]) -> None:
        for one in value["breaks"]:
            show.or_proposed(said)(one)

    return shown


def _size(row: Mapping[str, Any]) -> str:
    units = f"{row['units']:+d} units" if row["units"] is not None else ""
    return ", ".join(part for part in (units, show.amount(row)) if part) or "?"


def _age(row: Mapping[str, Any]) -> str:
    minutes = int(row["age_s"]) // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2_880 else f"{minutes // 1_440} d"


def _state(row: Mapping[str, Any]) -> str:
    return f"{row['state']}, recurring" if row["recurring"] else str(row["state"])
