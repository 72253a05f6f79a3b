"""The engine's settings: one TOML file and the environment, read once into a frozen dataclass.

The file says where things are; secrets come from the environment alone. What is not known is refused, so that a
misspelt setting can't be taken for one that works. `counterfoil-engine.example.toml` shows them all.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.domain.facts import Party as PartyKind

SECRET_PREFIX = "COUNTERFOIL_STORE_SECRET_"  # noqa: S105  (a name, no secret)
OLD_SECRET_PREFIX = "COUNTERFOIL_OLD_STORE_SECRET_"  # noqa: S105
SHORTEST_SECRET = 16

_STORE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_MAIL = re.compile(r"[^\s@<>\"]{1,100}@[^\s@<>\"]{1,200}")
_KINDS = ", ".join(get_args(PartyKind))


@dataclass(frozen=True)
class Limits:
    """Bounds on what comes in and goes out. body_bytes: as sent; unpacked_bytes: after gunzip.

    reversals_an_hour, reversed_minor_an_hour: the brake, per entity, in its book currency. lease_s: how long a look
    may take before another worker takes it over, so also how long a dead worker's subjects rest.
    silent_after_s: an agent that wasn't heard for so long is silent."""

    body_bytes: int = 2_097_152
    unpacked_bytes: int = 16_777_216
    events: int = 500
    clock_skew_s: int = 300
    retain_s: int = 604_800
    reversals_an_hour: int = 200
    reversed_minor_an_hour: int = 10_000_000
    lease_s: int = 60
    silent_after_s: int = 300


@dataclass(frozen=True)
class ErpSettings:
    """How an entity's ERP is reached. options: what the adapter alone understands (`timeout_s`, …). name: by which it
    is told from another one of the entity."""

    entity: str
    adapter: str
    url: str
    token: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class PartySettings:
    """How a WMS, a gateway or a tax service is reached, and for which entities it takes documents; none: it is only
    read. name: as its facts name it."""

    name: str
    kind: PartyKind
    adapter: str
    url: str
    token: str = field(default="", repr=False)
    entities: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FeedSettings:
    """Where the feed listens, and at which address agents find it; None: at the engine's own (a proxy sorts them)."""

    listen: str = "127.0.0.1:8802"
    url: str | None = None


@dataclass(frozen=True)
class OidcSettings:
    """Who vouches for people besides their passwords. claim: which of its words is a person's name here."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    claim: str = "preferred_username"


@dataclass(frozen=True)
class ConsoleSettings:
    """Where a console of its own listens, and at which address people reach it; None: where the engine listens.
    evidence_key: the file of the key that signs evidence packs taken from the console; None: it gives none."""

    listen: str = "127.0.0.1:8467"
    url: str | None = None
    oidc: OidcSettings | None = None
    evidence_key: Path | None = None


@dataclass(frozen=True)
class AlertSettings:
    """Where alerts are told: webhook, an address, and mail, by an SMTP server host:port; None: not that way."""

    webhook: str | None = None
    webhook_secret: str = field(default="", repr=False)
    smtp: str | None = None
    smtp_tls: str = "starttls"
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class WatchSettings:
    """How it is watched. metrics_token: opens /metrics and nothing else; empty: whoever may see all may see them.
    metrics_listen: where a role without API tells its figures; None: nowhere. slos: the file of objectives; None: the
    engine's own. runbooks: the address that docs/runbooks is published under. traces_url: where traces are sent by
    OTLP; None: nowhere."""

    metrics_token: str = field(default="", repr=False)
    metrics_listen: str | None = None
    slos: Path | None = None
    runbooks: str = "docs/runbooks"
    traces_url: str | None = None
    alerts: AlertSettings = AlertSettings()


@dataclass(frozen=True)
class Settings:
    """All settings. store_secrets: by store, one secret, or two while one replaces the other. payout_folder: where
    files of payout reports are dropped; None: they come over the API alone. successors: by entity, the ERP that is to
    replace its ERP."""

    database: str = field(repr=False)
    listen: str
    rules: Path | None
    limits: Limits
    store_secrets: Mapping[str, tuple[str, ...]] = field(repr=False)
    api_token: str = field(repr=False)
    erps: Mapping[str, ErpSettings]
    feed: FeedSettings = FeedSettings()
    parties: Mapping[str, PartySettings] = field(default_factory=dict)
    payout_folder: Path | None = None
    console: ConsoleSettings = ConsoleSettings()
    watch: WatchSettings = WatchSettings()
    successors: Mapping[str, ErpSettings] = field(default_factory=dict)


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Settings from a file (None: defaults) and the environment, which wins. Raises CounterfoilError."""
    return settings(_table_of(path), environment)


def settings(table: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Settings from what the file holds and the environment."""
    known = ("engine", "limits", "stores", "erp", "successor", "feed", "party", "payouts", "console", "watch", "alerts")
    _only(table, "the top", dict.fromkeys(known, dict))
    engine = table.get("engine", {})
    _only(engine, "[engine]", {"database": str, "listen": str, "rules": str, "api_token_env": str})
    rules = environment.get("COUNTERFOIL_RULES") or engine.get("rules")
    erps = {entity: _erp("erp", entity, each, environment) for entity, each in table.get("erp", {}).items()}
    return Settings(
        database=_database(engine, environment),
        listen=_listen(environment.get("COUNTERFOIL_LISTEN") or engine.get("listen", "127.0.0.1:8466")),
        rules=Path(rules) if rules else None,
        limits=_limits(table.get("limits", {})),
        store_secrets=_store_secrets(table.get("stores", {}), environment),
        api_token=_secret(engine.get("api_token_env", "COUNTERFOIL_API_TOKEN"), environment, needed=False),
        erps=erps,
        successors=_successors(table.get("successor", {}), erps, environment),
        feed=_feed(table.get("feed", {}), environment),
        parties=_parties(table.get("party", {}), environment),
        payout_folder=_payout_folder(table.get("payouts", {})),
        console=_console(table.get("console", {}), environment),
        watch=_watch(table.get("watch", {}), _alerts(table.get("alerts", {}), environment), environment),
    )


def _table_of(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise _wrong(
            f"The settings file {path} can't be read: {error.strerror}.", "Check its name and rights."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(f"The settings file {path} is no TOML: {error}.", "Correct it there.") from None


def _only(table: object, where: str, known: Mapping[str, type]) -> None:
    """Refuse what is no table, what is not known, and what has another type."""
    if not isinstance(table, dict):
        raise _wrong(f"Settings: {where} is no table.", f"Write it as a table: {where}")
    for name, value in table.items():
        if name not in known:
            raise _wrong(f"Settings: {where} has no {name!r}.", f"It may have: {', '.join(sorted(known))}.")
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise _wrong(f"Settings: {name} in {where} is {value!r}.", f"Give a value of type {known[name].__name__}.")


def _database(engine: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    if "COUNTERFOIL_DATABASE" in environment:
        return environment["COUNTERFOIL_DATABASE"]
    url = str(engine.get("database", "sqlite:///counterfoil.sqlite"))
    try:
        has_password = urlsplit(url).password is not None
    except ValueError:
        raise _wrong(
            "Settings: database in [engine] is no address.", "Write postgresql://user@host:5432/name."
        ) from None
    if has_password:
        raise _wrong(
            "Settings: database in [engine] holds a password.",
            "Take the address out of the file and set COUNTERFOIL_DATABASE in the environment.",
        )
    return url


def _listen(text: str, name: str = "listen") -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise _wrong(f"Settings: {name} is {text!r}.", "Write host:port, such as 127.0.0.1:8466.")
    return text


def _feed(table: Mapping[str, Any], environment: Mapping[str, str]) -> FeedSettings:
    _only(table, "[feed]", {"listen": str, "url": str})
    url = environment.get("COUNTERFOIL_FEED_URL") or table.get("url")
    if url and not re.fullmatch(r"https?://[!-~]{1,250}", url):
        raise _wrong(f"Settings: url in [feed] is {url[:100]!r}.", "Write https://host, as agents reach it.")
    listen = environment.get("COUNTERFOIL_FEED_LISTEN") or table.get("listen", FeedSettings.listen)
    return FeedSettings(_listen(listen), url.rstrip("/") if url else None)


def _console(table: Mapping[str, Any], environment: Mapping[str, str]) -> ConsoleSettings:
    _only(table, "[console]", {"listen": str, "url": str, "oidc": dict})
    url = environment.get("COUNTERFOIL_CONSOLE_URL") or table.get("url")
    if url and not re.fullmatch(r"https?://[!-~]{1,250}", url):
        raise _wrong(f"Settings: url in [console] is {url[:100]!r}.", "Write https://host, as people reach it.")
    listen = environment.get("COUNTERFOIL_CONSOLE_LISTEN") or table.get("listen", ConsoleSettings.listen)
    oidc = _oidc(table["oidc"], environment, url) if "oidc" in table else None
    named = environment.get("COUNTERFOIL_EVIDENCE_KEY")
    return ConsoleSettings(_listen(listen), url.rstrip("/") if url else None, oidc, Path(named) if named else None)


def _oidc(table: Mapping[str, Any], environment: Mapping[str, str], url: str | None) -> OidcSettings:
    where = "[console.oidc]"
    _only(table, where, dict.fromkeys(("issuer", "client_id", "client_secret_env", "claim"), str))
    for needed in ("issuer", "client_id", "client_secret_env"):
        if not table.get(needed):
            raise _wrong(f"Settings: {where} has no {needed}.", "Add it, as the identity provider gives it.")
    if url is None:
        raise _wrong("Settings: [console] has no url.", f"Add it: with {where}, people are sent back to it.")
    secret = _secret(table["client_secret_env"], environment)
    return OidcSettings(table["issuer"], table["client_id"], secret, table.get("claim", OidcSettings.claim))


def _payout_folder(table: Mapping[str, Any]) -> Path | None:
    _only(table, "[payouts]", {"folder": str})
    return Path(table["folder"]) if table.get("folder") else None


def _watch(table: Mapping[str, Any], alerts: AlertSettings, environment: Mapping[str, str]) -> WatchSettings:
    names = ("metrics_token_env", "metrics_listen", "slos", "runbooks", "traces_url")
    _only(table, "[watch]", dict.fromkeys(names, str))
    listen = environment.get("COUNTERFOIL_METRICS_LISTEN") or table.get("metrics_listen")
    traces = environment.get("COUNTERFOIL_TRACES_URL") or table.get("traces_url")
    return WatchSettings(
        _secret(table.get("metrics_token_env", "COUNTERFOIL_METRICS_TOKEN"), environment, needed=False),
        _listen(listen) if listen else None,
        Path(table["slos"]) if table.get("slos") else None,
        table.get("runbooks") or WatchSettings.runbooks,
        _address(traces, "traces_url in [watch]") if traces else None,
        alerts,
    )


def _alerts(table: Mapping[str, Any], environment: Mapping[str, str]) -> AlertSettings:
    names = ("webhook", "webhook_secret_env", "smtp", "smtp_tls", "smtp_user", "smtp_password_env", "mail_from")
    _only(table, "[alerts]", {**dict.fromkeys(names, str), "mail_to": list})
    webhook, smtp, secret = table.get("webhook"), table.get("smtp"), ""
    if webhook:
        webhook = _address(webhook, "webhook in [alerts]")
        secret = _secret(table.get("webhook_secret_env", "COUNTERFOIL_ALERT_SECRET"), environment)
    tls, receivers = table.get("smtp_tls", "starttls"), table.get("mail_to", [])
    if tls not in ("starttls", "tls", "none"):
        raise _wrong(f"Settings: smtp_tls in [alerts] is {tls[:40]!r}.", "Write starttls, tls or none.")
    addresses = [table.get("mail_from", ""), *receivers]
    if smtp and not (receivers and all(isinstance(each, str) and _MAIL.fullmatch(each) for each in addresses)):
        raise _wrong(
            "Settings: [alerts] has an smtp server, and mail_from or mail_to lack or are no addresses.",
            'Write mail_from = "counterfoil@example.com" and mail_to = ["night@example.com"].',
        )
    password = _secret(table["smtp_password_env"], environment) if "smtp_password_env" in table else ""
    return AlertSettings(
        webhook,
        secret,
        _listen(smtp, "smtp in [alerts]") if smtp else None,
        tls,
        table.get("smtp_user", ""),
        password,
        table.get("mail_from", ""),
        tuple(receivers),
    )


def _address(url: str, name: str) -> str:
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
        is_one = is_one and len(url) <= 1000 and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise _wrong(f"Settings: {name} is no address.", "Write https://host/path, without a name or password in it.")
    return url


def _limits(table: Mapping[str, Any]) -> Limits:
    names = list(Limits.__dataclass_fields__)
    _only(table, "[limits]", dict.fromkeys(names, int))
    for name, value in table.items():
        if not 1 <= value <= 2**40:
            raise _wrong(f"Settings: {name} in [limits] is {value}.", "Give a whole number above 0.")
    return Limits(**table)


def _store_secrets(table: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Each store's secrets: COUNTERFOIL_STORE_SECRET_EU_1 is that of store eu-1; other names by [stores.<name>]."""
    variables = {_store_of(name, SECRET_PREFIX): name for name in environment if name.startswith(SECRET_PREFIX)}
    for store, each in table.items():
        if not _STORE.fullmatch(store):
            raise _wrong(f"Settings: {store!r} is no name of a store.", "Use letters, digits, `.`, `_` and `-`.")
        _only(each, f"[stores.{store}]", {"secret_env": str})
        if "secret_env" in each:
            variables[store] = each["secret_env"]
    secrets: dict[str, tuple[str, ...]] = {store: (_secret(name, environment),) for store, name in variables.items()}
    for name in environment:
        if name.startswith(OLD_SECRET_PREFIX) and (store := _store_of(name, OLD_SECRET_PREFIX)) in secrets:
            secrets[store] = (*secrets[store], _secret(name, environment))
    return secrets


def _store_of(variable: str, prefix: str) -> str:
    return variable.removeprefix(prefix).lower().replace("_", "-")


def _erp(of: str, entity: str, table: Mapping[str, Any], environment: Mapping[str, str]) -> ErpSettings:
    where = f"[{of}.{entity}]"
    _only(table, where, {"adapter": str, "url": str, "token_env": str, "options": dict, "name": str})
    for name in ("adapter", "url"):
        if not table.get(name):
            raise _wrong(f"Settings: {where} has no {name}.", 'Add it, such as adapter = "http".')
    token = _secret(table["token_env"], environment) if "token_env" in table else ""
    name = table.get("name", table["adapter"])
    if not _SOURCE.fullmatch(name):
        raise _wrong(f"Settings: {where} is named {name!r}.", "Use small letters, digits, `_` and `-`.")
    return ErpSettings(entity, table["adapter"], table["url"], token, table.get("options", {}), name)


def _successors(
    table: Mapping[str, Any], erps: Mapping[str, ErpSettings], environment: Mapping[str, str]
) -> dict[str, ErpSettings]:
    """Each of an entity that has an ERP, under another name than that one's."""
    successors = {entity: _erp("successor", entity, each, environment) for entity, each in table.items()}
    for entity, each in successors.items():
        if entity not in erps:
            raise _wrong(f"Settings: {entity} has no [erp.{entity}] to be replaced.", "Name its ERP there.")
        if erps[entity].name == each.name:
            raise _wrong(
                f"Settings: [erp.{entity}] and [successor.{entity}] are both named {each.name!r}.",
                'Give each a name of its own, such as name = "tryton", and keep it from then on.',
            )
    return successors


def _parties(table: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, PartySettings]:
    """Each by its name. Only gateways may be several of one entity: a document for one names it."""
    parties = {name: _party(name, each, environment) for name, each in table.items()}
    served: dict[tuple[str, str], str] = {}
    for name, each in sorted(parties.items()):
        for entity in each.entities if each.kind != "gateway" else ():
            other = served.setdefault((each.kind, entity), name)
            if other != name:
                raise _wrong(
                    f"Settings: [party.{other}] and [party.{name}] are both the {each.kind} of {entity}.",
                    "Leave the entity with one of them.",
                )
    return parties


def _party(name: str, table: Mapping[str, Any], environment: Mapping[str, str]) -> PartySettings:
    where = f"[party.{name}]"
    if not _SOURCE.fullmatch(name):
        raise _wrong(f"Settings: {name!r} is no name of a party.", "Use small letters, digits, `_` and `-`.")
    known = {"kind": str, "adapter": str, "url": str, "token_env": str, "entities": list, "options": dict}
    _only(table, where, known)
    for needed in ("kind", "adapter", "url"):
        if not table.get(needed):
            raise _wrong(f"Settings: {where} has no {needed}.", 'Add it, such as kind = "wms" and adapter = "http".')
    if table["kind"] not in get_args(PartyKind):
        raise _wrong(f"Settings: kind in {where} is {table['kind']!r}.", f"Use one of: {_KINDS}.")
    entities = table.get("entities", [])
    if not all(isinstance(entity, str) and entity for entity in entities):
        raise _wrong(f"Settings: entities in {where} are no names.", 'Write them like entities = ["DE01"].')
    token = _secret(table["token_env"], environment) if "token_env" in table else ""
    unique = tuple(dict.fromkeys(entities))
    return PartySettings(name, table["kind"], table["adapter"], table["url"], token, unique, table.get("options", {}))


def _secret(variable: str, environment: Mapping[str, str], needed: bool = True) -> str:
    value = environment.get(variable, "")
    if not value and not needed:
        return ""
    if len(value) < SHORTEST_SECRET:
        what = "is not set" if not value else f"has fewer than {SHORTEST_SECRET} characters"
        raise _wrong(f"The environment's {variable} {what}.", "Set it to a long random text (openssl rand -hex 32).")
    return value


def _wrong(cause: str, remedy: str) -> CounterfoilError:
    return CounterfoilError(cause, remedy, "contract")
