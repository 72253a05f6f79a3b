"""An engine's operator commands that only say what they were asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from counterfoil_engine.ports import Caller, Rejected


class FakeCommands:
    """Answers with its arguments; `no-such-subject` for the order 404."""

    def by(self, caller: Caller) -> FakeCommands:
        return self

    def status(self, with_done: bool = True) -> Mapping[str, Any]:
        return {"stores": []}

    def order(self, store: str, order_id: str) -> Mapping[str, Any]:
        if order_id == "404":
            raise Rejected(f"Nothing is known of the order {store}/{order_id}.", "Check it.", slug="no-such-subject")
        return {"order": f"{store}/{order_id}"}

    def why(self, pool: str, sku: str) -> Mapping[str, Any]:
        return {"pool": pool, "sku": sku}

    def retry(self, subject: str | None, category: str | None) -> Mapping[str, Any]:
        return {"subject": subject, "category": category}

    def replay(self, since: datetime, store: str | None, dry_run: bool) -> Mapping[str, Any]:
        return {"since": since.isoformat(), "store": store, "dry_run": dry_run}

    def rules(self) -> Mapping[str, Any]:
        return {"versions": []}

    def load_rules(self, text: str, dry_run: bool) -> Mapping[str, Any]:
        return {"length": len(text), "dry_run": dry_run}

    def shadow(self, version: str) -> Mapping[str, Any]:
        return {"version": version}

    def start_shadow(self, text: str) -> Mapping[str, Any]:
        return {"length": len(text)}

    def stop_shadow(self, version: str) -> Mapping[str, Any]:
        return {"version": version}

    def restatements(self) -> Mapping[str, Any]:
        return {"restatements": []}

    def approve(self, version: str) -> Mapping[str, Any]:
        return {"version": version}

    def hand_over(self, store: str) -> Mapping[str, Any]:
        return {"store": store}

    def release_brake(self, entity: str) -> Mapping[str, Any]:
        return {"entity": entity}

    def pass_over(self, store: str) -> Mapping[str, Any]:
        return {"store": store}

    def switch(self, store: str, party: str, setting: str, confirmed: bool) -> Mapping[str, Any]:
        return {"store": store, "party": party, "setting": setting, "confirmed": confirmed}

    def confirm(self) -> Mapping[str, Any]:
        return {"engine_epoch": 1}
