"""Reading what every party answers: strictly where a wrong guess could post twice, and never trusting their text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast, get_args

import counterfoil_contracts

from counterfoil_engine.domain.errors import Case, Category
from counterfoil_engine.ports import Found, Outcome, Posted, Refused, Unknown

_LONGEST_TEXT = 600


class Malformed(Exception):
    """The answer is not as the contract says; the message names what is wrong, without repeating it."""


def outcomes(body: bytes, keys: Sequence[str]) -> list[Outcome]:
    """One outcome for each key; Unknown where the answer doesn't say, says two things, or can't be read."""
    try:
        rows = rows_of(object_of(body), "outcomes")
    except Malformed:
        return [Unknown(key) for key in keys]
    said: dict[str, list[Outcome]] = {}
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("key"), str):
            said.setdefault(row["key"], []).append(_outcome(row["key"], row))
    return [_agreed(said.get(key, []), key) for key in keys]


def _agreed(outcomes_said: Sequence[Outcome], key: str) -> Outcome:
    first = outcomes_said[0] if outcomes_said else Unknown(key)
    return first if all(other == first for other in outcomes_said) else Unknown(key)


def _outcome(key: str, row: Mapping[str, Any]) -> Outcome:
    if row.get("status") == "posted" and is_text(row.get("number")):
        return Posted(key, row["number"])
    if row.get("status") == "refused":
        category = row.get("category")
        return Refused(
            key,
            Case(
                category=cast(Category, category) if category in get_args(Category) else "contract",
                cause=spoken(row.get("cause")) or "It was refused, and no cause was said.",
                remedy=spoken(row.get("remedy")) or "Look the document up in the party's own log.",
            ),
        )
    return Unknown(key)


def found(body: bytes, asked: Collection[str] | None = None) -> tuple[list[Found], str | None]:
    """The documents found, and the cursor of the next page. asked: the keys asked for; an answer on others is none."""
    answer = object_of(body)
    rows = [_found(row) for row in rows_of(answer, "found")]
    if asked is not None and any(row.key not in asked for row in rows):
        raise Malformed("names a key that was not asked for")
    following = answer.get("next")
    if following is not None and not is_text(following):
        raise Malformed("has a `next` that is no text")
    return rows, following


def _found(row: Any) -> Found:
    if not isinstance(row, dict) or not all(is_text(row.get(name)) for name in ("key", "number", "content_hash")):
        raise Malformed("has a row in `found` without key, number and content_hash")
    try:
        posted_at = datetime.fromisoformat(row.get("posted_at"))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Malformed("has a `posted_at` that is no moment") from None
    if posted_at.tzinfo is None:
        raise Malformed("has a `posted_at` without its offset")
    return Found(row["key"], row["number"], row["content_hash"], posted_at)


def health(body: bytes) -> tuple[bool, str, int, int, float]:
    """ok, detail, lanes, batch_size, commit_lag_s."""
    answer = object_of(body)
    lanes, batch_size, lag_s = (member(answer, name) for name in ("lanes", "batch_size", "commit_lag_s"))
    if type(lanes) is not int or type(batch_size) is not int or not 1 <= lanes <= 64 or not 1 <= batch_size <= 1_000:
        raise Malformed("has no `lanes` from 1 to 64 or no `batch_size` from 1 to 1000")
    if type(lag_s) not in (int, float) or not 0 <= lag_s <= 86_400:
        raise Malformed("has no `commit_lag_s` from 0 to 86400")
    return answer.get("ok") is True, spoken(answer.get("detail")), lanes, batch_size, float(lag_s)


def problem(body: bytes) -> tuple[str, str]:
    """Detail and remedy of problem details (RFC 9457), "" where there are none."""
    try:
        answer = object_of(body)
    except Malformed:
        return "", ""
    return spoken(answer.get("detail") or answer.get("title")), spoken(answer.get("remedy"))


def spoken(value: Any) -> str:
    """Foreign words, fit to be shown: one line of bounded length."""
    return (
        "".join(c if c.isprintable() else " " for c in value[:_LONGEST_TEXT]).strip() if isinstance(value, str) else ""
    )


def object_of(body: bytes) -> Mapping[str, Any]:
    try:
        answer = counterfoil_contracts.parse(body)
    except ValueError as error:
        raise Malformed(f"can't be read: {error}") from None
    if not isinstance(answer, dict):
        raise Malformed("is no JSON object")
    return answer


def member(answer: Mapping[str, Any], name: str) -> Any:
    if name not in answer:
        raise Malformed(f"has no `{name}`")
    return answer[name]


def rows_of(answer: Mapping[str, Any], name: str) -> list[Any]:
    rows = member(answer, name)
    if not isinstance(rows, list):
        raise Malformed(f"has a `{name}` that is no list")
    return rows


def is_text(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 500
