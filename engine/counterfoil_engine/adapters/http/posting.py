"""What every party over HTTP has in common: documents are posted, found and listed, and health is asked.

The calls are those of `erp.openapi.yaml` and `party.openapi.yaml`, which are the same in this part.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import requests

from counterfoil_engine.adapters.http import answers
from counterfoil_engine.adapters.http.answers import Malformed
from counterfoil_engine.adapters.http.line import Answer, Line, Lost, NotSent
from counterfoil_engine.domain.errors import Case, Parked, RateLimited, Retry, Unavailable
from counterfoil_engine.ports import Found, Health, Outcome, Posting, Refused, Unknown

Read = TypeVar("Read")

KEYS_A_CALL = 500
_BELIEVED_S = 60.0  # how long what the party declares is believed


@dataclass(frozen=True)
class _Declared:
    lanes: int | None
    batch_size: int | None
    commit_lag_s: float | None


# Until the party has said what it declares: one careful caller.
_CAREFUL = _Declared(lanes=1, batch_size=50, commit_lag_s=30.0)

# The call itself is wrong for this party, not a document in it: nothing was done, and every call would fare the same.
_SET_UP_WRONG = {
    HTTPStatus.UNAUTHORIZED: "Check the token of {party} in the engine's environment.",
    HTTPStatus.FORBIDDEN: "Let the administrator of {party} allow this token to post and to read.",
    HTTPStatus.NOT_FOUND: "Check the address of {party} in the engine's settings.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Check the address of {party} in the engine's settings.",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "Check the proxy between the engine and {party}.",
}


class PostingOverHttp:
    """`ports.PostingParty` over HTTP, but for its periods.

    party: what it is called in a sentence. described: the file that describes its calls. lanes, batch_size,
    commit_lag_s: what the operator has set wins. What is None is what the party declares in its health, asked when
    first needed and a minute later anew. Until it has answered, the values are careful ones.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        session: requests.Session | None,
        *,
        party: str,
        described: str,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        most_answer_bytes: int = 16 * 1024 * 1024,
        lanes: int | None = None,
        batch_size: int | None = None,
        commit_lag_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """base_url: what stands before /v1. session: not one that repeats calls by itself (default: one of its own)."""
        self._party, self._described = party, described
        self._line = Line(
            base_url,
            token,
            session or requests.Session(),
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            most_bytes=most_answer_bytes,
            party=party,
            monotonic=monotonic,
        )
        self._set = _Declared(lanes, batch_size, commit_lag_s)
        self._declared = _CAREFUL
        self._monotonic, self._asked_at = monotonic, -_BELIEVED_S

    @property
    def lanes(self) -> int:
        return self._set.lanes or self._asked().lanes or 1

    @property
    def batch_size(self) -> int:
        return self._set.batch_size or self._asked().batch_size or 1

    @property
    def commit_lag_s(self) -> float:
        lag_s = self._set.commit_lag_s
        return self._asked().commit_lag_s or 0.0 if lag_s is None else lag_s

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        by_key: dict[str, list[Found]] = {}
        for start in range(0, len(keys), KEYS_A_CALL):
            part = list(keys[start : start + KEYS_A_CALL])
            body = json.dumps({"keys": part}).encode()
            read = partial(answers.found, asked=set(part))
            rows, _ = self._read("POST", "/v1/documents/find", read, body=body)
            for row in rows:
                by_key.setdefault(row.key, []).append(row)
        return by_key

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        encoded = [(posting.key, _encoded(posting)) for posting in postings]
        sendable = [(key, raw) for key, raw in encoded if raw is not None]
        trace = next((posting.trace for posting in postings if posting.trace), None)
        sent = iter(self._post(sendable, trace) if sendable else [])
        return [next(sent) if raw is not None else _unreadable(key) for key, raw in encoded]

    def list_since(self, since: datetime) -> Iterator[Found]:
        params, seen = {"since": since.astimezone(UTC).isoformat()}, set()
        while True:
            rows, following = self._read("GET", "/v1/documents", answers.found, params=params)
            yield from rows
            if following is None:
                return
            if following in seen:
                raise self._malformed("gives a cursor for the second time")
            seen.add(following)
            params = {**params, "cursor": following}

    def health(self) -> Health:
        self._asked_at = self._monotonic()
        try:
            ok, detail, lanes, batch_size, commit_lag_s = self._read("GET", "/v1/health", answers.health)
        except Retry as error:
            return Health(False, str(error))
        self._declared = _Declared(lanes, batch_size, commit_lag_s)
        return Health(ok, detail)

    def _asked(self) -> _Declared:
        if self._monotonic() - self._asked_at >= _BELIEVED_S:
            self.health()
        return self._declared

    def _post(self, sent: Sequence[tuple[str, bytes]], trace: str | None) -> list[Outcome]:
        keys = [key for key, _ in sent]
        body = b'{"documents":[' + b",".join(raw for _, raw in sent) + b"]}"
        try:
            answer = self._line.call("POST", "/v1/documents", body=body, trace=trace)
        except NotSent as error:
            raise self._unreachable(error) from error
        except Lost:
            return [Unknown(key) for key in keys]
        if answer.status == HTTPStatus.OK:
            return answers.outcomes(answer.body, keys)
        if retry := self._nothing_done(answer):
            raise retry
        if 400 <= answer.status < 500 and answer.status != HTTPStatus.REQUEST_TIMEOUT:
            return self._rejected(answer, keys)
        return [Unknown(key) for key in keys]

    def _rejected(self, answer: Answer, keys: Sequence[str]) -> list[Outcome]:
        """The call as a whole was rejected: the culprit where it is alone, else the poster halves the batch (K6)."""
        cause, remedy = self._said(answer)
        if len(keys) > 1:
            raise Parked(cause, remedy, "contract")
        return [Refused(keys[0], Case("contract", cause, remedy))]

    def _read(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], Read],
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        gone: type[Exception] | None = None,
    ) -> Read:
        """A call that changes nothing: whatever fails, it can be made again. gone: raised where it answers 410."""
        try:
            answer = self._line.call(method, path, params=params, body=body)
        except (NotSent, Lost) as error:
            raise self._unreachable(error) from error
        if retry := self._nothing_done(answer):
            raise retry
        if answer.status == HTTPStatus.GONE and gone is not None:
            raise gone
        if answer.status != HTTPStatus.OK:
            raise Unavailable(*self._said(answer), category="contract" if answer.status < 500 else "outage")
        try:
            return read(answer.body)
        except Malformed as error:
            # Never "nothing found": that would post a second time.
            raise self._malformed(str(error)) from error

    def _nothing_done(self, answer: Answer) -> Retry | None:
        """The error to raise where the party says that it did nothing with the call, whatever was in it."""
        cause, remedy = self._said(answer)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimited(cause, remedy, retry_after_s=answer.retry_after_s)
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return Unavailable(cause, remedy, retry_after_s=answer.retry_after_s)
        if 300 <= answer.status < 400:
            return Unavailable(cause, f"Set the address of {self._party} to where it redirects.", category="contract")
        if answer.status in _SET_UP_WRONG:
            wrong = _SET_UP_WRONG[HTTPStatus(answer.status)].format(party=self._party)
            return Unavailable(cause, wrong, category="contract")
        return None

    def _said(self, answer: Answer) -> tuple[str, str]:
        detail, remedy = answers.problem(answer.body)
        cause = f"{self._at_the_start} answered {answer.status}" + (f": {detail}" if detail else ".")
        return cause, remedy or f"Look at the log of {self._party} for this call."

    def _unreachable(self, error: Exception) -> Unavailable:
        cause = f"{self._at_the_start} can't be reached. {error}"
        return Unavailable(cause, "Check that it runs and that the line to it is up.")

    def _malformed(self, what: str) -> Unavailable:
        return Unavailable(
            f"What {self._party} answered {what}.",
            f"Let its supplier compare its answers with {self._described}.",
            category="contract",
        )

    @property
    def _at_the_start(self) -> str:
        return self._party[0].upper() + self._party[1:]


def _encoded(posting: Posting) -> bytes | None:
    try:
        return json.dumps(posting.document, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return None


def _unreadable(key: str) -> Refused:
    return Refused(
        key,
        Case("contract", "The document can't be written as JSON.", "Report it as a defect, with the order's facts."),
    )
