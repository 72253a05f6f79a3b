"""What the plugin costs a shopper's checkout in a real WooCommerce: order by order with it and without it, over HTTP.

    python bench/store_checkout.py --store-url … --key … --secret … --wordpress DIR [--pairs 100] [--into FILE]

Each pair is two block checkouts of the same cart, one request with the plugin and one without, in an order that chance
gives, served by one process of PHP's own server with opcache (`store_checkout.php`). Elapsed time is the client's, to
the end of all that the request does; statements and processor time are PHP's own. Carts of all lengths take turns, so
that each length meets the same minutes. --into: pairs are added to this file, and what is told is of all in it, so that
a long measurement can be done in pieces. The verdict is over all lengths: the mean of their differences.

Pairs in whose requests client, PHP and database (--database-pid) waited for a core for more than MOST_WAITED_MS are
left out, both sides alike: somebody else worked. On a busy machine let all three go first (chrt -f 5). A virtual
machine's own speed comes and goes by a fifth, for minutes: for the comparison of quantiles each pair is scaled, both
sides alike, by the median of the pairs around it.
A goal is held where the interval's upper end is within it, missed where its lower end is beyond it, else not settled.
Exit status 1 where one is missed. For a shop on this machine that may be spoilt: orders stay in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import requests
from measure import load, percentiles, tell
from services import free_port, wait_for
from store import PREFIX, a_shop_that_may_be_spoilt, stock_up
from store_chain import RealShop

SIDES = ("without", "with")
MEASURED = (("ms", "elapsed"), ("cpu_ms", "processor time of PHP"))
GOAL_STATEMENTS_A_LINE, GOAL_MS = 3, 5.0
WARM_PAIRS, RESAMPLES, TIMEOUT_S = 5, 2_000, 60.0
AROUND = 3  # pairs before and after one that say how fast the machine was then
MOST_WAITED_MS = 8.0  # a request of 1,300 statements waits 1 to 4 ms by itself, process for process
PHP = ("php", "-d", "opcache.enable=1", "-d", "memory_limit=1G", "-d", "display_errors=stderr")
ADDRESS = {
    "first_name": "A",
    "last_name": "Shopper",
    "address_1": "Street 1",
    "city": "Berlin",
    "postcode": "10115",
    "country": "DE",
}

Pair = dict[str, Any]  # {"lines": 2, "with": {"ms", "waited_ms", "cpu_ms", "statements"}, "without": the same}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store-url", required=True, type=a_shop_that_may_be_spoilt)
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--wordpress", type=Path, required=True)
    parser.add_argument("--lines", type=int, nargs="*", default=[1, 2, 5], help="lengths of the orders")
    parser.add_argument("--pairs", type=int, default=100, help="of each length, besides those that warm up")
    parser.add_argument("--database-pid", type=int, help="the database's process, where it is on this machine")
    parser.add_argument("--into", type=Path)
    asked = parser.parse_args()
    shop = RealShop(asked.store_url, asked.key, asked.secret, "", "")
    skus = [f"{PREFIX}{number:05}" for number in range(1, max(asked.lines) + 1)]
    ids = stock_up(shop, skus, 1_000_000)
    pairs: list[Pair] = []
    if asked.into and asked.into.exists():
        pairs = [json.loads(line) for line in asked.into.read_text().splitlines()]
    with till(asked.wordpress, asked.database_pid) as counter:
        made = list(measure(counter, [ids[:lines] for lines in asked.lines], asked.pairs))
    pairs += made
    if asked.into:
        with asked.into.open("a") as file:
            file.writelines(json.dumps(pair) + "\n" for pair in made)
    print(f"  {len(made)} pairs more, {load()}", file=sys.stderr, flush=True)
    held = [tell_statements(lines, [pair for pair in pairs if pair["lines"] == lines]) for lines in asked.lines]
    quiet = [pair for pair in pairs if all(pair[side]["waited_ms"] <= MOST_WAITED_MS for side in SIDES)]
    tell("pairs left out, others had the cores", f"{len(pairs) - len(quiet)} of {len(pairs)}")
    if {pair["lines"] for pair in quiet} < set(asked.lines):
        raise SystemExit("Somebody else worked on this machine all the time: measure once it is quiet.")
    by_length = {lines: [pair for pair in quiet if pair["lines"] == lines] for lines in asked.lines}
    for lines, of_length in by_length.items():
        for name, what in MEASURED:
            tell_of(of_length, name, f"{what}, {lines} lines")
    held += [overall(list(by_length.values()), *what) for what in MEASURED]
    return 0 if all(held) else 1


# A shopper.


@dataclass
class Till:
    """url: of a server of PHP's own. figures: where it leaves what a request cost. token: of the shopper's cart, which
    is empty after each order. pids: of all that works for a request."""

    url: str
    figures: Path
    pids: Sequence[int]
    token: str = ""

    def checkout(self, ids: Sequence[int], side: str) -> dict[str, float]:
        """One order of one each; what the request that places it cost."""
        with requests.Session() as session:
            session.headers["X-Bench-Side"] = side
            self.token = self.token or self._ask(session, "GET", "cart").headers["Cart-Token"]
            session.headers["Cart-Token"] = self.token
            wanted = [
                {
                    "method": "POST",
                    "path": "/wc/store/v1/cart/add-item",
                    "body": {"id": id_, "quantity": 1},
                    "headers": {"Cart-Token": self.token},
                }
                for id_ in ids
            ]
            filled = self._ask(session, "POST", "batch", {"requests": wanted}).json()["responses"]
            assert len(filled[-1]["body"]["items"]) == len(ids), filled
            self._figures()
            self.figures.unlink()
            began, waited = time.perf_counter(), _waited_ms(self.pids)
            body = {
                "billing_address": {**ADDRESS, "email": "shopper@example.com"},
                "shipping_address": ADDRESS,
                "payment_method": "cod",
            }
            answer = self._ask(session, "POST", "checkout", body)
            ms, waited = (time.perf_counter() - began) * 1000, _waited_ms(self.pids) - waited
        assert answer.json()["order_id"], answer.text[:300]
        told = self._figures()
        assert told["plugin"] is (side == "with"), f"the plugin is loaded, or not, other than was asked for: {told}"
        return {"ms": ms, "waited_ms": waited, "cpu_ms": told["cpu_ms"], "statements": told["statements"]}

    def _ask(self, session: requests.Session, method: str, path: str, body: Any = None) -> requests.Response:
        answer = session.request(
            method, self.url, params={"rest_route": f"/wc/store/v1/{path}"}, json=body, timeout=TIMEOUT_S
        )
        if not answer.ok:
            raise SystemExit(f"The shop answers {answer.status_code} to {path}: {answer.text[:500]}")
        return answer

    def _figures(self) -> dict[str, Any]:
        """They are written after the answer's last byte."""
        ends = time.monotonic() + TIMEOUT_S
        while time.monotonic() < ends:
            if self.figures.exists() and (text := self.figures.read_text()):
                return dict(json.loads(text))
            time.sleep(0.001)
        raise SystemExit("The shop's process didn't tell what the request cost: its error stands above.")


@contextmanager
def till(wordpress: Path, database_pid: int | None) -> Iterator[Till]:
    router, port = Path(__file__).with_name("store_checkout.php"), free_port()
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        figures.touch()
        command = [*PHP, "-S", f"127.0.0.1:{port}", "-t", str(wordpress), str(router)]
        environment = {**os.environ, "COUNTERFOIL_BENCH_FIGURES": str(figures)}
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(port)
            pids = [os.getpid(), process.pid, *filter(None, [database_pid])]
            yield Till(f"http://127.0.0.1:{port}/", figures, pids)
        finally:
            process.terminate()
            process.wait()


def measure(counter: Till, carts: Sequence[Sequence[int]], count: int) -> Iterator[Pair]:
    """Pairs of orders of each cart; which cart and which side comes first is chance."""
    chance = Random(time.time_ns())
    for number in range(-WARM_PAIRS, count):
        for ids in chance.sample(carts, len(carts)):
            first, then = SIDES if chance.random() < 0.5 else SIDES[::-1]
            pair: Pair = {"lines": len(ids), first: counter.checkout(ids, first), then: counter.checkout(ids, then)}
            if number >= 0:
                yield pair


def _waited_ms(pids: Sequence[int]) -> float:
    """How long the threads of these processes waited for a core while they had something to do, so far."""
    told = (task.read_text() for pid in pids for task in Path("/proc").glob(f"{pid}/task/*/schedstat"))
    return sum(int(line.split()[1]) for line in told) / 1e6


# What it comes to.


def tell_statements(lines: int, pairs: Sequence[Pair]) -> bool:
    """The least of each side: WooCommerce itself now and then has some more on either."""
    without, plugin = (min(pair[side]["statements"] for pair in pairs) for side in SIDES)
    tell(
        f"statements more in a checkout of {lines} lines",
        f"{plugin - without:g} (of {plugin:g})",
        f"at most {GOAL_STATEMENTS_A_LINE * lines}",
    )
    return plugin - without <= GOAL_STATEMENTS_A_LINE * lines


def tell_of(pairs: Sequence[Pair], name: str, what: str) -> None:
    values = _sides(pairs, name)
    plain, guarded = (percentiles([pair[side] for pair in values], 50, 95) for side in (0, 1))
    tell(
        f"  {what}, without and with, {len(pairs)} pairs",
        f"p50 {plain[0]:.1f} and {guarded[0]:.1f} ms, p95 {plain[1]:.1f} and {guarded[1]:.1f} ms",
    )
    differences = [plugin - without for without, plugin in values]
    low, high = median_interval(differences)
    between = f"(95%: {low:+.1f} to {high:+.1f})"
    tell("  median of a pair's difference", f"{statistics.median(differences):+.1f} ms {between}")
    more, low, high = p95_more([at_even_speed(values)])
    tell("  more at p95, at an even speed", f"{more:+.1f} ms (95%: {low:+.1f} to {high:+.1f})")


def overall(lengths: Sequence[Sequence[Pair]], name: str, what: str) -> bool:
    """False where the goal is missed for sure."""
    more, low, high = p95_more([at_even_speed(_sides(pairs, name)) for pairs in lengths])
    word = "held" if high <= GOAL_MS else "missed" if low > GOAL_MS else "not settled"
    tell(
        f"{what}: more at p95, mean of all lengths",
        f"{more:+.1f} ms (95%: {low:+.1f} to {high:+.1f}): {word}",
        f"at most {GOAL_MS:g} ms more",
    )
    return word != "missed"


def _sides(pairs: Sequence[Pair], name: str) -> list[tuple[float, float]]:
    return [(pair["without"][name], pair["with"][name]) for pair in pairs]


def at_even_speed(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The pairs as if the machine had always been as fast as it mostly was; within a pair nothing changes its place."""
    middles = [(without + plugin) / 2 for without, plugin in pairs]
    mostly = statistics.median(middles)
    around = (statistics.median(middles[max(0, n - AROUND) : n + AROUND + 1]) for n in range(len(pairs)))
    return [(pair[0] * mostly / here, pair[1] * mostly / here) for pair, here in zip(pairs, around, strict=True)]


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median lies with 95%: by the binomial's order statistics, whatever the distribution."""
    ordered, count = sorted(values), len(values)
    reach = 1.96 * count**0.5 / 2
    low, high = int(count / 2 - reach), int(count / 2 + reach)
    return ordered[max(0, low)], ordered[min(count - 1, high)]


def p95_more(lengths: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float, float]:
    """By how much the second side's p95 is above the first's, in the mean of all lengths; and between what it lies with
    95%: by drawing pairs anew, each length's own."""
    chance = Random(1)

    def drawn() -> float:
        return statistics.fmean(_p95_more(chance.choices(pairs, k=len(pairs))) for pairs in lengths)

    low, high = percentiles([drawn() for _ in range(RESAMPLES)], 2.5, 97.5)
    return statistics.fmean(map(_p95_more, lengths)), low, high


def _p95_more(pairs: Sequence[tuple[float, float]]) -> float:
    """A p95 is the mean of what lies from the 93rd to the 97th percentile: steadier than a single request."""
    ends = int(len(pairs) * 0.93), int(len(pairs) * 0.97) + 1
    without, plugin = (statistics.fmean(sorted(pair[side] for pair in pairs)[slice(*ends)]) for side in (0, 1))
    return plugin - without


if __name__ == "__main__":
    raise SystemExit(main())
