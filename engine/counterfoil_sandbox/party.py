"""A sandbox WMS, gateway or tax service over HTTP: documents in, facts out, commands by hand, bad days on switches.

POST /v1/documents …              as with the ERP
GET  /v1/facts?cursor=            what it has to say
POST /sandbox/commands/<name>     what a person or the world does there, with its arguments as JSON
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

from flask import jsonify, request

from counterfoil_sandbox.erp_modes import Modes
from counterfoil_sandbox.party_store import PartyModes, PartyStore
from counterfoil_sandbox.service import (
    Outcome,
    Problem,
    Service,
    add_options,
    body_of_request,
    malformed,
    modes_of,
    run,
    token_from,
)


class PartyService(Service):
    """A party as a WSGI application, over its store."""

    def __init__(
        self, name: str, party: PartyStore, token: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.party = party
        super().__init__(name, token, party.modes, party.now, sleep)
        _fact_routes(self)

    @property
    def store(self) -> PartyStore:
        return self.party

    # The store tells facts late by these, so it has them.
    @property
    def modes(self) -> PartyModes:  # type: ignore[override]
        return self.party.modes

    @modes.setter
    def modes(self, modes: Modes) -> None:
        assert isinstance(modes, PartyModes)
        self.party.modes = modes

    def settle(self, until: datetime | None = None) -> None:
        super().settle(until)
        self.party.advance()

    def _commit(self, documents: list[Any], modes: Modes, at: datetime) -> list[Outcome]:
        return self.party.post(documents, unique_keys=modes.unique_keys, at=at)


def _fact_routes(service: PartyService) -> None:
    @service.flask.get("/v1/facts")
    def facts() -> Any:
        cursor = request.args.get("cursor")
        if cursor is not None and not 1 <= len(cursor) <= 500:
            raise malformed("The cursor is not one that was given here.")
        service.begin_call(is_post=False)
        return jsonify(service.party.page(cursor))

    @service.flask.post("/sandbox/commands/<name>")
    def command(name: str) -> Any:
        given = dict(body_of_request()) if request.get_data() else {}
        return jsonify(answer=service.party.command(name, **given))


def unknown(what: str) -> Problem:
    return Problem(404, "unknown", f"There is no such {what}.", "Name one that was given here.")


def main(
    name: str,
    kind: type[PartyStore],
    party: str,
    source: str,
    listen: str,
    arguments: list[str] | None = None,
    service: Callable[[str, Any, str], PartyService] | None = None,
) -> int:
    """Run one until SIGINT or SIGTERM. service: how it is served (default: as any party)."""
    variable = f"COUNTERFOIL_{party.upper()}_TOKEN"
    parser = argparse.ArgumentParser(
        prog=f"python -m counterfoil_sandbox.{party}",
        description=f"A sandbox {name} with a state of its own. The bearer token comes from {variable}.",
        epilog="Example: --database state.sqlite3 --mode late_facts_s=30.0 --mode fault=down --mode fault_times=3",
    )
    add_options(parser, listen)
    parser.add_argument("--source", default=source, help=f"its name in its facts (default: {source})")
    parser.add_argument("--seed", type=int, help="of what it can't foresee (default: another each time)")
    options = parser.parse_args(arguments)
    token = token_from(variable)
    if token is None:
        return 2

    def make() -> PartyService:
        store = kind(party, options.source, options.database, random=Random(options.seed))  # noqa: S311
        store.modes = store.modes.changed(modes_of(options.mode))
        return (service or PartyService)(name, store, token)

    return run(make, options.listen, name)
