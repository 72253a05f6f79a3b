"""`counterfoil rehearse`: exported data through the whole chain, snapshot by snapshot, and what it came to."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from counterfoil_agent.errors import Unreadable
from counterfoil_agent.snapshot import Event, gone_event, order_event, unreadable_event

from counterfoil_engine.domain.errors import CounterfoilError, Parked
from counterfoil_engine.domain.order import Order, read_order
from counterfoil_engine.records import intents, looks, reports
from counterfoil_engine.rehearsal.chain import Chain
from counterfoil_engine.rehearsal.exports import Snapshot, read_exports
from counterfoil_engine.rehearsal.report import Report, invariant, judge_books, judge_orders
from counterfoil_engine.work.propose import Proposal, as_rules, propose
from counterfoil_engine.work.rules_file import render_rules

STORE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
Trace = Callable[[str], None]
_AMOUNTS = ("debit_minor", "credit_minor", "book_debit_minor", "book_credit_minor")


@dataclass
class _Journey:
    """One order's snapshots on their way."""

    order_id: int
    snapshots: Sequence[Snapshot]
    traced_look: int = 0
    traced_keys: set[str] = field(default_factory=set)
    failed: list[dict[str, Any]] = field(default_factory=list)


def rehearse(
    paths: Sequence[Path], store: str = "rehearsal", rules_text: str | None = None, trace: Trace | None = None
) -> Report:
    """Try Counterfoil on exported data. rules_text: use these rules; None: propose what the data needs.

    Raises CounterfoilError where a path doesn't exist or the rules are wrong. Writes to a temporary folder alone.
    """
    if not STORE.fullmatch(store):
        raise CounterfoilError(
            f"{store[:80]!r} can't be a store's name.",
            "Use letters, digits, dots, dashes and underscores, at most 63, such as eu1.",
            "contract",
        )
    exports = read_exports(paths)
    histories = exports.histories()
    now = datetime.now(UTC)
    proposed: list[Proposal] = []
    if rules_text is None:
        proposed = propose(_readable(histories, now), store)
        rules_text = render_rules(as_rules(proposed, "proposed"))
    with tempfile.TemporaryDirectory(prefix="counterfoil-rehearsal-") as folder:
        chain = Chain(Path(folder) / "live", store, rules_text, now)
        try:
            journeys = [_Journey(order_id, snapshots) for order_id, snapshots in histories.items()]
            _travel(chain, journeys, trace)
            report = _report(chain, journeys, Path(folder), rules_text, now)
        finally:
            chain.close()
    report.proposed, report.skipped, report.rules_text = proposed, exports.skipped, rules_text
    return report


def carry(chain: Chain, histories: Mapping[int, Sequence[Snapshot]]) -> None:
    """Let histories travel through a chain of one's own."""
    _travel(chain, [_Journey(order_id, snapshots) for order_id, snapshots in histories.items()], None)


def _readable(histories: Mapping[int, Sequence[Snapshot]], now: datetime) -> list[Order]:
    """Every snapshot that reads as an order; what doesn't becomes a case later."""
    orders = []
    for snapshots in histories.values():
        for snapshot in snapshots:
            if snapshot.kind != "order":
                continue
            try:
                body = {
                    "order": json.loads(snapshot.raw, parse_float=Decimal),
                    "refunds": [json.loads(raw, parse_float=Decimal) for raw in snapshot.refunds],
                }
                orders.append(read_order(body, now))
            except (Parked, ValueError, RecursionError):
                continue
    return orders


def _event(snapshot: Snapshot) -> Event:
    if snapshot.kind == "gone":
        said = json.loads(snapshot.raw)
        code = str(said.get("code", "")) if isinstance(said, dict) else ""
        return gone_event(snapshot.order_id, code, _evidence(snapshot, code))
    try:
        return order_event(snapshot.raw, snapshot.refunds)
    except Unreadable as error:
        return unreadable_event(snapshot.order_id, error)


def _evidence(snapshot: Snapshot, code: str) -> list[dict[str, Any]]:
    """An export holds the store's word once and no other order's answer beside it: it is taken for the whole proof."""
    at = (snapshot.modified or "2000-01-01T00:00:00") + "Z"
    return [{"at": at, "status": 404, "code": code, "control_order_id": snapshot.order_id}] * 2


def _travel(chain: Chain, journeys: Sequence[_Journey], trace: Trace | None) -> None:
    """The first snapshot of every order, then the second of those that have one, and so on; all looked at between."""
    longest = max((len(journey.snapshots) for journey in journeys), default=0)
    for step in range(longest):
        moving = [journey for journey in journeys if step < len(journey.snapshots)]
        chain.append([_event(journey.snapshots[step]) for journey in moving])
        chain.flow()
        for journey in moving:
            _note_failures(chain, journey, step)
            if trace:
                _tell(chain, journey, step, trace)


def _note_failures(chain: Chain, journey: _Journey, step: int) -> None:
    """Keep what a proof found at this snapshot, though a later one may be whole again."""
    if step + 1 == len(journey.snapshots):
        return
    with chain.database.transaction() as tx:
        reading = looks.reading(tx, f"order {chain.store}/{journey.order_id}")
    journey.failed += [{**proof, "snapshot": step + 1} for proof in reports.proofs(reading) if not proof["ok"]]


def _tell(chain: Chain, journey: _Journey, step: int, trace: Trace) -> None:
    """Each hop of one snapshot: sequence, fact, look, intents, ERP number."""
    subject = f"order {chain.store}/{journey.order_id}"
    snapshot = journey.snapshots[step]
    with chain.database.transaction() as tx:
        event = tx.one(
            "select epoch, n, verdict, reason, same_as from events where subject = %s order by arrival desc limit 1",
            subject,
        )
        done = [row for row in reversed(looks.of_subject(tx, subject)) if row["id"] > journey.traced_look]
        numbered = [intent for intent in intents.of_subject(tx, subject) if intent.number]
    trace(f"{subject} snapshot {step + 1}/{len(journey.snapshots)}: {snapshot.after or Path(snapshot.source).name}")
    if event:
        kept = "same as before" if event["same_as"] else event["reason"] or "a fact"
        trace(f"  sequence {event['epoch']}.{event['n']}: {event['verdict']}, {kept}")
    for look in done:
        steps = json.loads(look["steps"])
        trace(f"  look {look['id']}: {look['reading']}; {'; '.join(steps) or 'nothing to do'}")
        journey.traced_look = look["id"]
    for intent in numbered:
        if intent.key not in journey.traced_keys:
            journey.traced_keys.add(intent.key)
            trace(f"  ERP {intent.number}: {intent.key}, {intent.amount_minor} {intent.currency} (minor units)")


def _report(
    chain: Chain,
    journeys: Sequence[_Journey],
    folder: Path,
    rules_text: str,
    now: datetime,
) -> Report:
    report = Report(orders=[_order(chain, journey) for journey in journeys])
    books, report.remainder_minor = judge_books(chain.engine_balances(), chain.erp_balances())
    report.invariants = [*judge_orders(report.orders), books, _judge_replay(chain, folder, rules_text, now)]
    return report


def _order(chain: Chain, journey: _Journey) -> dict[str, Any]:
    """One order as the report's contract has it; proof has what failed at an earlier snapshot, too, with its place."""
    order_id = journey.order_id
    subject = f"order {chain.store}/{order_id}"
    with chain.database.transaction() as tx:
        story = reports.order(tx, chain.store, str(order_id)) or {}
        posted = [intent for intent in intents.of_subject(tx, subject) if intent.state == "done"]
        waiting = [intent for intent in intents.of_subject(tx, subject) if intent.state in ("ready", "sent")]
    cases = [{name: case[name] for name in ("category", "cause", "remedy", "rows")} for case in story.get("cases", [])]
    if story.get("unread"):
        cases.append(_unread_case(story["unread"]))
    reading = story.get("reading", "parked") if not cases else "parked"
    return {
        "order": f"{chain.store}/{order_id}",
        "currency": story.get("currency", ""),
        "total_minor": story.get("total_minor"),
        "reading": "waiting" if waiting and reading == "posted" else reading,
        "reason": story.get("reason", ""),
        "documents": [
            {
                name: value
                for name, value in reports.document(intent).items()
                if name in ("key", "kind", "amount_minor", "currency", "reverses", "lines", "number", "day", "why")
            }
            for intent in posted
        ],
        "journal": [
            {name: line[name] for name in ("document", "role", "currency", *_AMOUNTS)}
            for line in story.get("journal", [])
        ],
        "proof": [*story.get("proof", []), *journey.failed],
        "cases": cases,
    }


def _unread_case(why: str) -> dict[str, Any]:
    return {
        "category": "contract",
        "cause": why[:3900],
        "remedy": "Correct the order in the store, or report the plugin that writes it so; it was kept as it came.",
        "rows": [],
    }


def _judge_replay(chain: Chain, folder: Path, rules_text: str, now: datetime) -> dict[str, Any]:
    """I6: all events again change nothing; into an empty engine, at once, they give the same balances by order."""
    before = chain.intents()
    by_order = chain.balances_by_order()
    rows = chain.send_all_again()
    chain.look_at_all_again()
    broken = [key for key, _ in set(chain.intents()) ^ set(before)]
    empty = Chain(folder / "empty", chain.store, rules_text, now)
    try:
        empty.append([Event(row.type, row.order_id, row.body) for row in rows])
        empty.flow()
        differing = set(empty.balances_by_order().items()) ^ set(by_order.items())
        broken += sorted(f"{subject} {role}" for (subject, role), _ in differing)
    finally:
        empty.close()
    return invariant("I6", broken, "all events sent again changed nothing; into an empty engine they gave the same")
