"""The engine's API: parse, call one use case, answer. `contracts/…/engine.openapi.yaml` describes every route."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, g, request

from counterfoil_engine.api.access import Access
from counterfoil_engine.api.agents import agents
from counterfoil_engine.api.cases import CaseDesk, cases
from counterfoil_engine.api.commands import commands
from counterfoil_engine.api.control import Control, control
from counterfoil_engine.api.erps import erps
from counterfoil_engine.api.feed_at_once import feed_at_once
from counterfoil_engine.api.finance import Finances, finance
from counterfoil_engine.api.lookup import Lookup, lookup
from counterfoil_engine.api.problems import handle_errors
from counterfoil_engine.api.requests import answer
from counterfoil_engine.api.sweeps import Sweeping, sweep_commands, sweep_mailbox
from counterfoil_engine.api.watch import Watching, watch
from counterfoil_engine.config import Settings
from counterfoil_engine.ports import Clock, Commands, Meter
from counterfoil_engine.work.erp_roles import ErpRoles
from counterfoil_engine.work.feed import Feed
from counterfoil_engine.work.receive import Receiver
from counterfoil_engine.work.taken_over import TakingOver
from counterfoil_engine.work.updates import Updates


@dataclass(frozen=True)
class Engine:
    """What the API needs. check_database: returns, or raises Unavailable. control: None: nobody has their own token.
    cases: what people do about what is stuck; None: it is asked elsewhere.
    feed: for agents that ask here for stock; None: it is elsewhere. updates: the stores' mailboxes; None: there are
    none. finances: payouts and clearing; None: they are elsewhere. sweeping, lookup: likewise. watching: figures,
    objectives, alerts; None: nobody watches it. meter: is told of each request."""

    receiver: Receiver
    commands: Commands
    check_database: Callable[[], None]
    clock: Clock
    settings: Settings
    control: Control | None = None
    feed: Feed | None = None
    updates: Updates | None = None
    finances: Finances | None = None
    cases: CaseDesk | None = None
    sweeping: Sweeping | None = None
    watching: Watching | None = None
    meter: Meter | None = None
    lookup: Lookup | None = None
    erp_roles: ErpRoles | None = None
    taking_over: TakingOver | None = None


def create_app(engine: Engine) -> Flask:
    """The WSGI application over these parts; it opens nothing by itself."""
    app = Flask("counterfoil_engine", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = engine.settings.limits.body_bytes
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.register_blueprint(agents(engine.receiver, engine.updates, engine.clock, engine.settings, engine.meter))
    if engine.feed:
        app.register_blueprint(feed_at_once(engine.feed, engine.clock, engine.settings))
    access = Access(engine.settings.api_token, engine.control.users if engine.control else None)
    app.register_blueprint(commands(engine.commands, engine.settings, access))
    if engine.cases:
        app.register_blueprint(cases(engine.cases, engine.settings, access))
    if engine.control:
        app.register_blueprint(control(engine.control, engine.settings, access))
    if engine.finances:
        app.register_blueprint(finance(engine.finances, engine.settings, access))
    if engine.sweeping:
        app.register_blueprint(sweep_mailbox(engine.sweeping, engine.clock, engine.settings))
        app.register_blueprint(sweep_commands(engine.sweeping, engine.settings, access))
    if engine.watching:
        app.register_blueprint(watch(engine.watching, engine.settings, access))
    if engine.meter:
        _tell_of_requests(app, engine.meter)
    if engine.lookup:
        app.register_blueprint(lookup(engine.lookup, engine.settings, access))
    if engine.erp_roles:
        app.register_blueprint(erps(engine.erp_roles, engine.taking_over, engine.settings, access))
        if engine.erp_roles.entities:
            app.before_request(engine.erp_roles.learn)
    handle_errors(app)

    @app.get("/v1/health")
    def health() -> Response:
        engine.check_database()
        return app.make_response(answer({"ok": True}))

    @app.after_request
    def tell_the_time(response: Response) -> Response:
        # Agents correct their clock by this header, so it has to be the clock that signatures are judged by.
        response.date = engine.clock.now()
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


def _tell_of_requests(app: Flask, meter: Meter) -> None:
    """Routes as they are described, so that what strangers ask for can't fill the figures."""

    @app.before_request
    def begin() -> None:
        g.began_s = time.perf_counter()

    @app.after_request
    def told(response: Response) -> Response:
        route = str(request.url_rule or "none")
        meter.answered(route, response.status_code, time.perf_counter() - g.began_s)
        return response
