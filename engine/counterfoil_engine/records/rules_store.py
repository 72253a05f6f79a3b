"""Versions of the rules as they were loaded, and the write switches that people set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from counterfoil_engine.domain.errors import CounterfoilError, Unavailable
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.records.database import Transaction


def load(tx: Transaction, version: str, text: str, who: str) -> bool:
    """Put a version in force; False where it is in force already. A version's text never changes."""
    if not tx.is_sqlite:
        tx.run("select pg_advisory_xact_lock(7033)")  # several roles start at one moment, with the same file
    latest = tx.one("select version, body from rules_versions order by id desc limit 1")
    if latest and latest["version"] == version and latest["body"] == text:
        return False
    if tx.one("select version from rules_versions where version = %s", version):
        raise CounterfoilError(
            f"The rules version {version!r} was loaded before, with other content or followed by a later one.",
            "Give the file a new label in its first line (rules: …), then load it again.",
            "conflict",
        )
    tx.run(
        "insert into rules_versions (version, body, loaded_at, loaded_by) values (%s, %s, %s, %s)",
        version,
        text,
        tx.now(),
        who,
    )
    return True


def current_version(tx: Transaction) -> str | None:
    row = tx.one("select version from rules_versions order by id desc limit 1")
    return row["version"] if row else None


def text_of(tx: Transaction, version: str) -> str | None:
    row = tx.one("select body from rules_versions where version = %s", version)
    return row["body"] if row else None


def versions(tx: Transaction) -> list[Mapping[str, Any]]:
    return tx.all("select version, loaded_at, loaded_by from rules_versions order by id")


class Book:
    """Rules by version, each parsed once. parse: text and version → Rules."""

    def __init__(self, parse: Callable[[str, str], Rules]) -> None:
        self._parse = parse
        self._parsed: dict[str, Rules] = {}

    def text_of(self, tx: Transaction, version: str) -> str | None:
        """A version's text; None where it was never loaded."""
        return text_of(tx, version)

    def current(self, tx: Transaction) -> Rules:
        version = current_version(tx)
        rules = self._read(tx, version) if version else None
        if rules is None:
            raise Unavailable(
                "No rules are loaded.", "Load a rules file: counterfoil rules load FILE.", "missing_mapping"
            )
        return rules

    def version(self, tx: Transaction, version: str) -> Rules | None:
        """A version that was in force once; None where it is unknown, or written for a reader that is gone."""
        try:
            return self._read(tx, version)
        except CounterfoilError:
            return None

    def _read(self, tx: Transaction, version: str) -> Rules | None:
        if version not in self._parsed:
            text = text_of(tx, version)
            if text is None:
                return None
            self._parsed[version] = self._parse(text, version)
        return self._parsed[version]


# Write switches.


def set_switch(tx: Transaction, store: str, party: str, setting: str, who: str) -> None:
    tx.run(
        "insert into switches (store, party, setting, set_at, set_by) values (%s, %s, %s, %s, %s)"
        " on conflict (store, party) do update set setting = excluded.setting, set_at = excluded.set_at,"
        " set_by = excluded.set_by",
        store,
        party,
        setting,
        tx.now(),
        who,
    )


def switches(tx: Transaction) -> dict[tuple[str, str], str]:
    """What people set, by store and party."""
    return {(row["store"], row["party"]): row["setting"] for row in tx.all("select * from switches")}
