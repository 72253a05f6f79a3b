"""The audit log: what people decided, the newest first, as a chain that whoever doubts it checks elsewhere."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.filters import count
from counterfoil_engine.console.forms import query
from counterfoil_engine.console.layout import page
from counterfoil_engine.console.parts import Console

PAGE = 100


class _Page(Strict):
    before: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None


def audit_pages(at: Blueprint, does: Console) -> None:
    @at.get("/audit")
    def audit() -> Response:
        head = does.control.audit_log.entries(0, 1)["head"]
        last = min(query(request, _Page).before or head["n"] + 1, head["n"] + 1)
        first = max(1, last - PAGE)
        found = does.control.audit_log.entries(first - 1, last - first)["entries"] if last > first else []
        said = (
            f"{count(head['n'])} decisions, each bound to the one before." if head["n"] else "Nobody has decided yet."
        )
        return page("audit.html", of="audit", answer=said, head=head, entries=found[::-1], first=first)
