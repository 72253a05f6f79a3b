"""A WMS, a gateway or a tax service over the HTTP contract (`contracts/counterfoil_contracts/party.openapi.yaml`)."""

from __future__ import annotations

from datetime import date
from typing import Any

import requests

from counterfoil_engine.adapters.http.posting import PostingOverHttp
from counterfoil_engine.adapters.party.http import answers
from counterfoil_engine.domain.facts import Party
from counterfoil_engine.ports import FactPage

NAMES: dict[Party, str] = {"wms": "the WMS", "gateway": "the gateway", "tax": "the tax service"}


class HttpParty(PostingOverHttp):
    """`ports.PostingParty` and `ports.PartyFacts` over HTTP; options: see `PostingOverHttp`."""

    def __init__(
        self,
        kind: Party,
        source: str,
        base_url: str,
        token: str,
        session: requests.Session | None = None,
        **options: Any,
    ) -> None:
        """source: its name in the settings and in its facts."""
        named = f"{NAMES[kind]} {source}"
        super().__init__(base_url, token, session, party=named, described="party.openapi.yaml", **options)

    def open_day(self, entity: str, on: date) -> date:
        """Any day: only books have periods."""
        return on

    def read(self, cursor: str | None) -> FactPage:
        return self._read("GET", "/v1/facts", answers.facts, params=None if cursor is None else {"cursor": cursor})
