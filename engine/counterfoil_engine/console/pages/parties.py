"""The parties: breaker, rate, latency, queue; and a planned pause of one: hold, queue, release, drained."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Name, Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.filters import age, many
from counterfoil_engine.console.forms import Line, form, query
from counterfoil_engine.console.layout import go, page, tell
from counterfoil_engine.console.parts import Console

SLOW_S = 5.0
PAUSES = {
    "0": "until I release it",
    "1": "for an hour",
    "2": "for two hours",
    "4": "for four hours",
    "12": "for twelve",
}


class _Which(Strict):
    party: Name
    entity: Name


class _Held(_Which):
    reason: Line
    hours: Literal["0", "1", "2", "4", "12"] = "0"


def party_pages(at: Blueprint, does: Console) -> None:
    @at.get("/parties")
    def parties() -> Response:
        shown = does.parties.show()
        return page("parties.html", of="parties", answer=answer(shown["parties"]), pauses=PAUSES, **shown)

    @at.get("/parties/<party>/<entity>")
    def party(party: str, entity: str) -> Response:
        """One of them, whose figures come anew while somebody watches."""
        which = query(request, _Which, party=party, entity=entity)
        shown = does.parties.show()
        own = [each for each in shown["parties"] if (each["party"], each["entity"]) == (which.party, which.entity)]
        return page("party.html", of="parties", answer=answer(own), pauses=PAUSES, now=shown["now"], parties=own)

    @at.post("/parties/hold")
    def hold_party() -> Response:
        wanted = form(request, _Held)
        until = does.clock.now() + timedelta(hours=int(wanted.hours)) if wanted.hours != "0" else None
        does.parties.hold(wanted.party, wanted.entity, wanted.reason, until, caller())
        tell(does, f"The {wanted.party} of {wanted.entity} is held: what is due for it waits in its order.")
        return go("party", party=wanted.party, entity=wanted.entity)

    @at.post("/parties/release")
    def release_party() -> Response:
        wanted = form(request, _Which)
        done = does.parties.release(wanted.party, wanted.entity, caller())
        tell(does, f"Released: {many(done['waiting'], 'document goes', 'documents go')} now, in their order.")
        return go("party", party=wanted.party, entity=wanted.entity)


def answer(lines: list[Mapping[str, Any]]) -> str:
    """The page's first line."""
    if not lines:
        return "No party is set up."
    held = [line for line in lines if line["held"]]
    away = [line for line in lines if line["breaker"] != "closed" and not line["held"]]
    said = [f"The {_name(line)} is held: {_waiting(line)}." for line in held[:3]]
    said += [f"The {_name(line)} doesn't answer: {_waiting(line)}." for line in away[:3]]
    if said:
        return " ".join(said)
    waiting = sum(line["waiting"] for line in lines)
    if len(lines) == 1:
        drained = " has drained: nothing waits." if lines[0]["last_pause"] else " answers, and nothing waits for it."
        return f"The {_name(lines[0])}{drained if not waiting else f' answers; {_waiting(lines[0])}.'}"
    slow = [line for line in lines if (line["p95_s"] or 0) >= SLOW_S]
    slowly = "".join(f" The {_name(line)} is slow: {age(line['p95_s'])} for 95 of 100 documents." for line in slow[:3])
    all_answer = f"All {many(len(lines), 'party', 'parties')} answer"
    return f"{all_answer}; {many(waiting, 'document waits', 'documents wait')}.{slowly}"


def _name(line: Mapping[str, Any]) -> str:
    return f"{line['party'].upper() if line['party'] in ('erp', 'wms') else line['party']} of {line['entity']}"


def _waiting(line: Mapping[str, Any]) -> str:
    return many(line["waiting"], "document waits", "documents wait") if line["waiting"] else "nothing waits"
