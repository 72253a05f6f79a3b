"""A sandbox WooCommerce shop, as a process of its own or as an object for tests.

    python -m counterfoil_sandbox.shop --listen 127.0.0.1:8091 --database shop.sqlite

speaks WooCommerce's REST API v3 and sends signed webhooks; its page is at `/`. The API keys come from the environment,
SHOP_CONSUMER_KEY and SHOP_CONSUMER_SECRET (defaults ck_sandbox and cs_sandbox). With SHOP_PLUGIN_KEY there it has the
plugin, paired with that key, and nudges an agent at --nudge HOST:PORT. `Shop` is the object without the process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

from werkzeug.serving import WSGIRequestHandler, make_server

from counterfoil_sandbox.shop_auth import Keys
from counterfoil_sandbox.shop_orders import Replay, Shop, recorded
from counterfoil_sandbox.shop_plugin import Plugin
from counterfoil_sandbox.shop_plugin_routes import Routes
from counterfoil_sandbox.shop_rest import Rest
from counterfoil_sandbox.shop_web import Weather, create_app

__all__ = ["Plugin", "Replay", "Rest", "Shop", "Weather", "create_app", "main", "recorded"]

DELIVERY_PAUSE_S = 0.1
UPKEEP_ROUNDS = 50  # of deliveries, between two rounds of what WordPress's clock would do


class QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: an agent that polls would fill the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m counterfoil_sandbox.shop", description="A sandbox WooCommerce shop."
    )
    parser.add_argument("--listen", default="127.0.0.1:8091", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument("--database", default=":memory:", metavar="FILE", help="keep the shop in this SQLite file")
    parser.add_argument("--utc-offset-minutes", type=int, default=60, metavar="N", help="the site's time zone")
    parser.add_argument("--nudge", default="", metavar="HOST:PORT", help="where an agent listens for the plugin's word")
    options = parser.parse_args(arguments)
    host, _, port = options.listen.rpartition(":")
    shop = Shop(options.database, utc_offset_minutes=options.utc_offset_minutes)
    consumer = os.environ.get("SHOP_CONSUMER_KEY", "ck_sandbox"), os.environ.get("SHOP_CONSUMER_SECRET", "cs_sandbox")
    keys = Keys({consumer[0]: (consumer[1], "read_write")}, shop.clock)
    server = make_server(
        host or "127.0.0.1", int(port), create_app(shop, keys, Rest(shop)), threaded=True, request_handler=QuietHandler
    )
    shop.site_url = f"http://{host or '127.0.0.1'}:{server.server_port}"
    if key := os.environ.get("SHOP_PLUGIN_KEY"):
        plugin = Plugin(shop, key)
        plugin.on_change = lambda: nudge(options.nudge, plugin.fingerprint())
    stopping = threading.Event()
    deliveries = threading.Thread(target=deliver_until, args=(shop, stopping), name="deliveries")

    def stop(number: int, frame: object) -> None:
        stopping.set()
        # From a thread of its own: the server's loop, which this interrupts, must end before shutdown returns.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    deliveries.start()
    print(f"shop: listening on {shop.site_url}", flush=True)
    server.serve_forever(poll_interval=0.1)
    deliveries.join()
    shop.close()
    return 0


def deliver_until(shop: Shop, stopping: threading.Event) -> None:
    rounds = 0
    while not stopping.wait(DELIVERY_PAUSE_S):
        shop.webhooks.deliver()
        rounds += 1
        if shop.plugin and rounds % UPKEEP_ROUNDS == 0:
            Routes(shop.plugin).after_call()


def nudge(listener: str, fingerprint: str) -> None:
    """A datagram to the agent that something changed: lost is as good as sent."""
    host, _, port = listener.rpartition(":")
    if port.isdigit():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.sendto(f"counterfoil {fingerprint}".encode(), (host or "127.0.0.1", int(port)))


if __name__ == "__main__":
    sys.exit(main())
