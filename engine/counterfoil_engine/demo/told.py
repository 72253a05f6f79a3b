"""What the reader sees: a line for each thing that happens, and the proof as a table with its verdict."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from counterfoil_engine.demo import proof, stock
from counterfoil_engine.demo.places import Places
from counterfoil_engine.demo.proof import Proof


class Story:
    """One line for each thing that happens, with the seconds since the start."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.began_s = time.monotonic()

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.began_s

    def tell(self, text: str) -> None:
        self.console.print(f"[dim]{self.age_s:5.1f} s[/dim]  {text}", soft_wrap=True)

    def head(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/bold]", soft_wrap=True)

    def say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


def prove(places: Places) -> Proof:
    """Orders and stock, all parties as they are now."""
    found = proof.prove(places)
    found.checks.append(stock.agrees(places))
    return found


def prove_at_rest(places: Places, patience_s: float = 20.0) -> Proof:
    """The first proof that holds, or the last one once nothing has changed for so long.

    A town that lives stands still meanwhile: what is under way would count as a difference."""
    with places.standing_still():
        last, since_s = prove(places), time.monotonic()
        while not last.ok and time.monotonic() < since_s + patience_s:
            time.sleep(1)
            if (found := prove(places)).checks != last.checks:
                since_s = time.monotonic()
            last = found
    return last


def show_proof(story: Story, found: Proof) -> bool:
    """The proof on the screen, cases first, those of one cause together. Returns whether all held."""
    causes = Counter((case["category"], case["cause"], case["remedy"]) for case in found.cases)
    first = {case["cause"]: case["subject"] for case in reversed(found.cases)}
    for (category, cause, remedy), subjects in causes.items():
        whose = first[cause] if subjects == 1 else f"{first[cause]} and {subjects - 1} more"
        story.say(f"  [yellow]case {escape(category)}, {escape(whose)}[/yellow]: {escape(cause)} {escape(remedy)}")
    story.console.print(table_of(found))
    for check in found.checks:
        mark = "[green]OK  [/green]" if check.ok else "[red]FAIL[/red]"
        story.say(f"  {mark}  {escape(check.name)}: {escape(check.detail)}")
    return found.ok


def table_of(found: Proof) -> Table:
    """What is kept of all orders without a case, by currency: as the shops, the engine and the ERPs have it."""
    table = Table(box=box.SIMPLE, title_justify="left")
    table.add_column("sold, less given back")
    for column in ("orders", "shops", "engine", "ERPs"):
        table.add_column(column, justify="right")
    for total in found.totals:
        amounts = (total.shop_minor, total.engine_minor, total.erp_minor)
        table.add_row(total.currency, str(total.orders), *(proof.as_money(each, total.currency) for each in amounts))
    return table


def told_of(units: Mapping[str, int]) -> str:
    return ", ".join(f"{number} of {sku}" for sku, number in sorted(units.items()))


def shown_path(path: Path) -> str:
    return escape(str(path))


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]
