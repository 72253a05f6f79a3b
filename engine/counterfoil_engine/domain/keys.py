"""Natural ids as they stand in keys."""

from __future__ import annotations

import hashlib
import re


def natural_id(text: str) -> str:
    """A natural id that is safe in a key: the text itself where it is plain, else a hash of it."""
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        return text
    return "x" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
