"""The sandbox shop behind real HTTP, for the agent's tests: its own clock, credentials ck_sandbox and cs_sandbox."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from counterfoil_sandbox.shop import QuietHandler, Rest, Shop, Weather, create_app, recorded
from counterfoil_sandbox.shop_auth import Keys
from werkzeug.serving import make_server


@dataclass
class SandboxShop:
    shop: Shop
    weather: Weather
    url: str
    keys: Keys

    def recorded(self, name: str) -> Any:
        return recorded(name)


@contextmanager
def sandbox(clock: Any, utc_offset_minutes: int = 60, permission: str = "read") -> Iterator[SandboxShop]:
    shop = Shop(clock=clock.now, utc_offset_minutes=utc_offset_minutes, seed=1)
    # The woocommerce package signs by the machine's clock, so credentials are judged by that.
    keys = Keys({"ck_sandbox": ("cs_sandbox", permission)}, lambda: datetime.now(UTC))
    weather = Weather()
    app = create_app(shop, keys, Rest(shop), weather)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield SandboxShop(shop, weather, f"http://127.0.0.1:{server.server_port}", keys)
    finally:
        server.shutdown()
        server.server_close()
        shop.close()
