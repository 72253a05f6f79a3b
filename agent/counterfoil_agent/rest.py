"""The store over WooCommerce's REST API v3: bounded requests, and every way in which an answer can go wrong, named.

Over https the key goes as basic auth, over plain http as OAuth 1.0a; the `woocommerce` package does both. All times are
asked for in GMT (`dates_are_gmt`: without it `modified_after` is in the site's own time, issue 37809). WooCommerce's
bounds are exclusive; those of `Ask` are inclusive, so a second is put on either side.

`status=any` leaves out the trash, so that is asked for by itself.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import requests
from woocommerce import API

from counterfoil_agent import __version__, snapshot
from counterfoil_agent.errors import CounterfoilError, Denied, RateLimited, Unavailable, Unreadable
from counterfoil_agent.ports import Absent, Ask, Clock, Listed, OrderNotSupported, Page

LARGEST_PAGE_BYTES = 16_000_000
LARGEST_ORDER_BYTES = 4_000_000
REFUNDS_A_PAGE = 100
MOST_REFUND_PAGES = 10
USER_AGENT = f"counterfoil-agent/{__version__}"

LEAN_FIELDS = "id,status,date_created_gmt,date_modified_gmt"


class _Said(msgspec.Struct):
    """WooCommerce's own error."""

    code: str = ""
    message: str = ""
    data: Any = None


class _Times(msgspec.Struct):
    id: int
    date_created_gmt: Any = None
    date_modified_gmt: Any = None


@dataclass(frozen=True)
class Answered:
    """An answer, whole: whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def code(self) -> str:
        """WooCommerce's error code; "" where the answer isn't its own JSON."""
        try:
            return msgspec.json.decode(snapshot.without_mark(self.body), type=_Said).code[:100]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""


class RestStore:
    """A WooCommerce store's REST API."""

    def __init__(self, url: str, key: str, secret: str, clock: Clock, timeout_s: float = 30.0) -> None:
        self.url, self._clock, self._timeout_s = url.rstrip("/"), clock, timeout_s
        self._api = API(
            url=self.url,
            consumer_key=key,
            consumer_secret=secret,
            version="wc/v3",
            timeout=(min(10.0, timeout_s), timeout_s),
            user_agent=USER_AGENT,
        )

    def page(self, ask: Ask) -> Page:
        answered = self.get("orders", _parameters(ask), LARGEST_PAGE_BYTES)
        if answered.status == 400 and _blames(answered, "orderby"):
            raise OrderNotSupported
        self._expect_200(answered, "orders")
        values = snapshot.values_of(answered.body)
        rows = [row for row in (_listed(ask, value) for value in values) if row is not None]
        pages = _whole(answered.headers.get("X-WP-TotalPages"), 0)
        if ask.by_id and not pages and len(values) >= ask.size:
            raise Unavailable(
                "The shop's answers lack the header X-WP-TotalPages.",
                "Let the proxy before the shop pass the headers of WordPress through.",
                status=answered.status,
            )
        return Page(rows, len(values), max(pages, 1), self._now_of(answered))

    def order(self, order_id: int) -> bytes | Absent:
        answered = self.get(f"orders/{order_id}", {}, LARGEST_ORDER_BYTES)
        if answered.status in (404, 410):
            return Absent(answered.status, answered.code())
        self._expect_200(answered, f"orders/{order_id}")
        raw = snapshot.without_mark(answered.body)
        if snapshot.head_of(raw).id != order_id:
            raise snapshot.unreadable(raw, f"Asked for order {order_id}, the store answered with another.")
        return raw

    def refunds(self, order_id: int) -> Sequence[bytes]:
        found: list[bytes] = []
        for page in range(1, MOST_REFUND_PAGES + 1):
            answered = self.get(
                f"orders/{order_id}/refunds", {"per_page": REFUNDS_A_PAGE, "page": page}, LARGEST_ORDER_BYTES
            )
            self._expect_200(answered, f"orders/{order_id}/refunds")
            values = snapshot.values_of(answered.body)
            found += values
            if len(values) < REFUNDS_A_PAGE:
                return found
        raise snapshot.unreadable(b"", f"Order {order_id} has more than {len(found)} refunds.")

    def get(self, endpoint: str, parameters: dict[str, Any], largest_bytes: int = LARGEST_ORDER_BYTES) -> Answered:
        """One GET; raises Unavailable where there is no answer, Unreadable where it is too large."""
        return self._answered(lambda more: self._api.get(endpoint, params=parameters, **more), largest_bytes)

    def post(self, endpoint: str, body: dict[str, Any], largest_bytes: int = LARGEST_PAGE_BYTES) -> Answered:
        """One POST, which fails as `get` does; where there is no answer it may have been carried out."""
        return self._answered(lambda more: self._api.post(endpoint, body, **more), largest_bytes)

    def _answered(self, ask: Callable[[dict[str, Any]], Any], largest_bytes: int) -> Answered:
        began_s = time.monotonic()
        try:
            with ask({"stream": True, "allow_redirects": False}) as response:
                body = self._bounded(response, largest_bytes, began_s)
                return Answered(response.status_code, response.headers, body)
        except (requests.RequestException, ValueError) as error:
            # The address that requests puts into its messages carries the signature: only the kind is told.
            raise Unavailable(
                f"The shop at {self.url} can't be reached ({type(error).__name__}).",
                "See whether it is up and its certificate is valid; it is asked again by itself.",
            ) from None

    def _bounded(self, response: requests.Response, largest_bytes: int, began_s: float) -> bytes:
        body, digest, size = bytearray(), hashlib.sha256(), 0
        for chunk in response.iter_content(65_536):
            size += len(chunk)
            digest.update(chunk)
            if size <= largest_bytes:
                body += chunk
            # A server that drips byte by byte never runs into the time-out between two of them.
            if size > 4 * largest_bytes or time.monotonic() - began_s > 3 * self._timeout_s:
                break
        if size > largest_bytes:
            raise Unreadable(
                f"The shop's answer is larger than {largest_bytes} bytes.",
                "Look for a plugin that adds much to the REST answers of this order.",
                hash=digest.hexdigest(),
                size_bytes=size,
            )
        if time.monotonic() - began_s > 3 * self._timeout_s:
            raise requests.Timeout
        return bytes(body)

    def _now_of(self, answered: Answered) -> datetime:
        try:
            return parsedate_to_datetime(answered.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError):
            return self._clock.now()

    def _expect_200(self, answered: Answered, endpoint: str) -> None:
        if answered.status != 200:
            raise refusal(answered, endpoint)


def refusal(answered: Answered, endpoint: str) -> CounterfoilError:
    """What a status other than 200 means, and what helps."""
    status, code = answered.status, answered.code()
    pause_s = retry_after_s(answered.headers.get("Retry-After"))
    if status == 429 or (status == 503 and pause_s is not None):
        return RateLimited(f"The shop asks for a pause ({status}).", "Nothing to do.", retry_after_s=pause_s or 30.0)
    if status in (401, 403) and code:
        return Denied(
            f"The shop refuses the agent's key for {endpoint} ({code}).",
            "Make a REST key with read permission (read and write, where stock is written over REST: WooCommerce,"
            " Settings, Advanced, REST API), and set it where shop.key_env and shop.secret_env say.",
        )
    if status in (401, 403, 406):
        return Denied(
            f"Something before the shop blocks the agent (status {status}, not WooCommerce's own answer).",
            f"Allow the user agent {USER_AGENT!r} and the path /wp-json/wc/v3/ in the host's firewall or security"
            " plugin.",
        )
    if 300 <= status < 400:
        return Unavailable(
            f"The shop's address leads elsewhere (status {status}).",
            "Set shop.url to the address that the browser ends at, https and www included.",
            status=status,
        )
    if status == 404:
        return Unavailable(
            "The shop doesn't know WooCommerce's REST API (404).",
            "Set WordPress, Settings, Permalinks to anything but Plain, and see that WooCommerce is active.",
            status=status,
        )
    return Unavailable(
        f"The shop answered {endpoint} with status {status}{f' ({code})' if code else ''}.",
        "Look in the shop's PHP error log; it is asked again by itself.",
        status=status,
    )


def _parameters(ask: Ask) -> dict[str, Any]:
    second = timedelta(seconds=1)
    after, before = ("modified_after", "modified_before") if ask.column == "modified" else ("after", "before")
    parameters: dict[str, Any] = {
        "status": ask.status,
        "orderby": "id" if ask.by_id else "modified" if ask.column == "modified" else "date",
        "order": "asc",
        "per_page": ask.size,
        "page": ask.page,
        "dates_are_gmt": "true",
        after: _woo(ask.since - second),
    }
    if ask.until is not None:
        parameters[before] = _woo(ask.until + second)
    if ask.lean:
        parameters["_fields"] = LEAN_FIELDS
    return parameters


def _woo(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _listed(ask: Ask, value: bytes) -> Listed | None:
    """None for what has no order id. What else can't be read shows when the order is read by itself."""
    try:
        head = msgspec.json.decode(value, type=_Times)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    text = head.date_modified_gmt if ask.column == "modified" else head.date_created_gmt
    return Listed(head.id, snapshot.moment_of(text), value) if 0 < head.id <= snapshot.LARGEST_ID else None


def _blames(answered: Answered, parameter: str) -> bool:
    try:
        said = msgspec.json.decode(snapshot.without_mark(answered.body), type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return (
        said.code == "rest_invalid_param"
        and isinstance(said.data, dict)
        and parameter in (said.data.get("params") or ())
    )


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else otherwise


def retry_after_s(text: str | None) -> float | None:
    """The pause that an answer asks for; None where it asks for none."""
    seconds = _whole(text, -1)
    return None if seconds < 0 else float(min(seconds, 3600))
