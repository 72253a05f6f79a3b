"""The ERP port over the HTTP contract (`contracts/counterfoil_contracts/erp.openapi.yaml`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import requests

from counterfoil_engine.adapters.erp.http import answers
from counterfoil_engine.adapters.http.posting import KEYS_A_CALL, PostingOverHttp
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.old_references import OldDocument
from counterfoil_engine.domain.tie_out import Booked
from counterfoil_engine.ports import PositionPage, TokenForgotten


class HttpErp(PostingOverHttp):
    """`ports.Erp` over HTTP; options: see `PostingOverHttp`."""

    def __init__(self, base_url: str, token: str, session: requests.Session | None = None, **options: Any) -> None:
        super().__init__(base_url, token, session, party="the ERP", described="erp.openapi.yaml", **options)

    def rate(self, currency: str, book: str, on: date) -> Decimal | None:
        params = {"currency": currency, "book": book, "on": on.isoformat()}
        return self._read("GET", "/v1/rates", answers.rate, params=params)

    def open_day(self, entity: str, on: date) -> date:
        params = {"entity": entity, "on": on.isoformat()}
        return self._read("GET", "/v1/periods", lambda raw: answers.open_day(raw, on), params=params)

    def balances(self, entity: str) -> Mapping[tuple[str, str], JournalLine]:
        """Turnover of each (role, currency) of an entity in the ERP's ledger, to compare with the engine's journal."""
        return self._read("GET", "/v1/balances", answers.balances, params={"entity": entity})

    def balances_until(self, entity: str, last: date) -> Mapping[tuple[str, str], JournalLine] | None:
        """As `balances`, to that day's end; None where the ERP answers to date whatever it is asked."""
        params = {"entity": entity, "until": last.isoformat()}
        return self._read("GET", "/v1/balances", lambda raw: answers.balances_until(raw, last), params=params)

    def entries(self, entity: str, first: date, last: date) -> Iterator[Booked]:
        """Every document of an entity's ledger with a posting date in these days."""
        params, seen = {"entity": entity, "first_day": first.isoformat(), "last_day": last.isoformat()}, set()
        while True:
            rows, following = self._read("GET", "/v1/entries", answers.entries, params=params)
            yield from rows
            if following is None:
                return
            if following in seen:
                raise self._malformed("gives a cursor for the second time")
            seen.add(following)
            params = {**params, "cursor": following}

    def find_old(self, entity: str, kind: str, references: Sequence[str]) -> Mapping[str, Sequence[OldDocument]]:
        """`ports.OldBooks`: what whoever posted before the start line marked so."""
        found: dict[str, list[OldDocument]] = {}
        for start in range(0, len(references), KEYS_A_CALL):
            part = list(references[start : start + KEYS_A_CALL])
            body = json.dumps({"entity": entity, "kind": kind, "references": part}).encode()
            read = partial(answers.old_documents, asked=frozenset(part))
            for one in self._read("POST", "/v1/old-documents/find", read, body=body):
                found.setdefault(one.reference, []).append(one)
        return found

    def positions(self, since: str | None = None) -> Iterator[PositionPage]:
        """`ports.StockOwner`: all positions of its warehouses, or what changed after a token."""
        params, seen = {} if since is None else {"since": since}, set()
        while True:
            page, following = self._read("GET", "/v1/positions", answers.positions, params=params, gone=TokenForgotten)
            yield page
            if following is None:
                return
            if following in seen:
                raise self._malformed("gives a cursor for the second time")
            seen.add(following)
            params = {**params, "cursor": following}
