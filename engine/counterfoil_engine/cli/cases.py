"""`counterfoil cases`: what is stuck, one cause a line; each case with its history; and what people do about them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import CATEGORIES, EXIT_STATUS, Context, Moment, command, counterfoil, with_json
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.money import show as money

NUMBER = click.argument("number", type=click.IntRange(1, 2**62))
ALIKE = click.option("--alike", is_flag=True, help="all that share its cause")
_UNITS_S = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Age(click.ParamType):
    """A length of time, in seconds: 30m, 12h, 3d, 2w."""

    name = "age"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        given = re.fullmatch("([0-9]{1,4})([mhdw])", str(value))
        if given is None:
            self.fail(f"{str(value)[:40]!r} is no length of time, such as 30m, 12h, 3d or 2w.", param, ctx)
        return int(given[1]) * _UNITS_S[given[2]]


class Amount(click.ParamType):
    """An amount in units of a currency."""

    name = "amount"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,4})?", str(value)):
            self.fail(f"{str(value)[:40]!r} is no amount, such as 100 or 99.90.", param, ctx)
        return str(value)


@counterfoil.group("cases", invoke_without_command=True, epilog=EXIT_STATUS)
@click.option("--category", type=CATEGORIES, help="only these")
@click.option("--store", help="only this store's")
@click.option("--party", help="only those with this party at the far end: store, erp, wms, gateway, tax")
@click.option("--owner", help="only those that this person looks after")
@click.option("--older-than", type=Age(), help="open for so long at least: 30m, 12h, 3d, 2w")
@click.option("--min-amount", type=Amount(), help="with so much at stake at least, in units of whatever currency")
@click.option("--snoozed", is_flag=True, help="also what is put off")
@click.option("--single", is_flag=True, help="one by one, with their numbers, instead of by cause")
@click.option(
    "--sort", type=click.Choice(["money", "age"]), default="money", show_default=True, help="what comes first"
)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="how many at most")
@click.option("--page", default=1, show_default=True, type=click.IntRange(1, 1_000), help="which so many")
@with_json
@click.pass_context
def cases(click_context: click.Context, single: bool, limit: int, page: int, **wanted: Any) -> None:
    """What is stuck, those of one cause together, each with cause, remedy and the rows that are missing.

    Example: counterfoil cases --category missing_mapping --sort age
    """
    if click_context.invoked_subcommand is not None:
        return
    context: Context = click_context.obj
    query = {
        **{name: wanted[name] for name in ("category", "store", "party", "owner", "sort")},
        "older_than_s": wanted["older_than"],
        "min_amount": wanted["min_amount"],
        "snoozed": "true" if wanted["snoozed"] else None,
        "limit": limit,
        "offset": (page - 1) * limit,
    }
    context.answer(context.client.get("cases", **query), _singles if single else _causes)


@command("show", cases)
@NUMBER
def cases_show(context: Context, number: int) -> None:
    """All of a case: cause, remedy, what it is worth, its history, and how far its order has come.

    Example: counterfoil cases show 17
    """
    context.answer(context.client.get("cases", str(number)), _whole)


@command("assign", cases)
@NUMBER
@click.argument("name", required=False)
@ALIKE
def cases_assign(context: Context, number: int, name: str | None, alike: bool) -> None:
    """Say who looks after a case from now on, one of `counterfoil users list`; without a name: nobody.

    Example: counterfoil cases assign 17 anna --alike
    """
    answer = context.client.post("cases", "assign", body={"case": number, "owner": name, "alike": alike})
    said = f"{name} looks" if name else "Nobody looks"
    context.answer(answer, lambda value: show.line(f"{said} after {len(value['cases'])} case(s)."))


@command("snooze", cases)
@NUMBER
@click.argument("until", type=Moment(), required=False)
@ALIKE
def cases_snooze(context: Context, number: int, until: datetime | None, alike: bool) -> None:
    """Put a case off until a moment, when it comes back by itself; without a moment: take it back now.

    Example: counterfoil cases snooze 17 2026-12-01
    """
    body = {"case": number, "until": until.isoformat() if until else None, "alike": alike}
    answer = context.client.post("cases", "snooze", body=body)
    when = f"are put off until {until:%Y-%m-%d %H:%M} UTC" if until else "are back"
    context.answer(answer, lambda value: show.line(f"{len(value['cases'])} case(s) {when}."))


@command("comment", cases)
@NUMBER
@click.argument("text")
@ALIKE
def cases_comment(context: Context, number: int, text: str, alike: bool) -> None:
    """Say something about a case, for who comes next. It stays, also when the case is over.

    Example: counterfoil cases comment 17 "asked the shop, they call back on Monday"
    """
    answer = context.client.post("cases", "comment", body={"case": number, "text": text, "alike": alike})
    context.answer(answer, lambda value: show.line(f"Said at {len(value['cases'])} case(s)."))


@command("retry", cases)
@NUMBER
@ALIKE
def cases_retry(context: Context, number: int, alike: bool) -> None:
    """Let a case's subject try again.

    Example: counterfoil cases retry 17
    """
    answer = context.client.post("cases", "retry", body={"case": number, "alike": alike})
    context.answer(answer, lambda value: show.line(f"{len(value['subjects'])} subject(s) are looked at again."))


SET = click.option(
    "--set", "values", multiple=True, metavar="FIELD=VALUE", help="fill in this field of the missing row; repeatable"
)


@command("fill", cases)
@NUMBER
@SET
def cases_fill(context: Context, number: int, values: tuple[str, ...]) -> None:
    """Fill in the row that a case lacks, as a new version of the rules; every order that it held goes on.

    Example: counterfoil cases fill 17 --set gateway=stripe
    """
    answer = context.client.post("cases", "fill", body={"case": number, "values": given(values)})
    said = show.or_proposed(lambda value: f"Version {value['version']}; {value['freed']} subject(s) resume.")
    context.answer(answer, said)


@command("preview", cases)
@NUMBER
@SET
@ALIKE
def cases_preview(context: Context, number: int, values: tuple[str, ...], alike: bool) -> None:
    """What would be posted once a case is over; with --set: once the missing row is filled in. Writes nothing.

    Example: counterfoil cases preview 17 --set gateway=stripe
    """
    body = {"case": number, "values": given(values) if values else {}, "alike": alike}
    context.answer(context.client.post("cases", "preview", body=body), _previewed)


@command("correct", cases)
@NUMBER
@click.option("--reason", required=True, help="why it is right so, for who approves it and for the audit log")
@click.option("--patch", type=click.Path(path_type=Path), help="a file of JSON operations (RFC 6902)")
@click.option("--body", type=click.Path(path_type=Path), help='a file of all of it anew: {"order", "refunds"}')
def cases_correct(context: Context, number: int, reason: str, patch: Path | None, body: Path | None) -> None:
    """Propose how an order that can't be read is to be read; somebody else approves it, the original stays.

    A patch is such as [{"op": "replace", "path": "/order/total", "value": "11.90"}].

    Example: counterfoil cases correct 17 --patch total.json --reason "typed twice"
    """
    if (patch is None) == (body is None):
        raise click.UsageError("Name either --patch or --body.")
    given = {"patch": _json_of(patch)} if patch else {"body": _json_of(body)}
    answer = context.client.post("cases", "correct", body={"case": number, "reason": reason, **given})
    said = show.or_proposed(lambda value: f"Correction {value['correction']}: {value['subject']} is looked at again.")
    context.answer(answer, said)


def _json_of(path: Path | None) -> Any:
    assert path is not None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise CounterfoilError(f"{path} can't be read: {why}.", "Name a readable file of JSON.", "contract") from None


def given(values: tuple[str, ...]) -> dict[str, str]:
    """field → value, of what was typed as field=value."""
    pairs = [value.partition("=") for value in values]
    if not pairs or any(not (name and is_set and value) for name, is_set, value in pairs):
        raise click.UsageError("Fill in at least one field: --set FIELD=VALUE.")
    return {name: value for name, _, value in pairs}


def _causes(value: Mapping[str, Any]) -> None:
    for row in value["causes"]:
        worth = ", ".join(money(int(held["amount_minor"]), held["currency"]) for held in row["money"])
        stake = f" ({worth})" if worth else ""
        show.line(f"{row['subjects']} subjects: [{row['category']}] {row['cause']}{stake}", "red")
        show.line(f"  {row['remedy']}")
        show.missing_rows(row)
        owner = f", {row['owner']} looks after it" if row["owner"] else ""
        show.line(f"  case {row['case']}, oldest of {_moment(row['oldest'])}{owner}; {row['runbook']}")
    _rest(value, len(value["causes"]), value["found"]["causes"])


def _singles(value: Mapping[str, Any]) -> None:
    show.table(
        ["case", "subject", "category", "at stake", "party", "since", "owner", "cause"],
        [
            [
                *(row[name] for name in ("id", "subject", "category")),
                show.amount(row, "money_minor"),
                row["party"],
                _moment(row["opened_at"]),
                *(row[name] for name in ("owner", "cause")),
            ]
            for row in value["cases"]
        ],
        right=["case", "at stake"],
    )
    _rest(value, len(value["cases"]), value["found"]["cases"])


def _rest(value: Mapping[str, Any], shown: int, found: int) -> None:
    if not found:
        show.line("No case is open.", "green")
    elif found > shown:
        show.line(f"{shown} of {found} (--limit, --page).")
    if value["snoozed"]:
        show.line(f"{value['snoozed']} case(s) are put off (--snoozed).")


def _whole(value: Mapping[str, Any]) -> None:
    over = f"over since {_moment(value['resolved_at'])}: {value['resolution']}" if value["resolved_at"] else "open"
    show.line(f"Case {value['id']} of {value['subject']}, {over}", "bold")
    show.cases([{**value, "subjects": None}])
    alike = f"{value['alike']} subjects share this cause; " if value["alike"] > 1 else ""
    owner = value["owner"] or "nobody"
    put_off = f"; put off until {_moment(value['snoozed_until'])}" if value["snoozed_until"] else ""
    show.line(f"  {alike}{owner} looks after it{put_off}; {value['runbook']}")
    if value["steps"]:
        show.line(" → ".join(_step(step) for step in value["steps"]))
    rows = [[_moment(entry["at"]), entry["who"], entry["what"], entry["said"]] for entry in value["history"]]
    show.table(["at", "who", "what", ""], rows, "History")


def _previewed(value: Mapping[str, Any]) -> None:
    show.line(f"{value['looked_at']} of {value['subjects']} subject(s) looked at. Nothing was written.")
    rows = [[one["step"], one["name"], show.amount(one), one["why"]] for one in value["documents"]]
    show.table(["step", "document", "amount", "why"], rows, right=["amount"])
    totals = [[row["step"], row["kind"], row["documents"], show.amount(row)] for row in value["would"]]
    show.table(["step", "kind", "documents", "amount"], totals, "All together", right=["documents", "amount"])
    for one in value["parked"]:
        show.line(f"{one['subject']} is parked still: {one['cause']}", "red")


def _step(step: Mapping[str, Any]) -> str:
    return str(step["step"]) if step["state"] == "done" else f"{step['step']} ({step['state']})"


def _moment(value: str) -> str:
    return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M")
