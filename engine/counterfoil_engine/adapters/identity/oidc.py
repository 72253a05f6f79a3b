"""OpenID Connect, the authorisation code flow with PKCE: https://openid.net/specs/openid-connect-core-1_0.html.

Authlib goes the way, joserfc checks the word that comes back: signature by the provider's keys, issuer, audience,
nonce, time. Algorithms are those of asymmetric keys alone: a token can't be signed by what it names itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2 import OAuth2Error
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.ports import Rejected

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
TIMEOUT_S, ANSWER_BYTES_MAX, LEEWAY_S = 10.0, 262_144, 60
_DISCOVERY = "/.well-known/openid-configuration"


class OpenIdProvider:
    """issuer: as the provider's own document names it. claim: which of its words is the person's name here."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, back_to: str, claim: str) -> None:
        self._issuer, self._client_id, self._client_secret = issuer.rstrip("/"), client_id, client_secret
        self._back_to, self._claim = back_to, claim
        self._lock, self._known = threading.Lock(), dict[str, Any]()

    def way(self, state: str, nonce: str, verifier: str) -> str:
        """The address to send a person to. Raises Unavailable."""
        with self._client() as client:
            url, _ = client.create_authorization_url(
                self._endpoint("authorization_endpoint"), state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    def name_of(self, code: str, nonce: str, verifier: str) -> str:
        """The name of whom the provider vouches for by a code. Rejects what it doesn't stand by; raises Unavailable."""
        with self._client() as client:
            try:
                token = client.fetch_token(
                    self._endpoint("token_endpoint"), code=code, code_verifier=verifier, timeout=TIMEOUT_S
                )
            except OAuth2Error as error:
                raise _refused(f"The identity provider refused the sign-in ({str(error.error)[:60]}).") from None
            except (requests.RequestException, ValueError):
                raise _away() from None
        claims = self._claims(str(token.get("id_token", "")), nonce)
        name = claims.get(self._claim)
        if not isinstance(name, str) or not 1 <= len(name) <= 63:
            raise _refused(f"The identity provider's word holds no {self._claim}.")
        return name

    def _claims(self, id_token: str, nonce: str) -> Mapping[str, Any]:
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._endpoint("issuer")},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        for anew in (False, True):  # a provider changes its keys now and then
            try:
                claims = jwt.decode(id_token, self._keys(anew), algorithms=ALGORITHMS).claims
                registry.validate(claims)
                return claims
            except (JoseError, ValueError, KeyError, TypeError):
                continue
        raise _refused("The identity provider's word is not signed by its keys, or not meant for this sign-in.")

    def _client(self) -> OAuth2Session:
        return OAuth2Session(
            self._client_id,
            self._client_secret,
            scope="openid profile email",
            redirect_uri=self._back_to,
            code_challenge_method="S256",
        )

    def _endpoint(self, name: str) -> str:
        with self._lock:
            if "document" not in self._known:
                document = _json_at(f"{self._issuer}{_DISCOVERY}")
                if str(document.get("issuer", "")).rstrip("/") != self._issuer:
                    raise _away()
                self._known["document"] = document
            found = self._known["document"].get(name)
        if not isinstance(found, str):
            raise _away()
        return found

    def _keys(self, anew: bool) -> KeySet:
        where = self._endpoint("jwks_uri")
        with self._lock:
            if anew or "keys" not in self._known:
                self._known["keys"] = KeySet.import_key_set(_json_at(where))  # type: ignore[arg-type]
            keys: KeySet = self._known["keys"]
            return keys


def _json_at(url: str) -> dict[str, Any]:
    """A small document of the provider's."""
    try:
        with requests.get(url, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
            answer.raise_for_status()
            text = answer.raw.read(ANSWER_BYTES_MAX + 1, decode_content=True)
        if len(text) > ANSWER_BYTES_MAX:
            raise ValueError("too large")
        found = json.loads(text)
    except (requests.RequestException, ValueError, OSError, RecursionError):
        raise _away() from None
    if not isinstance(found, dict):
        raise _away()
    return found


def _away() -> Unavailable:
    return Unavailable(
        "The identity provider doesn't answer as it should.", "Try again later, or sign in with a password."
    )


def _refused(cause: str) -> Rejected:
    return Rejected(cause, "Try again; if it stays, ask who runs the identity provider.", slug="signature")
