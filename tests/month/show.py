"""Prints a month: each tie-out as a table, amounts to the right, in major units of their currency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from counterfoil_engine.domain.money import decimals

from month import planted
from month.result import Result
from month.world import BOOK

Rows = Sequence[Sequence[str]]


def lines_of(result: Result) -> Iterator[str]:
    """All of it, the last line says whether it is good."""
    yield from _heading(result)
    yield from _table("Trial balance (debits less credits)", *_trial(result))
    yield from _table("Clearing by gateway and currency", *_clearing(result))
    yield from _table("  of which open, by why", *_reasons(result))
    yield from _table("Sales: gross value that stays sold", *_sales(result))
    yield from _table("Tax by treatment, jurisdiction and rate", *_tax(result))
    yield from _rounding(result)
    yield from _table("Gift cards", *_cards(result))
    yield from _table("Owed and unapplied, by age", *_owed(result))
    yield from _findings(result)
    amount = Decimal(result.remainder_minor) / 100
    yield f"month: remainder {amount:.2f}, planted {len(set(result.plan.planted))}, named {_count(result)}"


def _count(result: Result) -> int:
    """Findings that name what was planted; where something else is found besides, that counts against it."""
    return len(result.named)


def _heading(result: Result) -> Iterator[str]:
    snapshots = sum(len(life.snapshots) for life in result.plan.lives)
    facts = sum(len(life.facts) for life in result.plan.lives)
    statements = len(result.plan.stripe) + len(result.plan.paypal)
    yield f"{len(result.plan.lives)} orders in 4 stores of 2 companies, seed {result.plan.seed}: {snapshots} snapshots,"
    yield f"{facts} facts of warehouses and gateways, {statements} statements. Posted to the ERP:"
    yield ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(result.documents.items()))


def _trial(result: Result) -> tuple[Sequence[str], Rows]:
    head = ("entity", "role", "currency", "ours", "the ERP's", "difference", "explained", "remainder")
    rows = []
    for entity, tie in result.trial:
        show = amounts(tie.currency)
        figures = (tie.ours[0], tie.theirs[0], tie.difference[0], tie.explained[0], tie.remainder[0])
        rows.append((entity, tie.role, tie.currency, *map(show, figures)))
    for entity in sorted(BOOK):
        own = [tie for name, tie in result.trial if name == entity]
        show = amounts(BOOK[entity])
        sides = [
            sum(getattr(tie, side)[1] for tie in own)
            for side in ("ours", "theirs", "difference", "explained", "remainder")
        ]
        rows.append((entity, "all, in book currency", BOOK[entity], *map(show, sides)))
    return head, rows


def _clearing(result: Result) -> tuple[Sequence[str], Rows]:
    head = (
        *("gateway", "currency", "opening", "captures", "refunds", "fees", "disputes", "adjust.", "payouts", "closing"),
        *("the ERP's", "explained", "held there", "open", "remainder"),
    )
    rows = []
    for line in result.clearing:
        show = amounts(line.currency)
        figures = [line.figures[name] for name in ("captures", "refunds", "fees", "disputes", "adjustments", "payouts")]
        rest = (line.closing_minor, line.erps_minor, line.explained_minor, line.held_minor)
        open_minor = sum(line.reasons.values())
        numbers = (line.opening_minor, *figures, *rest, open_minor, line.remainder_minor)
        rows.append((line.gateway, line.currency, *map(show, numbers)))
    return head, rows


def _reasons(result: Result) -> tuple[Sequence[str], Rows]:
    rows = [
        (line.gateway, line.currency, why, amounts(line.currency)(amount))
        for line in result.clearing
        for why, amount in sorted(line.reasons.items())
    ]
    return ("gateway", "currency", "why", "amount"), rows


def _sales(result: Result) -> tuple[Sequence[str], Rows]:
    head = ("entity", "currency", "store", "invoiced", "not yet", "the ERP's", "difference", "explained", "remainder")
    rows = []
    for line in result.sold:
        show = amounts(line.currency)
        figures = (line.store_minor, line.engine_minor, line.open_minor, line.erps_minor)
        difference = line.erps_minor - line.engine_minor
        numbers = (*figures, difference, line.explained_minor, line.remainder_minor)
        rows.append((line.entity, line.currency, *map(show, numbers)))
    return head, rows


def _tax(result: Result) -> tuple[Sequence[str], Rows]:
    head = (
        *("entity", "tax", "currency", "store", "reduced", "not yet", "rounding", "engine", "the ERP's", "explained"),
        *("base", "the ERP's", "explained", "remainder"),
    )
    rows = []
    for line in result.tax.lines:
        show = amounts(line.currency)
        tax = (line.store_minor, -line.reduced_minor, -line.open_minor, -line.rounding_minor, line.engine_minor)
        theirs = (line.erps_minor, line.explained_minor)
        base = (line.base_minor, line.erps_base_minor, line.base_explained_minor, line.remainder_minor)
        rows.append((line.entity, line.role.removeprefix("tax:"), line.currency, *map(show, (*tax, *theirs, *base))))
    return head, rows


def _rounding(result: Result) -> Iterator[str]:
    count = result.tax.orders_rounded
    yield f"  rounding: in {count} orders the store's tax lines don't add up to the tax that it charged: it rounds"
    yield "  each rate by itself. What was charged is split over the rates, so that the sum is the store's."


def _cards(result: Result) -> tuple[Sequence[str], Rows]:
    head = (
        *("entity", "currency", "opening", "sold", "used", "given back", "closing", "the store's", "the ERP's"),
        *("explained", "remainder"),
    )
    rows = []
    for line in result.cards:
        show = amounts(line.currency)
        stores = line.stores["sold"] - line.stores["used"] + line.stores["given back"]
        moved = (0, line.figures["sold"], -line.figures["used"], line.figures["given back"], line.closing_minor)
        rest = (stores, line.erps_minor, line.explained_minor, line.remainder_minor)
        rows.append((line.entity, line.currency, *map(show, (*moved, *rest))))
    return head, rows


def _owed(result: Result) -> tuple[Sequence[str], Rows]:
    rows = []
    for entity, line in result.owed:
        role, _, age = line.detail.partition(", ")
        rows.append((entity, role, line.unit, age, str(line.of), amounts(line.unit)(line.ours)))
    return ("entity", "role", "currency", "age", "orders", "amount"), rows


def _findings(result: Result) -> Iterator[str]:
    yield ""
    yield "What the checks name"
    for kind in (*planted.KINDS, *sorted({each.named.kind for each in result.found} - set(planted.KINDS))):
        own = [each for each in result.found if each.named.kind == kind]
        if own:
            named, wanted = len({each.named for each in own}), [one for one in result.plan.planted if one.kind == kind]
            yield f"  {kind}: {named} named, {len(set(wanted))} planted"
            yield f"    {own[0].cause}"
            yield f"    → {own[0].remedy}"
    yield from (f"  NOT NAMED  {each.kind}: {each.about}" for each in result.missed)
    yield from (f"  NOT PLANTED  {each.kind}: {each.about}" for each in result.unplanned)
    for entity, sentences in result.open.items():
        yield f"  close check {entity}: {len(sentences)} open{', such as ' + sentences[0] if sentences else ''}"


def amounts(currency: str) -> Callable[[int], str]:
    """Minor units as people read them; nothing is a dot, so that what is there stands out."""

    def show(amount_minor: int) -> str:
        if not amount_minor:
            return "."
        places = decimals(currency)
        return f"{Decimal(amount_minor).scaleb(-places):,.{places}f}"

    return show


def _table(title: str, head: Sequence[str], rows: Rows) -> Iterator[str]:
    """Texts to the left, what is a number in every row to the right."""
    yield ""
    yield title
    if not rows:
        yield "  nothing"
        return
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    is_number = [all(_is_number(row[n]) for row in rows) for n in range(len(head))]
    for row in [head, *rows]:
        cells = (
            cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, widths, is_number, strict=True)
        )
        yield "  " + "  ".join(cells).rstrip()


def _is_number(cell: str) -> bool:
    return cell == "." or cell.replace(",", "").replace(".", "").replace("-", "").isdigit()
