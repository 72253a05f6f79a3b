"""Reading a page of facts: the page strictly, its facts not at all, since one bad fact is not its neighbours' fault."""

from __future__ import annotations

from typing import Annotated

import msgspec

from counterfoil_engine.adapters.http.answers import Malformed
from counterfoil_engine.ports import FactPage

MOST_FACTS = 1_000


class _Page(msgspec.Struct):
    facts: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_FACTS)]
    cursor: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] | None
    more: bool


def facts(body: bytes) -> FactPage:
    try:
        page = msgspec.json.decode(body, type=_Page)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Malformed("is no page of facts: `facts`, a list; `cursor`, text or null; `more`, true or false") from None
    return FactPage([bytes(each) for each in page.facts], page.cursor, not page.more)
