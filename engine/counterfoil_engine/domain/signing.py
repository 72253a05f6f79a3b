"""How requests between Counterfoil and others are signed, in both directions: HMAC-SHA256 over line, time and body."""

from __future__ import annotations

import hashlib
import hmac


def signature(secret: str, method: str, path: str, timestamp: str, body: bytes) -> str:
    """What the header Counterfoil-Signature holds: HMAC-SHA256 over the request's line, time, and body as sent."""
    signed = f"{method}\n{path}\n{timestamp}\n".encode() + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
