"""The commands: parse, call, show. Exit status: 0 done, 1 not done (cause and remedy said), 2 wrong usage."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
from loguru import logger

from counterfoil_engine.cli import show
from counterfoil_engine.cli.client import Client
from counterfoil_engine.domain.errors import Category, CounterfoilError
from counterfoil_engine.work.rules_file import parse_rules

CATEGORIES = click.Choice(get_args(Category))
SUBJECTS = "such as `order eu1/1001`"


@dataclass(frozen=True)
class Context:
    """What every command shares: where the engine is, and whether answers are JSON."""

    url: str
    as_json: bool

    @property
    def client(self) -> Client:
        return Client(self.url)

    def tell(self, what: str) -> None:
        """Progress, beside the answer; nothing of it for programs."""
        if not self.as_json:
            click.echo(show.printable(what), err=True)

    def answer(self, value: Any, shown: Callable[[Any], None]) -> None:
        """Print an answer as JSON, or as a person reads it."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, default=str))
            return
        try:
            shown(value)
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError):
            if "COUNTERFOIL_DEBUG" in os.environ:
                raise
            raise CounterfoilError(
                "The answer has another form than this command line knows.",
                "Use the command line of the engine's own version, and check the address (--url, COUNTERFOIL_URL).",
                "contract",
            ) from None


class Commands(click.Group):
    """Says every failure with cause and remedy, also as JSON, and never with a stack trace."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        given = args[0] if args else kwargs.get("args")
        words = sys.argv[1:] if given is None else list(given)
        try:
            status = super().main(*args, **kwargs)
        except click.exceptions.Exit as left:
            sys.exit(left.exit_code)
        except click.Abort:
            sys.exit(130)
        except click.ClickException as wrong:
            where = wrong.ctx.command_path if isinstance(wrong, click.UsageError) and wrong.ctx else "counterfoil"
            cause = wrong.format_message()
            _fail(words, CounterfoilError(cause, f"See `{where} --help`.", "contract"), 2)
        except CounterfoilError as error:
            _fail(words, error, 1)
        except BrokenPipeError:
            sys.exit(141)
        except Exception as error:
            if "COUNTERFOIL_DEBUG" in os.environ:
                raise
            cause = f"Something unforeseen went wrong ({type(error).__name__})."
            remedy = "Report it; with COUNTERFOIL_DEBUG=1 in the environment it says where."
            _fail(words, CounterfoilError(cause, remedy, "contract"), 1)
        sys.exit(status if isinstance(status, int) else 0)


def _fail(words: list[str], error: CounterfoilError, status: int) -> None:
    if "--json" in words:
        said = {"category": error.category, "cause": error.cause, "remedy": error.remedy}
        click.echo(json.dumps({"error": said}, ensure_ascii=False))
    else:
        click.echo(show.printable(f"{error.cause}\n{error.remedy}"), err=True)
    sys.exit(status)


def with_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """--json may stand before or after the command's name."""

    def kept(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
        if value:
            context.obj = Context(context.obj.url, True) if context.obj else context.obj
        return value

    option = click.option(
        "--json", "as_json", is_flag=True, expose_value=False, callback=kept, help="answer in JSON, for programs"
    )
    return option(function)


EXIT_STATUS = "Exit status: 0 done, 1 not done (cause and remedy are said), 2 wrong usage."


def command(
    name: str, group: click.Group | None = None, exit_status: str = EXIT_STATUS
) -> Callable[[Callable[..., Any]], click.Command]:
    """A command that has --json and gets the shared Context."""

    def made(function: Callable[..., Any]) -> click.Command:
        return (group or counterfoil).command(name, epilog=exit_status)(with_json(click.pass_obj(function)))

    return made


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--url",
    default=lambda: os.environ.get("COUNTERFOIL_URL", "http://127.0.0.1:8466"),
    help="the engine's address (default: COUNTERFOIL_URL, else http://127.0.0.1:8466)",
)
@click.option("--json", "as_json", is_flag=True, help="answer in JSON, for programs")
@click.version_option(package_name="counterfoil")
@click.pass_context
def counterfoil(context: click.Context, url: str, as_json: bool) -> None:
    """Keeps WooCommerce stores and the ERP in agreement, and keeps the proof.

    Commands ask a running engine over its API; the token comes from COUNTERFOIL_API_TOKEN. `rehearse`, `rules check`
    and `serve` need no engine.
    """
    context.obj = Context(url, as_json)


@command(
    "status",
    exit_status="Exit status: 0 done (with --check: all is well), 1 not done (with --check: something is not well),"
    " 2 wrong usage.",
)
@click.option("--check", is_flag=True, help="set the exit status for a monitor: 0 all well, 1 something is not")
def status(context: Context, check: bool) -> int:
    """A line per store and party: connected, behind by, holes, kept-invalid, stuck, money held.

    Example: counterfoil status --check || page-somebody
    """
    answer = context.client.get("status")
    context.answer(answer, show.status)
    return int(check and answer.get("ok") is not True)


@command("order")
@click.argument("order", metavar="STORE/ID")
def order(context: Context, order: str) -> None:
    """One order's story: facts, dues, documents, why each, journal and proof. Reads only.

    ID is WooCommerce's id, not the number shown to the shopper. Example: counterfoil order eu1/1001
    """
    store, _, order_id = order.partition("/")
    if not store or not order_id or "/" in order_id or len(order) > 120:
        raise click.BadParameter(f"{order[:60]!r} is not STORE/ID, such as eu1/1001.")
    context.answer(context.client.get("orders", store, order_id), show.order)


@command("why")
@click.argument("pool")
@click.argument("sku")
def why(context: Context, pool: str, sku: str) -> None:
    """What may be sold of a SKU in a pool, term by term, each with its source and age; reservations; last writes.

    Reads only. Example: counterfoil why eu MUG-RED
    """
    context.answer(context.client.get("why", pool=pool, sku=sku), show.why)


@command("retry")
@click.argument("subject", required=False)
@click.option("--category", type=CATEGORIES, help="all that are parked for this category")
def retry(context: Context, subject: str | None, category: str | None) -> None:
    """Let a parked subject try again, or all of a category.

    Example: counterfoil retry "order eu1/1001"
    """
    if bool(subject) == bool(category):
        raise click.UsageError(f"Name either a subject, {SUBJECTS}, or --category.")
    answer = context.client.post("retry", body={"subject": subject, "category": category})
    context.answer(answer, lambda value: show.line(f"{len(value['subjects'])} subject(s) are looked at again."))


class Moment(click.ParamType):
    """A day or a moment, ISO 8601; without zone it is UTC."""

    name = "date"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{str(value)[:40]!r} is no date, such as 2026-11-01 or 2026-11-01T08:00:00+01:00.", param, ctx)


@command("replay")
@click.option("--since", required=True, type=Moment(), help="look again at all of which something came since, UTC")
@click.option("--store", help="only this store's")
@click.option("--dry-run", is_flag=True, help="say what would be posted; write nothing")
def replay(context: Context, since: datetime, store: str | None, dry_run: bool) -> None:
    """Look again: after an outage, a mend or new rules. Can't post twice.

    Example: counterfoil replay --since 2026-11-01 --dry-run
    """
    body = {"since": since.isoformat(), "store": store, "dry_run": dry_run}
    answer = context.client.post("replay", body=body)

    def shown(value: Any) -> None:
        if dry_run:
            show.would(value)
        else:
            show.line(f"{value['subjects']} subject(s) are looked at again.")

    context.answer(answer, shown)


@counterfoil.group("rules")
def rules() -> None:
    """Mappings and policies: check a file, put it in force, show what is in force."""


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CounterfoilError(
            f"The rules file {path} can't be read: {why}.", "Name a readable UTF-8 YAML file.", "contract"
        ) from None


@command("check", rules)
@click.argument("file", type=click.Path(path_type=Path))
def rules_check(context: Context, file: Path) -> None:
    """Check a rules file: all its faults, each with line, cause and remedy. Needs no engine.

    Example: counterfoil rules check rules.yaml
    """
    parsed = parse_rules(_text_of(file))
    answer = {
        "version": parsed.version,
        "entities": sorted(parsed.entities),
        "stores": sorted(parsed.stores),
        "rows": {name: len(rows) for name, rows in parsed.tables.items()},
    }
    context.answer(
        answer, lambda value: show.line(f"{file} is sound: version {value['version']}, rows {value['rows']}.")
    )


@command("load", rules)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="only check it at the engine")
def rules_load(context: Context, file: Path, dry_run: bool) -> None:
    """Put a rules file in force; every order that a missing row held resumes by itself.

    Example: counterfoil rules load rules.yaml
    """
    answer = context.client.post("rules", body={"text": _text_of(file), "dry_run": dry_run})
    said = show.or_proposed(lambda value: f"Version {value['version']}; {value['freed']} subject(s) resume.")
    context.answer(answer, said)


@command("show", rules)
def rules_show(context: Context) -> None:
    """Print the rules in force.

    Example: counterfoil rules show > rules.yaml
    """
    context.answer(context.client.get("rules"), lambda value: click.echo(value["text"] or "", nl=False))


@command("restatements")
def restatements(context: Context) -> None:
    """What new rules or code alone would change about posted documents; held until approved.

    Example: counterfoil restatements
    """

    def shown(value: Any) -> None:
        if not value["held"]:
            show.line("No restatement is held.", "green")
            return
        columns = list(value["held"][0])
        show.table(columns, [[row[name] for name in columns] for row in value["held"]])

    context.answer(context.client.get("restatements"), shown)


@command("approve")
@click.argument("version")
def approve(context: Context, version: str) -> None:
    """Let the restatement of a rules version be posted.

    Example: counterfoil approve 2026-11-24
    """
    answer = context.client.post("approve", body={"version": version})
    said = show.or_proposed(lambda value: f"Approved; {value['subjects']} subject(s) are looked at again.")
    context.answer(answer, said)


@command("release-brake")
@click.argument("entity")
def release_brake(context: Context, entity: str) -> None:
    """Let an entity's reversals go on after their brake stopped them.

    Example: counterfoil release-brake DE01
    """
    answer = context.client.post("release-brake", body={"entity": entity})
    said = show.or_proposed(lambda value: f"Released; {value['subjects']} subject(s) go on.")
    context.answer(answer, said)


@command("handover")
@click.argument("store")
def handover(context: Context, store: str) -> None:
    """Let a new installation of a store's agent take over, after a move or a lost disk.

    Example: counterfoil handover eu1
    """
    answer = context.client.post("handover", body={"store": store})
    context.answer(answer, lambda value: show.line(f"The next agent that says hello for {store} takes it over."))


@command("switch")
@click.argument("store")
@click.argument("party", type=click.Choice(["erp", "wms", "gateway", "tax"]))
@click.argument("setting", type=click.Choice(["off", "preview", "on"]))
@click.option("--yes", is_flag=True, help="post what is ready; without it, switching on only says what that is")
def switch(context: Context, store: str, party: str, setting: str, yes: bool) -> None:
    """A store's write switch: off, preview or on. Switching on says first what would be posted.

    Example: counterfoil switch eu1 erp on --yes
    """
    body = {"store": store, "party": party, "setting": setting, "confirmed": yes}
    answer = context.client.post("switch", body=body)
    context.answer(answer, show.or_proposed(lambda value: f"{party} of {store} is {value['setting']}."))


@command("confirm")
def confirm(context: Context) -> None:
    """Say that this database, where it stands now, is the one that writes (after a restore or a move).

    Example: counterfoil confirm
    """
    answer = context.client.post("confirm", body={})
    context.answer(answer, lambda value: show.line(f"Confirmed; engine epoch {value['engine_epoch']}."))


@command(
    "rehearse",
    exit_status="Exit status: 0 every order ended right or as an explained case, 1 an invariant is broken or a file"
    " can't be used (cause and remedy are said), 2 wrong usage.",
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rules", "rules_path", type=click.Path(path_type=Path), help="use these rules; propose none")
@click.option("--write-rules", type=click.Path(path_type=Path), help="save the rules that were proposed")
@click.option("--store", default="rehearsal", show_default=True, help="the store's name in keys and reports")
@click.option("--trace", is_flag=True, help="show each hop of each snapshot: sequence, fact, look, intents, ERP number")
def rehearse(
    context: Context,
    paths: tuple[Path, ...],
    rules_path: Path | None,
    write_rules: Path | None,
    store: str,
    trace: bool,
) -> int:
    """Try Counterfoil on exported data, before anything is installed.

    PATH is an order, a list page, a webhook delivery with headers, a refund, a history, or a folder of these. Runs the
    real outbox, intake, looks, posters and sandbox ERP in this process; writes nothing outside a temporary folder.

    Example: counterfoil rehearse exports/ --write-rules rules.yaml
    """
    from counterfoil_engine.rehearsal.run import rehearse as run

    if rules_path and write_rules:
        raise click.UsageError("--write-rules saves what is proposed; with --rules nothing is.")
    if write_rules and (write_rules.is_dir() or not os.access(write_rules.parent, os.W_OK)):
        raise _unwritable(write_rules, "it is a folder" if write_rules.is_dir() else "its folder can't be written")
    logger.remove()
    given = _text_of(rules_path) if rules_path else None
    report = run(paths, store, given, trace=_tell(context) if trace else None)
    if write_rules:
        _write(write_rules, report.rules_text)
    if context.as_json:
        context.answer(report.as_json(), show.line)
    else:
        report.show(show)
    return 0 if report.holds else 1


def _tell(context: Context) -> Callable[[str], None]:
    """Where hops are told: beside the JSON, or among the lines."""
    return (lambda hop: click.echo(hop, err=True)) if context.as_json else show.line


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error.strerror) from None


def _unwritable(path: Path, why: str | None) -> CounterfoilError:
    return CounterfoilError(
        f"The rules can't be saved to {path}: {why}.", "Name a place that can be written.", "contract"
    )


@command("serve")
@click.option("--config", type=click.Path(path_type=Path), help="the engine's TOML file")
@click.option(
    "--role",
    type=click.Choice(["all", "api", "worker", "poster", "scheduler"]),
    default="all",
    show_default=True,
    help="all: one process, on SQLite the only way; the others share a PostgreSQL database",
)
def serve(context: Context, config: Path | None, role: str) -> None:
    """Run the engine: API, worker, poster and scheduler.

    Example: counterfoil serve --config counterfoil-engine.toml
    """
    from counterfoil_engine.bootstrap import serve as run

    run(config, role)


@command("console")
@click.option("--config", type=click.Path(path_type=Path), help="the engine's TOML file")
def console(context: Context, config: Path | None) -> None:
    """Serve the console in a process of its own. Needs PostgreSQL; COUNTERFOIL_WORKERS processes.

    `serve` serves it too, at /console; any number of these may run besides ([console] listen).

    Example: counterfoil console --config counterfoil-engine.toml
    """
    from counterfoil_engine.bootstrap import serve_console as run

    run(config)


@command("feed")
@click.option("--config", type=click.Path(path_type=Path), help="the engine's TOML file")
def feed(context: Context, config: Path | None) -> None:
    """Serve the feed in a process of its own: where agents wait for changes of stock. Needs PostgreSQL.

    `serve` serves it too; any number of these may run besides, each on an address of its own ([feed] listen).

    Example: counterfoil feed --config counterfoil-engine.toml
    """
    from counterfoil_engine.bootstrap import serve_feed as run

    run(config)


@counterfoil.group("stock")
def stock() -> None:
    """What holds a store's stock back."""


@command("pass-over", stock)
@click.argument("store")
def pass_over(context: Context, store: str) -> None:
    """Say that the event which holds a store's stock count held no sale, so that counting goes on after it.

    Its agent sends what it can't read anew by itself; use this where it doesn't, and you have looked. A sale that was
    in it is not counted then, until its order is sent again. Example: counterfoil stock pass-over eu1
    """
    answer = context.client.post("pass-over", body={"store": store})
    context.answer(
        answer, lambda value: show.line(f"Passed over; {store} is counted to {value['epoch']}/{value['n']}.")
    )


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(context: Context, shell: str) -> None:
    """Print the completion script of a shell.

    Example: counterfoil completion bash > /etc/bash_completion.d/counterfoil
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(counterfoil, {}, "counterfoil", "_COUNTERFOIL_COMPLETE").source())


from counterfoil_engine.cli import (  # noqa: E402  (they join)
    audit,  # noqa: F401
    cases,  # noqa: F401
    close,  # noqa: F401
    erp,  # noqa: F401
    erp_setup,  # noqa: F401
    evidence,  # noqa: F401
    lookup,  # noqa: F401
    payouts,  # noqa: F401
    proposals,  # noqa: F401
    sweep,  # noqa: F401
    users,  # noqa: F401
    watch,  # noqa: F401
    what_if,  # noqa: F401
)
