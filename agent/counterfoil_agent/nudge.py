"""Hears the plugin's word that something changed: a datagram, of no importance if lost, that only makes it quicker.

What it says isn't believed: any datagram leads to one look at the plugin's log, and to no more than two a second.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from loguru import logger

WORD = b"counterfoil"
LOOK_S = 0.5  # how soon the wish to stop is noticed


class Nudges:
    """Listens on a UDP address in a thread of its own between start and stop. wake: called for each word."""

    def __init__(self, address: tuple[str, int], wake: Callable[[], None]) -> None:
        self._address, self._wake = address, wake
        self._socket: socket.socket | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="nudges", daemon=True)

    def start(self) -> None:
        """Where the address can't be had, the log is read by the clock alone, and said so."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        try:
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.bind(self._address)
            self._socket.settimeout(LOOK_S)
        except OSError as error:
            self._socket = None
            logger.warning(
                "no nudges",
                cause=f"plugin.nudge_listen {self._address[0]}:{self._address[1]} can't be used: {error.strerror}",
                remedy="Choose another and set it in WooCommerce, Counterfoil; what happens is then read at once.",
            )
            return
        self._thread.start()

    @property
    def port(self) -> int | None:
        return int(self._socket.getsockname()[1]) if self._socket else None

    def stop(self) -> None:
        self._stopping.set()
        if self._socket is not None:
            self._thread.join(2 * LOOK_S)
            self._socket.close()

    def _listen(self) -> None:
        assert self._socket is not None
        while not self._stopping.is_set():
            try:
                said, _ = self._socket.recvfrom(200)
            except TimeoutError:
                continue
            except OSError:
                return
            if said.startswith(WORD):
                self._wake()
