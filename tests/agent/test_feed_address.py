"""Where the agent asks for stock numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from counterfoil_agent import config
from counterfoil_agent.bootstrap import SystemClock, feed_of
from counterfoil_agent.errors import Retry, Unavailable
from counterfoil_agent.outbox import Outbox
from counterfoil_agent.pump import FEED_URL

SECRETS = {"COUNTERFOIL_ENGINE_SECRET": "the secret of the store eu1, for tests"}
NOBODY = "http://127.0.0.1:9"  # a port on which nothing listens


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox.open(tmp_path / "outbox.sqlite", Random(1))
    yield outbox
    outbox.close()


def _ask(outbox: Outbox, **engine: Any) -> None:
    told = {"store": "eu1", "shop": {"url": "http://127.0.0.1:9"}, "engine": {"url": NOBODY, **engine}}
    feed_of(config.read(told), outbox, SystemClock(), SECRETS).poll(0, None, 0, 10)


def test_before_the_engine_was_greeted_nobody_is_asked(outbox: Outbox) -> None:
    with pytest.raises(Retry, match="hasn't been greeted yet") as refused:
        _ask(outbox)
    assert not refused.value.retry_after_s, "it is a matter of a second"


def test_after_that_it_is_where_the_engine_said_or_else_the_engine_itself(outbox: Outbox) -> None:
    outbox.renumber(1)
    with pytest.raises(Unavailable, match=NOBODY):
        _ask(outbox)
    outbox.remember(FEED_URL, "http://127.0.0.1:7")
    with pytest.raises(Unavailable, match=":7 "):
        _ask(outbox)


def test_what_the_settings_say_needs_no_greeting(outbox: Outbox) -> None:
    with pytest.raises(Unavailable, match=":7 "):
        _ask(outbox, feed_url="http://127.0.0.1:7")
