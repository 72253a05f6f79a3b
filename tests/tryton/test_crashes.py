"""kill -9 of Tryton and of its database in the middle of a post: what was begun stands once, or is posted again."""

from __future__ import annotations

import threading
import time
from datetime import date

import pytest
from counterfoil_engine.domain.errors import Retry
from counterfoil_engine.ports import Outcome, Posted, Posting, Refused
from sandbox.erp_documents import a_payment

from tryton import server as servers
from tryton.kills import post_until_all_stand
from tryton.orders import numbered


@pytest.mark.parametrize("victim", ["tryton", "its connections"])
@pytest.mark.parametrize("after_s", [0.02, 0.12, 0.25])
def test_what_was_under_way_when_it_was_killed_stands_once(tryton: servers.Server, victim: str, after_s: float) -> None:
    erp = tryton.erp(tryton.maps["DE01"])
    erp.health()
    postings = [numbered([a_payment()])[0] for _ in range(20)]
    said: list[Outcome | Exception] = []

    def post() -> None:
        try:
            said.extend(erp.post(postings))
        except Retry as error:
            said.append(error)

    caller = threading.Thread(target=post)
    caller.start()
    time.sleep(after_s)
    tryton.kill() if victim == "tryton" else tryton.cut_connections()
    caller.join()
    if victim == "tryton":
        tryton.start()
    assert not any(isinstance(each, Refused) for each in said)
    post_until_all_stand(erp, postings)
    found = erp.find([each.key for each in postings])
    assert {key: len(there) for key, there in found.items()} == {each.key: 1 for each in postings}
    moved = [each for each in erp.entries("DE01", *_days(postings)) if each.key in found]
    assert len(moved) == len(postings)
    assert all(isinstance(each, Posted) for each in erp.post(postings))


def _days(postings: list[Posting]) -> tuple[date, date]:
    day = date.fromisoformat(postings[0].document["date"])
    return day, day
