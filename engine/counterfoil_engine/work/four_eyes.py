"""Four eyes: what moves money is proposed by one person and decided by another, who sees exactly what would be done.

In force from the moment on when there were two named users, and then for good: taking users away brings nobody's two
eyes back. Up to a limit of the rules (table `approvals`) one person is enough. The engine's own token is nobody's, so
it neither proposes nor decides. Nor does a token decide that the proposer had made, until its owner has replaced it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.roles import may
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.ports import Caller, Records, Rejected, RulesBook
from counterfoil_engine.work.decisions import Decision, Frozen

EXPIRES_AFTER = timedelta(days=7)
NO_LIMIT = "any"


class FourEyes:
    """decisions: what may take a second person."""

    def __init__(self, records: Records, book: RulesBook, decisions: Iterable[Decision]) -> None:
        self._records, self._book = records, book
        self._decisions = {decision.what: decision for decision in decisions}

    def ask(self, what: str, asked: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        """Do it, where one person is enough; else keep it as a proposal, whose number is in the answer."""
        decision = self._decisions[what]
        decision.prepare(asked)
        with self._records.transaction() as tx:
            frozen = decision.freeze(tx, asked)
            if not self._takes_another(tx, what, frozen):
                return decision.carry_out(tx, frozen.payload, caller.name)
            return self._propose(tx, what, frozen, caller)

    def approve(self, proposal: int, caller: Caller) -> Mapping[str, Any]:
        """Do what was proposed, exactly and once. What is approved already stays as it is."""
        with self._records.transaction() as tx:
            row = self._read(tx, proposal)
        payload = json.loads(row["payload"])
        decision = self._decisions[row["what"]]
        if row["state"] == "open":
            decision.prepare(payload)
        with self._records.transaction() as tx:
            row = self._read(tx, proposal)
            if row["state"] == "approved":
                return {**_shown(row), "done": None}
            _refuse_what_is_over(row, tx.now())
            self._refuse_who_may_not(row, caller)
            if hash_of(row["what"], payload) != row["payload_hash"]:
                raise CounterfoilError(
                    f"What proposal {proposal} would do is no longer what was proposed: somebody changed the database.",
                    "Reject it, find out who did (counterfoil audit verify), and propose anew.",
                    "conflict",
                )
            if not self._records.proposals.decide(tx, proposal, "approved", caller.name):
                return {**_shown(self._read(tx, proposal)), "done": None}
            done = decision.carry_out(tx, payload, caller.name)
            self._audit(tx, caller, "approve proposal", row)
            return {**_shown(self._read(tx, proposal)), "done": done}

    def reject(self, proposal: int, reason: str, caller: Caller) -> Mapping[str, Any]:
        """Nothing of it is done. Its proposer may take it back; else it takes whoever may approve."""
        with self._records.transaction() as tx:
            row = self._read(tx, proposal)
            if row["state"] == "rejected":
                return _shown(row)
            if row["proposed_by"] != caller.name and not may(caller.role, "approve_proposal"):
                raise Rejected("Only its proposer or a controller rejects a proposal.", "Ask one.", slug="role")
            if not self._records.proposals.decide(tx, proposal, "rejected", caller.name, reason):
                raise _over(row, "is approved already")
            self._audit(tx, caller, "reject proposal", row, reason=reason)
            return _shown(self._read(tx, proposal))

    def list(self, with_decided: bool, limit: int) -> Mapping[str, Any]:
        with self._records.transaction() as tx:
            rows = self._records.proposals.listed(tx, with_decided, limit)
            return {"proposals": [_shown(row, tx.now()) for row in rows], "four_eyes": self.standing(tx)}

    def show(self, proposal: int) -> Mapping[str, Any]:
        """All of a proposal: what would be done, to the letter."""
        with self._records.transaction() as tx:
            row = self._read(tx, proposal)
            payload = json.loads(row["payload"])
            changes = list(self._decisions[row["what"]].explain(tx, payload))
            return {**_shown(row, tx.now()), "payload": payload, "changes": changes}

    def standing(self, tx: Any) -> Mapping[str, Any]:
        """Whether four eyes are in force, in a sentence, and how many proposals wait."""
        since = self._records.users.four_eyes_since(tx)
        said = (
            f"Four eyes are in force since {str(since)[:10]}."
            if since
            else "Four eyes are not in force: they begin with the second named user (counterfoil users add)."
        )
        return {"in_force": since is not None, "says": said, "waiting": self._records.proposals.waiting(tx)}

    def _takes_another(self, tx: Any, what: str, frozen: Frozen) -> bool:
        if self._records.users.four_eyes_since(tx) is None:
            return False
        if frozen.amounts is None:
            return self._limit(tx, what, "") != NO_LIMIT
        limits = {currency: self._limit(tx, what, currency) for currency in frozen.amounts}
        return any(limit != NO_LIMIT and frozen.amounts[currency] > int(limit) for currency, limit in limits.items())

    def _limit(self, tx: Any, what: str, currency: str) -> str:
        """Up to how much one person is enough; currency: empty where no amount says how much is at stake."""
        try:
            return limit_of(self._book.current(tx), tx.now().date(), what, currency)
        except Unavailable:
            return "0"

    def _propose(self, tx: Any, what: str, frozen: Frozen, caller: Caller) -> Mapping[str, Any]:
        if not caller.is_person:
            raise Rejected(
                "This takes two people, and the engine's own token is nobody's.",
                "Use your own token (counterfoil users list): you propose, somebody else approves.",
                slug="four-eyes",
            )
        payload_hash = hash_of(what, frozen.payload)
        known = self._records.proposals.same(tx, payload_hash, caller.name)
        if known:
            return _shown(known)
        proposal = self._records.proposals.add(
            tx,
            what,
            _text(frozen.payload),
            payload_hash,
            frozen.summary,
            _text(frozen.amounts),
            caller.name,
            tx.now() + EXPIRES_AFTER,
        )
        row = self._read(tx, proposal)
        self._audit(tx, caller, "propose", row)
        return _shown(row)

    def _read(self, tx: Any, proposal: int) -> Mapping[str, Any]:
        row = self._records.proposals.read(tx, proposal)
        if row is None or row["what"] not in self._decisions:
            raise Rejected(
                f"There is no proposal {proposal}.", "See which wait: counterfoil proposals list.", slug="request"
            )
        return row

    @staticmethod
    def _refuse_who_may_not(row: Mapping[str, Any], caller: Caller) -> None:
        if not caller.is_person:
            cause, remedy = "The engine's own token is nobody's, and approves nothing.", "Use your own token."
        elif caller.name == row["proposed_by"]:
            cause, remedy = f"{caller.name} proposed this; approving takes somebody else.", "Ask another controller."
        elif caller.token_by == row["proposed_by"]:
            cause = f"{row['proposed_by']} proposed this, and had your token or password made, so has seen it."
            remedy = "Replace it first: counterfoil users rotate, or Account in the console."
        else:
            return
        raise Rejected(cause, remedy, slug="four-eyes")

    def _audit(self, tx: Any, caller: Caller, what: str, row: Mapping[str, Any], **more: Any) -> None:
        detail = {"proposal": row["id"], "of": row["what"], "payload_hash": row["payload_hash"], **more}
        self._records.restatements.audit(tx, caller.name, what, proposed_by=row["proposed_by"], **detail)


def limit_of(rules: Rules, on: date, what: str, currency: str) -> str:
    """Up to how much one person is enough, in minor units as text, or `NO_LIMIT`."""
    row = rules.find("approvals", on, what=what, currency=currency)
    return str(row.values["limit_minor"]) if row else "0"


def _refuse_what_is_over(row: Mapping[str, Any], now: datetime) -> None:
    if row["state"] == "rejected":
        raise _over(row, f"was rejected by {row['decided_by']}")
    if _moment(row["expires_at"]) <= now:
        raise _over(row, f"expired on {str(row['expires_at'])[:10]}")


def _over(row: Mapping[str, Any], how: str) -> CounterfoilError:
    return CounterfoilError(f"Proposal {row['id']} {how}.", "Where it is still wanted, propose it anew.", "conflict")


def _shown(row: Mapping[str, Any], now: datetime | None = None) -> dict[str, Any]:
    is_expired = row["state"] == "open" and now is not None and _moment(row["expires_at"]) <= now
    return {
        "proposal": row["id"],
        "what": row["what"],
        "summary": row["summary"],
        "amounts": json.loads(row["amounts"]),
        "state": "expired" if is_expired else row["state"],
        "payload_hash": row["payload_hash"],
        **{
            name: _moment(row[name]).isoformat() if row[name] is not None else None
            for name in ("proposed_at", "expires_at", "decided_at")
        },
        **{name: row[name] for name in ("proposed_by", "decided_by", "reason")},
    }


def hash_of(what: str, payload: Mapping[str, Any]) -> str:
    """What is approved is exactly that content."""
    return hashlib.sha256(f"{what}\n{_text(payload)}".encode()).hexdigest()


def _text(value: Any) -> str:
    """Canonical JSON: what is hashed is what is kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
