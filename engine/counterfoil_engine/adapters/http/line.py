"""One call over the line: bounded in time and size, and honest about whether it may have arrived.

Every foreign error ends as NotSent or Lost: what tells them apart is whether the party can have begun to work.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from counterfoil_engine.domain.errors import CounterfoilError

_CHUNK_BYTES = 64 * 1024
_LONGEST_PAUSE_S = 3600.0


class NotSent(Exception):
    """The call has not reached the party."""


class Lost(Exception):
    """The call may have been carried out: its answer did not come, or not whole."""


@dataclass(frozen=True)
class Answer:
    """What came back; body within the bound."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """The pause asked for, in seconds or as a date (RFC 9110, 10.2.3); None where there is none to be read."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text[:9]), _LONGEST_PAUSE_S)
        try:
            pause = parsedate_to_datetime(text) - parsedate_to_datetime(self.headers.get("Date", ""))
            return min(max(pause.total_seconds(), 0.0), _LONGEST_PAUSE_S)
        except (ValueError, TypeError, OverflowError):
            return None


class Line:
    """The way to one party. Its session may be shared by threads, and must not repeat posts by itself.

    party: what it is called in a sentence: "the ERP", "the WMS hub-berlin"."""

    def __init__(
        self,
        base_url: str,
        token: str | AuthBase,
        session: requests.Session,
        *,
        timeout_s: float,
        connect_timeout_s: float,
        most_bytes: int,
        party: str,
        encoding: str = "identity",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """token: sent as bearer's, or what says who calls another way. encoding: of the answers, as accepted."""
        self._base_url, self._session = _checked(base_url, party), session
        self._auth = token if isinstance(token, AuthBase) else _Bearer(token, party)
        self._encoding = encoding
        self._timeout_s, self._connect_timeout_s = timeout_s, connect_timeout_s
        self._most_bytes, self._monotonic = most_bytes, monotonic

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        trace: str | None = None,
    ) -> Answer:
        """Call once. trace: the span that it is made in, as `traceparent` says it. Raises NotSent or Lost, nothing
        else."""
        deadline = self._monotonic() + self._timeout_s
        try:
            with self._session.request(
                method,
                self._base_url + path,
                params=params,
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                    "Accept-Encoding": self._encoding,
                    **({"traceparent": trace} if trace else {}),
                },
                auth=self._auth,
                timeout=(self._connect_timeout_s, self._timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                return Answer(response.status_code, response.headers, self._read(response, deadline))
        except requests.RequestException as error:
            raise (NotSent if _is_before_sending(error) else Lost)(_sentence(error)) from error
        except (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
            raise Lost(_sentence(error)) from error

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        parts, size = [], 0
        # read1 gives what has come: a server that drips byte by byte can't hold us beyond the deadline.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            parts.append(chunk)
            size += len(chunk)
            if size > self._most_bytes:
                raise Lost(f"Its answer is larger than {self._most_bytes} bytes.")
            if self._monotonic() > deadline:
                raise Lost(f"Its answer was not whole after {self._timeout_s:g} s.")
        return b"".join(parts)


class _Bearer(AuthBase):
    # As auth and not as a header, so that no .netrc entry replaces it.
    def __init__(self, token: str, party: str) -> None:
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise CounterfoilError(
                f"The token of {party} is empty or has characters that no HTTP header can carry.",
                f"Set the variable that holds it to the token that {party} gave.",
            )
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _checked(base_url: str, party: str) -> str:
    try:
        parts = urlsplit(base_url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        is_address = is_address and not parts.username and (parts.port is None or parts.port > 0)
    except ValueError:
        is_address = False
    if not is_address:
        raise CounterfoilError(
            f"The address of {party} is no http:// or https:// URL, or has a user name or a query in it.",
            "Set it to the part before /v1, for example https://erp.example.com/counterfoil.",
        )
    return base_url.rstrip("/")


def _is_before_sending(error: requests.RequestException) -> bool:
    """Whether the party can't have seen the call: what is not surely so counts as lost."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    if isinstance(error, requests.ConnectionError):
        return any(isinstance(cause, _BEFORE_SENDING) for cause in _causes(error))
    return isinstance(error, ValueError)  # requests' own for URLs and headers it can't use


_BEFORE_SENDING = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NameResolutionError,
    ssl.SSLCertVerificationError,
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What requests and urllib3 have wrapped: in `reason`, in arguments, as the cause."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < 20:
        each = waiting.pop()
        if isinstance(each, BaseException) and not any(each is other for other in seen):
            seen.append(each)
            waiting += [getattr(each, "reason", None), *each.args, each.__cause__]
    return iter(seen)


def _sentence(error: BaseException) -> str:
    """Why, without addresses or contents that foreign messages may hold."""
    if isinstance(error, requests.Timeout):
        return "It did not answer in time."
    reasons = [type(cause).__name__ for cause in _causes(error)]
    return f"The call failed ({reasons[-1]})."
