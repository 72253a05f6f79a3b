"""An ERP in memory that has bad days: driven by a fake clock, so that what commits late does so when time passes.

erp = FakeErp(clock)
erp.lose_answers = 1                 # carried out, but the answer never comes
erp.unique_keys = False; erp.commits_after_s = 5.0; erp.commit_lag_s = 6.0   # commits after its client died
erp.down = True; erp.too_many = True; erp.refuse_kinds["invoice"] = "closed_period"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from counterfoil_engine.domain.errors import Case, Parked, RateLimited, Unavailable
from counterfoil_engine.ports import Clock, Found, Health, Outcome, Posted, Posting, Refused, Unknown


@dataclass
class _Kept:
    posting: Posting
    number: str
    visible_at: datetime


@dataclass
class FakeErp:
    """Keeps documents by key; commits_after_s: how long after a call began its documents become visible."""

    clock: Clock
    lanes: int = 1
    batch_size: int = 20
    commit_lag_s: float = 0.0
    unique_keys: bool = True
    commits_after_s: float = 0.0
    down: bool = False
    too_many: bool = False
    lose_answers: int = 0
    lose_calls: int = 0
    refuse_kinds: dict[str, str] = field(default_factory=dict)
    poison_keys: set[str] = field(default_factory=set)
    closed_until: date | None = None
    calls: list[tuple[str, int]] = field(default_factory=list)
    documents: list[_Kept] = field(default_factory=list)

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        self._answer("find", len(keys))
        wanted, found = set(keys), dict[str, list[Found]]()
        for kept in self._visible():
            if kept.posting.key in wanted:
                found.setdefault(kept.posting.key, []).append(self._found(kept))
        return found

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        self._answer("post", len(postings))
        poisoned = [posting.key for posting in postings if posting.key in self.poison_keys]
        if poisoned:
            raise Parked(f"The batch can't be read: {poisoned[0]}.", "Correct the document.", "contract")
        if self.lose_calls:
            self.lose_calls -= 1
            return [Unknown(posting.key) for posting in postings]
        outcomes = [self._post(posting) for posting in postings]
        if self.lose_answers:
            self.lose_answers -= 1
            return [Unknown(posting.key) for posting in postings]
        return outcomes

    def list_since(self, since: datetime) -> Iterator[Found]:
        self._answer("list", 1)
        yield from [self._found(kept) for kept in self._visible() if kept.visible_at >= since]

    def rate(self, currency: str, book: str, on: date) -> Decimal | None:
        return None

    def open_day(self, entity: str, on: date) -> date:
        self._answer("open_day", 1)
        return self.closed_until + timedelta(days=1) if self.closed_until and on <= self.closed_until else on

    def health(self) -> Health:
        return Health(not self.down, "down" if self.down else "up")

    # What tests ask.

    def posted(self) -> list[str]:
        """Every document's key, in the order of posting; doubled ones twice."""
        return [kept.posting.key for kept in self.documents]

    def standing(self) -> dict[str, Mapping[str, Any]]:
        """The documents that are not reversed, by key."""
        reversed_keys = {kept.posting.document["reverses"] for kept in self.documents}
        return {
            kept.posting.key: kept.posting.document
            for kept in self.documents
            if kept.posting.document["reverses"] is None and kept.posting.key not in reversed_keys
        }

    def edit(self, key: str, content_hash: str) -> None:
        """Somebody changes a document behind the engine's back."""
        for kept in self.documents:
            if kept.posting.key == key:
                kept.posting = Posting(key, content_hash, kept.posting.document)

    # How it works.

    def _answer(self, call: str, size: int) -> None:
        if self.down:
            raise Unavailable("The ERP can't be reached.", "It is tried again by itself.")
        if self.too_many:
            raise RateLimited("The ERP asks for a pause.", "It is tried again by itself.", retry_after_s=30.0)
        self.calls.append((call, size))

    def _post(self, posting: Posting) -> Outcome:
        kind = str(posting.document["kind"])
        if kind in self.refuse_kinds:
            case = Case(self.refuse_kinds[kind], f"The ERP refuses {kind}.", "Correct it in the ERP.")  # type: ignore[arg-type]
            return Refused(posting.key, case)
        there = next((kept for kept in self.documents if kept.posting.key == posting.key), None)
        if there and self.unique_keys:
            if there.posting.content_hash != posting.content_hash:
                return Refused(posting.key, Case("conflict", "The key is taken.", "Compare both."))
            return Posted(posting.key, there.number)
        number = f"E{len(self.documents) + 1:04d}"
        self.documents.append(_Kept(posting, number, self.clock.now() + timedelta(seconds=self.commits_after_s)))
        return Posted(posting.key, number)

    def _visible(self) -> list[_Kept]:
        return [kept for kept in self.documents if kept.visible_at <= self.clock.now()]

    @staticmethod
    def _found(kept: _Kept) -> Found:
        return Found(kept.posting.key, kept.number, kept.posting.content_hash, kept.visible_at)
