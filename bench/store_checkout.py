"""What the plugin costs a shopper's checkout in a real WooCommerce: order by order with it and without it, over HTTP.

    python bench/store_checkout.py --store-url … --key … --secret … --wordpress DIR [--pairs 100] [--into FILE]

Each pair is two block checkouts of the same cart, one request with the plugin and one without, in an order that chance
gives, served by one process of PHP's own server with opcache (`store_checkout.php`). Elapsed time is the client's, to
the end of all that the request does; statements and processor time are PHP's own. --into: pairs are added to this file,
and what is told is of all in it, so that a long measurement can be done in pieces.

Pairs during which the machine did much else (more than MOST_BUSY cores were at work) are left out, both sides alike. A
virtual machine's own speed comes and goes by a fifth, for minutes: for the comparison of quantiles each pair is scaled,
both sides alike, by the median of the pairs around it.
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
GOAL_STATEMENTS_A_LINE, GOAL_MS = 3, 5.0
WARM_PAIRS, RESAMPLES, TIMEOUT_S = 5, 2_000, 60.0
AROUND = 3  # pairs before and after one that say how fast the machine was then
MOST_BUSY = 1.2  # one shopper keeps PHP, the database and this client busy in turn: one core
PHP = ("php", "-d", "opcache.enable=1", "-d", "memory_limit=1G", "-d", "display_errors=stderr")
ADDRESS = {
    "first_name": "A",
    "last_name": "Shopper",
    "address_1": "Street 1",
    "city": "Berlin",
    "postcode": "10115",
    "country": "DE",
}

Pair = dict[
    str, Any
]  # {"lines": 2, "busy": cores at work, "with": {"ms", "cpu_ms", "statements"}, "without": the same}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store-url", required=True, type=a_shop_that_may_be_spoilt)
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--wordpress", type=Path, required=True)
    parser.add_argument("--lines", type=int, nargs="*", default=[1, 2, 3], help="lengths of the orders")
    parser.add_argument("--pairs", type=int, default=100, help="of each length, besides those that warm up")
    parser.add_argument("--into", type=Path)
    asked = parser.parse_args()
    shop = RealShop(asked.store_url, asked.key, asked.secret, "", "")
    skus = [f"{PREFIX}{number:05}" for number in range(1, max(asked.lines) + 1)]
    ids = stock_up(shop, skus, 1_000_000)
    pairs: list[Pair] = []
    if asked.into and asked.into.exists():
        pairs = [json.loads(line) for line in asked.into.read_text().splitlines()]
    with till(asked.wordpress) as counter:
        for lines in asked.lines:
            made = list(measure(counter, ids[:lines], asked.pairs))
            pairs += made
            if asked.into:
                with asked.into.open("a") as file:
                    file.writelines(json.dumps(pair) + "\n" for pair in made)
            told = ", ".join(f"{side} {percentiles([pair[side]['ms'] for pair in made], 50)[0]:.1f}" for side in SIDES)
            print(f"  {lines} lines: {len(made)} pairs, p50 {told} ms ({load()})", file=sys.stderr, flush=True)
    quiet = [pair for pair in pairs if pair["busy"] <= MOST_BUSY]
    tell("pairs left out, the machine did much else", f"{len(pairs) - len(quiet)} of {len(pairs)}")
    held = [report(lines, [pair for pair in quiet if pair["lines"] == lines]) for lines in asked.lines]
    return 0 if all(held) else 1


# A shopper.


@dataclass
class Till:
    """url: of a server of PHP's own. figures: where it leaves what a request cost."""

    url: str
    figures: Path

    def checkout(self, ids: Sequence[int], side: str) -> dict[str, float]:
        """One order of one each, from a new cart; what the request that places it cost."""
        with requests.Session() as session:
            session.headers["X-Bench-Side"] = side
            session.headers["Cart-Token"] = self._ask(session, "GET", "cart").headers["Cart-Token"]
            for id_ in ids:
                self._ask(session, "POST", "cart/add-item", {"id": id_, "quantity": 1})
            self.figures.unlink()
            began = time.perf_counter()
            body = {
                "billing_address": {**ADDRESS, "email": "shopper@example.com"},
                "shipping_address": ADDRESS,
                "payment_method": "cod",
            }
            answer = self._ask(session, "POST", "checkout", body)
            ms = (time.perf_counter() - began) * 1000
        assert answer.json()["order_id"], answer.text[:300]
        told = self._figures()
        assert told["plugin"] is (side == "with"), f"the plugin is loaded, or not, other than was asked for: {told}"
        return {"ms": ms, "cpu_ms": told["cpu_ms"], "statements": told["statements"]}

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
def till(wordpress: Path) -> Iterator[Till]:
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
            yield Till(f"http://127.0.0.1:{port}/", figures)
        finally:
            process.terminate()
            process.wait()


def measure(counter: Till, ids: Sequence[int], count: int) -> Iterator[Pair]:
    """Pairs of orders; which side comes first is chance, so that no side always follows the other."""
    chance = Random(time.time_ns())
    for number in range(-WARM_PAIRS, count):
        first, then = SIDES if chance.random() < 0.5 else SIDES[::-1]
        began, busy_s = time.perf_counter(), _busy_s()
        pair: Pair = {"lines": len(ids), first: counter.checkout(ids, first), then: counter.checkout(ids, then)}
        pair["busy"] = (_busy_s() - busy_s) / (time.perf_counter() - began)
        if number >= 0:
            yield pair


def _busy_s() -> float:
    """The time that all cores together were at work since the machine started."""
    user, nice, system, _idle, _waiting, *others = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


# What it comes to.


def report(lines: int, pairs: Sequence[Pair]) -> bool:
    without, plugin = ([pair[side]["statements"] for pair in pairs] for side in SIDES)
    more = statistics.median(plugin) - statistics.median(without)
    tell(
        f"statements more in a checkout of {lines} lines",
        f"{more:g} (of {statistics.median(plugin):g})",
        f"at most {GOAL_STATEMENTS_A_LINE * lines}",
    )
    settled = [_told(pairs, name, what) for name, what in (("ms", "elapsed"), ("cpu_ms", "processor time of PHP"))]
    return more <= GOAL_STATEMENTS_A_LINE * lines and all(settled)


def _told(pairs: Sequence[Pair], name: str, what: str) -> bool:
    """False where the goal is missed for sure."""
    values = [(pair["without"][name], pair["with"][name]) for pair in pairs]
    plain, guarded = (percentiles([pair[side] for pair in values], 50, 95) for side in (0, 1))
    tell(
        f"  {what}, without and with, {len(pairs)} pairs",
        f"p50 {plain[0]:.1f} and {guarded[0]:.1f} ms, p95 {plain[1]:.1f} and {guarded[1]:.1f} ms",
    )
    differences = [plugin - without for without, plugin in values]
    low, high = median_interval(differences)
    between = f"(95%: {low:+.1f} to {high:+.1f})"
    tell("  median of a pair's difference", f"{statistics.median(differences):+.1f} ms {between}")
    even = at_even_speed(values)
    low, high = quantile_interval(even, 95)
    word = "held" if high <= GOAL_MS else "missed" if low > GOAL_MS else "not settled"
    without, plugin = (percentiles([pair[side] for pair in even], 95)[0] for side in (0, 1))
    tell(
        "  p95 at an even speed, without and with",
        f"{without:.1f} and {plugin:.1f} ms, {plugin - without:+.1f} (95%: {low:+.1f} to {high:+.1f}): {word}",
        f"at most {GOAL_MS:g} ms more",
    )
    return word != "missed"


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


def quantile_interval(pairs: Sequence[tuple[float, float]], percent: float) -> tuple[float, float]:
    """Where the difference of the two sides' quantiles lies with 95%: by drawing pairs anew."""
    chance, found = Random(1), []
    for _ in range(RESAMPLES):
        drawn = chance.choices(pairs, k=len(pairs))
        without, plugin = (percentiles([pair[side] for pair in drawn], percent)[0] for side in (0, 1))
        found.append(plugin - without)
    low, high = percentiles(found, 2.5, 97.5)
    return low, high


if __name__ == "__main__":
    raise SystemExit(main())
