"""Passwords as scrypt hashes: parameters and salt stand in each, so that they can grow without anybody noticing.

N = 2^15, r = 8, p = 3: 32 MB and three passes (OWASP's password storage cheat sheet, beside N = 2^17, p = 1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from counterfoil_engine.ports import Rejected

SHORTEST, LONGEST = 12, 200
_SALT_BYTES = 16
_MOST_MEMORY_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Scrypt:
    """How much work a guess costs: n, memory and time; r, block size; p, passes."""

    n: int = 2**15
    r: int = 8
    p: int = 3

    def hash(self, password: str, salt: bytes) -> str:
        """`scrypt$n$r$p$salt$key`, salt and key in base64. salt: 16 random bytes."""
        return f"scrypt${self.n}${self.r}${self.p}${_text(salt)}${_text(self._key(password, salt))}"

    def nobody(self) -> str:
        """What a guess at a name that nobody has is compared with: it takes as long, and is never right."""
        return f"scrypt${self.n}${self.r}${self.p}${_text(bytes(_SALT_BYTES))}${_text(bytes(32))}"

    def _key(self, password: str, salt: bytes) -> bytes:
        given = password.encode("utf-8", "surrogatepass")
        return hashlib.scrypt(given, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=_MOST_MEMORY_BYTES, dklen=32)


def is_right(password: str, kept: str) -> bool:
    """Whether a password is the one of a hash, whichever parameters that was made with."""
    _, n, r, p, salt, key = kept.split("$")
    made = Scrypt(int(n), int(r), int(p))._key(password, base64.b64decode(salt))
    return hmac.compare_digest(made, base64.b64decode(key))


def check(password: str, name: str) -> None:
    """Reject what is guessed too easily. Length counts; rules about kinds of characters don't help."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise _weak(f"The password has {len(password)} characters.")
    if name in password.lower() or len(set(password)) < 5:
        raise _weak("The password holds the name, or repeats few characters.")


def _weak(cause: str) -> Rejected:
    return Rejected(
        cause, f"Choose {SHORTEST} to {LONGEST} characters, such as four words of your own.", slug="request"
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
