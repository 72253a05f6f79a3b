"""What an operator asks and does, through the API and so by the command line: one method a command, answers in JSON."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from counterfoil_engine.domain.difference import Post, Reverse, Step
from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Caller, EventLog, Records, Rejected, RulesBook
from counterfoil_engine.work import restate, switches, unpark
from counterfoil_engine.work.decisions import the_decisions
from counterfoil_engine.work.four_eyes import FourEyes
from counterfoil_engine.work.look import Considered, Looker
from counterfoil_engine.work.publish import Publisher
from counterfoil_engine.work.shadow import Shadow
from counterfoil_engine.work.steps import line_of_steps
from counterfoil_engine.work.users import BOOTSTRAP

DRY_RUN_MAX = 1_000_000
DRY_RUN_GROUP = 50  # subjects looked at in one transaction


class Reports(Protocol):
    """The questions, as `records.reports` answers them."""

    def status(
        self, tx: Any, pools: Mapping[str, str] | None, with_done: bool, silent_after: timedelta
    ) -> dict[str, Any]: ...

    def order(self, tx: Any, store: str, order_id: str) -> dict[str, Any] | None: ...

    def knows_subject(self, tx: Any, subject: str) -> bool: ...

    def knows_store(self, tx: Any, store: str) -> bool: ...


class OperatorCommands:
    """All commands over one engine. caller: whose token asked, for the audit log; see `by`. silent_after: for so long
    may an agent not be heard."""

    def __init__(
        self,
        records: Records,
        reports: Reports,
        book: RulesBook,
        looker: Looker,
        events: EventLog,
        parse: Callable[[str], Rules],
        subjects_since: Callable[[Any, datetime, str | None], Sequence[str]],
        place: str,
        caller: Caller = BOOTSTRAP,
        publisher: Publisher | None = None,
        pass_over: Callable[[Any, str], tuple[int, int] | None] = lambda tx, store: None,
        four_eyes: FourEyes | None = None,
        shadow: Shadow | None = None,
        silent_after: timedelta = timedelta(minutes=5),
    ) -> None:
        self._records, self._reports, self._book, self._looker = records, reports, book, looker
        self._events, self._parse, self._subjects_since = events, parse, subjects_since
        self._silent_after = silent_after
        self._place, self._caller = place, caller
        self._four_eyes = four_eyes or FourEyes(records, book, the_decisions(records, book, parse))
        self._publisher, self._pass_over, self._shadow = publisher, pass_over, shadow

    def by(self, caller: Caller) -> OperatorCommands:
        """The same commands, done under this caller's name."""
        theirs = copy.copy(self)
        theirs._caller = caller
        return theirs

    @property
    def _who(self) -> str:
        return self._caller.name

    def status(self, with_done: bool = True) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            try:
                stores = self._book.current(tx).stores
            except Unavailable:
                stores = {}
            pools = {name: store.pool for name, store in stores.items() if store.pool}
            said = self._reports.status(tx, pools, with_done, self._silent_after)
            return {**said, "four_eyes": self._four_eyes.standing(tx)}

    def order(self, store: str, order_id: str) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            story = self._reports.order(tx, store, order_id)
        if story is None:
            raise Rejected(
                f"No order {store}/{order_id} was ever heard of.",
                "Check store and id (the id, not the shown number); is the store's agent connected?",
                slug="no-such-subject",
            )
        considered = self._looker.preview(f"order {store}/{order_id}")
        return {**story, "dues": preview(considered), "steps": line_of_steps(considered)}

    def why(self, pool: str, sku: str) -> Mapping[str, Any]:
        if self._publisher is None:
            raise Rejected("This engine publishes no stock.", "Ask the one that does.", slug="no-such-subject")
        return self._publisher.why(pool, sku)

    def retry(self, subject: str | None, category: str | None) -> Mapping[str, Any]:
        if subject:
            with self._records.transaction() as tx:
                known = self._reports.knows_subject(tx, subject)
            if not known:
                raise Rejected(
                    f"Nothing is known of the subject {subject!r}.",
                    "Write it as `counterfoil cases` does, such as `order eu1/1001`.",
                    slug="no-such-subject",
                )
            return {"subjects": unpark.retry(self._records, subject, self._who)}
        with self._records.transaction() as tx:
            causes = [row["fingerprint"] for row in self._records.cases.grouped(tx) if row["category"] == category]
        marked = [name for cause in causes for name in unpark.retry_all(self._records, cause, self._who)]
        return {"subjects": sorted(set(marked))}

    def replay(self, since: datetime, store: str | None, dry_run: bool) -> Mapping[str, Any]:
        """Mark due all of which something came since; a dry run says what looks would post, and writes nothing."""
        with self._records.transaction() as tx:
            if store and not self._reports.knows_store(tx, store):
                raise _unknown_store(store)
            subjects = self._subjects_since(tx, since, store)
            if not dry_run:
                self._records.work.mark_due(tx, subjects, "history")
                self._records.restatements.audit(tx, self._who, "replay", since=since.isoformat(), store=store)
        if not dry_run:
            return {"subjects": len(subjects), "dry_run": False}
        return self._would(subjects[:DRY_RUN_MAX])

    def _would(self, subjects: Sequence[str]) -> Mapping[str, Any]:
        """Totals of what looks at these subjects would write, by kind; only subjects that would change are named."""
        totals: dict[tuple[str, str, str], list[int]] = {}
        changing: list[str] = []
        for first in range(0, len(subjects), DRY_RUN_GROUP):
            for considered in self._looker.previews(subjects[first : first + DRY_RUN_GROUP]):
                if considered.steps:
                    changing.append(considered.facts.subject)
                for step in considered.steps:
                    self._count(totals, considered, step)
        return {
            "subjects": len(subjects),
            "dry_run": True,
            "changing": changing[:1000],
            "would": [
                {"step": step, "kind": kind, "currency": currency, "documents": count, "amount_minor": amount}
                for (step, kind, currency), (count, amount) in sorted(totals.items())
            ],
        }

    @staticmethod
    def _count(totals: dict[tuple[str, str, str], list[int]], considered: Considered, step: Step) -> None:
        if isinstance(step, Post):
            document = step.document
            name, amount = ("post", document.kind, document.currency), document.amount_minor
        elif isinstance(step, Reverse) and (intent := considered.intent(step.of_key)):
            name, amount = ("reverse", intent.kind, intent.currency), intent.amount_minor
        else:
            return
        total = totals.setdefault(name, [0, 0])
        total[0] += 1
        total[1] += amount

    def rules(self) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            current = self._records.rules.current_version(tx)
            return {
                "current": current,
                "text": self._records.rules.text_of(tx, current) if current else None,
                "versions": [
                    {"version": row["version"], "loaded_at": str(row["loaded_at"]), "loaded_by": row["loaded_by"]}
                    for row in self._records.rules.versions(tx)
                ],
            }

    def load_rules(self, text: str, dry_run: bool) -> Mapping[str, Any]:
        try:
            if dry_run:
                return {"version": self._parse(text).version, "freed": 0, "dry_run": True}
            return self._four_eyes.ask("load_rules", {"text": text}, self._caller)
        except Rejected:
            raise
        except CounterfoilError as error:
            raise Rejected(error.cause, error.remedy, slug="rules") from None

    def shadow(self, version: str) -> Mapping[str, Any]:
        return self._in_shadow().show(version)

    def start_shadow(self, text: str) -> Mapping[str, Any]:
        try:
            return self._in_shadow().start(text, self._who)
        except Rejected:
            raise
        except CounterfoilError as error:
            raise Rejected(error.cause, error.remedy, slug="rules") from None

    def stop_shadow(self, version: str) -> Mapping[str, Any]:
        return self._in_shadow().stop(version, self._who)

    def _in_shadow(self) -> Shadow:
        if self._shadow is None:
            raise Rejected("This engine runs no rules in shadow.", "Ask the one that does.", slug="rules")
        return self._shadow

    def restatements(self) -> Mapping[str, Any]:
        return {"held": [{name: _plain(value) for name, value in row.items()} for row in restate.held(self._records)]}

    def approve(self, version: str) -> Mapping[str, Any]:
        return self._four_eyes.ask("approve_restatement", {"version": version}, self._caller)

    def release_brake(self, entity: str) -> Mapping[str, Any]:
        return self._four_eyes.ask("release_brake", {"entity": entity}, self._caller)

    def hand_over(self, store: str) -> Mapping[str, Any]:
        self._events.hand_over(store)
        with self._records.transaction() as tx:
            self._records.restatements.audit(tx, self._who, "hand over", store=store)
        return {"store": store, "handover": True}

    def pass_over(self, store: str) -> Mapping[str, Any]:
        """The event that holds a store's basis held no move: count on after it."""
        with self._records.transaction() as tx:
            if not self._reports.knows_store(tx, store):
                raise _unknown_store(store)
            place = self._pass_over(tx, store)
            if place is None:
                raise Rejected(
                    f"Nothing holds the stock count of the store {store}.",
                    "See what is wrong with it: counterfoil status, counterfoil cases.",
                    slug="request",
                )
            self._records.restatements.audit(tx, self._who, "pass over", store=store, epoch=place[0], n=place[1])
        return {"store": store, "epoch": place[0], "n": place[1]}

    def switch(self, store: str, party: str, setting: str, confirmed: bool) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            rules = self._book.current(tx)
        if setting == "on" and confirmed:
            done = self._four_eyes.ask("switch_on", {"store": store, "party": party}, self._caller)
            return {**done, **_rows(done, "would_post")}
        switched = switches.switch(self._records, rules, store, party, setting, self._who, confirmed)
        done = {"store": store, "party": party, "setting": switched.setting, "would_post": switched.would_post}
        return {**done, **_rows(done, "would_post")}

    def confirm(self) -> Mapping[str, Any]:
        return {"engine_epoch": switches.confirm_identity(self._records, self._place, self._who)}


def _unknown_store(store: str) -> Rejected:
    return Rejected(
        f"No agent of a store {store!r} has ever said hello.",
        "See which have: counterfoil status.",
        slug="no-such-store",
    )


def preview(considered: Considered) -> list[dict[str, Any]]:
    """What ought to exist, each with why, and whether a look would still write something for it."""
    changed = {step.document.slot for step in considered.steps if isinstance(step, Post)}
    return [
        {
            "slot": document.slot,
            "kind": document.kind,
            "amount_minor": document.amount_minor,
            "currency": document.currency,
            "day": document.day.isoformat(),
            "why": document.why,
            "would_post": document.slot in changed,
        }
        for document in considered.dues.documents
    ]


def _rows(done: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Rows of an answer as JSON can say them; nothing where it has none (a proposal)."""
    if field not in done:
        return {}
    return {field: [{name: _plain(value) for name, value in row.items()} for row in done[field]]}


def _plain(value: Any) -> Any:
    """A value as JSON can say it; PostgreSQL's sums are Decimals."""
    if isinstance(value, Decimal):
        return int(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)
