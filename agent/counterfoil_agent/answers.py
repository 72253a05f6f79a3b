"""What the agent's signed clients share: an answer is read whole within bounds, and tells the other's clock."""

from __future__ import annotations

import time
from datetime import datetime
from email.utils import parsedate_to_datetime

import requests


def whole(response: requests.Response, most_bytes: int, until: float) -> bytes:
    """The body of a streamed answer. until: on the monotonic clock. Raises requests.Timeout beyond either bound."""
    answer = bytearray()
    for chunk in response.iter_content(65_536):
        answer += chunk
        if len(answer) > most_bytes or time.monotonic() > until:
            raise requests.Timeout
    return bytes(answer)


def moment_said(date: str | None) -> datetime | None:
    """The moment of a header `Date` (RFC 9110, section 6.6.1); None where it says none."""
    try:
        moment = parsedate_to_datetime(date) if date else None
    except (ValueError, TypeError):
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
