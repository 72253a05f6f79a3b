"""One order on one screen: the line of steps, facts, dues, documents, journal, payout; and each thing's raw form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.filters import many, money, words
from counterfoil_engine.console.forms import query
from counterfoil_engine.console.layout import page
from counterfoil_engine.console.parts import Console

_Store = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,63}\Z")]
_Order = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f/]{1,60}\Z")]
_Place = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Key = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f]{1,300}\Z")]


class _Which(Strict):
    store: _Store
    order: _Order

    @property
    def subject(self) -> str:
        return f"order {self.store}/{self.order}"


class _Fact(_Which):
    epoch: _Place
    n: _Place


class _Said(_Which):
    party: _Key
    source: _Key
    id: _Key


class _Document(_Which):
    key: _Key


def order_pages(at: Blueprint, does: Console) -> None:
    @at.get("/orders/<store>/<order>")
    def order(store: str, order: str) -> Response:
        wanted = query(request, _Which, store=store, order=order)
        story = does.orders.show(does.commands.by(caller()).order(wanted.store, wanted.order))
        said = {"answer": answer(story), "lacks_proof": lacks_proof(story)}
        return page("order.html", store=wanted.store, order=wanted.order, **said, **story)

    @at.get("/orders/<store>/<order>/fact")
    def raw_fact(store: str, order: str) -> Response:
        wanted = query(request, _Fact, store=store, order=order)
        found = does.orders.fact(wanted.subject, wanted.epoch, wanted.n)
        said = f"What the store said of {wanted.subject}, as it came (number {wanted.epoch}.{wanted.n})"
        return page("raw.html", answer=said, store=wanted.store, order=wanted.order, text=found["body"])

    @at.get("/orders/<store>/<order>/said")
    def raw_said(store: str, order: str) -> Response:
        wanted = query(request, _Said, store=store, order=order)
        found = does.orders.party_fact(wanted.subject, wanted.party, wanted.source, wanted.id)
        said = f"What {wanted.source} said of {wanted.subject}, as it came ({words(found['kind'])})"
        return page("raw.html", answer=said, store=wanted.store, order=wanted.order, text=found["body"])

    @at.get("/orders/<store>/<order>/document")
    def raw_document(store: str, order: str) -> Response:
        wanted = query(request, _Document, store=store, order=order)
        found = does.orders.document(wanted.subject, wanted.key)
        return page("document.html", store=wanted.store, order=wanted.order, row=found)


def lacks_proof(story: Mapping[str, Any]) -> str:
    """What stands at the step *proven* until it is."""
    if story["unproven"]:
        return "only the store says it was paid"
    return "it doesn't add up" if any(not row["ok"] for row in story["proof"]) else "waits"


def answer(story: Mapping[str, Any]) -> str:
    """The page's first line: where the order stands, and what it waits for."""
    name = story["subject"]
    if story["cases"]:
        rest = f" and {many(len(story['cases']) - 1, 'more')}" if len(story["cases"]) > 1 else ""
        return f"{name.capitalize()} is stuck: {story['cases'][0]['cause']}{rest}"
    under_way = [row for row in story["documents"] if row["state"] in ("ready", "sent")]
    if under_way:
        return f"{name.capitalize()} is on its way: {many(len(under_way), 'document')} not yet taken."
    total = f", {money(story['total_minor'], story['currency'])}" if story["total_minor"] is not None else ""
    told = {
        "posted": "is in the ERP",
        "closed": "is complete, and closed",
        "cancelled": "is cancelled",
        "filtered": "is left alone by the rules",
        "waiting": "waits",
        "parked": "is stuck",
    }
    return f"{name.capitalize()} {told.get(story['reading'], story['reading'])}{total}."
