"""The search, in every page's head: what is found by it, or the one order that it finds at once."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.filters import many
from counterfoil_engine.console.forms import Line, form, query
from counterfoil_engine.console.layout import go, page
from counterfoil_engine.console.parts import Console
from counterfoil_engine.work.search import hidden


class _Asked(Strict):
    q: Annotated[str, msgspec.Meta(max_length=200)] = ""


class _Page(Strict):
    q: Line = ""
    after: Line = ""


def search_pages(at: Blueprint, does: Console) -> None:
    @at.post("/search")
    def ask() -> Response:
        """An e-mail address becomes its hash here, so that it stands in no address, history or log."""
        text = form(request, _Asked).q.strip()
        return go("search", q=hidden(text)) if text else go("fleet")

    @at.get("/search")
    def search() -> Response:
        wanted = query(request, _Page)
        found = does.search.find(wanted.q, wanted.after)
        is_one = len(found["orders"]) == 1 and not (found["documents"] or found["stock"] or wanted.after)
        if is_one:
            only = found["orders"][0]
            return go("order", store=only["store"], order=only["order"])
        return page("search.html", answer=answer(found), q=wanted.q, **found)


def answer(found: dict) -> str:  # type: ignore[type-arg]
    """The page's first line."""
    asked = f"“{found['asked']}”" if found["asked"] else "this e-mail address"
    orders = len(found["orders"])
    if not orders and not found["documents"] and not found["stock"]:
        return f"Nothing is found by {asked}."
    more = "More than " if found["next"] else ""
    others = [many(len(found["documents"]), "document")] if found["documents"] else []
    others += [f"stock in {many(len(found['stock']), 'pool')}"] if found["stock"] else []
    return f"{more}{', '.join([many(orders, 'order'), *others])} by {asked}."
