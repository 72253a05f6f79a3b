"""The good among the bad: orders of three ways in, which all have to arrive, as facts and as documents in the ERP.

* The store `good` is played here: each batch has good events between hostile ones, and the numbers follow each other.
* Orders placed in the sandbox shop reach the engine by webhook, agent and poll, as in life.
* Documents go straight to the ERP, a hostile one between two good ones.
"""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import counterfoil_contracts
import requests
from fuzz import corpus, mutate
from fuzz.attacks import batch_of, envelope, hostile_event, signed
from fuzz.wire import Attempt, Hang, Line
from fuzz.world import World

INSTALLATION = "f" * 32
PATIENCE_S = 30.0  # as an agent's
FIRST_ORDER = 500_000_000  # above what bad orders may be called by chance


@dataclass
class Good:
    world: World
    orders: dict[str, str] = field(default_factory=dict)  # subject → the slot that proves it in the ERP
    slots: set[str] = field(default_factory=set)  # documents sent straight to the ERP
    wrong: list[str] = field(default_factory=list)  # good ones that were not taken when they were sent

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._last_order, self._last_n, self._epoch = FIRST_ORDER, 0, 1

    @property
    def sent(self) -> int:
        return len(self.orders) + len(self.slots)

    def begin(self, line: Line) -> None:
        """Both played stores say hello."""
        for store, installation in (("good", INSTALLATION), ("hostile", "0" * 32)):
            hello = {"store": store, "installation": installation, "agent_version": "1", "epoch": None, "last": None}
            contracts = {"order": [1], "gone": [1], "heartbeat": [1], "void": [1], "tombstone": [1]}
            told = self._say(line, store, "/v1/hello", mutate.encoded({**hello, "contracts": contracts}))
            assert told is not None and told["epoch"] == 1, f"{store} is not taken: {told}"

    def send(self, line: Line, randomly: random.Random) -> None:
        """One more, by any of the ways."""
        way = randomly.choices((self._batch, self._place, self._post), (5, 2, 3))[0]
        way(line, randomly)

    def _batch(self, line: Line, randomly: random.Random) -> None:
        kinds = randomly.choice(("gh", "hg", "ghg", "hghhg", "hhghhgh"))
        with self._lock:
            first, self._last_n = self._last_n + 1, self._last_n + len(kinds)
        events, good = [], {}
        for n, kind in enumerate(kinds, start=first):
            if kind == "h":
                events.append(hostile_event(self.world.keys, randomly, "good", self._epoch, n))
            else:
                order_id = self._new_id()
                order = corpus.new_order(randomly, order_id, self.world.keys.mark)
                events.append(
                    mutate.encoded(envelope(randomly, "good", self._epoch, n, {"order": order, "refunds": []}))
                )
                good[n] = f"order good/{order_id}"
        with self._lock:
            self.orders |= {
                subject: f"good/{subject.rpartition('/')[2]}/invoice/acceptance" for subject in good.values()
            }
        told = self._say(line, "good", "/v1/events", batch_of(events))
        verdicts = {verdict["n"]: verdict for verdict in told["verdicts"]} if told else {}
        for n, subject in good.items():
            if verdicts.get(n, {}).get("verdict") != "stored":
                self.wrong.append(f"{subject}, number {n}, is not stored: {verdicts.get(n) or told}")
        for n in range(first, first + len(kinds)):
            # As the agent does with what is refused: its number goes on without it.
            if told and verdicts.get(n, {}).get("verdict", "refused") == "refused":
                self._void(line, randomly, n)

    def _void(self, line: Line, randomly: random.Random, n: int) -> None:
        void = envelope(randomly, "good", self._epoch, n, {"reason": "refused"})
        del void["subject"]
        void |= {"type": "counterfoil.void.v1", "dataschema": "urn:counterfoil:events:void:1"}
        self._say(line, "good", "/v1/events", batch_of([mutate.encoded(void)]))

    def _place(self, line: Line, randomly: random.Random) -> None:
        order = corpus.new_order(randomly, self._new_id(), self.world.keys.mark)
        answer = requests.post(f"{self.world.url('shop')}/sandbox/orders", json={"order": order}, timeout=30)
        order_id = answer.json()["order_id"]
        with self._lock:
            self.orders[f"order shop/{order_id}"] = f"shop/{order_id}/invoice/acceptance"

    def _post(self, line: Line, randomly: random.Random) -> None:
        slots = [f"direct/{self._new_id()}/payment/1" for _ in range(2)]
        payment = next(document for document in corpus.documents("direct") if document["kind"] == "payment")
        good = [{**payment, "slot": slot, "key": f"{slot}/r1"} for slot in slots]
        bad = mutate.changed({**payment, "key": f"hostile/{slots[0]}/r1"}, randomly, 3)
        with self._lock:
            self.slots.update(slots)
        body = mutate.encoded({"documents": [json.loads(json.dumps(good[0])), _parsable(bad), good[1]]})
        headers = [("Content-Type", "application/json"), ("Authorization", f"Bearer {self.world.keys['erp']}")]
        told = self._told(line, Attempt("erp", "good documents", path="/v1/documents", headers=headers, body=body))
        said = [outcome["status"] for outcome in told["outcomes"]] if told else []
        if said[:1] + said[2:] != ["posted", "posted"]:
            self.wrong.append(f"{slots} are not posted: {said or told}")

    def _new_id(self) -> int:
        with self._lock:
            self._last_order += 1
            return self._last_order

    def _say(self, line: Line, store: str, path: str, body: bytes) -> Any:
        attempt = Attempt("engine", "good", path=path, body=body)
        attempt.headers = [("Content-Type", "application/json"), *signed(self.world.keys, store, attempt)]
        return self._told(line, attempt)

    def _told(self, line: Line, attempt: Attempt) -> Any:
        try:
            answer = line.send(attempt, PATIENCE_S)
        except Hang as hang:
            self.wrong.append(f"{attempt.path}: {hang}")
            return None
        if answer.status == 200:
            return json.loads(answer.body)
        self.wrong.append(f"{attempt.path}: {answer.status} {answer.body[:300]!r}, sent {attempt.shortened()}")
        return None

    # What became of them

    def missing(self) -> list[str]:
        stored, posted = self.world.stored(), self.world.posted()
        lost = [f"{subject} is no fact" for subject in self.orders if subject not in stored]
        lost += [f"{slot} is not in the ERP" for slot in self.orders.values() if slot not in posted]
        return lost + [f"{slot} is not in the ERP" for slot in self.slots if slot not in posted]

    def arrive(self, patience_s: float) -> list[str]:
        """Wait until all have arrived, as long as more do; what is missing then."""
        lost, since_s = self.missing(), time.monotonic()
        while lost and time.monotonic() - since_s < patience_s:
            time.sleep(0.5)
            now = self.missing()
            if len(now) < len(lost):
                since_s = time.monotonic()
            lost = now
        return lost


def _parsable(value: Any) -> Any:
    """The body as a whole must be JSON, or all of it is rejected by right."""
    try:
        counterfoil_contracts.parse(mutate.encoded(value))
        return value
    except ValueError:
        return None
