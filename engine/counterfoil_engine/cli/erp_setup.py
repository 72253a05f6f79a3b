"""`counterfoil erp setup`: checks an ERP for what the rules' documents will name there, and makes it after a yes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from counterfoil_engine import config
from counterfoil_engine.adapters.erp.tryton.adapter import require_series
from counterfoil_engine.adapters.erp.tryton.names import NameMap, load, written
from counterfoil_engine.adapters.erp.tryton.needs import needs_of
from counterfoil_engine.adapters.erp.tryton.rpc import Tryton
from counterfoil_engine.adapters.erp.tryton.setup import JOURNAL, Finding, Setup
from counterfoil_engine.cli import show
from counterfoil_engine.cli.commands import Context, command
from counterfoil_engine.cli.erp import erp
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.work.rules_file import parse_rules

COLOURS = {"there": "green", "can be made": "yellow", "missing": "bold red"}


@erp.group("setup")
def setup() -> None:
    """Set an ERP up: check it, propose what is called what, make what is missing."""


@command(
    "tryton",
    setup,
    exit_status="Exit status: 0 all is there, 1 something is missing, 2 wrong usage.",
)
@click.argument("entity")
@click.option("--config", "path", required=True, type=click.Path(path_type=Path), help="the engine's settings file")
@click.option(
    "--rules", "rules_path", type=click.Path(path_type=Path), help="rules file; default: that of the settings"
)
@click.option("--company", help="name of the company in Tryton, where there is no map yet; default: the entity")
@click.option("--warehouse", help="code of the warehouse that sales ship from, where there is no map yet")
@click.option("--role", "roles", multiple=True, help="a role beside those of the rules, such as tax:oss:FR:20")
@click.option("--yes", is_flag=True, help="make what can be made, and write the map, without asking")
def setup_tryton(
    context: Context,
    entity: str,
    path: Path,
    rules_path: Path | None,
    company: str | None,
    warehouse: str | None,
    roles: Sequence[str],
    yes: bool,
) -> int:
    """Check the books of ENTITY in Tryton, and propose the map: accounts by role, taxes, items, warehouses, journal.

    Nothing is changed before a yes, and what is there already never is. Tax rates come with orders, not with rules: a
    document that lacks its account names the role, to be given with --role.

    Example: counterfoil erp setup tryton DE01 --config engine.toml --role tax:domestic:DE:19
    """
    names, client, map_path, setting = _connected(path, entity, company, warehouse)
    version = require_series(client)
    needs = needs_of(_rules(rules_path or setting.rules), entity)
    prepared = Setup(client, names, replace(needs, roles=needs.roles | frozenset(roles)))
    findings = prepared.look()
    if not context.as_json:
        show.line(f"Tryton {version}, company {names.company}:", "bold")
        _show(findings)
    makeable = [finding for finding in findings if finding.make and not finding.ok]
    if not yes:
        asked = f"Make {len(makeable)} in Tryton, and write the map to {map_path}?"
        click.confirm(asked, abort=True, err=True)
    refused = prepared.make(makeable)
    map_path.write_text(written(prepared.names), encoding="utf-8")
    left = [finding for finding in prepared.look() if not finding.ok]
    answer = {
        "version": version,
        "map": str(map_path),
        "made": [finding.what for finding in makeable],
        "refused": refused,
        "left": [{"what": finding.what, "remedy": finding.remedy} for finding in left],
    }
    context.answer(answer, _shown)
    return int(bool(left))


def _connected(
    path: Path, entity: str, company: str | None, warehouse: str | None
) -> tuple[NameMap, Tryton, Path, config.Settings]:
    settings = config.load(path, os.environ)
    each = settings.erps.get(entity)
    if each is None or each.adapter != "tryton" or "map" not in each.options:
        raise CounterfoilError(
            f"{path} has no [erp.{entity}] with adapter tryton and a map among its options.",
            "Add it as docs/runbooks/tryton.md shows.",
            "contract",
        )
    map_path = Path(each.options["map"])
    names = load(map_path) if map_path.exists() else NameMap(company or entity, JOURNAL, warehouse, path=str(map_path))
    user = str(each.options.get("user", "counterfoil"))
    return names, Tryton(each.url, user, each.token), map_path, settings


def _rules(path: Path | None) -> Any:
    if path is None:
        raise CounterfoilError("There is no rules file.", "Name it with --rules, or in the settings.", "contract")
    try:
        return parse_rules(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CounterfoilError(f"The rules file {path} can't be read.", "Check its name and rights.") from error


def _show(findings: Sequence[Finding]) -> None:
    for finding in sorted(findings, key=lambda each: each.mark):
        remedy = "" if finding.ok or finding.make else f"  {finding.remedy}"
        show.line(f"  {finding.mark:<12} {finding.what}{remedy}", COLOURS[finding.mark])


def _shown(value: dict[str, Any]) -> None:
    for sentence in value["refused"]:
        show.line(f"Tryton refused {sentence}", "bold red")
    for each in value["left"]:
        show.line(f"Missing: {each['what']}. {each['remedy']}", "bold red")
    show.line(f"{len(value['made'])} made, the map is in {value['map']}.", "green")
