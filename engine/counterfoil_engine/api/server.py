"""Serving the API from one's own process: gunicorn with `gunicorn_conf.py`, over an application made after the fork."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from counterfoil_engine.api import gunicorn_conf

# glibc's mallopt: how many heaps there may be, and from what size on a block is given back when it is freed.
_ARENA_MAX, _MMAP_THRESHOLD = -8, -3


class Server(BaseApplication):  # type: ignore[misc]
    """make_app is called in each worker process, so that no connection to the database is shared by two.

    options: settings of gunicorn that replace those of gunicorn_conf (`bind`, `workers`, …). `run()` serves until
    SIGTERM or SIGINT."""

    def __init__(self, make_app: Callable[[], Flask], **options: Any) -> None:
        self._make_app, self._options = make_app, options
        _keep_memory_together()
        super().__init__()

    def load_config(self) -> None:
        standing = {name: value for name, value in vars(gunicorn_conf).items() if name in self.cfg.settings}
        for name, value in (standing | self._options).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        app = self._make_app()
        settle()
        return app


def settle() -> None:
    """What is there now stays: not looking through it for garbage again and again saves a process time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _keep_memory_together() -> None:
    """Few heaps: else each thread has one of its own, which keeps the room of the largest body that it ever held."""
    with suppress(OSError, AttributeError):  # another C library
        memory = ctypes.CDLL(None)
        memory.mallopt(_ARENA_MAX, 2)
        memory.mallopt(_MMAP_THRESHOLD, 262_144)
