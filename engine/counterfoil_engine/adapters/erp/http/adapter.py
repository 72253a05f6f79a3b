"""The ERP port over the HTTP contract (`contracts/counterfoil_contracts/erp.openapi.yaml`)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import TypeVar

import requests

from counterfoil_engine.adapters.erp.http import answers
from counterfoil_engine.adapters.erp.http.answers import Malformed
from counterfoil_engine.adapters.erp.http.line import Answer, Line, Lost, NotSent
from counterfoil_engine.domain.documents import JournalLine
from counterfoil_engine.domain.errors import Case, RateLimited, Retry, Unavailable
from counterfoil_engine.ports import Found, Health, Outcome, Posting, Refused, Unknown

Read = TypeVar("Read")

# Until the ERP has said what it declares: one careful caller.
_LANES, _BATCH_SIZE, _COMMIT_LAG_S = 1, 50, 30.0
_KEYS_A_CALL = 500

# The call itself is wrong for this ERP, not a document in it: nothing was done, and every call would fare the same.
_SET_UP_WRONG = {
    HTTPStatus.UNAUTHORIZED: "Check the token in the engine's environment.",
    HTTPStatus.FORBIDDEN: "Let the ERP's administrator allow this token to post and to read.",
    HTTPStatus.NOT_FOUND: "Check the ERP's address in the engine's settings.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Check the ERP's address in the engine's settings.",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "Check the proxy between engine and ERP.",
}


class HttpErp:
    """`ports.Erp` over HTTP.

    lanes, batch_size, commit_lag_s: what the operator has set wins; what is None is taken from the ERP's health at each
    `health()`, and is careful before the first (1 lane, 50 documents, 30 s).
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        session: requests.Session | None = None,
        *,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 5.0,
        most_answer_bytes: int = 16 * 1024 * 1024,
        lanes: int | None = None,
        batch_size: int | None = None,
        commit_lag_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """base_url: what stands before /v1. session: not one that repeats calls by itself (default: one of its own)."""
        self._line = Line(
            base_url,
            token,
            session or requests.Session(),
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            most_bytes=most_answer_bytes,
            monotonic=monotonic,
        )
        self._set = (lanes, batch_size, commit_lag_s)
        self._declare(_LANES, _BATCH_SIZE, _COMMIT_LAG_S)

    def find(self, keys: Sequence[str]) -> Mapping[str, Sequence[Found]]:
        by_key: dict[str, list[Found]] = {}
        for start in range(0, len(keys), _KEYS_A_CALL):
            part = list(keys[start : start + _KEYS_A_CALL])
            body = json.dumps({"keys": part}).encode()
            read = partial(answers.found, asked=set(part))
            rows, _ = self._read("POST", "/v1/documents/find", read, body=body)
            for row in rows:
                by_key.setdefault(row.key, []).append(row)
        return by_key

    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        encoded = [(posting.key, _encoded(posting)) for posting in postings]
        sendable = [(key, raw) for key, raw in encoded if raw is not None]
        sent = iter(self._post(sendable) if sendable else [])
        return [next(sent) if raw is not None else _unreadable(key) for key, raw in encoded]

    def list_since(self, since: datetime) -> Iterator[Found]:
        params, seen = {"since": since.astimezone(UTC).isoformat()}, set()
        while True:
            rows, following = self._read("GET", "/v1/documents", answers.found, params=params)
            yield from rows
            if following is None:
                return
            if following in seen:
                raise _malformed("gives a cursor for the second time")
            seen.add(following)
            params = {**params, "cursor": following}

    def rate(self, currency: str, book: str, on: date) -> Decimal | None:
        params = {"currency": currency, "book": book, "on": on.isoformat()}
        return self._read("GET", "/v1/rates", answers.rate, params=params)

    def open_day(self, entity: str, on: date) -> date:
        params = {"entity": entity, "on": on.isoformat()}
        return self._read("GET", "/v1/periods", lambda raw: answers.open_day(raw, on), params=params)

    def balances(self, entity: str) -> Mapping[tuple[str, str], JournalLine]:
        """Turnover of each (role, currency) of an entity in the ERP's ledger, to compare with the engine's journal."""
        return self._read("GET", "/v1/balances", answers.balances, params={"entity": entity})

    def health(self) -> Health:
        try:
            ok, detail, *declared = self._read("GET", "/v1/health", answers.health)
        except Retry as error:
            return Health(False, str(error))
        self._declare(*declared)
        return Health(ok, detail)

    def _declare(self, lanes: float, batch_size: float, commit_lag_s: float) -> None:
        set_lanes, set_batch_size, set_commit_lag_s = self._set
        self.lanes = int(lanes) if set_lanes is None else set_lanes
        self.batch_size = int(batch_size) if set_batch_size is None else set_batch_size
        self.commit_lag_s = float(commit_lag_s) if set_commit_lag_s is None else set_commit_lag_s

    def _post(self, sent: Sequence[tuple[str, bytes]]) -> list[Outcome]:
        """One call; halved where the ERP rejects it as a whole, until the culprit stands alone (K6)."""
        keys = [key for key, _ in sent]
        body = b'{"documents":[' + b",".join(raw for _, raw in sent) + b"]}"
        try:
            answer = self._line.call("POST", "/v1/documents", body=body)
        except NotSent as error:
            raise _unreachable(error) from error
        except Lost:
            return [Unknown(key) for key in keys]
        if answer.status == HTTPStatus.OK:
            return answers.outcomes(answer.body, keys)
        if retry := _nothing_done(answer):
            raise retry
        if not 400 <= answer.status < 500 or answer.status == HTTPStatus.REQUEST_TIMEOUT:
            return [Unknown(key) for key in keys]
        if len(sent) == 1:
            return [Refused(keys[0], Case("contract", *_said(answer)))]
        half = len(sent) // 2
        return self._post(sent[:half]) + self._post_rest(sent[half:])

    def _post_rest(self, sent: Sequence[tuple[str, bytes]]) -> list[Outcome]:
        try:
            return self._post(sent)
        except Retry:
            # The first half has its outcomes, which an error would lose. Looking these up finds that nothing was done.
            return [Unknown(key) for key, _ in sent]

    def _read(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], Read],
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Read:
        """A call that changes nothing: whatever fails, it can be made again."""
        try:
            answer = self._line.call(method, path, params=params, body=body)
        except (NotSent, Lost) as error:
            raise _unreachable(error) from error
        if retry := _nothing_done(answer):
            raise retry
        if answer.status != HTTPStatus.OK:
            raise Unavailable(*_said(answer), category="contract" if answer.status < 500 else "outage")
        try:
            return read(answer.body)
        except Malformed as error:
            # Never "nothing found": that would post a second time.
            raise _malformed(str(error)) from error


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


def _nothing_done(answer: Answer) -> Retry | None:
    """The error to raise where the ERP says that it did nothing with the call, whatever was in it."""
    cause, remedy = _said(answer)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(cause, remedy, retry_after_s=answer.retry_after_s)
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Unavailable(cause, remedy, retry_after_s=answer.retry_after_s)
    if 300 <= answer.status < 400:
        return Unavailable(cause, "Set the ERP's address to where it redirects.", category="contract")
    if answer.status in _SET_UP_WRONG:
        return Unavailable(cause, _SET_UP_WRONG[HTTPStatus(answer.status)], category="contract")
    return None


def _said(answer: Answer) -> tuple[str, str]:
    detail, remedy = answers.problem(answer.body)
    cause = f"The ERP answered {answer.status}" + (f": {detail}" if detail else ".")
    return cause, remedy or "Look at the ERP's own log for this call."


def _unreachable(error: Exception) -> Unavailable:
    return Unavailable(f"The ERP can't be reached. {error}", "Check that it runs and that the line to it is up.")


def _malformed(what: str) -> Unavailable:
    return Unavailable(
        f"The ERP's answer {what}.",
        "Let the ERP's supplier compare its answers with erp.openapi.yaml.",
        category="contract",
    )
