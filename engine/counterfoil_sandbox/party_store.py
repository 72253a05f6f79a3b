"""What a sandbox WMS, gateway or tax service keeps: the documents it was sent, its own things, the facts that it tells.

A fact is told from a moment on (at once, or late by the switch `late_facts_s`), and gets its place in the line only
then: who reads by a cursor misses none, and reads them in another order than they happened in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import counterfoil_contracts

from counterfoil_sandbox.document_store import DocumentStore, stamp
from counterfoil_sandbox.erp_journal import Refusal
from counterfoil_sandbox.erp_modes import Modes

SCHEMA = """
create table if not exists documents(
    id integer primary key, key text not null, slot text not null, kind text not null, amount_minor integer not null,
    content_hash text not null, reverses text, number text not null, posted_at text not null, body text not null);
create index if not exists documents_key on documents(key);
create index if not exists documents_posted_at on documents(posted_at);
create table if not exists things(kind text, name text, body text not null, primary key (kind, name));
create table if not exists facts(
    n integer primary key, id text not null unique, place integer unique, told_at text not null, body text not null);
create table if not exists generation(id text primary key);
"""
PAGE_FACTS = 200

Json = dict[str, Any]


@dataclass(frozen=True)
class PartyModes(Modes):
    """The ERP's bad days, and these.

    late_facts_s: a fact is told up to so long after it happened. doubled_facts: each page begins with so many facts of
    the page before. page_facts: facts of a page at most. is_test: what happens is in its test mode, and is told so.
    """

    late_facts_s: float = 0.0
    doubled_facts: int = 0
    page_facts: int = PAGE_FACTS
    is_test: bool = False

    def changed(self, values: Mapping[str, Any]) -> PartyModes:
        own = {one.name: type(one.default) for one in fields(self) if one.name not in _OF_THE_ERP}
        for name, value in values.items():
            if name in own and not _is_of(value, own[name]):
                raise Refusal("contract", f"The mode {name} can't be {str(value)[:40]!r}.", "Send it as it is shown.")
        rest = super().changed({name: value for name, value in values.items() if name not in own})
        assert isinstance(rest, PartyModes)
        return replace(rest, **{name: value for name, value in values.items() if name in own})


_OF_THE_ERP = {one.name for one in fields(Modes)}


def _is_of(value: Any, kind: type) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, int | float if kind is float else kind) and (kind is str or 0 <= value <= 10**6)


@dataclass(frozen=True)
class Taken:
    """A document on its way in. original: what it reverses."""

    document: Mapping[str, Any]
    at: datetime
    original: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        return str(self.document["key"])

    @property
    def order(self) -> tuple[str | None, str | None]:
        """Store and order, as facts name them."""
        order = self.document.get("order")
        return self.document.get("store"), None if order is None else str(order)


@dataclass(eq=False)
class PartyStore(DocumentStore):
    """One party's state. party, source: as its facts name them. now, random: its clock, and what it can't foresee."""

    party: str
    source: str
    path: str = ":memory:"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random: Random = field(default_factory=Random)
    modes: PartyModes = field(default_factory=PartyModes)

    kinds: frozenset[str] = frozenset()  # of documents that it takes

    def __post_init__(self) -> None:
        super().__init__(self.path, SCHEMA)
        with self._writing():
            self._connection.execute(
                "insert into generation select ? where not exists (select 1 from generation)",
                (f"{self.random.getrandbits(48):012x}",),
            )

    # What a kind of party does with a document: facts, things, or a Refusal.

    def take(self, taken: Taken) -> None:
        raise NotImplementedError

    def undo(self, taken: Taken) -> None:
        """The document reverses one that was taken."""
        raise NotImplementedError

    def advance(self) -> None:
        """What it does by itself as time passes."""

    # Documents

    def post(self, documents: Sequence[Any], *, unique_keys: bool = True, at: datetime | None = None) -> list[Json]:
        """Take each once, in order, in one transaction; an outcome each, as the contract's JSON says."""
        moment = at or self.now()
        with self._writing():
            return [self._post_one(document, unique_keys, moment) for document in documents]

    def _post_one(self, document: Any, unique_keys: bool, at: datetime) -> Json:
        key = document.get("key") if isinstance(document, dict) else None
        self._connection.execute("savepoint one")
        try:
            number = self._number(self._judged(document), unique_keys, at)
        except Refusal as no:
            self._connection.execute("rollback to one")
            return {"key": key, "status": "refused", "category": no.category, "cause": no.cause, "remedy": no.remedy}
        finally:
            self._connection.execute("release one")
        return {"key": key, "status": "posted", "number": number}

    def _judged(self, document: Any) -> Mapping[str, Any]:
        kind = document.get("kind") if isinstance(document, dict) else None
        if not isinstance(kind, str) or kind not in self.kinds:
            raise Refusal("contract", f"The kind {str(kind)[:40]!r} is not for this party.", "Correct the rules.")
        faults = counterfoil_contracts.faults(f"documents/{kind}.v1", document, 3)
        if faults:
            told = "; ".join(str(fault) for fault in faults)
            raise Refusal("contract", f"The {kind} breaks its contract: {told}.", f"Send it as documents/{kind}.v1.")
        return dict(document)

    def _number(self, document: Mapping[str, Any], unique_keys: bool, at: datetime) -> str:
        standing = self._rows("select * from documents where key = ? order by id limit 1", (document["key"],))
        if standing and unique_keys:
            if standing[0]["content_hash"] != document["content_hash"]:
                cause = f"The key {document['key']} stands already with other content."
                raise Refusal("conflict", cause, "Send the new content under the next revision of its key.")
            return str(standing[0]["number"])
        number = f"{self.party.upper()}-{self.count() + 1:06}"
        taken = Taken(document, at, self._original(document))
        (self.undo if document["reverses"] else self.take)(taken)
        self._connection.execute(
            "insert into documents (key, slot, kind, amount_minor, content_hash, reverses, number, posted_at, body)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(document[name] for name in ("key", "slot", "kind", "amount_minor", "content_hash", "reverses")),
                *(number, stamp(at), json.dumps(document)),
            ),
        )
        return number

    def _original(self, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if document["reverses"] is None:
            return None
        rows = self._rows("select body from documents where key = ? order by id", (document["reverses"],))
        undone = self._rows("select 1 from documents where reverses = ?", (document["reverses"],))
        if len(undone) >= len(rows):
            cause = f"There is no document {document['reverses']} that is not reversed already."
            raise Refusal("data", cause, "Send it first; a document is reversed once.")
        original: Json = json.loads(rows[len(undone)]["body"])
        return original

    # Things: what it knows of its own, as JSON by kind and name

    def thing(self, kind: str, name: str) -> Json | None:
        rows = self._rows("select body from things where kind = ? and name = ?", (kind, name))
        return json.loads(rows[0]["body"]) if rows else None

    def things(self, kind: str) -> Iterator[tuple[str, Json]]:
        """All of a kind, by the order in which they came."""
        for row in self._rows("select name, body from things where kind = ? order by rowid", (kind,)):
            yield row["name"], json.loads(row["body"])

    def keep(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        self._connection.execute(
            "insert into things values (?, ?, ?) on conflict do update set body = excluded.body",
            (kind, name, json.dumps(body)),
        )

    # Facts

    def say(self, kind: str, order: tuple[str | None, str | None], at: datetime | None = None, **own: Any) -> str:
        """Tell a fact; its id."""
        moment = at or self.now()
        number = int(self._rows("select count(*) as n from facts")[0]["n"]) + 1
        body = {
            "fact": f"counterfoil.{kind}.v1",
            "party": self.party,
            "source": self.source,
            "id": f"{kind}-{number}",
            "at": stamp(moment),
            "store": order[0],
            "order": order[1],
            **own,
            **({"test": True} if self.modes.is_test else {}),
        }
        assert not counterfoil_contracts.faults(f"facts/{kind}.v1", body, 1), kind
        told_at = moment + timedelta(seconds=self.random.uniform(0, self.modes.late_facts_s))
        self._connection.execute(
            "insert into facts (id, told_at, body) values (?, ?, ?)", (body["id"], stamp(told_at), json.dumps(body))
        )
        return str(body["id"])

    def page(self, cursor: str | None) -> Json:
        """Facts after a cursor, as the contract says. One that was not given here begins anew: none is lost by that."""
        with self._writing():
            self._give_places()
        (generation,) = (row["id"] for row in self._rows("select id from generation"))
        given, _, place = (cursor or "").partition("-")
        after = int(place) if given == generation and place.isascii() and place.isdigit() and len(place) < 16 else 0
        most = max(1, self.modes.page_facts) + self.modes.doubled_facts
        rows = self._rows(
            "select place, body from facts where place > ? order by place limit ?",
            (max(0, after - self.modes.doubled_facts), most + 1),
        )
        page = rows[:most]
        last = max([after, *(row["place"] for row in page)])
        return {
            "facts": [json.loads(row["body"]) for row in page],
            "cursor": f"{generation}-{last}",
            "more": len(rows) > len(page),
        }

    def _give_places(self) -> None:
        self._connection.execute(
            "update facts set place = given.place from (select n, (select coalesce(max(place), 0) from facts)"
            " + row_number() over (order by told_at, n) as place from facts where place is null and told_at <= ?)"
            " as given where facts.n = given.n",
            (stamp(self.now()),),
        )

    def told(self) -> list[Json]:
        """Every fact that there is, told or not, in the order in which they happened here."""
        return [json.loads(row["body"]) for row in self._rows("select body from facts order by n")]

    # By hand, or by a test

    def command(self, name: str, **given: Any) -> Any:
        """Do something that a person or the world does there: a method named `on_<name>`. All of it, or a Refusal."""
        method = getattr(self, f"on_{name}", None)
        if method is None:
            known = ", ".join(sorted(each[3:] for each in dir(self) if each.startswith("on_")))
            raise Refusal("contract", f"There is no command {name[:40]!r}.", f"Use one of {known}.")
        try:
            with self._writing():
                return method(**given)
        except TypeError as error:
            cause = f"The command {name} was given what it doesn't take: {error}."
            raise Refusal("contract", cause, "Correct it.") from None
