"""What concerns ERPs: which one counts of two, and what they have from before a store's start line."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint, Response, make_response, request

from counterfoil_engine.api.access import Access, caller_of_request
from counterfoil_engine.api.requests import Name, Strict, answer, asked, named
from counterfoil_engine.config import Settings
from counterfoil_engine.work.erp_roles import ErpRoles
from counterfoil_engine.work.taken_over import TakingOver


class _Which(Strict):
    entity: Name


class _Store(Strict):
    store: Name


class _Change(Strict):
    entity: Name
    to: Literal["beside", "alone", "hand-over", "back"]


def erps(roles: ErpRoles, taking: TakingOver | None, settings: Settings, access: Access) -> Blueprint:
    """For operators."""
    blueprint = Blueprint("erps", __name__, url_prefix="/v1")

    @blueprint.before_request
    def only_who_may() -> None:
        access.admit(request)

    @blueprint.get("/erps")
    def erp_roles() -> Response:
        return make_response(answer(roles.listed()))

    @blueprint.get("/erps/<entity>")
    def erp_role(entity: str) -> Response:
        return make_response(answer(roles.compared(named({"entity": entity}, _Which).entity)))

    @blueprint.post("/erps")
    def change_erp() -> Response:
        wanted, who = asked(request, _Change, settings.limits), caller_of_request().name
        change = {"beside": roles.begin, "alone": roles.end, "hand-over": roles.hand_over, "back": roles.take_back}
        return make_response(answer(change[wanted.to](wanted.entity, who)))

    if taking is not None:

        @blueprint.get("/taken-over/<store>")
        def taken_over(store: str) -> Response:
            return make_response(answer(taking.show(named({"store": store}, _Store).store)))

        @blueprint.post("/taken-over")
        def link_taken_over() -> Response:
            return make_response(answer(taking.link(asked(request, _Store, settings.limits).store)))

    return blueprint
