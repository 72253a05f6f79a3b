"""A new store from one that there is, and what of each store is switched on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.forms import Line, form, query
from counterfoil_engine.console.layout import go, page, tell
from counterfoil_engine.console.parts import Console
from counterfoil_engine.work.store_template import from_template

Row = Mapping[str, Any]

_Store = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}\Z")]


class _New(Strict):
    template: Line
    store: _Store


class _Named(Strict):
    store: Line


class _Switch(Strict):
    party: Literal["erp", "wms", "gateway", "tax", "store"]
    setting: Literal["off", "preview", "on"]
    confirmed: str = ""


def new_store_pages(at: Blueprint, does: Console) -> None:
    @at.get("/stores/new")
    def new_store() -> Response:
        stores = [store for one in does.books.entities() for store in one["stores"]]
        return page("new_store.html", of="fleet", stores=stores)

    @at.post("/stores/new")
    def add_store() -> Response:
        asked, said = form(request, _New), does.commands.rules()
        now, label = does.clock.now(), f"{said['current']}+{asked.store}"
        text = from_template(said["text"] or "", asked.template, asked.store, now, label)
        done = does.commands.by(caller()).load_rules(text, dry_run=False)
        if done.get("proposal"):
            tell(
                does, f"The rules of {asked.store} are proposed as number {done['proposal']}: a second person decides."
            )
        else:
            tell(does, f"{asked.store} is in the rules, every write at preview. Now pair its agent.")
        return go("store", store=asked.store)

    @at.get("/stores/<store>")
    def store(store: str) -> Response:
        asked = query(request, _Named, store=store)
        status = does.commands.by(caller()).status(with_done=False)
        line = next((one for one in status["stores"] if one["store"] == asked.store), None)
        known = any(asked.store in one["stores"] for one in does.books.entities())
        switches = does.books.switches(asked.store) if known else []
        said = store_answer(asked.store, line, known, switches)
        return page("store.html", of="fleet", answer=said, name=asked.store, line=line, known=known, switches=switches)

    @at.post("/stores/<store>/switch")
    def switch(store: str) -> Response:
        asked, wanted = query(request, _Named, store=store), form(request, _Switch)
        said = does.commands.by(caller()).switch(asked.store, wanted.party, wanted.setting, bool(wanted.confirmed))
        tell(does, switched(wanted.party, said))
        return go("store", store=asked.store)


def store_answer(store: str, line: Row | None, known: bool, switches: Sequence[Row]) -> str:
    """The first line of a store's page."""
    if not known:
        return f"{store} is not in the rules yet."
    on = [one["party"] for one in switches if one["setting"] == "on"]
    preview = [one["party"] for one in switches if one["setting"] == "preview"]
    heard = "" if line and line["connected"] else " Its agent is not heard."
    if on:
        return f"{store} is on for {', '.join(on)}{'; in preview for ' + ', '.join(preview) if preview else ''}.{heard}"
    return f"{store} is in preview: all is computed and shown, nothing is written.{heard}"


def switched(party: str, said: Row) -> str:
    """What became of a switch."""
    if said.get("proposal"):
        return f"Proposed as number {said['proposal']}: a second person decides."
    return f"{party} is {said['setting']}."
