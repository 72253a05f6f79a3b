"""The command `counterfoil-agent`: what a person types and what it says back; errors are cause and remedy."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn, TextIO

from loguru import logger

from counterfoil_agent import __version__, bootstrap, errands, figures
from counterfoil_agent import backfill as backfills
from counterfoil_agent import check as checks
from counterfoil_agent import preview as previews
from counterfoil_agent import status as statuses
from counterfoil_agent.config import Settings, load
from counterfoil_agent.errands import Errand
from counterfoil_agent.errors import CounterfoilError, Stop
from counterfoil_agent.outbox import Outbox, at_work

OK, TROUBLE, WRONG_USAGE = 0, 1, 2

COMMON = """\
  --config FILE  the settings (default: $COUNTERFOIL_AGENT_CONFIG, else /etc/counterfoil/agent.toml)
  --json         answer in JSON, for machines
"""

HELP = {
    "": f"""\
usage: counterfoil-agent COMMAND [options]

Carries a shop's orders to the Counterfoil engine, and loses none on the way.

  run              work: read the shop, send to the engine, until stopped
  check            prove that everything the agent needs is there
  status           how it is: what waits, what the engine holds, what is wrong
  metrics          the same as figures for Prometheus, to a file or standard output
  backfill         read the orders of a range of days
  fetch            read one order again and send it, even if it didn't change
  allow-deletions  let deletions go on that were held because they were many
  preview          what writing the engine's stock numbers would change in the shop
  accept-preview   let the stock numbers be written
  release-brake    let numbers go to zero that were held because they were many
  accept-restored-store  go on with a shop that was restored from a backup, or moved
  sweep            compare the shop's stock with what was written, now
  outbox           look into the outbox: list, tombstones, show

`counterfoil-agent COMMAND --help` tells more. Options that every command takes:

{COMMON}
  --version      tell the version

Exit status: 0 all is well, 1 something is wrong (it says what helps), 2 wrong usage.
""",
    "run": f"""\
usage: counterfoil-agent run [options]

Works until SIGTERM or Ctrl-C; then finishes the step it is in. What it had in hand goes on at the next start.

{COMMON}
  counterfoil-agent run
  counterfoil-agent run --config ./agent.toml

Exit status: 0 stopped, 1 it can't start (it says what helps), 2 wrong usage.
""",
    "check": f"""\
usage: counterfoil-agent check [options]

Proves each connection, permission, clock, webhook and version, and says what helps where one fails. Changes nothing.

{COMMON}
  counterfoil-agent check
  counterfoil-agent check --json | jq '.findings[] | select(.state != "ok")'

Exit status: 0 nothing failed (warnings may stand), 1 something failed, 2 wrong usage.
""",
    "status": f"""\
usage: counterfoil-agent status [options]

Tells what waits, up to which number the engine holds the events, how far the shop is read, and what is wrong.
Reads only.

  --check        exit with 1 where something is wrong, for monitors
{COMMON}
  counterfoil-agent status
  counterfoil-agent status --check --json

Exit status: 0, or 1 with --check where something is wrong, or there is no outbox; 2 wrong usage.
""",
    "metrics": f"""\
usage: counterfoil-agent metrics [options]

Tells how the agent is as figures in Prometheus' text format: for node_exporter's textfile collector, once a minute by a
timer, or for whatever runs a command. Reads the outbox only; the agent at work isn't asked.

  --output FILE  write them there, all at once (default: to standard output)
{COMMON}
  counterfoil-agent metrics
  counterfoil-agent metrics --output /var/lib/prometheus/node-exporter/counterfoil.prom

Exit status: 0, or 1 where there is no outbox, or the file can't be written; 2 wrong usage.
""",
    "backfill": f"""\
usage: counterfoil-agent backfill --from DATE [--to DATE] [options]

Has the orders read that were created in these days, both included, UTC. What the engine has already isn't sent again.
The agent at work does it, beside what happens now, and goes on after a stop; without one, this command does it itself.

  --from DATE    the first day, as 2026-11-01
  --to DATE      the last day (default: today)
  --follow       show how far it is until it has ended
{COMMON}
  counterfoil-agent backfill --from 2026-01-01 --to 2026-03-31 --follow
  counterfoil-agent backfill --from 2026-11-01

Exit status: 0 begun, or with --follow ended; 1 it can't be done (it says what helps); 2 wrong usage.
""",
    "fetch": f"""\
usage: counterfoil-agent fetch ORDER_ID [options]

Has the agent at work read this order again and send it, even if it didn't change.

{COMMON}
  counterfoil-agent fetch 1001
  counterfoil-agent fetch 1001 --json

Exit status: 0 the agent will do it, 1 it can't be left to it, 2 wrong usage.
""",
    "allow-deletions": f"""\
usage: counterfoil-agent allow-deletions [--count N] [options]

Orders that vanish from the shop are told to the engine, which then takes back what stood for them. Where many vanish in
an hour, none is told until a person has looked, since a broken shop looks just like that. Look into the shop first.

  --count N      how many may be told now (default: those that are held)
{COMMON}
  counterfoil-agent status
  counterfoil-agent allow-deletions --count 40

Exit status: 0 the agent will go on, 1 it can't be left to it, 2 wrong usage.
""",
    "preview": f"""\
usage: counterfoil-agent preview [options]

Tells what the engine's stock numbers would change in the shop: how many SKUs, the biggest jumps, what would go out of
stock, SKUs that only one side knows and those that several products bear. Reads only.

{COMMON}
  counterfoil-agent preview
  counterfoil-agent preview --json | jq .biggest_jumps

Exit status: 0, or 1 where there is no outbox; 2 wrong usage.
""",
    "accept-preview": f"""\
usage: counterfoil-agent accept-preview [options]

Lets the agent write the engine's stock numbers, from now on; look at the preview first. They are written only where
stock.switch is "on" in the settings.

{COMMON}
  counterfoil-agent preview
  counterfoil-agent accept-preview

Exit status: 0 the agent will do it, 1 it can't be left to it, 2 wrong usage.
""",
    "release-brake": f"""\
usage: counterfoil-agent release-brake [options]

Numbers that would take much of the catalogue, or of the best sellers, to zero at once wait for a person: a feed that
went wrong looks just like that. Lets those go that wait now; later ones are judged anew.

{COMMON}
  counterfoil-agent preview
  counterfoil-agent release-brake

Exit status: 0 the agent will do it, 1 it can't be left to it, 2 wrong usage.
""",
    "accept-restored-store": f"""\
usage: counterfoil-agent accept-restored-store [options]

A shop that was restored from a backup, or that isn't the one that was paired, is neither read nor written. See that it
is the real one; then it goes on in a new epoch, with everything looked at again.

{COMMON}
  counterfoil-agent status
  counterfoil-agent accept-restored-store

Exit status: 0 the agent will do it, 1 it can't be left to it, 2 wrong usage.
""",
    "sweep": f"""\
usage: counterfoil-agent sweep [options]

Has the agent read what the shop sells, and compare its stock with what was written; what differs is told to the engine,
which gives a new number. It does so every hour by itself.

{COMMON}
  counterfoil-agent sweep
  counterfoil-agent sweep --json

Exit status: 0 the agent will do it, 1 it can't be left to it, 2 wrong usage.
""",
    "outbox": f"""\
usage: counterfoil-agent outbox list|tombstones|show [ID] [options]

  list           the oldest events that wait to be sent
  tombstones     events that couldn't be sent, whose number went on without them, and why
  show ID        the body of one of these, as the shop said it (it holds personal data)

{COMMON}
  counterfoil-agent outbox tombstones
  counterfoil-agent outbox show 5f0c…

Reads only. Exit status: 0, 1 there is no outbox or no such event, 2 wrong usage.
""",
}


class _Parser(argparse.ArgumentParser):
    """Help by hand, errors with a remedy."""

    def format_help(self) -> str:
        return HELP[self.prog.partition(" ")[2]]

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message[:1].upper()}{message[1:]}.", file=sys.stderr)
        print(f"Type `{self.prog} --help` for what it takes, with examples.", file=sys.stderr)
        sys.exit(WRONG_USAGE)


def parser() -> argparse.ArgumentParser:
    top = _Parser(prog="counterfoil-agent", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"counterfoil-agent {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, act: Callable[..., int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, allow_abbrev=False)
        added.add_argument("--config", type=Path, metavar="FILE")
        added.add_argument("--json", action="store_true")
        added.set_defaults(act=act)
        return added

    command("run", run)
    command("check", check)
    command("status", status).add_argument("--check", action="store_true")
    command("metrics", metrics).add_argument("--output", type=Path, metavar="FILE")
    backfill_command = command("backfill", backfill)
    backfill_command.add_argument("--from", dest="first", type=_day, required=True, metavar="DATE")
    backfill_command.add_argument("--to", dest="until", type=_day, metavar="DATE")
    backfill_command.add_argument("--follow", action="store_true")
    command("fetch", fetch).add_argument("order_id", type=_positive, metavar="ORDER_ID")
    command("allow-deletions", allow_deletions).add_argument("--count", type=_positive, metavar="N")
    command("preview", preview)
    command("accept-preview", accept_preview)
    command("release-brake", release_brake)
    command("accept-restored-store", accept_restored_store)
    command("sweep", sweep)
    outbox_command = command("outbox", outbox)
    outbox_command.add_argument("what", choices=("list", "tombstones", "show"))
    outbox_command.add_argument("id", nargs="?", metavar="ID")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return int(options.act(options, load(options.config)))
    except CounterfoilError as error:
        if options.json:
            _print_json({"error": {"category": error.category, "cause": error.cause, "remedy": error.remedy}})
        else:
            print(f"counterfoil-agent: {error.cause}\n{error.remedy}", file=sys.stderr)
        return TROUBLE
    except KeyboardInterrupt:
        return OK
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def run(options: argparse.Namespace, settings: Settings) -> int:
    log_to(sys.stderr, settings)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    agent = bootstrap.agent(settings, listen=True)
    logger.info("started", store=settings.store, version=__version__, outbox=str(settings.outbox.path))
    try:
        agent.run(stopping)
    finally:
        agent.close()
        logger.info("stopped", store=settings.store)
    return OK


def log_to(stream: TextIO, settings: Settings) -> None:
    """Lines of one past participle and fields. diagnose=False: loguru would print variables, secrets among them."""
    logger.remove()
    form = "{time:YYYY-MM-DDTHH:mm:ss.SSS[Z]!UTC} {level} {message} {extra}"
    logger.add(
        stream,
        level=settings.log_level,
        format=form,
        serialize=settings.log_json,
        diagnose=False,
        backtrace=False,
    )


def check(options: argparse.Namespace, settings: Settings) -> int:
    found = []
    for finding in checks.check(settings, bootstrap.SystemClock(), os.environ):
        found.append(finding)
        if not options.json:
            print(f"{finding.state:8}{finding.name:14}{finding.detail}")
            if finding.remedy:
                print(f"{'':22}{finding.remedy}")
    failed = sum(finding.state == "failed" for finding in found)
    if options.json:
        _print_json({"store": settings.store, "failed": failed, "findings": [finding.told() for finding in found]})
    else:
        print(f"check: {len(found)} looked at, {failed} failed")
    return TROUBLE if failed else OK


def status(options: argparse.Namespace, settings: Settings) -> int:
    told = statuses.status(settings, datetime.now(UTC))
    if options.json:
        _print_json(told)
    else:
        print(_sentence(told))
        for alarm in told["alarms"]:
            print(f"  ! {alarm}")
    return TROUBLE if options.check and told["alarms"] else OK


def metrics(options: argparse.Namespace, settings: Settings) -> int:
    told = figures.text(statuses.status(settings, datetime.now(UTC)))
    if options.output is None:
        _say(options, {"metrics": told}, told.rstrip("\n"))
        return OK
    beside = options.output.with_name(f"{options.output.name}.{os.getpid()}")  # who reads it never sees half of it
    try:
        beside.write_text(told, encoding="utf-8")
        beside.replace(options.output)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Stop(
            f"{options.output} can't be written: {error.strerror}.", "Name a file in a folder that may be written."
        ) from None
    _say(options, {"written": str(options.output)}, f"Written to {options.output}.")
    return OK


def _sentence(told: Mapping[str, Any]) -> str:
    age = "" if told["oldest_age_s"] is None else f" (the oldest for {told['oldest_age_s']:.0f} s)"
    through, epoch = told["stored_through_n"], told["epoch"]
    held = f"the engine holds all up to {through} of epoch {epoch}, heard at {told['engine_heard_at']}"
    lines = [
        f"{told['store']}: {'at work' if told['at_work'] else 'not at work'}, {told['depth_events']} events wait{age};",
        f"  {held if epoch else 'the engine has not been reached yet'};",
        f"  the shop is read until {told['read_until'] or '(never yet)'}, {told['orders_to_read']} orders to be read.",
    ]
    updates = told["updates"]
    if any(updates.values()):
        lines.append(
            f"  orders are told: {updates['waiting']} updates wait, {updates['applied_a_day']} applied and"
            f" {updates['refused_a_day']} refused within a day."
        )
    if told["stock"] is not None:
        lines.append(f"  {_stock_sentence(told['stock'], told['exposure'])}")
    if told["backfill"]["under_way"]:
        lines.append(f"  {_progress(told['backfill'])}")
    return "\n".join(lines)


def _stock_sentence(told: Mapping[str, Any], exposure: Mapping[str, Any]) -> str:
    if told["writes_by"] == "off":
        return "stock: off."
    by = "the plugin" if told["writes_by"] == "plugin" else "REST"
    exposed = ""
    if told["exposed"]:
        exposed = (
            f" (exposed, since no plugin guards a write: {exposure['skus_a_day']} SKUs a day, by numbers up to"
            f" {exposure['oldest_number_s'] or 0:.0f} s old, {exposure['corrected_a_day']} put right)"
        )
    held = f", held: {told['held']}" if told["held"] else ""
    newer = f", the shop has later numbers of {told['newer_skus']} SKUs" if told["newer_skus"] else ""
    return (
        f"stock: by {by}{exposed}, {told['waiting']} SKUs wait{held}{newer};"
        f" the feed is dealt with up to {told['version']}."
    )


def backfill(options: argparse.Namespace, settings: Settings) -> int:
    until = options.until or datetime.now(UTC).date()
    if until < options.first:
        raise Stop(f"--to ({until}) is before --from ({options.first}).", "Give the earlier day to --from.")
    if at_work(settings.outbox.path):
        errand = errands.leave(settings.outbox.path, Errand("backfill", first=options.first, until=until))
        _say(options, {"begun": True, "from": str(options.first), "to": str(until)}, "The agent at work will do it.")
        return _follow(settings, errand, options) if options.follow else OK
    log_to(sys.stderr, settings)
    agent = bootstrap.agent(settings)
    try:
        agent.backfill(options.first, until)
        _work_through(agent, options)
    finally:
        agent.close()
    return OK


def _work_through(agent: Any, options: argparse.Namespace) -> None:
    """Read and send until the backfill has ended and nothing waits."""
    shown = ""
    while True:
        left_s = agent.step()
        told = agent.status()
        shown = _show(told["backfill"], shown, options)
        if not told["backfill"]["under_way"] and not told["depth_events"] and not told["reading"]["marks"]:
            return
        if left_s > 0:
            time.sleep(min(left_s, 1.0))


def _follow(settings: Settings, errand: Path, options: argparse.Namespace) -> int:
    shown = ""
    while True:
        view = Outbox.read_only(settings.outbox.path)
        try:
            told = backfills.progress(view)
        finally:
            view.close()
        taken = not errand.exists()
        if taken:
            shown = _show(told, shown, options)
        if taken and not told["under_way"]:
            return OK
        if not at_work(settings.outbox.path):
            raise Stop("The agent has stopped.", "Start it again: the backfill goes on where it was.", "outage")
        time.sleep(1.0)


def _show(told: Mapping[str, Any], shown: str, options: argparse.Namespace) -> str:
    line = json.dumps(told) if options.json else _progress(told)
    if line != shown:
        print(line, flush=True)
    return line


def _progress(told: Mapping[str, Any]) -> str:
    return f"backfill {told.get('from')} to {told.get('to')}: {told['share']:.0%}, {told.get('orders', 0)} orders read"


def fetch(options: argparse.Namespace, settings: Settings) -> int:
    return _errand(options, settings, Errand("fetch", order_id=options.order_id))


def allow_deletions(options: argparse.Namespace, settings: Settings) -> int:
    return _errand(options, settings, Errand("allow-deletions", count=options.count))


def preview(options: argparse.Namespace, settings: Settings) -> int:
    view = Outbox.read_only(settings.outbox.path)
    try:
        told = previews.preview(view)
    finally:
        view.close()
    _say(options, told, "\n".join(previews.sentences(told)))
    return OK


def accept_preview(options: argparse.Namespace, settings: Settings) -> int:
    if settings.stock.switch != "on":
        raise Stop(
            f'stock.switch is "{settings.stock.switch}", so nothing is written whoever accepts it.',
            'Set [stock] switch = "on" in the settings and start the agent again; then accept the preview.',
            "conflict",
        )
    return _errand(options, settings, Errand("accept-preview"))


def release_brake(options: argparse.Namespace, settings: Settings) -> int:
    return _errand(options, settings, Errand("release-brake"))


def accept_restored_store(options: argparse.Namespace, settings: Settings) -> int:
    return _errand(options, settings, Errand("accept-restored-store"))


def sweep(options: argparse.Namespace, settings: Settings) -> int:
    return _errand(options, settings, Errand("sweep"))


def _errand(options: argparse.Namespace, settings: Settings, errand: Errand) -> int:
    Outbox.read_only(settings.outbox.path).close()
    errands.leave(settings.outbox.path, errand)
    working = at_work(settings.outbox.path)
    when = "The agent does it within seconds." if working else "No agent is at work: it does it when it is started."
    _say(options, {"left": errand.kind, "at_work": working}, when)
    return OK


def outbox(options: argparse.Namespace, settings: Settings) -> int:
    view = Outbox.read_only(settings.outbox.path)
    try:
        if options.what == "show":
            body = view.buried_body(options.id or "")
            if body is None:
                raise Stop("There is no tombstone for that id.", "`counterfoil-agent outbox tombstones` lists them.")
            sys.stdout.buffer.write(body + b"\n")
            return OK
        rows = view.tombstones() if options.what == "tombstones" else view.waiting()
    finally:
        view.close()
    if options.json:
        _print_json({options.what: rows})
    for row in [] if options.json else rows:
        print(
            f"{row['epoch']}/{row['n']:<8}{row['type']:26}order {row['order_id']:<12}{row['id']}  {row['reason'] or ''}"
        )
    if not options.json and not rows:
        print("There are none.")
    return OK


def _say(options: argparse.Namespace, told: Mapping[str, Any], sentence: str) -> None:
    if options.json:
        _print_json(told)
    else:
        print(sentence)


def _print_json(told: Any) -> None:
    print(json.dumps(told, ensure_ascii=False, default=str))


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no day as 2026-11-01") from None


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 16 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
