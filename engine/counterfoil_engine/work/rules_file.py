"""The rules file: YAML in, `Rules` out; every fault is told at once, with its line, its cause and its remedy.

Every scalar is text but a bare `true` or `false`: `on` and `NO` stay words, `0012` keeps its zeros, `1.25` never is a
float. Anchors, aliases and tags are refused, so a file is as large as it looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import counterfoil_contracts
import yaml
from counterfoil_contracts.versions import whole

from counterfoil_engine.domain.errors import Category, CounterfoilError
from counterfoil_engine.domain.money import DECIMALS
from counterfoil_engine.domain.rules import TABLES, Entity, Pool, Registration, Row, Rules, Store, Warehouse

CONTRACT = "config/rules.v1"
MOST_CHARACTERS = 20_000_000  # some 200,000 rows
MOST_LEVELS = 8
TOO_DEEP = "This is nested too deeply.", "Tables hold rows, rows hold values."
MOST_FAULTS = 50
ALWAYS = "2000-01-01"  # `from` of a row that is filled in without one: it shall free all that waits for it

THINGS = ("entities", "stores", "warehouses", "pools")  # tables of what has an id, without a day

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class RulesFault:
    """One fault: line (from 1; 0 the file as a whole) and path (JSON pointer) say where."""

    line: int
    path: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.cause} {self.remedy}" if self.line else f"{self.cause} {self.remedy}"


@dataclass
class BadRules(CounterfoilError):
    """A rules file that can't be used; faults are all of its faults (at most MOST_FAULTS), by line."""

    category: Category = "contract"
    faults: tuple[RulesFault, ...] = ()


def parse_rules(text: str | bytes, version: str | None = None) -> Rules:
    """Read a rules file. version: instead of the file's own label. Raises BadRules with every fault."""
    tree = _read(text)
    against_contract = list(_by_contract(tree))
    faults = [*tree.faults, *against_contract]
    if len(against_contract) < MOST_FAULTS:  # else there may be more, and rows that can't be looked into
        faults += _by_meaning(tree, {fault.path for fault in against_contract})
    if faults:
        raise _bad(faults)
    return _rules(tree.value, version)


def read_by_contract(text: str | bytes, contract: str, what: str) -> Any:
    """Another file that people write the same way: what it holds, once it keeps to its contract. what: it is called
    in a sentence. Raises BadRules with every fault."""
    tree = _read(text)
    if faults := [*tree.faults, *_by_contract(tree, contract)]:
        raise _bad(faults, what, "Correct the file.")
    return tree.value


def render_rules(rules: Rules | Mapping[str, Any]) -> str:
    """A rules file, a row a line, that `parse_rules` reads back as the same. rules: or the contract's own object."""
    content = _content(rules) if isinstance(rules, Rules) else rules
    lines = [f"rules: {_quoted(str(content['rules']))}"]
    for table in (*THINGS, *TABLES):
        if content.get(table):
            lines.append(f"{table}:")
            lines += [f"  - {_flow(row)}" for row in content[table]]
    return "\n".join(lines) + "\n"


def with_row(text: str, row: Mapping[str, Any]) -> str:
    """The file with one more row, its comments and order kept where its layout allows it.

    row: as a case carries it, filled in: {"table": "payment_methods", "store": "eu1", "method": "klarna", "gateway":
    "klarna"}. Without `from` it is in force always; values left out (or None) are those of the row that fits now.
    Raises BadRules where the file or the row has faults.
    """
    rules = parse_rules(text)
    table = str(row.get("table"))
    if table not in (*THINGS, *TABLES):
        cause, remedy = f"The rules have no table {table[:80]!r}.", f"Tables are {', '.join((*THINGS, *TABLES))}."
        raise _bad([RulesFault(0, "", cause, remedy)])
    added = _filled(rules, table, row)
    content = _content(rules)
    whole_file = render_rules({**content, table: [*content.get(table, ()), added]})
    wanted = parse_rules(whole_file)  # says what is wrong with the row, if anything
    inserted = _inserted(text, table, added)
    try:
        return inserted if parse_rules(inserted) == wanted else whole_file
    except BadRules:
        return whole_file  # a layout that no line can simply be put into


_LABEL = re.compile(r"""(?m)^(rules:[ \t]*)(?:"[^"\n]*"|'[^'\n]*'|[^#\n]*?)([ \t]*(?:#[^\n]*)?)$""")


def with_label(text: str, label: str) -> str:
    """The file under another label, all else as it is where its layout allows it."""
    content = _content(parse_rules(text))
    whole_file = render_rules({**content, "rules": label})
    put = _LABEL.sub(lambda there: f"{there[1]}{_flow(label)}{there[2]}", text, count=1)
    try:
        return put if _content(parse_rules(put)) == _content(parse_rules(whole_file)) else whole_file
    except BadRules:
        return whole_file


# Reading YAML, event by event: nothing is resolved, shared or built but mappings, lists and scalars.


@dataclass
class _Tree:
    """What was read. lines: path → line, from 1. ends: path of a list → where it ends, and how it is written."""

    value: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    ends: dict[str, _End] = field(default_factory=dict)
    faults: list[RulesFault] = field(default_factory=list)


@dataclass(frozen=True)
class _End:
    """last_line: of the last thing in it, from 1; bracket: line and column of the closing one, for [a, b]."""

    last_line: int
    column: int
    bracket: tuple[int, int] | None


class _Stop(Exception):
    """Reading can't go on after this fault."""

    def __init__(self, line: int, cause: str, remedy: str) -> None:
        self.fault = RulesFault(line, "", cause, remedy)


def _read(text: str | bytes) -> _Tree:
    tree = _Tree()
    try:
        if isinstance(text, bytes):
            text = text.decode()
        text.encode()
        if len(text) > MOST_CHARACTERS:
            raise _Stop(0, f"The file has {len(text)} characters.", f"At most {MOST_CHARACTERS} are read.")
        _Builder(yaml.parse(text, Loader=_LOADER), tree).document()
    except _Stop as stop:
        tree.faults.append(stop.fault)
    except UnicodeError:
        tree.faults.append(RulesFault(0, "", "The file is not UTF-8.", "Save it as UTF-8."))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read"
        line = mark.line + 1 if mark else 0
        cause, remedy = f"This is not YAML: {problem}.", "Correct the line, or the one above."
        if "nesting depth" in str(problem):  # newer parsers have a bound of their own
            cause, remedy = TOO_DEEP
        tree.faults.append(RulesFault(line, "", cause, remedy))
    return tree


class _Builder:
    """Builds a tree from YAML's events; its depth is bounded, so its recursion is."""

    def __init__(self, events: Iterator[Any], tree: _Tree) -> None:
        self.events, self.tree, self.last_line = events, tree, 0

    def document(self) -> None:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if self.tree.lines:
                    raise _Stop(_line(event), "A second document begins here.", "Keep all rules in one (no ---).")
                self.tree.value = self._node(next(self.events), "", 1)

    def _node(self, event: Any, path: str, level: int) -> Any:
        line = _line(event)
        self.tree.lines[path] = line
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise _Stop(line, "Anchors and aliases (&, *) are not read.", "Write the row out, or put * in quotes.")
        if event.tag and event.tag != "!":
            raise _Stop(line, f"The tag {event.tag[:60]!r} is not read.", "Leave it out, or put the text in quotes.")
        if level > MOST_LEVELS:
            raise _Stop(line, *TOO_DEEP)
        self.last_line = _line(event, "end_mark")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(event, path, level)
        return self._mapping(path, level, bool(event.flow_style))

    def _list(self, start: Any, path: str, level: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, f"{path}/{len(items)}", level + 1))
        bracket = None
        if start.flow_style:
            bracket = (_line(event) - 1, _column(event))
            self.last_line = _line(event, "end_mark")
        self.tree.ends[path] = _End(self.last_line, _column(start), bracket)
        return items

    def _mapping(self, path: str, level: int, flow_style: bool) -> dict[str, Any]:
        read: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _Stop(line, "A key is a list or a mapping.", "Write a name before the colon.")
            key = event.value
            here = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            value = self._node(next(self.events), here, level + 1)
            self.tree.lines[here] = line
            if key in read:
                cause = f"The key {key[:80]!r} stands twice in one mapping."
                self.tree.faults.append(RulesFault(line, here, cause, "Keep one of them."))
            read[key] = value
        if flow_style:
            self.last_line = _line(event, "end_mark")
        return read


def _line(event: Any, mark: str = "start_mark") -> int:
    return int(getattr(event, mark).line) + 1


def _column(event: Any) -> int:
    return int(event.start_mark.column)


def _scalar(event: Any) -> str | bool | None:
    """Text, but for a bare true, false, null, ~ or nothing."""
    if not event.implicit[0]:
        return str(event.value)
    words: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
    return words.get(event.value, str(event.value))


# Faults


def _bad(
    faults: Sequence[RulesFault],
    what: str = "The rules",
    remedy: str = "Correct the file and check it again (counterfoil rules check FILE).",
) -> BadRules:
    told = tuple(sorted(faults, key=lambda fault: fault.line)[:MOST_FAULTS])
    many = f"{len(told)} faults" if len(told) > 1 else "a fault"
    return BadRules(
        f"{what} have {many}: " + "; ".join(str(fault) for fault in told[:5]) + (" …" if len(told) > 5 else ""),
        remedy,
        faults=told,
    )


def _by_contract(tree: _Tree, contract: str = CONTRACT) -> Iterator[RulesFault]:
    """What the contract says, each with what it expects there as the remedy."""
    if tree.value is None:
        if not tree.faults:
            first = ", ".join(_contract(contract)["required"])
            yield RulesFault(0, "", "The file is empty.", f"Begin with {first}.")
        return
    for fault in counterfoil_contracts.faults(contract, tree.value, most=MOST_FAULTS):
        expected, keyword = _expected(fault.path, contract), fault.schema_path.rpartition("/")[2]
        if keyword == "additionalProperties":
            yield from _unknown_names(tree, fault, list(expected.get("properties", {})))
            continue
        remedy = f"Expected: {expected['description']}" if "description" in expected else "Correct or remove it."
        remedy = "Add it." if keyword == "required" else remedy
        yield RulesFault(_nearest(tree, fault.path), fault.path, f"{fault.path or '/'}: {fault.message}.", remedy)


def _unknown_names(tree: _Tree, fault: counterfoil_contracts.Fault, known: list[str]) -> Iterator[RulesFault]:
    for name in re.findall(r"'([^']+)'", fault.message):
        path = f"{fault.path}/{name}"
        close = get_close_matches(name, known, 1)
        remedy = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."
        yield RulesFault(_nearest(tree, path), path, f"{fault.path or '/'}: the name {name!r} is unknown here.", remedy)


def _nearest(tree: _Tree, path: str) -> int:
    while path and path not in tree.lines:
        path = path.rpartition("/")[0]
    return tree.lines.get(path, 0)


@cache
def _contract(name: str = CONTRACT) -> dict[str, Any]:
    return whole(name)


def _expected(path: str, contract: str = CONTRACT) -> dict[str, Any]:
    """The part of the contract that speaks of this path."""
    part = _contract(contract)
    for step in path.split("/")[1:]:
        inner = part.get("items") if step.isdigit() else part.get("properties", {}).get(step)
        inner = inner or part.get("additionalProperties")
        if not isinstance(inner, dict):
            return {}
        part = inner
    return part


def _by_meaning(tree: _Tree, broken: set[str]) -> Iterator[RulesFault]:
    """What no schema can say: real days and zones, known names, rows that contradict each other.

    broken: paths with faults against the contract; rows that hold one are left alone.
    """
    rows = {table: _sound_rows(tree, table, broken) for table in (*THINGS, *TABLES)}
    known = {
        name: {str(row.get("id")) for row in _rows_of(tree, table) if isinstance(row, dict)}
        for name, table in (("store", "stores"), ("entity", "entities"), ("warehouse", "warehouses"), ("pool", "pools"))
    }
    for path, entity in rows["entities"].items():
        yield from _entity_faults(tree, path, entity)
    for path, store in rows["stores"].items():
        yield from _store_faults(tree, path, store, known)
    for path, warehouse in rows["warehouses"].items():
        yield from _known_faults(tree, f"{path}/entity", "entity", warehouse["entity"], known["entity"])
    for path, pool in rows["pools"].items():
        for index, name in enumerate(pool["warehouses"]):
            yield from _known_faults(tree, f"{path}/warehouses/{index}", "warehouse", name, known["warehouse"])
    for table, (match, _) in TABLES.items():
        for path, row in rows[table].items():
            yield from _row_faults(tree, path, row, known)
        yield from _twice(
            tree, {path: (*(row[name] for name in match), row["from"]) for path, row in rows[table].items()}
        )
    for table in THINGS:
        yield from _twice(tree, {path: (row["id"],) for path, row in rows[table].items()})


def _sound_rows(tree: _Tree, table: str, broken: set[str]) -> dict[str, Any]:
    """Path → row, for each row of a table that keeps to the contract."""
    prefixes = {"/".join(path.split("/")[:3]) for path in broken}
    rows = {f"/{table}/{index}": row for index, row in enumerate(_rows_of(tree, table))}
    return {path: row for path, row in rows.items() if path not in prefixes}


def _rows_of(tree: _Tree, table: str) -> list[Any]:
    rows = tree.value.get(table) if isinstance(tree.value, dict) else None
    return rows if isinstance(rows, list) else []


def _entity_faults(tree: _Tree, path: str, entity: Mapping[str, Any]) -> Iterator[RulesFault]:
    if not _is_zone(entity["zone"]):
        remedy = "Write it as the IANA database does: Europe/Berlin."
        yield _fault(tree, f"{path}/zone", f"The time zone {entity['zone']!r} is unknown.", remedy)
    yield from _currency_faults(tree, f"{path}/book_currency", entity["book_currency"])


def _store_faults(
    tree: _Tree, path: str, store: Mapping[str, Any], known: Mapping[str, set[str]]
) -> Iterator[RulesFault]:
    if store.get("pool") and known["pool"]:
        yield from _known_faults(tree, f"{path}/pool", "pool", store["pool"], known["pool"])
    if store["entity"] not in known["entity"]:
        cause = f"Store {store['id']!r} belongs to the entity {store['entity']!r}, which is not in the rules."
        yield _fault(tree, f"{path}/entity", cause, "Add it to entities, or correct the name.")
    if _moment(store["start_line"]) is None:
        cause = f"There is no moment {store['start_line']!r}."
        yield _fault(tree, f"{path}/start_line", cause, "Write a real one with its offset: 2026-01-01T00:00:00Z.")


def _known_faults(tree: _Tree, path: str, name: str, value: str, known: set[str]) -> Iterator[RulesFault]:
    if value not in known:
        told = ", ".join(sorted(known)[:10]) or "none"
        remedy = f'Correct the name, or write "*" for all: known are {told}.'
        yield _fault(tree, path, f"The {name} {value!r} is not in the rules.", remedy)


def _row_faults(
    tree: _Tree, path: str, row: Mapping[str, Any], known_names: Mapping[str, set[str]]
) -> Iterator[RulesFault]:
    for name, known in known_names.items():
        if name in row and not _is_pattern(row[name]):
            yield from _known_faults(tree, f"{path}/{name}", name, row[name], known)
    pool_wide = sorted(row.keys() & _POOL_WIDE)
    if row.get("warehouse", "*") != "*" and pool_wide:
        cause = f"{pool_wide[0]} holds for a whole pool, not for one warehouse."
        remedy = 'Put it into a row of its own, with warehouse "*".'
        yield _fault(tree, f"{path}/{pool_wide[0]}", cause, remedy)
    for name in ("book", "currency"):
        if name in row and not _is_pattern(row[name]):
            yield from _currency_faults(tree, f"{path}/{name}", row[name])
    if "rate" in row and not Decimal(row["rate"]):
        yield _fault(tree, f"{path}/rate", "A rate of zero makes money vanish.", "Write how many units there are.")
    if _day(row["from"]) is None:
        yield _fault(tree, f"{path}/from", f"There is no day {row['from']!r}.", "Write a real one: 2026-02-28.")


def _twice(tree: _Tree, keys: Mapping[str, tuple[str, ...]]) -> Iterator[RulesFault]:
    """Rows of which nobody could say which one holds. keys: path → what a row is told apart by."""
    seen: dict[tuple[str, ...], str] = {}
    for path, key in keys.items():
        first = seen.setdefault(key, path)
        if first != path:
            cause = f"{path}: the row of line {tree.lines[first]} stands for the same, from the same day."
            yield _fault(tree, path, cause, "Keep one of them, or give it another day in from.")


def _currency_faults(tree: _Tree, path: str, currency: str) -> Iterator[RulesFault]:
    if currency not in DECIMALS:
        yield _fault(tree, path, f"The currency {currency!r} is not an active ISO 4217 code.", "Write one: EUR.")


def _fault(tree: _Tree, path: str, cause: str, remedy: str) -> RulesFault:
    return RulesFault(tree.lines[path], path, cause, remedy)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path that climbs; a folder of the database
        return False
    return True


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# From the file's object to Rules and back

_POOL_WIDE = set(TABLES["availability"][1]) - {"counts", "inbound_days"}


def _rules(value: Mapping[str, Any], version: str | None) -> Rules:
    entities = {}
    for each in value["entities"]:
        registrations = tuple(Registration(**registration) for registration in each.get("registrations", ()))
        entities[each["id"]] = Entity(**{**each, "registrations": registrations})
    stores = {each["id"]: Store(**{**each, "start_line": _moment(each["start_line"])}) for each in value["stores"]}
    warehouses = {each["id"]: Warehouse(**each) for each in value.get("warehouses", ())}
    pools = {each["id"]: Pool(each["id"], tuple(each["warehouses"])) for each in value.get("pools", ())}
    tables = {table: tuple(_row(table, row) for row in value.get(table, ())) for table in TABLES}
    return Rules(version or value["rules"], entities, stores, tables, warehouses, pools)


def _row(table: str, row: Mapping[str, Any]) -> Row:
    match_fields, value_fields = TABLES[table]
    values = {name: row[name] for name in value_fields if name in row}
    if "rate" in values:
        values["rate"] = Decimal(values["rate"])
    return Row({name: row[name] for name in match_fields}, date.fromisoformat(row["from"]), values)


def _content(rules: Rules) -> dict[str, Any]:
    """The contract's object; what has its default is left out."""
    content: dict[str, Any] = {"rules": rules.version}
    content["entities"] = [
        _said(
            {
                **vars(each),
                "registrations": [
                    {"jurisdiction": registration.jurisdiction, "treatment": registration.treatment}
                    for registration in each.registrations
                ],
            }
        )
        for each in rules.entities.values()
    ]
    content["stores"] = [_said(vars(each)) for each in rules.stores.values()]
    content["warehouses"] = [_said(vars(each)) for each in rules.warehouses.values()]
    content["pools"] = [_said(vars(each)) for each in rules.pools.values()]
    for table, rows in rules.tables.items():
        match = dict.fromkeys(TABLES[table][0], "*")
        content[table] = [{**match, **row.match, **row.values, "from": row.since} for row in rows]
    return content


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value or isinstance(value, bool)}


def _filled(rules: Rules, table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row in the table's own order, with what it leaves out taken from the row that fits now."""
    given = {name: value for name, value in row.items() if name != "table" and value is not None}
    if table not in TABLES:
        return given
    match_fields, value_fields = TABLES[table]
    given.setdefault("from", ALWAYS)
    match = {name: str(given[name]) for name in match_fields if name in given}
    fits = rules.find(table, date.max, **match) if len(match) == len(match_fields) else None
    given = {**(fits.values if fits else {}), **given}
    known = (*match_fields, *value_fields, "from")
    return {name: given[name] for name in (*known, *sorted(given.keys() - set(known))) if name in given}


# Writing YAML

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  # other readers take these for booleans


def _flow(value: Any) -> str:
    """A value on one line: {store: "*", method: bacs, accept_unpaid: false, from: 2020-01-01}."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(inner) for inner in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return _quoted(value.astimezone(UTC).isoformat().replace("+00:00", "Z"))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _quoted(format(value, "f"))
    text = str(value)
    is_number = bool(re.fullmatch(r"[0-9][0-9_.eE-]*|0x[0-9a-fA-F]+", text)) and _day(text) is None
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and not is_number else _quoted(text)


def _quoted(text: str) -> str:
    """In double quotes; JSON's escapes are YAML's too, but for what isn't printable."""
    parts = [char if char.isprintable() else f"\\U{ord(char):08x}" for char in text.replace("\\", "\\\\")]
    return '"' + "".join(parts).replace('"', '\\"') + '"'


def _inserted(text: str, table: str, row: Mapping[str, Any]) -> str:
    """The text with the row put at the end of its table; whether that fits is checked by reading it."""
    end = _read(text).ends.get(f"/{table}")
    lines = text.splitlines(keepends=True)
    if end is None:
        return text.rstrip("\n") + f"\n{table}:\n  - {_flow(row)}\n"
    if end.bracket is None:
        before, after = lines[: end.last_line], lines[end.last_line :]
        newline = "" if before[-1].endswith("\n") else "\n"
        return "".join([*before, f"{newline}{' ' * end.column}- {_flow(row)}\n", *after])
    line, column = end.bracket
    comma = "" if lines[line][:column].rstrip().endswith("[") else ", "
    lines[line] = lines[line][:column] + comma + _flow(row) + lines[line][column:]
    return "".join(lines)
