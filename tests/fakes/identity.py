"""An OpenID Connect provider for tests: discovery, keys, codes with PKCE, signed words. It lies when it is told to.

with an_issuer() as issuer:
    issuer.person = "vera"                    # who the next visitor is there
    issuer.claims["aud"] = "another"          # what the next word says besides
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.serving import make_server

CLIENT, SECRET = "counterfoil", "a-secret-of-this-test"


@dataclass
class Issuer:
    """claims: of the next word, in place of the right ones. key: it signs with; algorithm: as it says it does."""

    url: str = ""
    person: str = "vera"
    claims: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, parameters={"kid": "1"}))
    algorithm: str = "RS256"
    published: Any = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def tells_the_truth(self) -> None:
        self.person, self.claims, self.published, self.algorithm = "vera", {}, None, "RS256"
        self.key = RSAKey.generate_key(2048, parameters={"kid": "1"})

    def signs_by_a_shared_secret(self) -> None:
        """By what the client knows too, so that whoever learns that secret could speak for the provider."""
        self.published = self.key
        self.key = OctKey.import_key(SECRET.encode().ljust(32, b"."))
        self.algorithm = "HS256"

    def word(self, nonce: str) -> str:
        now = int(time.time())
        right = {"iss": self.url, "aud": CLIENT, "sub": "s-1", "iat": now, "exp": now + 60, "nonce": nonce}
        said = {**right, "preferred_username": self.person, **self.claims}
        header = {"alg": self.algorithm, "kid": getattr(self.key, "kid", None) or "1"}
        return jwt.encode(
            header, {name: value for name, value in said.items() if value is not None}, self.key, [self.algorithm]
        )


@contextlib.contextmanager
def an_issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    server = make_server("127.0.0.1", 0, _app(issuer), threaded=True)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield issuer
    server.shutdown()
    thread.join()
    server.server_close()


def _app(issuer: Issuer) -> Flask:
    app = Flask("issuer")

    @app.get("/.well-known/openid-configuration")
    def discovery() -> Response:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return jsonify({"issuer": issuer.url, **{name: f"{issuer.url}/{path}" for name, path in names.items()}})

    @app.get("/keys")
    def keys() -> Response:
        key = issuer.published or issuer.key
        return jsonify({"keys": [key.as_dict(private=False)]})

    @app.get("/authorize")
    def authorize() -> Any:
        """Nobody types a password here: whoever comes is the person that the test named."""
        code = secrets.token_urlsafe(16)
        issuer.codes[code] = dict(request.args)
        return redirect(f"{request.args['redirect_uri']}?code={code}&state={request.args['state']}")

    @app.post("/token")
    def token() -> Any:
        asked = issuer.codes.pop(request.form.get("code", ""), None)
        digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        known = (request.authorization.username, request.authorization.password) if request.authorization else ()
        if asked is None or asked["code_challenge"] != challenge or known != (CLIENT, SECRET):
            return jsonify({"error": "invalid_grant"}), 400
        return jsonify({"access_token": "x", "token_type": "Bearer", "id_token": issuer.word(asked["nonce"])})

    return app
