"""Money: each gateway's clearing day by day, payouts line by line, refunds three ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from flask import Blueprint, Response, request

from counterfoil_engine.api.finance import NAMES
from counterfoil_engine.api.requests import Name, Strict
from counterfoil_engine.console.access import caller, can
from counterfoil_engine.console.filters import day as shown_day
from counterfoil_engine.console.filters import many
from counterfoil_engine.console.filters import money as shown_money
from counterfoil_engine.console.forms import Line, form, query
from counterfoil_engine.console.layout import go, page, tell
from counterfoil_engine.console.parts import Console
from counterfoil_engine.domain.settlement.roll_forward import FIGURES

Row = Mapping[str, Any]
PAYOUTS_SHOWN, DAYS_SHOWN = 50, 31


class _Clearing(Strict):
    gateway: Name
    entity: Line | None = None
    since: date | None = None


class _Day(Strict):
    gateway: Name
    day: date
    entity: Line
    after: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0


class _Payout(Strict):
    source: Name
    payout: Name


class _Match(Strict):
    line: Name
    document: Name


class _Refunds(Strict):
    entity: Line | None = None
    since: date | None = None
    all: str = ""


def money_pages(at: Blueprint, does: Console) -> None:
    @at.get("/money")
    def money() -> Response:
        listed, entities = does.finances.payouts.list(None, PAYOUTS_SHOWN)["payouts"], does.books.entities()
        now = does.clock.now()
        month = now.strftime("%Y-%m")
        entities = [{**one, "yesterday": yesterday(now, one["zone"])} for one in entities]
        return page("money.html", of="money", answer=answer(listed), payouts=listed, entities=entities, month=month)

    @at.get("/money/clearing/<gateway>")
    def clearing(gateway: str) -> Response:
        asked = query(request, _Clearing, gateway=gateway)
        since = asked.since or does.clock.now().date() - timedelta(days=DAYS_SHOWN)
        said = does.finances.finance.clearing(asked.gateway, asked.entity, since)
        return page(
            "clearing.html",
            of="money",
            answer=clearing_answer(said),
            figures=[name for name in FIGURES if any(one[f"{name}_minor"] for one in said["days"])],
            since=since.isoformat(),
            entity=asked.entity,
            **said,
        )

    @at.get("/money/clearing/<gateway>/<day>")
    def clearing_day(gateway: str, day: str) -> Response:
        asked = query(request, _Day, gateway=gateway, day=day)
        said = does.finances.days.show(asked.gateway, asked.entity, asked.day, asked.after)
        return page("clearing_day.html", of="money", answer=day_answer(said), after=asked.after, **said)

    @at.get("/money/payouts/<source>/<path:payout>")
    def payout(source: str, payout: str) -> Response:
        asked = query(request, _Payout, source=source, payout=payout)
        shown = does.finances.payouts.show(asked.source, asked.payout, can(NAMES))
        return page("payout.html", of="money", answer=payout_answer(shown), where=asked, shown=shown)

    @at.post("/money/payouts/<source>/<path:payout>")
    def match_line(source: str, payout: str) -> Response:
        asked, wanted = query(request, _Payout, source=source, payout=payout), form(request, _Match)
        what = {"source": asked.source, "payout": asked.payout, "line": wanted.line, "document": wanted.document}
        said = does.finances.four_eyes.ask("manual_match", what, caller())
        proposed = f"Proposed as number {said['proposal']}: a second person decides." if said.get("proposal") else ""
        tell(does, proposed or f"Line {wanted.line} is {wanted.document}.")
        return go("payout", source=asked.source, payout=asked.payout)

    @at.get("/money/refunds")
    def refunds() -> Response:
        asked = query(request, _Refunds)
        said = does.finances.finance.refunds(asked.entity, asked.since, not asked.all)
        return page("refunds.html", of="money", answer=refunds_answer(said), asked_for=asked, **said)


def yesterday(now: datetime, zone: str) -> str:
    """The day before, where an entity is."""
    return (now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)).isoformat()


def answer(payouts: Sequence[Row]) -> str:
    """The first line of the page."""
    if not payouts:
        return "No payout has been reported yet."
    stuck = [row for row in payouts if row["cases"]]
    waiting = [row for row in payouts if not row["cases"] and row["reading"] in (None, "waiting")]
    said = []
    if stuck:
        said.append(f"{many(len(stuck), 'payout has lines', 'payouts have lines')} that nobody explained yet")
    if waiting:
        said.append(f"{many(len(waiting), 'waits', 'wait')} for a report or for documents")
    return f"{', '.join(said)}." if said else f"The last {len(payouts)} payouts match what is posted, line by line."


def clearing_answer(said: Row) -> str:
    """The first line of a gateway's clearing: what nobody has explained, in the open."""
    days = said["days"]
    if not days:
        return f"Nothing moved by {said['gateway']} in these days."
    last: dict[tuple[str, str], Row] = {}
    for one in days:
        last[one["entity"], one["currency"]] = one
    parts = []
    for (entity, currency), one in sorted(last.items()):
        owed = shown_money(one["closing_minor"], currency)
        if one["unexplained_minor"] is None:
            parts.append(f"{said['gateway']} owes {entity} {owed}; the ERP can't say what it has")
        elif one["unexplained_minor"]:
            parts.append(f"{shown_money(one['unexplained_minor'], currency)} of {entity} is unexplained beside {owed}")
        else:
            parts.append(f"{said['gateway']} owes {entity} {owed}, and so says the ERP")
    return "; ".join(parts) + "."


def day_answer(said: Row) -> str:
    """The first line of a day of a clearing: what is unexplained of it."""
    of = f"{said['gateway']} of {said['entity']} on {shown_day(said['day'])}"
    open_ones = [*said["unknown"], *said["differences"]]
    if not open_ones:
        return f"Nothing is unexplained at {of}." if said["moved"] else f"Nothing moved at {of}."
    sums: dict[str, int] = {}
    for one in open_ones:
        if one["currency"]:
            sums[one["currency"]] = sums.get(one["currency"], 0) + abs(one["amount_minor"] or 0)
    amounts = " and ".join(shown_money(amount, currency) for currency, amount in sorted(sums.items()))
    parts = [many(len(said["unknown"]), "line has no order", "lines have no order")] if said["unknown"] else []
    parts += [many(len(said["differences"]), "difference stands", "differences stand")] if said["differences"] else []
    return f"{amounts} is unexplained at {of}: {', '.join(parts)}."


def payout_answer(shown: Row) -> str:
    """The first line of a payout's page."""
    amount = shown_money(shown["net_minor"], shown["currency"])
    said = f"{shown['subject'].removeprefix('payout ')} paid {amount} in {len(shown['lines'])} lines"
    cases = len(shown["cases"])
    return f"{said}; {many(cases, 'thing is', 'things are')} open." if cases else f"{said}, all explained."


def refunds_answer(said: Row) -> str:
    """The first line of the refunds' page."""
    lacking = [row for row in said["refunds"] if row["case"]]
    unknown = said["without_order"]
    if not lacking and not unknown:
        return f"Store, gateway and credit note agree on every refund of {said['orders']:,} orders."
    gateway_only = len([row for row in lacking if row["store_minor"] is None]) + len(unknown)
    lack = many(len(lacking) + len(unknown), "refund lacks", "refunds lack")
    more = f" The gateway knows {gateway_only} of them, and the shop doesn't." if gateway_only else ""
    return f"{lack} a side or differ.{more}"
