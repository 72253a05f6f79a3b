"""What is called what: roles, taxes, items and warehouses of ours, and their names in one Tryton's books. A TOML file.

    company = "DE01"                 # the name of the company's party
    journal = "CFL"                  # the code of the journal of all that is no invoice
    warehouse = "MAIN"               # where sales ship from
    ships = true                     # false: sales make no shipments in Tryton, since a WMS has the goods
    [accounts]                       # each role an account of its own
    receivable = "1.2.1"
    [taxes]                          # optional: the tax by whose code a tax report adds it up
    "tax:domestic:DE:19" = "VAT 19%"
    [items]                          # only those that have another code there
    [warehouses]                     # those whose stock is read
    BER = "MAIN"

`counterfoil erp setup tryton` proposes it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from counterfoil_engine.domain.errors import CounterfoilError

_TEXTS = ("company", "journal", "warehouse")
_TABLES = ("accounts", "taxes", "items", "warehouses")
MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class NameMap:
    """One entity's map. accounts: role → code of the account; taxes: role → name of the tax; items, warehouses: ours →
    Tryton's code. path: to name it in a remedy."""

    company: str
    journal: str
    warehouse: str | None = None
    ships: bool = True
    accounts: Mapping[str, str] = field(default_factory=dict)
    taxes: Mapping[str, str] = field(default_factory=dict)
    items: Mapping[str, str] = field(default_factory=dict)
    warehouses: Mapping[str, str] = field(default_factory=dict)
    path: str = "the map"

    def roles(self) -> dict[str, str]:
        """The role of each account's code."""
        return {code: role for role, code in self.accounts.items()}


def load(path: Path) -> NameMap:
    """A map from its file. Raises CounterfoilError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES)
        return of(tomllib.loads(raw.decode()), str(path))
    except OSError as error:
        raise _wrong(f"The map {path} can't be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(f"The map {path} is no TOML: {error}.") from None


def of(table: Mapping[str, object], path: str = "the map") -> NameMap:
    """A map from what its file holds. Raises CounterfoilError."""
    for name, value in table.items():
        if name in _TEXTS and (not isinstance(value, str) or not value):
            raise _wrong(f"In {path}, {name} is no text.")
        if name == "ships" and not isinstance(value, bool):
            raise _wrong(f"In {path}, ships is neither true nor false.")
        if name not in (*_TEXTS, *_TABLES, "ships"):
            raise _wrong(f"{path} has a {name!r}, which is unknown.")
    for name in _TABLES:
        rows = table.get(name, {})
        if not isinstance(rows, dict) or not all(isinstance(value, str) and value for value in rows.values()):
            raise _wrong(f"In {path}, [{name}] has an entry that is no text.")
    for name in ("company", "journal"):
        if name not in table:
            raise _wrong(f"{path} doesn't say {name}.")
    made = NameMap(**table, path=path)  # type: ignore[arg-type]
    _require_one_role_each(made)
    return made


def _require_one_role_each(made: NameMap) -> None:
    """Balances by role are balances of accounts: two roles on one account could not be told apart."""
    seen: dict[str, str] = {}
    for role, code in made.accounts.items():
        if other := seen.get(code):
            raise _wrong(f"In {made.path}, {other} and {role} are both on the account {code}.")
        seen[code] = role


def written(made: NameMap) -> str:
    """The file of a map, sorted."""
    lines = ["# Names in Tryton of what Counterfoil posts and reads; `counterfoil erp setup tryton` proposes it."]
    lines += [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name in _TEXTS if (value := getattr(made, name))]
    lines.append(f"ships = {str(made.ships).lower()}")
    for name in _TABLES:
        rows = getattr(made, name)
        lines += ["", f"[{name}]"]
        lines += [
            f"{json.dumps(key, ensure_ascii=False)} = {json.dumps(rows[key], ensure_ascii=False)}"
            for key in sorted(rows)
        ]
    return "\n".join(lines) + "\n"


def _wrong(cause: str) -> CounterfoilError:
    return CounterfoilError(
        cause[0].upper() + cause[1:], "Correct it there, or let `counterfoil erp setup tryton` propose one.", "contract"
    )
