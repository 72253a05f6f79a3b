"""Rules in shadow: each live look computes dues by them too, and keeps what differs. Never an intent, never a case.

One version at a time, so that a look costs one more computation of dues and two statements for its group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from counterfoil_engine.domain.compare import Differing, differing
from counterfoil_engine.domain.documents import Dues
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.facts import OrderFacts
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.totals import Totals
from counterfoil_engine.ports import DuesOf, Records, Rejected


class ShadowRecords(Protocol):
    """The rules in shadow and what they found (`records/shadows.py`)."""

    def start(self, tx: Any, version: str, text: str, who: str) -> None: ...
    def stop(self, tx: Any) -> None: ...
    def read(self, tx: Any) -> Mapping[str, Any] | None: ...
    def text_of(self, tx: Any) -> str: ...
    def keep(self, tx: Any, version: str, found: Mapping[str, Differing | None]) -> None: ...
    def kept(self, tx: Any, version: str) -> Iterable[Differing]: ...
    def is_full(self, tx: Any) -> bool: ...
    def looked_at(self, tx: Any, since: datetime) -> int: ...


class Shadow:
    """parse: a rules file's text → Rules."""

    def __init__(self, records: Records, shadows: ShadowRecords, dues: DuesOf, parse: Callable[[str], Rules]) -> None:
        self._records, self._shadows, self._dues, self._parse = records, shadows, dues, parse
        self._parsed: tuple[Any, Rules | None] = (None, None)

    def look(self, tx: Any, seen: Sequence[tuple[OrderFacts, Dues]], as_of: datetime) -> None:
        """Beside live looks, in their transaction: what would differ of these orders by the rules in shadow."""
        rules = self._rules(tx)
        if rules is None:
            return
        found = {dues.subject: differing(dues, self._dues(facts, rules, as_of)) for facts, dues in seen}
        self._shadows.keep(tx, rules.version, found)

    def _rules(self, tx: Any) -> Rules | None:
        """The rules that run in shadow, parsed once; None where none do, or this code can't read them any more."""
        row = self._shadows.read(tx)
        if row is None or row["stopped_at"] is not None:
            return None
        name = row["version"], row["started_at"]
        if self._parsed[0] != name:
            try:
                self._parsed = name, self._parse(self._shadows.text_of(tx))
            except CounterfoilError:
                self._parsed = name, None
        return self._parsed[1]

    # What people ask.

    def start(self, text: str, who: str) -> Mapping[str, Any]:
        """Let rules run in shadow from the next look on. Raises CounterfoilError where others do."""
        version = self._parse(text).version
        with self._records.transaction() as tx:
            row = self._shadows.read(tx)
            if row is not None and row["stopped_at"] is None:
                raise Rejected(
                    f"The rules {row['version']!r} run in shadow already.",
                    "Stop them first (counterfoil rules shadow FILE stop); what they found is forgotten then.",
                    slug="rules",
                )
            self._shadows.start(tx, version, text, who)
            self._records.restatements.audit(tx, who, "start shadow", version=version)
        return {"version": version, "runs": True}

    def stop(self, version: str, who: str) -> Mapping[str, Any]:
        """Let them run no longer; what they found can still be shown."""
        with self._records.transaction() as tx:
            row = self._shadows.read(tx)
            if row is None or row["version"] != version or row["stopped_at"] is not None:
                raise _not_there(version)
            self._shadows.stop(tx)
            self._records.restatements.audit(tx, who, "stop shadow", version=version)
        return {"version": version, "runs": False}

    def show(self, version: str) -> Mapping[str, Any]:
        """What differs, summed up as a try of these rules sums it up."""
        with self._records.transaction() as tx:
            row = self._shadows.read(tx)
            if row is None or row["version"] != version:
                raise _not_there(version)
            totals = Totals(looked_at=self._shadows.looked_at(tx, row["started_at"]))
            for one in self._shadows.kept(tx, version):
                totals.add(one)
            return {
                "version": version,
                "runs": row["stopped_at"] is None,
                "started_at": row["started_at"].isoformat(),
                "started_by": row["started_by"],
                "full": self._shadows.is_full(tx),
                **totals.as_json(),
            }


def _not_there(version: str) -> Rejected:
    return Rejected(
        f"The rules {version!r} don't run in shadow.",
        "Start them with `counterfoil rules shadow FILE start`.",
        slug="rules",
    )
