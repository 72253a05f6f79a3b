"""The feed at the API's own address, for agents that know no other: it answers at once, since a thread each is too dear
to wait with. An agent that is answered sooner than it asked to be, with nothing, comes again as often as it may."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, request

from counterfoil_engine.api.requests import answer, signed_body
from counterfoil_engine.config import Settings
from counterfoil_engine.ports import Clock, Rejected
from counterfoil_engine.work.feed import Feed

LONGEST_S = 1.0  # with nothing to tell: who asks again without a pause is slowed down by it


def feed_at_once(feed: Feed, clock: Clock, settings: Settings) -> Blueprint:
    blueprint = Blueprint("feed", __name__, url_prefix="/v1/feed")

    def opened() -> tuple[str, bytes]:
        return signed_body(request, settings.store_secrets, clock.now(), settings.limits)

    @blueprint.post("")
    def ask() -> Response:
        asked = feed.asked(*opened())
        answered = feed.answers([asked])[0]
        if isinstance(answered, Rejected):
            raise answered
        if answered.says_nothing:
            clock.sleep(min(asked.wait_s, LONGEST_S))
        return make_response(answered.body, {"Content-Type": "application/json"})

    @blueprint.post("/writes")
    def writes() -> Response:
        return make_response(answer(feed.writes(*opened())))

    return blueprint
