"""The agent's settings: one TOML file, read once into frozen dataclasses. Secrets stand in the environment, named here.

What the file may not say (an unknown key, a wrong type, a number out of bounds) is refused with what helps.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from counterfoil_agent.errors import Stop

DEFAULT_PATH = Path("/etc/counterfoil/agent.toml")
ENVIRONMENT_PATH = "COUNTERFOIL_AGENT_CONFIG"
LARGEST_FILE_BYTES = 100_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}")


def _within(low: float, high: float, default: Any) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True)
class ShopSettings:
    """url: where the shop's front page is. since: what was created and last changed before this day isn't read."""

    url: str
    key_env: str = "COUNTERFOIL_SHOP_KEY"
    secret_env: str = "COUNTERFOIL_SHOP_SECRET"  # noqa: S105 (a variable's name)
    since: date | None = None
    timeout_s: float = _within(1, 300, 30.0)
    poll_s: float = _within(1, 86_400, 30.0)
    overlap_s: float = _within(1, 86_400, 120.0)
    page_orders: int = _within(1, 100, 100)
    reread_days: int = _within(0, 3650, 14)
    reread_every_h: float = _within(0.01, 720, 6.0)
    reread_page_s: float = _within(0, 3600, 20.0)
    deletions_an_hour: int = _within(0, 1_000_000, 20)


@dataclass(frozen=True)
class EngineSettings:
    """batch_bytes: of the events before they are packed. idle_s: how often to look for new ones.

    updates_s: how often to ask what the shop's orders are to be told. sweeps_s: how often to ask what to look at.
    longest_pause_s: between attempts while the engine is down. feed_url: where its stock numbers are asked for
    (default: as the engine says, else url). traces_url: where its spans are told by OTLP; None: nowhere."""

    url: str
    feed_url: str | None = None
    traces_url: str | None = None
    secret_env: str = "COUNTERFOIL_ENGINE_SECRET"  # noqa: S105
    timeout_s: float = _within(1, 300, 30.0)
    batch_events: int = _within(1, 500, 100)
    batch_bytes: int = _within(1_000, 8_000_000, 1_000_000)
    idle_s: float = _within(0.01, 60, 1.0)
    heartbeat_s: float = _within(1, 3600, 60.0)
    updates_s: float = _within(1, 3600, 20.0)
    sweeps_s: float = _within(1, 3600, 20.0)
    longest_pause_s: float = _within(1, 3600, 300.0)


@dataclass(frozen=True)
class OutboxSettings:
    """share_bytes: of the disk, for what waits and what is kept. disk_free_bytes: below it nothing new is read."""

    path: Path = Path("/var/lib/counterfoil-agent/outbox.sqlite")
    retain_days: float = _within(0, 365, 7.0)
    share_bytes: int = _within(10_000_000, 10**13, 2_000_000_000)
    disk_free_bytes: int = _within(0, 10**13, 500_000_000)


@dataclass(frozen=True)
class WebhookSettings:
    """listen: where the shop's webhooks are taken, host:port; None: nowhere, which loses nothing but seconds."""

    listen: str | None = None
    secret_env: str = "COUNTERFOIL_WEBHOOK_SECRET"  # noqa: S105


@dataclass(frozen=True)
class PluginSettings:
    """key_env: None: the store has no plugin. nudge_listen: where its word that something changed comes, over UDP; ""
    for nowhere, which costs up to poll_s. safety_poll_s: how often orders are polled over REST all the same."""

    key_env: str | None = None
    nudge_listen: str = "127.0.0.1:8790"
    poll_s: float = _within(1, 3600, 30.0)
    safety_poll_s: float = _within(1, 86_400, 300.0)
    timeout_s: float = _within(1, 300, 60.0)


@dataclass(frozen=True)
class AcceptWhen:
    """A first push is accepted by itself where it changes at most this share of the catalogue."""

    most_changes_share: float = _within(0, 1, 0.0)


@dataclass(frozen=True)
class StockSettings:
    """switch: off (the engine's numbers aren't asked for), preview (asked for and compared, not written), on.

    brake_*: numbers that would take more than this share of the catalogue, or of the best sellers, to zero within a
    minute wait for a person; fewer than brake_from never do. call_s: how long one write may keep the shop busy.
    """

    switch: str = "preview"
    accept_when: AcceptWhen | None = None
    brake_share: float = _within(0, 1, 0.1)
    brake_best_share: float = _within(0, 1, 0.25)
    best_sellers: int = _within(0, 10_000, 50)
    brake_from: int = _within(1, 1_000_000, 10)
    most_items: int = _within(1, 1000, 1000)
    call_s: float = _within(0.1, 60, 2.0)
    wait_s: float = _within(0, 55, 20.0)
    idle_s: float = _within(0.01, 3600, 5.0)
    sweep_h: float = _within(0.01, 720, 1.0)
    catalogue_h: float = _within(0.01, 720, 24.0)


@dataclass(frozen=True)
class Settings:
    store: str
    shop: ShopSettings
    engine: EngineSettings
    outbox: OutboxSettings = OutboxSettings()
    webhook: WebhookSettings = WebhookSettings()
    plugin: PluginSettings = PluginSettings()
    stock: StockSettings = StockSettings()
    log_level: str = "INFO"
    log_json: bool = False


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the file named here, by the environment, or the default one. Raises Stop."""
    path = path or Path(environment.get(ENVIRONMENT_PATH) or DEFAULT_PATH)
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise Stop(f"The configuration {path} is larger than {LARGEST_FILE_BYTES} bytes.", _SEE)
        told = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise Stop(
            f"The configuration {path} can't be read: {error.strerror}.",
            f"Name it by --config or {ENVIRONMENT_PATH}; agent/counterfoil-agent.example.toml is one to start from.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Stop(f"The configuration {path} is no TOML: {error}.", _SEE) from None
    return read(told)


def read(told: Mapping[str, Any]) -> Settings:
    """Settings from what the file says. Raises Stop at the first thing that is wrong."""
    settings: Settings = _section(Settings, told, "")
    if not _NAME.fullmatch(settings.store):
        raise Stop(
            f"store is {settings.store!r:.80}, which is no name.", "Use letters, digits, dots, dashes, as in eu1."
        )
    engine = settings.engine
    for name, url in (
        ("shop.url", settings.shop.url),
        ("engine.url", engine.url),
        ("engine.feed_url", engine.feed_url),
        ("engine.traces_url", engine.traces_url),
    ):
        if url is not None:
            _check_url(name, url)
    for name, variable in (
        ("shop.key_env", settings.shop.key_env),
        ("shop.secret_env", settings.shop.secret_env),
        ("engine.secret_env", settings.engine.secret_env),
        ("webhook.secret_env", settings.webhook.secret_env),
        ("plugin.key_env", settings.plugin.key_env),
    ):
        if variable is not None and not _VARIABLE.fullmatch(variable):
            # Not repeated: who mistakes the key for the secret itself has just written the secret here.
            raise Stop(
                f"{name} is no name of an environment variable.",
                "Put the secret into the environment, and the variable's name here.",
            )
    if settings.webhook.listen is not None:
        address(settings.webhook.listen)
    if settings.plugin.nudge_listen:
        address(settings.plugin.nudge_listen, "plugin.nudge_listen")
    if settings.stock.switch not in ("off", "preview", "on"):
        raise Stop(f"stock.switch is {settings.stock.switch!r:.40}.", "Use off, preview or on.")
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise Stop(f"log_level is {settings.log_level!r:.40}.", "Use DEBUG, INFO, WARNING or ERROR.")
    return settings


def secret(variable: str, environment: Mapping[str, str] = os.environ) -> str:
    """A secret from the environment. Raises Stop where it is missing."""
    value = environment.get(variable, "").strip()
    if not value:
        raise Stop(
            f"The environment variable {variable} is not set.",
            "Set it where the agent is started (systemd: EnvironmentFile, readable by its user alone).",
        )
    return value


def address(listen: str, name: str = "webhook.listen") -> tuple[str, int]:
    """127.0.0.1:8077 → ("127.0.0.1", 8077). Raises Stop."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Stop(f"{name} is {listen!r:.80}.", 'Write host and port, as in "127.0.0.1:8077".')
    return host.strip("[]"), int(port)


_SEE = "Compare it with agent/counterfoil-agent.example.toml."


def _section(kind: type, told: Any, name: str) -> Any:
    where = f"[{name}]" if name else "The configuration"
    if not isinstance(told, Mapping):
        raise Stop(f"{where} is no table.", _SEE)
    known = {each.name: each for each in fields(kind)}
    for key in told:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            meant = f"Did you mean {close[0]}? " if close else ""
            raise Stop(f"{where} has a key {key!r:.60} that means nothing.", f"{meant}Known are: {', '.join(known)}.")
    hints = get_type_hints(kind)
    values = {}
    for key, each in known.items():
        if key in told:
            values[key] = _value(hints[key], told[key], f"{name}.{key}" if name else key, each.metadata)
        elif each.default is MISSING:
            raise Stop(f"{where} lacks {key}.", _SEE)
    return kind(**values)


def _value(hint: Any, value: Any, name: str, bounds: Mapping[str, Any]) -> Any:
    if hint == AcceptWhen | None:
        hint = AcceptWhen
    if hasattr(hint, "__dataclass_fields__"):
        return _section(hint, value, name)
    if hint is Path and isinstance(value, str):
        return Path(value)
    wanted, words = _WANTED[hint]
    if type(value) not in wanted:
        raise Stop(f"{name} is {value!r:.60}.", f"It must be {words}.")
    if bounds and not bounds["low"] <= value <= bounds["high"]:
        raise Stop(f"{name} is {value}.", f"It must lie between {bounds['low']} and {bounds['high']}.")
    return float(value) if hint is float else value


_WANTED: Mapping[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a text in quotes"),
    str | None: ((str,), "a text in quotes"),
    Path: ((str,), "a path in quotes"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
    date | None: ((date,), "a day without quotes, as in 2026-11-01"),
}


def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port is not False
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise Stop(f"{name} is {url!r:.100}, which is no address.", 'Write it as in "https://shop.example".')
    if parts.username or parts.password:
        raise Stop(f"{name} holds a password.", "Put secrets into the environment.")
