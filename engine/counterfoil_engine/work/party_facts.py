"""Reading what WMS, gateways and tax services say: each fact judged, a page and its cursor in one commit.

A fact that breaks its contract, speaks for another source or says another thing under a known id is kept out and is a
case; its neighbours go on. A source that is down opens a breaker of its own, and is asked again by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from counterfoil_contracts import faults, names, parse
from loguru import logger

from counterfoil_engine.domain.errors import Case, DatabaseUnavailable, Retry
from counterfoil_engine.domain.facts import Party
from counterfoil_engine.ports import (
    FactPage,
    KeptOut,
    NewPartyFact,
    PartyFactRecords,
    PartyFacts,
    Records,
)
from counterfoil_engine.work.away import came_back, went_away

ORIGIN = "facts"
FACT_BYTES = 262_144  # of one fact; ten thousand lines fit

_MOST_FAULTS = 3  # told in a reason


class FactReader:
    """Reads one source. party: what it is; source: its name in the settings. jitter: as posters have it."""

    def __init__(
        self,
        records: Records,
        facts: PartyFactRecords,
        port: PartyFacts,
        party: Party,
        source: str,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._records, self._facts, self._port, self._jitter = records, facts, port, jitter
        self.party, self.source = party, source

    def step(self) -> bool:
        """Read a page; whether more is known to be there. Nothing is asked while the breaker is open."""
        breakers, place = self._records.breakers, (self.party, self.source)
        with self._records.transaction() as tx:
            if not breakers.allowance(tx, *place):
                return False
            cursor = self._facts.cursor_of(tx, *place)
        try:
            page = self._port.read(cursor)
        except DatabaseUnavailable:
            raise
        except Retry as error:
            logger.warning("facts not read", party=self.party, source=self.source, cause=error.cause)
            with self._records.transaction() as tx:
                went_away(self._records, tx, *place, error, self._jitter())
            return False
        with self._records.transaction() as tx:
            self._take(tx, page)
            came_back(self._records, tx, *place)
        return not page.is_last and page.cursor != cursor

    def _take(self, tx: Any, page: FactPage) -> None:
        judged = [judge(self.party, self.source, raw) for raw in page.facts]
        good = [one for one in judged if isinstance(one, NewPartyFact)]
        bad = [one for one in judged if isinstance(one, KeptOut)]
        verdicts = self._facts.take(tx, good) if good else []
        for fact, verdict in zip(good, verdicts, strict=True):
            if verdict.verdict == "conflict":
                self._open(tx, verdict.subject, _conflict(fact))
        if bad:
            self._facts.keep_out(tx, self.party, self.source, bad)
            for one in bad:
                self._open(tx, f"{self.party} {self.source}", _broken(self.source, one))
        if any(verdict.verdict == "stored" for verdict in verdicts):
            self._settle(tx)
        self._facts.keep_cursor(tx, self.party, self.source, page.cursor, page.is_last)
        stored = sum(verdict.verdict == "stored" for verdict in verdicts)
        if stored or bad:
            logger.info("facts read", party=self.party, source=self.source, stored=stored, kept_out=len(bad))

    def _open(self, tx: Any, subject: str, case: Case) -> None:
        store = subject.removeprefix("order ").split("/")[0] if subject.startswith("order ") else ""
        self._records.cases.open_case(tx, subject, store, ORIGIN, case, self._about, party=self.party)

    def _settle(self, tx: Any) -> None:
        """What broke its contract has been said right: its cases are over."""
        mine = [
            row
            for row in self._records.cases.of_origin(tx, ORIGIN)
            if row["about_key"] == self._about and row["category"] == "contract"
        ]
        if mine and not self._facts.unread(tx, self.party, self.source):
            for row in mine:
                self._records.cases.resolve(tx, row["id"], f"{self.source} has said it as its contract has it")

    @property
    def _about(self) -> str:
        return f"{self.party} {self.source}"


def judge(party: Party, source: str, raw: bytes) -> NewPartyFact | KeptOut:
    """One fact as it came: what is to be kept of it, or why it can't be used."""
    if len(raw) > FACT_BYTES:
        too_large = f"It is larger than {FACT_BYTES} bytes"
        return KeptOut(None, raw[:FACT_BYTES], hashlib.sha256(raw).hexdigest(), too_large)
    try:
        said = parse(raw)
    except ValueError as error:
        return KeptOut(None, raw, hashlib.sha256(raw).hexdigest(), str(error))
    body_hash = hashlib.sha256(_canonical(said)).hexdigest()
    wrong = _wrong(party, source, said)
    if wrong:
        name = said.get("id") if isinstance(said, dict) else None
        fact_id = name if isinstance(name, str) and len(name) <= 200 and name.isprintable() else None
        return KeptOut(fact_id, raw, body_hash, wrong)
    return NewPartyFact(
        party,
        source,
        said["id"],
        said["fact"].split(".")[1],
        datetime.fromisoformat(said["at"]),
        raw,
        body_hash,
        _subject(source, said),
        said.get("transaction"),
        said.get("authorisation"),
    )


def _canonical(value: Any) -> bytes:
    """What a fact says, in one way of writing it, so that another order of its members is no other content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _wrong(party: Party, source: str, said: Any) -> str | None:
    """How it breaks its contract; None: it doesn't."""
    kind = said.get("fact") if isinstance(said, dict) else None
    if not isinstance(kind, str) or contract_of(kind) is None:
        return "/fact: this engine knows no such fact; update the engine, or correct the source"
    found = faults(contract_of(kind) or "", said, _MOST_FAULTS)
    if found:
        return f"{kind}: " + "; ".join(str(fault) for fault in found)
    if (said["party"], said["source"]) != (party, source):
        return "/source: it speaks for another source than the one that said it"
    try:
        datetime.fromisoformat(said["at"])
    except ValueError:
        return "/at: this is no moment"
    return None


def contract_of(fact: str) -> str | None:
    """The contract of a fact: `counterfoil.shipment.v1` → `facts/shipment.v1`; None where there is none."""
    first, _, rest = fact.partition(".")
    name = f"facts/{rest}"
    return name if first == "counterfoil" and not rest.startswith("_") and name in _CONTRACTS else None


_CONTRACTS = frozenset(name for name in names() if name.startswith("facts/"))


def _subject(source: str, said: Mapping[str, Any]) -> str | None:
    if "payout" in said:
        return f"payout {source}/{said['payout']}"
    return f"order {said['store']}/{said['order']}" if said["store"] and said["order"] else None


def _conflict(fact: NewPartyFact) -> Case:
    return Case(
        "conflict",
        f"{fact.source} said its fact {fact.id} ({fact.kind}) twice, and not the same; what came first counts.",
        f"Compare both with {fact.source}. What it has to correct comes as a fact with an id of its own.",
    )


def _broken(source: str, one: KeptOut) -> Case:
    return Case(
        "contract",
        f"What {source} said is not as its contract says, and was kept without being used: {one.reason}.",
        f"Let {source} say it again as the contract describes it (it began with the fact {one.id or 'without an id'}).",
    )
