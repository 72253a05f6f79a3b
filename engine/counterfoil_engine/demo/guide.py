"""What a demo that stays up tells its reader: where the console is, five things to look at, and how to break more."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from counterfoil_engine.demo.branches import AUSTIN, BERLIN, PARIS
from counterfoil_engine.demo.proof import Ledger
from counterfoil_engine.demo.told import Story
from counterfoil_engine.demo.town import Town
from counterfoil_engine.demo.troubles import EDITED, HELD, METHOD, PAYOUT, STRANGER, Found

NAME = "demo"


def show(town: Town, story: Story, found: Found, order: int) -> None:
    """The console first, then five things, then how to break more. order: one of Berlin's that says much."""
    console, password = f"{town.engine_url}/console", _let_in(town)
    story.head("The console")
    story.say(f"  {console}/    sign in as [bold]{NAME}[/bold], password [bold]{password}[/bold]")
    story.head("Five things to look at")
    for number, (what, where) in enumerate(_five(found, order), start=1):
        story.say(f"  {number}  {escape(what)}\n     {console}{escape(where)}")
    story.head("Break more of it")
    for what, how in _breaks(town, order):
        story.say((f"  {escape(what)}\n" if what else "") + f"    {escape(how)}")
    story.say("\nCtrl-C ends it and leaves nothing behind.")


def _five(found: Found, order: int) -> Sequence[tuple[str, str]]:
    return (
        (f"Which store is behind, since when, why: {PARIS.city}'s agent is away, {AUSTIN.city}'s ERP is slow", "/"),
        (f"{HELD} orders are held by {METHOD}: fill in its row, and watch them go", f"/cases/{found.case}"),
        (f"Somebody edited {EDITED} in a shop: heal it, or accept it", f"/differences/{found.difference}"),
        (f"A payout with {STRANGER[1]} EUR that belong to no order", f"/money/payouts/stripe/{PAYOUT}"),
        ("One order from the click to the ledger line", f"/orders/{BERLIN.store}/{order}"),
    )


def _breaks(town: Town, order: int) -> Sequence[tuple[str, str]]:
    post, shop = "curl -H 'Content-Type: application/json'", town.shops[BERLIN.store].url
    erp = f'{post} -H "Authorization: Bearer $COUNTERFOIL_ERP_TOKEN" {town.erps[BERLIN.store].url}/sandbox'
    edit = json.dumps(_a_cent_more(town))
    engine = town.children["engine"].process
    return (
        (f"A shop: place orders, edit, refund, cancel, send twice ({BERLIN.city})", shop),
        (
            f"An ERP: its books, and switches for its bad days ({BERLIN.city})",
            town.erps[BERLIN.store].url,
        ),
        ("In another terminal, first", f". {_write_env(town)}"),
        ("Ask the engine", f"counterfoil status; counterfoil order {BERLIN.store}/{order}; counterfoil cases"),
        ("Stop that ERP, and start it again", f'{erp}/modes -d \'{{"fault": "down"}}\''),
        ("", f"{erp}/modes -d '{{\"reset\": true}}'"),
        (f"Bring the agent in {PARIS.city} back", _agent_command(town)),
        ("Pull the engine's plug (it is started again)", f"kill -9 -{engine.pid if engine else 0}"),
        ("Edit a document behind its back, by a cent", f"{erp}/tamper -d '{edit}'"),
        ("Prove again, which finds it", f"{sys.executable} -m counterfoil_engine.demo --prove {town.folder}"),
    )


def _let_in(town: Town) -> str:
    """Somebody who may do all in the console; their password."""
    password = secrets.token_hex(8)
    town.command("users", name=NAME, role="admin")
    town.command("users", "password", name=NAME, password=password)
    return password


def _write_env(town: Town) -> Path:
    """What a shell needs to speak to the engine and that ERP; in the demo's folder, which is its owner's alone."""
    token = town.engine_environment[f"COUNTERFOIL_ERP_TOKEN_{BERLIN.entity}"]
    variables = {
        "COUNTERFOIL_URL": town.engine_url,
        "COUNTERFOIL_API_TOKEN": town.api_token,
        "COUNTERFOIL_ERP_TOKEN": token,
        "PATH": f"{Path(sys.executable).parent}:$PATH",
    }
    return _exports(town.folder / "env", variables)


def _agent_command(town: Town) -> str:
    agent = town.children[f"agent of {PARIS.store}"]
    file = _exports(town.folder / f"env-{PARIS.store}", agent.environment)
    return f"(. {file}; counterfoil-agent run --config {town.path(f'agent-{PARIS.store}.toml')})"


def _exports(file: Path, variables: Mapping[str, str]) -> Path:
    file.write_text("".join(f'export {name}="{value}"\n' for name, value in variables.items()))
    return file


def _a_cent_more(town: Town) -> dict[str, Any]:
    """What to edit in the ERP: one of its invoices, by a cent."""
    documents = Ledger.of_erps(town.places.erp_files[:1]).documents
    invoices = (key for key, each in documents.items() if each["kind"] == "invoice" and each["amount_minor"])
    key = next(key for key in invoices if key.startswith(f"{BERLIN.store}/"))
    return {"key": key, "amount_minor": documents[key]["amount_minor"] + 1}
