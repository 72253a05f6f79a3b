"""Documents of one order in the books of DE01, under an order's number of its own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

from counterfoil_engine.ports import Posting
from sandbox.erp_documents import Json

_numbers = itertools.count(5001)


def numbered(documents: Iterable[Json], number: int | None = None, **fields: Any) -> list[Posting]:
    """Documents of order 1001 as those of an order of its own, with fields changed in all of them."""
    number = number or next(_numbers)
    texts = (json.dumps(each).replace("1001", str(number)).replace("eu1-2", f"eu1-c{number}") for each in documents)
    return [_posting({**json.loads(text), **fields}) for text in texts]


def _posting(document: Json) -> Posting:
    return Posting(document["key"], document["content_hash"], document)
