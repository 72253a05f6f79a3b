"""Who may read the sandbox shop: OAuth 1.0a over http as the `woocommerce` package signs, basic access over https.

Errors are WooCommerce's own. A timestamp may be 15 minutes off the shop's clock, and a nonce is good for one request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote

WINDOW_S = 15 * 60
OAUTH = ("oauth_consumer_key", "oauth_timestamp", "oauth_nonce", "oauth_signature", "oauth_signature_method")


class Unauthorised(Exception):
    def __init__(self, message: str, code: str = "woocommerce_rest_authentication_error") -> None:
        super().__init__(message)
        self.code = code


class Keys:
    """The shop's API keys: {consumer key: (consumer secret, "read" | "write" | "read_write")}."""

    def __init__(self, keys: Mapping[str, tuple[str, str]], clock: Callable[[], datetime]) -> None:
        self.keys, self.clock = keys, clock
        self._nonces: dict[int, str] = {}
        self._lock = threading.Lock()

    def check(self, method: str, url: str, query: Mapping[str, str], authorization: str | None, is_https: bool) -> None:
        """url: scheme, host and path as the caller wrote them, without the query. Raises Unauthorised."""
        if any(name in query for name in OAUTH):
            permissions = self._oauth(method, url, query)
        elif is_https:
            permissions = self._basic(query, authorization)
        else:
            raise Unauthorised("Sorry, you cannot list resources.", "woocommerce_rest_cannot_view")
        wanted = "read" if method in ("GET", "HEAD", "OPTIONS") else "write"
        if permissions not in (wanted, "read_write"):
            raise Unauthorised(f"The API key provided does not have {wanted} permissions.")

    def _oauth(self, method: str, url: str, query: Mapping[str, str]) -> str:
        missing = [name for name in OAUTH if not query.get(name)]
        if missing:
            plural = "s" if len(missing) > 1 else ""
            message = f"Missing OAuth parameter{plural} {', '.join(missing)}"
            raise Unauthorised(message, "woocommerce_rest_authentication_missing_parameter")
        if query["oauth_consumer_key"] not in self.keys:
            raise Unauthorised("Consumer key is invalid.")
        secret, permissions = self.keys[query["oauth_consumer_key"]]
        algorithm = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}.get(query["oauth_signature_method"])
        if algorithm is None:
            raise Unauthorised("Invalid signature - signature method is invalid.")
        text = base_string(method, url, query).encode()
        signature = base64.b64encode(hmac.new(f"{secret}&".encode(), text, algorithm).digest()).decode()
        if not hmac.compare_digest(signature, query["oauth_signature"].replace(" ", "+")):
            raise Unauthorised("Invalid signature - provided signature does not match.")
        self._once(query["oauth_timestamp"], query["oauth_nonce"])
        return permissions

    def _once(self, timestamp: str, nonce: str) -> None:
        now = int(self.clock().timestamp())
        if not timestamp.isdigit() or abs(int(timestamp) - now) > WINDOW_S:
            raise Unauthorised("Invalid timestamp.")
        with self._lock:
            if nonce in self._nonces.values():
                raise Unauthorised("Invalid nonce - nonce has already been used.")
            # WooCommerce keeps one nonce per second, the last one.
            self._nonces[int(timestamp)] = nonce
            self._nonces = {at: n for at, n in self._nonces.items() if at >= now - WINDOW_S}

    def _basic(self, query: Mapping[str, str], authorization: str | None) -> str:
        key, secret = query.get("consumer_key", ""), query.get("consumer_secret", "")
        if not key and authorization and authorization.startswith("Basic "):
            try:
                key, _, secret = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                key = ""
        if key not in self.keys:
            raise Unauthorised("Sorry, you cannot list resources.", "woocommerce_rest_cannot_view")
        expected, permissions = self.keys[key]
        if not hmac.compare_digest(expected.encode(), secret.encode()):
            raise Unauthorised("Consumer secret is invalid.")
        return permissions


def base_string(method: str, url: str, query: Mapping[str, str]) -> str:
    """What is signed. Sorted by the name before a bracket; inside brackets the caller's order stays, as in PHP."""

    def encoded(text: str) -> str:
        return quote(quote(text, safe="~"), safe="~")

    names = sorted((name for name in query if name != "oauth_signature"), key=lambda name: name.split("[")[0])
    pairs = "%26".join(f"{encoded(name)}%3D{encoded(query[name])}" for name in names)
    return f"{method}&{quote(url, safe='~')}&{pairs}"
