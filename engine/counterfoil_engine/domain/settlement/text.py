"""The bytes of a report as text: bounded, in a named encoding, with nothing guessed.

A byte order mark decides; without one, zero bytes beside the first letters say UTF-16, all that is valid UTF-8 is
UTF-8, and the rest is Windows-1252, unless some of it is UTF-8 all the same: then it was put together or torn.
"""

from __future__ import annotations

import codecs

from counterfoil_engine.domain.errors import Parked

SIZE_MAX_BYTES = 64 * 1024 * 1024
ENCODINGS = ("auto", "utf-8", "utf-16", "windows-1252")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def text_of(data: bytes, encoding: str = "auto") -> str:
    """The report's text without its byte order mark. Parks as `data` where it is too large, empty or can't be decoded.

    encoding: one of `ENCODINGS`; `auto` finds it by the bytes alone, the same way every time.
    """
    if len(data) > SIZE_MAX_BYTES:
        raise Parked(
            f"The report has {len(data)} bytes, more than {SIZE_MAX_BYTES}.",
            "Export it for a shorter time, or payout by payout.",
        )
    if not data.strip():
        raise Parked("The report is empty.", "Export it again at the gateway.")
    text = _decoded(data, _encoding(data, encoding))
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise Parked(f"The report has a NUL character in row {row}.", "It was damaged on its way: export it again.")
    return text


def _encoding(data: bytes, wanted: str) -> str:
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if wanted == "utf-16":
        return marked if marked in ("utf-16-le", "utf-16-be") else "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    if wanted != "auto":
        return wanted
    if marked:
        return marked
    if len(data) > 1 and data[0] == 0 != data[1]:
        return "utf-16-be"
    if len(data) > 1 and data[1] == 0 != data[0]:
        return "utf-16-le"
    return "utf-8" if _is_utf8(data) else "windows-1252"


def _is_utf8(data: bytes) -> bool:
    """Is it UTF-8 as a whole? Where only parts of it are, it is none of both, and parks."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if any(ord(sign) > 0x7F for sign in data[: error.start].decode("utf-8")) or _is_cut(data, error):
            raise _undecodable(data, "UTF-8", error.start) from None
        rest = data[error.end :].decode("utf-8", "ignore")
        if any(ord(sign) > 0x7F for sign in rest):
            raise _undecodable(data, "UTF-8", error.start) from None
        return False
    return True


def _is_cut(data: bytes, error: UnicodeDecodeError) -> bool:
    """Does it end in the middle of a character?"""
    return error.end == len(data) and error.reason == "unexpected end of data"


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _undecodable(data, encoding.upper(), error.start) from None


def _undecodable(data: bytes, encoding: str, at: int) -> Parked:
    row = data[:at].count(b"\n") + 1
    return Parked(
        f"The report is not {encoding} throughout: byte {at}, in row {row}, can't be read.",
        "It was cut off or put together from several: export it again, or name its encoding in its description.",
    )
