"""The month, day by day through the shipped code: agents' outboxes, facts, payout reports, looks, posters, an ERP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from counterfoil_agent.snapshot import order_event
from counterfoil_engine.adapters.party.http import HttpParty
from counterfoil_engine.bootstrap import PartyLine
from counterfoil_engine.ports import Dropped, FactPage
from counterfoil_engine.records import party_facts, payouts
from counterfoil_engine.rehearsal.chain import Agent, Chain
from counterfoil_engine.work.payouts import PayoutFolder, Payouts
from counterfoil_sandbox.erp_in_process import in_process_session
from counterfoil_sandbox.party import PartyService
from counterfoil_sandbox.wms import Wms

from month.gateways import PaypalFile, StripeFile
from month.plan import Plan, days
from month.world import GATEWAYS, START, STORES, WMS, rules_text

PAGE = 200


class Telling(HttpParty):
    """A party in process: takes documents, and says what has been put down for it to say."""

    told: list[bytes]

    def read(self, cursor: str | None) -> FactPage:
        start = int(cursor or 0)
        page = self.told[start : start + PAGE]
        return FactPage(page, str(start + len(page)), start + len(page) == len(self.told))


class Drop:
    """The drop folder, without a disk. files: source and name → what lies there; refused: what was moved aside."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.refused_files: set[tuple[str, str]] = set()

    def ready(self) -> Sequence[Dropped]:
        return [Dropped(source, name, len(data), 0) for (source, name), data in sorted(self.files.items())]

    def read(self, dropped: Dropped) -> bytes:
        return self.files[dropped.source, dropped.name]

    def taken(self, dropped: Dropped, digest: str) -> None:
        del self.files[dropped.source, dropped.name]

    def refused(self, dropped: Dropped, cause: str, remedy: str) -> str:
        del self.files[dropped.source, dropped.name]
        self.refused_files.add((dropped.source, dropped.name))
        return dropped.name

    def aside(self, source: str) -> frozenset[str]:
        return frozenset(name for of, name in self.refused_files if of == source)


class Month:
    """An engine, its parties and its ERP in a folder, and the plan that happens to them."""

    def __init__(self, folder: Path, plan: Plan, erps: Mapping[str, Any] | None = None) -> None:
        """erps: by entity, in place of the sandbox."""
        self.plan, self.lines = plan, [_line("wms", WMS), *(_line("gateway", source) for source in GATEWAYS)]
        self.chain = Chain(folder, STORES[0].id, rules_text(), START - timedelta(days=1), self.lines, erps)
        self._by_source = {line.source: line.port for line in self.lines}
        self._agents: dict[str, Agent] = {store.id: self.chain.join(store.id) for store in STORES[1:]}
        self.drop, engine = Drop(), self.chain.engine
        formats = lambda source: source.removesuffix("-us")  # noqa: E731
        taking = Payouts(engine.records, payouts, engine.book, party_facts, formats)
        self._folder = PayoutFolder(engine.records, taking, self.drop)

    def live(self) -> None:
        """Everything happens on its day, and all of it is worked off each night."""
        stories = sorted(
            (
                (at, life.store.id, _json(order), [_json(refund) for refund in refunds])
                for life in self.plan.lives
                for at, order, refunds in life.snapshots
            ),
            key=lambda story: story[:2],
        )
        said = sorted(
            ((at, fact) for life in self.plan.lives for at, fact in life.facts),
            key=lambda told: (told[0], told[1]["id"]),
        )
        said += [(file.payout.at, file.fact()) for file in self.plan.stripe]
        for begins, ends in days():
            for _, store, order, refunds in (story for story in stories if begins <= story[0] < ends):
                self._append(store, order, refunds)
            self._say(fact for at, fact in said if begins <= at < ends)
            self._pass_until(ends)
            self.chain.flow()
            self._drop([file for file in (*self.plan.stripe, *self.plan.paypal) if begins <= file.at < ends])
            self.chain.flow()

    def _append(self, store: str, order: str, refunds: list[str]) -> None:
        event = order_event(order.encode(), [refund.encode() for refund in refunds])
        if store in self._agents:
            self._agents[store].append([event])
        else:
            self.chain.append([event])

    def _say(self, facts: Iterable[dict[str, Any]]) -> None:
        for fact in facts:
            self._by_source[fact["source"]].told.append(json.dumps(fact).encode())

    def _pass_until(self, moment: Any) -> None:
        self.chain.clock.sleep(max(0.0, (moment - self.chain.clock.now()).total_seconds()))

    def _drop(self, files: Sequence[StripeFile | PaypalFile]) -> None:
        """Put statements into the drop folder, and let them be taken."""
        for file in files:
            self.drop.files[file.source, file.name] = file.written()
        while self._folder.step():
            pass

    def close(self) -> None:
        self.chain.close()


def _line(kind: Any, source: str) -> PartyLine:
    store = Wms("wms", source) if kind == "wms" else None
    session = in_process_session(PartyService("WMS", store, "month", sleep=lambda _: None)) if store else None
    port = Telling(kind, source, f"http://{source}", "month", session)
    port.told = []
    return PartyLine(kind, source, port, ("DE01",) if kind == "wms" else ())


def _json(told: Any) -> str:
    """As WooCommerce writes it: a rate's percentage is a number."""
    return json.dumps(told, default=float)
