"""How answers look to a person: tables and sentences by rich, plain where the output is no terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from counterfoil_engine.domain.money import show as money

# Where the output is a file or a pipe there is no width to fit.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 180)


# What could move the cursor or colour a terminal; names of goods and people come from strangers.
_CONTROL = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """Text without control characters, and without what no encoding can write."""
    return text.translate(_CONTROL).encode(errors="replace").decode()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", right: Sequence[str] = ()) -> None:
    """A table, nothing where it has no row; values are text, never markup. right: the columns of numbers."""
    rows = list(rows)
    if not rows:
        return
    drawn = Table(title=escape(title) or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(escape(printable("" if value is None else str(value))) for value in row))
    console.print(drawn)


def line(text: str, style: str = "") -> None:
    console.print(escape(printable(text)), style=style or None, soft_wrap=True)


def amount(row: Mapping[str, Any], field: str = "amount_minor") -> str:
    """An amount of a row with its currency; empty where there is none."""
    value = row.get(field)
    return money(int(value), row.get("currency") or "").strip() if value is not None else ""


def side(row: Mapping[str, Any], field: str) -> str:
    """One side of a journal line; empty where nothing stands on it."""
    return amount(row, field) if row[field] else ""


def or_proposed(done: Callable[[Any], str]) -> Callable[[Any], None]:
    """How the answer to a command is shown that may take a second person: what was done, or that it waits for one."""

    def shown(value: Mapping[str, Any]) -> None:
        number = value.get("proposal")
        if number is None:
            return line(done(value))
        line(f"Proposed as {number}, until {value['expires_at'][:10]}: {value['summary']}", "yellow")
        return line(f"Somebody else approves it: counterfoil proposals approve {number}")

    return shown


def fields(row: Mapping[str, Any]) -> str:
    """A row of the rules as the file has it, on one line; what is to fill in is left blank."""
    return ", ".join(f"{name}: {_value(value)}".rstrip() for name, value in row.items())


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "{" + fields(value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if re.fullmatch(r"[A-Za-z_][\w./-]*|\d{4}-\d\d-\d\d\S*", text) else json.dumps(text, ensure_ascii=False)


def status(answer: Mapping[str, Any]) -> None:
    stores, problems = answer["stores"], answer["problems"]
    line("All is as it should be." if answer["ok"] else problems[0], "bold green" if answer["ok"] else "bold red")
    for problem in problems[1:]:
        line(problem, "red")
    eyes = answer["four_eyes"]
    line(eyes["says"] + (f" {eyes['waiting']} proposal(s) wait (counterfoil proposals list)." * bool(eyes["waiting"])))
    if not stores:
        line("No store has said hello yet.")
        return
    line("")
    table(
        ["store", "connected", "behind by", "holes", "kept-invalid", "orders", "stuck", "money held", "switches"],
        [
            [
                row["store"],
                "yes" if row["connected"] else f"no, since {row['last_seen_at']}",
                f"{row['behind_events']} events, {round(row['behind_s'])} s",
                ", ".join(f"{first}-{last}" for first, last in row["holes"]) or "none",
                row["kept_invalid"],
                ", ".join(f"{count} {reading}" for reading, count in sorted(row["orders"].items())),
                row["stuck"],
                ", ".join(amount(held) for held in row["money_held"]) or "none",
                ", ".join(f"{party} {setting}" for party, setting in row["switches"].items()) or "by rules",
            ]
            for row in stores
        ],
    )
    stocks = [(row["store"], row["stock"]) for row in stores if row.get("stock")]
    line("")
    table(
        ["store", "pool", "stock by", "exposed", "waiting", "held", "last write", "edits a day", "confirmed within"],
        [_stock_row(store, stock) for store, stock in stocks],
    )
    for store, stock in stocks:
        if stock["freshness"]["writes"]:
            line(f"{store}, age of numbers when confirmed, 7 days: {_histogram(stock['freshness']['buckets'])}.")
    line("")
    table(
        ["party", "entity", "breaker", "done", "ready", "sent", "refused"],
        [
            [row["party"], row["entity"], row.get("breaker", "closed")]
            + [row.get(state, 0) for state in ("done", "ready", "sent", "refused")]
            for row in answer["parties"]
        ],
    )
    if answer.get("sources"):
        line("")
        table(["source", "of", "last read", "all read", "facts", "unmatched", "unread"], _sources(answer["sources"]))
    if answer.get("agreement"):
        line("")
        columns = ["agreement", "of", "last begun", "ended", "breaks", "waiting", "at stake"]
        table(columns, _agreement(answer["agreement"]))
    line(f"\n{answer['work']['subjects']} subject(s) wait for a look. Rules {answer['rules_version'] or 'none'}.")


def _agreement(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    return [
        [
            *(row["sweep"], row["store"], (row["started_at"] or "never")[:19], row["state"] or "", row["breaks"]),
            *(row["waiting"], ", ".join(amount({"currency": c, "amount_minor": a}) for c, a in row["amounts"].items())),
        ]
        for row in rows
    ]


def _sources(rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    ages = [["never" if row[name] is None else f"{round(row[name])} s ago" for name in _AGES] for row in rows]
    counts = [[row[name] for name in ("facts", "unmatched", "unread")] for row in rows]
    named = [[row["source"], row["party"]] for row in rows]
    return [[*each, *age, *count] for each, age, count in zip(named, ages, counts, strict=True)]


_AGES = ("last_read_s", "lag_s")


def _said(fact: Mapping[str, Any]) -> str:
    told = [f"{name.removesuffix('_minor')} {value}" for name, value in fact["said"].items()]
    return ", ".join([*told, *fact["lines"]])


def _stock_row(store: str, stock: Mapping[str, Any]) -> list[Any]:
    excess, last, fresh = stock["in_excess"], stock["last_write"], stock["freshness"]
    exposed = f"yes, {excess['units']} units of {excess['skus']} SKUs in excess" if stock["exposed"] else "no"
    within = " ".join(f"{name} {_age_bound(fresh[f'{name}_s'])}" for name in ("p50", "p95")) if fresh["writes"] else "-"
    return [
        store,
        stock["pool"],
        f"{stock['writes_by']}, {stock['switch']}",
        exposed,
        stock["waiting"],
        "counting" if stock["basis_held"] else stock["held"] or "-",
        f"{last['sku_key']} {last['number']}, {last['verdict']} at {last['at']}" if last else "none yet",
        stock["edits_a_day"],
        within,
    ]


def _histogram(buckets: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{_age_bound(one['at_most_s'])}: {one['writes']}" for one in buckets if one["writes"])


def _age_bound(seconds: int | None) -> str:
    """A bound of an age, in the largest unit that it is whole in."""
    if seconds is None:
        return "older"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def order(answer: Mapping[str, Any]) -> None:
    line(f"{answer['subject']}: {answer['reading']}. {answer['reason']}", "bold")
    if answer["unread"] and answer["unread"] != answer["reason"]:
        line(answer["unread"], "red")
    cases(answer["cases"])
    table(
        ["n", "read at", "kind", "status", "total", "refunds"],
        [
            [
                f"{fact['epoch']}.{fact['n']}",
                fact["read_at"],
                fact["kind"],
                fact["status"],
                fact["total"],
                fact["refunds"],
            ]
            for fact in answer["facts"]
        ],
        "Facts",
    )
    if said := answer.get("party_facts"):
        table(
            ["at", "who", "kind", "what"],
            [[fact["at"], f"{fact['party']} {fact['source']}", fact["kind"], _said(fact)] for fact in said],
            "What others said",
        )
    table(
        ["document", "state", "ERP number", "amount", "day", "why"],
        [[row["key"], row["state"], row["number"], amount(row), row["day"], row["why"]] for row in answer["documents"]],
        "Documents",
    )
    pending = [due for due in answer["dues"] if due["would_post"]]
    if pending:
        table(["slot", "amount", "why"], [[due["slot"], amount(due), due["why"]] for due in pending], "Still to post")
    table(
        ["document", "role", "debit", "credit"],
        [
            [row["document"], row["role"], side(row, "debit_minor"), side(row, "credit_minor")]
            for row in answer["journal"]
        ],
        "Journal",
        right=["debit", "credit"],
    )
    currency = answer["currency"]
    table(
        ["proof", "left", "right", ""],
        [
            [row["name"], money(row["left_minor"], currency), money(row["right_minor"], currency), _holds(row["ok"])]
            for row in answer["proof"]
        ],
        "Proof",
        right=["left", "right"],
    )


def _holds(ok: bool) -> str:
    return "holds" if ok else "FAILS"


def cases(rows: Sequence[Mapping[str, Any]]) -> None:
    """Each case with its remedy and the rows that are missing; those of one cause say how many they are."""
    for row in rows:
        stake = f" ({amount(row, 'money_minor')})" if row.get("money_minor") is not None and row.get("currency") else ""
        many = (
            f"{row['subjects']} subjects: "
            if row.get("subjects")
            else f"{row['subject']}: "
            if row.get("subject")
            else ""
        )
        line(f"{many}[{row['category']}] {row['cause']}{stake}", "red")
        line(f"  {row['remedy']}")
        missing_rows(row)


def missing_rows(row: Mapping[str, Any]) -> None:
    """What a case lacks of the rules, ready to fill in."""
    for missing in row.get("rows", ()):
        table_name = str(missing.get("table", "rules"))
        asked = {name: value for name, value in missing.items() if name != "table"}
        line(f"  missing row: {table_name}: {{{fields(asked)}}}")


def would(answer: Mapping[str, Any]) -> None:
    line(f"{answer['subjects']} subject(s) looked at; {len(answer['changing'])} would change. Nothing was written.")
    table(
        ["step", "kind", "documents", "amount"],
        [[row["step"], row["kind"], row["documents"], amount(row)] for row in answer["would"]],
        right=["documents", "amount"],
    )


def why(value: Mapping[str, Any]) -> None:
    """A SKU's waterfall, who has reserved it, and what each store was told."""
    published = value["published"]
    told = f"version {published['version']} says {published['number']}" if published else "nothing is published yet"
    line(f"{value['sku']} in {value['pool']}: {value['number']} to sell ({told})")
    terms = [
        [term["name"], term["units"], term["warehouse"] or "", term["source"], _age(term["age_s"])]
        for term in value["terms"]
    ]
    table(["term", "units", "warehouse", "source", "age"], [*terms, ["to sell", value["number"], "", "", ""]])
    names = ["store", "order", "line", "lowered", "allocated", "shipped", "waiting", "reserved", "note"]
    table(names, [[one[name] for name in names] for one in value["reservations"]], "Reserved")
    rows = []
    for store in value["stores"]:
        cap, basis = store["cap"], store["basis"]
        place = f"{basis['epoch']}/{basis['n']}" if basis else "-"
        left = f"{cap['left']} of {cap['units']}" if cap else "-"
        for write in store["writes"] or [{}]:
            said = f"{write['verdict']} {write['reason'] or ''}".strip() if write else "nothing was written yet"
            rows.append([store["store"], place, left, write.get("version"), write.get("number"), said, write.get("at")])
    table(["store", "counted to", "cap left", "version", "number", "answer", "at"], rows, "Written")


def _age(age_s: float | None) -> str:
    return "" if age_s is None else f"{age_s:g} s"
