"""When an order counts as deleted: hardly ever by one answer.

A store whose permalinks were flushed, or whose plugin is switched off, answers 404 for every order. So *gone* is a fact
only by WooCommerce's own code for an unknown order, while an order that is known to stand answers 200 just before and
just after, twice, a minute or more apart. And where more than a few go in an hour, or are about to, all of them wait
for a person (`counterfoil-agent allow-deletions`). The store's plugin writes a deletion down in the request that does
it: its row is proof by itself, and is held like the others where there are many.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from loguru import logger

from counterfoil_agent import snapshot
from counterfoil_agent.errors import Unreadable
from counterfoil_agent.outbox import Missing, Outbox
from counterfoil_agent.ports import Absent, Clock, Store

UNKNOWN_ORDER = "woocommerce_rest_shop_order_invalid_id"
APART_S = 60.0
LOOK_AGAIN_S = 600.0  # where the answers were no proof
HELD, ALLOWED = "deletions:held", "deletions:allowed"


class Gone:
    """Looks at one missing order a step."""

    def __init__(self, store: Store, outbox: Outbox, clock: Clock, most_an_hour: int) -> None:
        self._store, self._outbox, self._clock, self._most_an_hour = store, outbox, clock, most_an_hour

    def deleted(self, order_id: int, event_id: str, at: str) -> None:
        """The plugin's row says so: proof enough, but many wait for a person all the same. Within a transaction."""
        now = self._clock.now()
        self._outbox.miss(order_id, now)
        self._conclude(order_id, [{"event_id": event_id, "at": at}], now)

    def probe(self, missing: Missing) -> None:
        """Ask for it between two questions for an order that stands. What the store raises leaves nothing noted."""
        evidence = msgspec.json.decode(missing.evidence)
        if evidence and "event_id" in evidence[0]:
            self._conclude(missing.order_id, evidence, self._clock.now())
            return
        control = self._standing(missing.order_id)
        answer = self._asked(missing.order_id)
        now = self._clock.now()
        if answer is None:
            with self._outbox.writing():
                self._outbox.found_again(missing.order_id)
                self._outbox.mark(missing.order_id, now)
            return
        if control is None or answer.code != UNKNOWN_ORDER or not self._stands(control):
            self._no_proof(missing, now)
            return
        evidence.append(
            {"at": snapshot.iso(now), "status": answer.status, "code": answer.code, "control_order_id": control}
        )
        if len(evidence) < 2:
            due = now + timedelta(seconds=APART_S)
            self._outbox.doubt(missing.order_id, msgspec.json.encode(evidence).decode(), "probing", due)
            return
        self._conclude(missing.order_id, evidence, now)

    def _standing(self, besides: int) -> int | None:
        """An order that answers 200 now; None: none does, so that no answer of this store proves anything."""
        return next((control for control in self._outbox.controls(besides) if self._stands(control)), None)

    def _stands(self, order_id: int) -> bool:
        return self._asked(order_id) is None

    def _asked(self, order_id: int) -> Absent | None:
        """None: it is there, whether it can be read or not."""
        try:
            answer = self._store.order(order_id)
        except Unreadable:
            return None
        return answer if isinstance(answer, Absent) else None

    def _no_proof(self, missing: Missing, now: datetime) -> None:
        logger.bind(subject=f"order {missing.order_id}").warning("missing, without proof that it is gone")
        self._outbox.doubt(missing.order_id, "[]", "probing", now + timedelta(seconds=LOOK_AGAIN_S))

    def _conclude(self, order_id: int, evidence: list[dict[str, object]], now: datetime) -> None:
        with self._outbox.writing():
            allowed = int(self._outbox.recall(ALLOWED) or 0)
            recent = self._outbox.deletions_since(now - timedelta(hours=1))
            if recent + self._outbox.in_doubt("probing") > self._most_an_hour:
                self._outbox.remember(HELD, "1")
            if self._outbox.recall(HELD) and allowed <= 0:
                # The first look counts again once a person has allowed it; the second is then taken anew.
                kept = msgspec.json.encode(evidence[:1]).decode()
                self._outbox.doubt(order_id, kept, "held", now)
                logger.bind(subject=f"order {order_id}").warning("held: too many deletions in an hour")
                return
            if allowed > 0:
                self._outbox.remember(ALLOWED, str(allowed - 1))
            if "event_id" in evidence[0]:
                event = snapshot.deleted_event(order_id, str(evidence[0]["event_id"]), str(evidence[0]["at"]))
            else:
                event = snapshot.gone_event(order_id, UNKNOWN_ORDER, evidence)
            self._outbox.append(event, now)
            self._outbox.gone(order_id)
            logger.bind(subject=f"order {order_id}").info("gone")

    def allow(self, count: int | None, now: datetime) -> int:
        """A person has looked: let what is held go on (at most count); returns how many that are."""
        with self._outbox.writing():
            held = self._outbox.release_held(now)
            self._outbox.forget(HELD)
            self._outbox.remember(ALLOWED, str(held if count is None else count))
            return held
