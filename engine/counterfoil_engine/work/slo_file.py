"""The file of objectives: YAML in, `Objective`s out; every fault with its line. Without one, the engine's own holds."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from importlib import resources

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.slo import DAY_S, Burn, Objective
from counterfoil_engine.work.rules_file import read_by_contract

CONTRACT = "config/slos.v1"
MOST_CHARACTERS = 100_000


def own_objectives() -> list[Objective]:
    """Those that hold where no file is named."""
    return parse_slos((resources.files("counterfoil_engine") / "slos.yaml").read_text(encoding="utf-8"))


def parse_slos(text: str) -> list[Objective]:
    """Raises CounterfoilError with every fault against the contract, or the first that no contract can say."""
    if len(text) > MOST_CHARACTERS:
        raise _wrong(f"The file of objectives has {len(text)} characters; at most {MOST_CHARACTERS} are read.")
    said = read_by_contract(text, CONTRACT, "The objectives")
    burns = tuple(
        Burn(each["severity"], int(each["long_s"]), int(each["short_s"]), Decimal(each["rate"]), int(each["at_least"]))
        for each in said["burns"]
    )
    for burn in burns:
        if burn.long_s > 7 * DAY_S or not 300 <= burn.short_s <= burn.long_s:
            said_s = f"{burn.long_s} and {burn.short_s} s"
            raise _wrong(f"Windows of {said_s}: the short one has 300 s at least, the long one no less than that.")
    names = Counter(each["name"] for each in said["objectives"])
    if twice := [name for name, count in names.items() if count > 1]:
        raise _wrong(f"The objective {twice[0]} stands twice.")
    return [
        Objective(
            each["name"],
            each["says"],
            each["indicator"],
            int(each["within_s"]),
            Decimal(each["percent"]),
            int(each["window_days"]),
            each["runbook"],
            burns,
        )
        for each in said["objectives"]
    ]


def _wrong(cause: str) -> CounterfoilError:
    return CounterfoilError(cause, "Correct the file that slos in [watch] names.", "contract")
