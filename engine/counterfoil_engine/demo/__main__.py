"""`python -m counterfoil_engine.demo`: the town, its storm, the proof, and a day that lives on."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from counterfoil_engine.demo import guide, troubles
from counterfoil_engine.demo.branches import BRANCHES
from counterfoil_engine.demo.living import Living
from counterfoil_engine.demo.places import Places
from counterfoil_engine.demo.storm import Storm
from counterfoil_engine.demo.told import Story, prove_at_rest, show_proof
from counterfoil_engine.demo.town import Town
from counterfoil_engine.domain.errors import CounterfoilError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m counterfoil_engine.demo",
        description="Shops, their agents, the engine and ERPs as real processes, a bad day, and the proof.",
        epilog="Exit status: 0 every invariant held, 1 one did not, 2 the demo could not run.",
    )
    parser.add_argument("--once", action="store_true", help="end by itself after the proof")
    parser.add_argument("--prove", metavar="FOLDER", type=Path, help="prove again, of a demo that is up")
    options = parser.parse_args(arguments)
    story = Story()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a script's background process would ignore
    try:
        if options.prove:
            return 0 if show_proof(story, prove_at_rest(Places.read(options.prove))) else 1
        with Town() as town:
            return play(town, story, options.once)
    except KeyboardInterrupt:
        story.tell("Stopped; everything is gone.")
        return 130
    except CounterfoilError as error:
        story.say(f"\n[red]{escape(error.cause)}[/red] {escape(error.remedy)}")
        return 2


def play(town: Town, story: Story, once: bool) -> int:
    """The whole story; not once, until Ctrl-C."""
    story.head("Three shops with their agents, an engine and their ERPs, each a process of its own")
    town.start()
    for branch in BRANCHES:
        shop = town.shops[branch.store]
        shop.add_products()
        town.erps[branch.store].put(branch.warehouse, branch.on_hand)
        books = f"the books of {branch.entity} are in {branch.currency}"
        story.tell(f"{branch.store} in {branch.city} is up at {shop.url}; {books}.")
    town.engine_is_up()
    story.tell(f"The engine is up at {town.engine_url}, on a database of its own.")
    town.start_agents()
    story.tell("The shops' agents are up: they ask their shops every second, and webhooks hurry them.")
    storm = Storm(town, story)
    storm.play()
    found = troubles.bring(town, story)
    held = storm.prove()
    if not once:
        troubles.hurt(town, story)
        guide.show(town, story, found, storm.shown)
        try:
            Living(town, story).go_on()
        except KeyboardInterrupt:
            story.say("\nEnded.")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
