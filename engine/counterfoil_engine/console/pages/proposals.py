"""What waits for a second person: exactly what would be done, and the yes or no."""

from __future__ import annotations

from flask import Blueprint, Response, request

from counterfoil_engine.api.requests import Strict
from counterfoil_engine.console.access import caller
from counterfoil_engine.console.filters import many
from counterfoil_engine.console.forms import Line, form, number_of, query
from counterfoil_engine.console.layout import go, page, tell
from counterfoil_engine.console.parts import Console

MOST = 200


class _Listed(Strict):
    decided: bool = False


class _Refused(Strict):
    reason: Line


def proposal_pages(at: Blueprint, does: Console) -> None:
    eyes = does.control.four_eyes

    @at.get("/proposals")
    def proposals() -> Response:
        wanted = query(request, _Listed)
        found = eyes.list(wanted.decided, MOST)
        waiting = sum(each["state"] == "open" for each in found["proposals"])
        said = (
            f"{many(waiting, 'proposal waits', 'proposals wait')} for a second person." if waiting else "Nothing waits."
        )
        return page("proposals.html", of="proposals", answer=said, decided=wanted.decided, **found)

    @at.get("/proposals/<number>")
    def proposal(number: str) -> Response:
        return page("proposal.html", of="proposals", one=eyes.show(number_of(number)))

    @at.post("/proposals/<number>/approve")
    def approve_proposal(number: str) -> Response:
        eyes.approve(number_of(number), caller())
        tell(does, f"Proposal {number} is approved, and done.")
        return go("proposal", number=number)

    @at.post("/proposals/<number>/reject")
    def reject_proposal(number: str) -> Response:
        reason = form(request, _Refused).reason
        eyes.reject(number_of(number), reason, caller())
        tell(does, f"Proposal {number} is rejected: nothing of it is done.")
        return go("proposal", number=number)
