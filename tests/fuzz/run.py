"""One run: the bad requests over several connections, the good between them, and what must hold after."""

from __future__ import annotations

import base64
import itertools
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from fuzz import attacks, described, mutate
from fuzz.attacks import HOSTILE, Keys
from fuzz.good import Good
from fuzz.wire import Answer, Attempt, Hang, Line
from fuzz.world import World

CONNECTIONS = 6
GOOD_EVERY = 25
MOST_GROWTH = 1.2
LONG = 10_000  # requests; from here on the first tenth has seen all kinds
SIEGE = 24  # half requests that stay open, more than any server has threads
SIEGE_TIMEOUT_S = 30.0
MOST_TOLD = 25  # findings, each with the first request that showed it

Tell = Callable[[str], None]


@dataclass
class Findings:
    """What should not be, by kind; each with the first request that showed it."""

    tell: Tell
    first: dict[str, str] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, what: str, example: str = "") -> None:
        name = f"{kind}: {what}"
        self.count[name] += 1
        if name not in self.first:
            self.first[name] = example
            if len(self.first) <= MOST_TOLD:
                self.tell(f"! {name}\n          {example}")

    def of(self, kind: str) -> int:
        return sum(count for name, count in self.count.items() if name.startswith(f"{kind}:"))


@dataclass
class Run:
    world: World
    requests: int
    seed: int
    tell: Tell
    statuses: Counter[str] = field(default_factory=Counter)
    sent: int = 0

    def __post_init__(self) -> None:
        self.good, self.findings = Good(self.world), Findings(self.tell)
        self._lock, self._early_kb = threading.Lock(), dict[str, int]()
        self._early_at = max(1, self.requests // 10)
        # The first tenth of a short run is no more than the start: caches and threads are still to come.
        self._warming_kb = 0 if self.requests >= LONG else 32_768
        self._next_told = 0.0

    def run(self) -> None:
        line = Line(self.world.ports)
        self.good.begin(line)
        self.tell(f"all is up, mark {self.world.keys.mark}")
        self._besiege()
        for attempt in heaviest(self.world.keys):
            self._attempt(line, attempt, "one of the heaviest")
        line.close()
        numbers = itertools.count()
        described_cases = self._described()
        threads = [threading.Thread(target=self._work, args=(numbers,), daemon=True) for _ in range(CONNECTIONS)]
        threads.append(threading.Thread(target=self._work_off, args=(described_cases,), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def missing(self, patience_s: float) -> list[str]:
        """What of the good has not arrived, and was waited for in vain."""
        self.tell(f"{self.sent} bad requests and {self.good.sent} good events sent: {self._told_statuses()}")
        lost = self.good.arrive(patience_s)
        if off := self.world.webhooks_off():
            self.findings.add("webhooks", f"the shop has switched off {off}")
        return lost

    def _told_statuses(self) -> str:
        return ", ".join(f"{count} × {status}" for status, count in self.statuses.most_common(14))

    # Sending

    def _described(self) -> Iterator[Attempt]:
        return described.attempts(self.world.keys, self.seed, max(1, min(self.requests // 1_000, 60)))

    def _work(self, numbers: Iterator[int]) -> None:
        try:
            self._send_all(numbers)
        except Exception as error:
            self.findings.add("fuzz itself", f"{type(error).__name__} {error}")
            raise

    def _send_all(self, numbers: Iterator[int]) -> None:
        line = Line(self.world.ports)
        for number in numbers:
            with self._lock:
                if self.sent >= self.requests:
                    break
            randomly = random.Random(f"{self.seed} {number}")
            if number % GOOD_EVERY == 0:
                self._good(line, randomly, number)
            self._attempt(line, attacks.attack(self.world.keys, randomly), f"seed {self.seed}, number {number}")
        line.close()

    def _good(self, line: Line, randomly: random.Random, number: int) -> None:
        try:
            self.good.send(line, randomly)
        except Exception as error:
            self.findings.add("good", f"{type(error).__name__} {error}", f"number {number}")

    def _work_off(self, attempts: Iterator[Attempt]) -> None:
        line = Line(self.world.ports)
        for place, attempt in enumerate(attempts):
            if self.sent >= self.requests:
                break
            self._attempt(line, attempt, f"seed {self.seed}, described {place}")
        line.close()

    def _attempt(self, line: Line, attempt: Attempt, name: str) -> None:
        example = f"({name}) {attempt.shortened()}"
        try:
            answer = self._answered(line, attempt)
        except Hang as hang:
            self._counted("hang")
            self.findings.add("hang", f"{attempt.target}, {attempt.what}: {hang}", example)
            return
        self._counted(str(answer.status or "closed"))
        self._judge(attempt, answer, example)

    def _answered(self, line: Line, attempt: Attempt) -> Answer:
        """Where no answer comes in time, it is sent once more: a machine that has too much else to do is late at times,
        a request that hangs the other side does so again. Raises Hang."""
        try:
            return line.send(attempt)
        except Hang:
            self.statuses["late"] += 1
            return line.send(attempt)

    def _judge(self, attempt: Attempt, answer: Answer, example: str) -> None:
        where = f"{attempt.target}, {attempt.what}"
        text = answer.headers + answer.body.decode("utf-8", "replace")
        if answer.status is None and not attempt.may_drop:
            self.findings.add("no answer", where, example)
        if answer.status and answer.status >= 500:
            self.findings.add("server error", f"{where}: {answer.status} {text[-160:]}", example)
        for secret, value in self.world.keys.secrets.items():
            if value in text:
                self.findings.add("secret in an answer", f"{where}: {secret}", example)
        if "Traceback" in text:
            self.findings.add("trace in an answer", where, example)
        if answer.status == 200 and attempt.path in ("/v1/hello", "/v1/epoch"):
            with suppress(ValueError, KeyError, TypeError):
                self.world.keys.told(json.loads(answer.body)["epoch"])

    def _counted(self, status: str) -> None:
        with self._lock:
            self.sent += 1
            self.statuses[status] += 1
            is_early, now_s = self.sent == self._early_at, time.monotonic()
            is_told = now_s >= self._next_told
            self._next_told = now_s + 15 if is_told else self._next_told
        if is_early:
            self._early_kb = self.world.memory_kb()
        if is_told:
            memory = ", ".join(f"{name} {kb // 1024} MB" for name, kb in self.world.memory_kb().items())
            self.tell(f"{self.sent} requests; {memory}")

    # Half requests that stay open

    def _besiege(self) -> None:
        """Many open lines on which nothing more comes must not keep others out for long."""
        for target in ("engine", "webhook", "erp"):
            lines = [socket.create_connection(("127.0.0.1", self.world.ports[target])) for _ in range(SIEGE)]
            try:
                for place, line in enumerate(lines):
                    tail = b"Content-Length: 900\r\n\r\n{" if place % 2 else b"X-A"
                    line.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + tail)
                time.sleep(0.3)
                began_s = time.monotonic()
                ask = Attempt(target, "while besieged", "GET", "/health" if target == "webhook" else "/v1/health")
                ask.headers = [("Authorization", f"Bearer {self.world.keys['erp']}")]
                status = Line(self.world.ports).send(ask, SIEGE_TIMEOUT_S).status
                took_s = time.monotonic() - began_s
                self.tell(f"{SIEGE} half requests at the {target}: another is answered {status} after {took_s:.1f} s")
                if status != 200:
                    self.findings.add("hang", f"{target}, while besieged: {status}")
            except Hang as hang:
                self.findings.add("hang", f"{target}, while {SIEGE} half requests stay open: {hang}")
            finally:
                for line in lines:
                    line.close()

    # After

    def growth(self) -> None:
        late_kb = self.world.memory_kb()
        for name, late in late_kb.items():
            early = self._early_kb.get(name) or late
            ratio = late / early if early else 0.0
            self.tell(
                f"memory of {name}: {early / 1024:.0f} MB after the first tenth, {late / 1024:.0f} MB ({ratio:.2f})"
            )
            if not late:
                self.findings.add("ended", name)
            elif ratio > MOST_GROWTH and late - early > self._warming_kb:
                self.findings.add("memory", f"{name} grew to {ratio:.2f} times")

    def logs(self) -> None:
        """Neither secret nor shopper nor trace in anything that a process wrote."""
        keys = self.world.keys
        pair = f"{keys['shop key']}:{keys['shop secret']}".encode()
        words = {**keys.secrets, "personal data": keys.mark, "shop credentials": base64.b64encode(pair).decode()}
        words |= {"a trace": "Traceback (most recent", "a worker's end": "WORKER TIMEOUT"}
        size = 0
        for path in sorted(self.world.folder.glob("*.log")):
            text = path.read_text(errors="replace")
            size += len(text)
            for name, word in words.items():
                for found in (at for at in [text.find(word)] if at >= 0):
                    self.findings.add("log", f"{path.name} holds {name}", text[max(0, found - 300) : found + 700])
        self.tell(f"{size / 1e6:.1f} MB of logs searched for {len(words)} words")
        for name, child in self.world.crew.children.items():
            if child.ended_by_itself or child.starts != 1:
                self.findings.add("ended", f"{name} ended by itself")


def heaviest(keys: Keys) -> Iterator[Attempt]:
    """What takes most room, so that the first tenth has seen it."""
    for _ in range(2):
        for body in (attacks.bomb(20), attacks.bomb(200)):
            attempt = Attempt("engine", "a bomb", path="/v1/events", body=body)
            attempt.headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
            attempt.headers += attacks.signed(keys, HOSTILE, attempt)
            yield attempt
        for piece in mutate.BIG:
            big = piece.text
            event = attacks.envelope(random.Random(1), HOSTILE, 1, 1, {})
            for body in (
                b"[" + big + b"]",
                b"[" + mutate.encoded({**event, "data": piece}) + b"]",
                b" " * 2_000_000,
            ):
                attempt = Attempt("engine", "a large body", path="/v1/events", body=body)
                attempt.headers = [("Content-Type", "application/json"), *attacks.signed(keys, HOSTILE, attempt)]
                yield attempt
                yield Attempt("webhook", "a large body", body=body, headers=[("X-WC-Webhook-Signature", "x")])
                bearer = [("Authorization", f"Bearer {keys['erp']}"), ("Content-Type", "application/json")]
                yield Attempt(
                    "erp", "a large body", path="/v1/documents", body=b'{"documents":' + body + b"}", headers=bearer
                )
        yield Attempt("engine", "too large", path="/v1/events", body=b"x" * 3_000_000, may_drop=True)
        yield Attempt("erp", "too large", path="/v1/documents", body=b"x" * 17_000_000, may_drop=True)
        yield Attempt("webhook", "too large", body=b"x" * 3_000_000, may_drop=True)
