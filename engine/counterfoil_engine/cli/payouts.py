"""`counterfoil payouts`, `clearing` and `refunds`: what gateways paid out, and whether it ties out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, command, counterfoil
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.money import show as money
from counterfoil_engine.domain.settlement.roll_forward import FIGURES
from counterfoil_engine.domain.settlement.text import SIZE_MAX_BYTES

PAYOUT = click.argument("payout", metavar="SOURCE/PAYOUT")
SINCE = click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="from this day on")
ENTITY = click.option("--entity", help="of one legal entity (default: of all)")


@counterfoil.group("payouts")
def payouts() -> None:
    """What gateways paid out: reports, their lines, and which postings these are."""


@command("take", payouts)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", required=True, help="the gateway, as payment_methods name it")
def payouts_take(context: Context, file: Path, source: str) -> None:
    """Hand in a file of payout reports as the gateway gave it; twice is once.

    Example: counterfoil payouts take november.csv --source stripe
    """
    answer = context.client.send("payouts", source, file=_bytes_of(file), name=file.name)

    def shown(value: Any) -> None:
        for each in value["payouts"]:
            color = "red" if each["verdict"] in ("conflict", "failed") else "green"
            show.line(f"{source}/{each['payout']}: {_taken(each)}.", color)

    context.answer(answer, shown)


_LISTED = {
    "waits": "it counts once its transactions say in which currency",
    "later": "on its way: a later list says whether it was paid",
    "failed": "failed",
}


def _taken(each: Mapping[str, Any]) -> str:
    """What became of a payout: of a report, or of a row of a list."""
    if "lines" in each:
        return f"{each['verdict']}, {money(each['net_minor'], each['currency'])} in {each['lines']} lines"
    amount = f"{each['amount']} {each['currency'] or ''}".strip()
    return f"{_LISTED.get(each['verdict'], each['verdict'])}, {amount} on {each['paid_on']}"


@command("list", payouts)
@click.option("--source", help="of one gateway")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="so many at most")
def payouts_list(context: Context, source: str | None, limit: int) -> None:
    """Payouts, the latest first, and how each stands.

    Example: counterfoil payouts list --source stripe
    """

    def shown(value: Any) -> None:
        rows = [
            [
                each["subject"].removeprefix("payout "),
                each["paid_on"] or "",
                money(int(each["net_minor"]), each["currency"]) if each["currency"] else "",
                "" if each["line_count"] is None else str(each["line_count"]),
                each["reading"] or "waiting",
                str(each["cases"]),
            ]
            for each in value["payouts"]
        ]
        show.table(
            ["payout", "paid on", "amount", "lines", "reading", "cases"], rows, right=["amount", "lines", "cases"]
        )

    context.answer(context.client.get("payouts", source=source, limit=limit), shown)


@command("show", payouts)
@PAYOUT
def payouts_show(context: Context, payout: str) -> None:
    """A payout's reports, lines, and open cases.

    Example: counterfoil payouts show stripe/po_88
    """
    source, name = _named(payout)
    context.answer(context.client.get("payout", source=source, payout=name), _shown)


@command("match", payouts)
@PAYOUT
@click.argument("line")
@click.argument("document")
def payouts_match(context: Context, payout: str, line: str, document: str) -> None:
    """Say which posted document a line of a payout is. Takes a second person.

    Example: counterfoil payouts match stripe/po_88 txn_1A eu1/1001/payment/ch_1A/r1
    """
    source, name = _named(payout)
    body = {"source": source, "payout": name, "line": line, "document": document}
    answer = context.client.post("payout", "match", body=body)
    context.answer(answer, show.or_proposed(lambda value: f"Line {value['line']} is {value['slot']}."))


@command("choose", payouts)
@PAYOUT
@click.argument("report")
def payouts_choose(context: Context, payout: str, report: str) -> None:
    """Of two reports of a payout that differ, say which counts, by its digest. Takes a second person.

    Example: counterfoil payouts choose stripe/po_88 5f3a9c01
    """
    source, name = _named(payout)
    answer = context.client.post("payout", "choose", body={"source": source, "payout": name, "report": report})
    context.answer(answer, show.or_proposed(lambda value: f"The report {value['report'][:12]} counts."))


@command(
    "clearing",
    exit_status="Exit status: 0 nothing is unexplained, 1 something is, or the ERP can't say, 2 wrong usage.",
)
@click.argument("gateway")
@ENTITY
@SINCE
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="to this day; the ERP's balance is today's alone")
def clearing(context: Context, gateway: str, entity: str | None, since: datetime | None, until: datetime | None) -> int:
    """A gateway's clearing day by day, tied to the ERP's balance; what is unexplained stands in the open. Reads only.

    Example: counterfoil clearing stripe --entity DE01 --since 2026-11-01
    """
    query = {"gateway": gateway, "entity": entity, "since": _day(since), "until": _day(until)}
    answer = context.client.get("clearing", **query)
    context.answer(answer, _shown_clearing)
    said = [day["unexplained_minor"] for day in answer.get("days", ())]
    return int(any(said) or bool(answer.get("not_asked")))


@command("refunds", exit_status="Exit status: 0 nothing lacks or differs, 1 something does, 2 wrong usage.")
@click.option("--unmatched", is_flag=True, help="only those that lack a side or differ")
@ENTITY
@SINCE
def refunds(context: Context, unmatched: bool, entity: str | None, since: datetime | None) -> int:
    """Refunds three ways: the store's, the gateway's and the credit note's; then those that no order knows. Reads only.

    Example: counterfoil refunds --unmatched
    """
    flag = "true" if unmatched else None
    answer = context.client.get("refunds", entity=entity, since=_day(since), unmatched=flag)

    def shown(value: Any) -> None:
        sides = ("store_minor", "gateway_minor", "credit_note_minor")
        rows = [
            [
                each["subject"].removeprefix("order "),
                each["refund"],
                str(each["days"]),
                *("" if each[side] is None else money(each[side], each["currency"]) for side in sides),
                each["case"] or "",
            ]
            for each in value["refunds"]
        ]
        columns = ["order", "refund", "days", "store", "gateway", "credit note", "lacks"]
        show.table(columns, rows, right=columns[2:6])
        if value["without_order"]:
            names = ["line", "payout", "day", "paid back"]
            show.table(names, [_of_line(each) for each in value["without_order"]], right=names[3:])

    context.answer(answer, shown)
    return int(any(each["case"] for each in answer.get("refunds", ())) or bool(answer.get("without_order")))


def _of_line(line: Mapping[str, Any]) -> list[str]:
    """A refund that only a gateway's report has."""
    amount = money(-line["amount_minor"], line["currency"])
    return [line["line"], f"{line['source']}/{line['payout']}", line["day"], amount]


@command("pay-refund")
@click.argument("order")
@click.argument("refund")
def pay_refund(context: Context, order: str, refund: str) -> None:
    """Have the engine pay a refund that is held since it is above the limit. Takes a second person.

    Example: counterfoil pay-refund eu1/1001 5001
    """
    store, _, name = order.removeprefix("order ").partition("/")
    if not store or not name:
        raise click.UsageError(f"{order[:60]!r} is no order, such as eu1/1001.")
    answer = context.client.post("refunds", "pay", body={"store": store, "order": name, "refund": refund})
    context.answer(answer, show.or_proposed(lambda value: f"{value['slot']} is paid now."))


def _shown(value: Mapping[str, Any]) -> None:
    currency = value["currency"]
    amount = money(value["net_minor"], currency)
    show.line(f"{value['subject']}: {amount}, paid on {value['paid_on']}, {len(value['lines'])} lines.", "bold")
    for report in value["reports"]:
        counts = "counts" if report["stands"] else "doesn't count"
        show.line(f"  report {report['digest'][:12]} ({report['name']}, {report['taken_at'][:10]}) {counts}")
    columns = ["line", "row", "kind", "transaction", "reference", "gross", "fee"]
    rows = [
        [
            line["id"],
            str(line["row"]),
            line["kind"],
            line["transaction"] or "",
            line["reference"] or "",
            money(line["gross_minor"], line["currency"]),
            money(line["fee_minor"], line["currency"]),
        ]
        for line in value["lines"]
    ]
    show.table(columns, rows, right=["row", "gross", "fee"])
    likely = [
        [line["line"] or f"row {line['row']}", one["document"], one["score"], one["reason"], one["customer"] or ""]
        for line in value["likely"]
        for one in line["candidates"]
    ]
    if likely:
        show.table(["line", "most likely is", "score", "why", "bought by"], likely, right=["score"])
    for case in value["cases"]:
        show.line(f"{case['cause']} {case['remedy']}", "red")


def _shown_clearing(value: Mapping[str, Any]) -> None:
    names = ("opening", *FIGURES, "closing", "without_order", "erp", "unexplained")
    rows = [
        [
            day["entity"],
            day["day"],
            *("" if (amount := day[f"{name}_minor"]) is None else money(amount, day["currency"]) for name in names),
        ]
        for day in value["days"]
    ]
    titles = ["opening", *FIGURES, "closing", "without order", "ERP's", "unexplained"]
    show.table(["entity", "day", *titles], rows, right=titles)
    for said in value["not_asked"]:
        show.line(said, "red")


def _named(payout: str) -> tuple[str, str]:
    source, _, name = payout.removeprefix("payout ").partition("/")
    if not source or not name:
        raise click.UsageError(f"{payout[:60]!r} is no payout, such as stripe/po_88.")
    return source, name


def _day(value: datetime | None) -> str | None:
    return value.date().isoformat() if value else None


def _bytes_of(file: Path) -> bytes:
    try:
        if file.stat().st_size > SIZE_MAX_BYTES:
            raise CounterfoilError(
                f"{file} is larger than {SIZE_MAX_BYTES} bytes.", "Export it for a shorter time.", "contract"
            )
        return file.read_bytes()
    except OSError as error:
        raise CounterfoilError(f"{file} can't be read: {error.strerror}.", "Check its name.", "contract") from None
