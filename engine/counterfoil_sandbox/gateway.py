"""The sandbox gateway: sets money aside, takes it, gives it back, charges for it, and pays out with an itemised report.

    python -m counterfoil_sandbox.gateway --source stripe --mode knows_orders=true

Every movement of money is an item; a payout takes all items of its currency that none has taken yet, so payouts add up
to what was captured less what was refunded, charged, withdrawn.
"""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, jsonify

from counterfoil_sandbox import party
from counterfoil_sandbox.document_store import stamp
from counterfoil_sandbox.erp_journal import Refusal, amount_of, currency_of
from counterfoil_sandbox.party_store import Json, PartyModes, PartyStore, Taken

_ITEM = ("item", "type", "transaction", "amount_minor", "currency", "at")


@dataclass(frozen=True)
class GatewayModes(PartyModes):
    """knows_orders: its facts name store and order. fee_per_mille, fee_minor: what it takes of each charge. refuses:
    every capture and refund that it is asked for is refused."""

    knows_orders: bool = False
    fee_per_mille: int = 14
    fee_minor: int = 25
    refuses: bool = False


@dataclass(eq=False)
class Gateway(PartyStore):
    modes: PartyModes = field(default_factory=GatewayModes)
    kinds: frozenset[str] = frozenset({"capture", "refund_order"})

    # Documents

    def take(self, taken: Taken) -> None:
        document = taken.document
        if document["gateway"] != self.source:
            cause = f"This is {self.source}, and the document is for {document['gateway'][:40]!r}."
            raise Refusal("missing_mapping", cause, "Correct the gateway in payment_methods.")
        if self._modes.refuses:
            raise Refusal("conflict", "The gateway refuses it.", "Ask the gateway why.")
        amount_minor, currency = document["amount_minor"], document["currency"]
        if document["kind"] == "capture":
            self._capture(document["authorisation"], amount_minor, currency, taken.at)
        else:
            self._refund(document["transaction"], amount_minor, currency, str(document["refund"]), taken.at)

    def undo(self, taken: Taken) -> None:
        assert taken.original is not None
        cause = f"Money has moved for {taken.original['key']}; that can't be undone."
        raise Refusal("conflict", cause, "Refund it, or charge it again.")

    # By hand

    def on_authorise(
        self,
        amount_minor: int,
        currency: str,
        store: str | None = None,
        order: str | None = None,
        expires_in_s: int = 604_800,
        method: str = "card",
    ) -> str:
        """Set money aside; the transaction."""
        _amount(amount_minor, currency)
        name = self._new_name("pi")
        expires_at = self.now() + timedelta(seconds=expires_in_s)
        self.keep(
            "authorisation",
            name,
            {
                "store": store,
                "order": order,
                "left_minor": amount_minor,
                "currency": currency,
                "expires_at": stamp(expires_at),
                "method": method,
            },
        )
        told = {"amount_minor": amount_minor, "currency": currency, "expires_at": stamp(expires_at), "method": method}
        self.say("authorised", self._named(store, order), transaction=name, **told)
        return name

    def on_capture(self, authorisation: str, amount_minor: int | None = None) -> str:
        """Take what was set aside, or a part of it; the transaction."""
        there = self._known("authorisation", authorisation)
        wanted = there["left_minor"] if amount_minor is None else amount_minor
        return self._capture(authorisation, wanted, there["currency"], self.now())

    def on_charge(
        self,
        amount_minor: int,
        currency: str,
        store: str | None = None,
        order: str | None = None,
        method: str = "card",
    ) -> str:
        """Take money at once; the transaction."""
        _amount(amount_minor, currency)
        return self._charge(store, order, amount_minor, currency, method, None, self.now())

    def on_void(self, authorisation: str) -> str:
        """Give up what is still set aside."""
        there = self._known("authorisation", authorisation)
        if not there["left_minor"]:
            raise Refusal("data", "Nothing of it is set aside any more.", "Look at the authorisation first.")
        given_up = {"amount_minor": there["left_minor"], "currency": there["currency"]}
        self.keep("authorisation", authorisation, {**there, "left_minor": 0})
        order = self._named(there["store"], there["order"])
        return self.say("voided", order, transaction=authorisation, **given_up)

    def on_refund(self, transaction: str, amount_minor: int | None = None, refund: str | None = None) -> str:
        """Give money back; refund: the store's, where it asked. The transaction that gave it back."""
        there = self._known("charge", transaction)
        wanted = there["left_minor"] if amount_minor is None else amount_minor
        return self._refund(transaction, wanted, there["currency"], refund, self.now())

    def on_fail(self, of: str, reason: str = "The bank took it back.") -> str:
        """Say of a capture or a refund, by its fact's id, that it did not happen."""
        fact = next((one for one in self.told() if one["id"] == of), None)
        is_known = fact is not None and fact["fact"].split(".")[1] in ("captured", "refunded")
        if fact is None or not is_known or self.thing("failed", of) is not None:
            raise Refusal("data", "No capture or refund has this id, or it failed already.", "Take one from its facts.")
        is_capture = fact["fact"] == "counterfoil.captured.v1"
        amount_minor = fact["amount_minor"] * (-1 if is_capture else 1)
        there = self._known("charge", fact["transaction"])
        self.keep("charge", fact["transaction"], {**there, "left_minor": there["left_minor"] + amount_minor})
        self.keep("failed", of, {})
        self._move("failure", fact["transaction"], amount_minor, fact["currency"], self.now())
        return self.say("failed", (fact["store"], fact["order"]), of=of, transaction=fact["transaction"], reason=reason)

    def on_fee(self, amount_minor: int, currency: str, transaction: str | None = None) -> str:
        """Take so much for its work; below 0: give it back."""
        amount_of({"amount_minor": amount_minor}, "amount_minor")
        currency_of({"currency": currency}, "currency")
        return self._fee(transaction, amount_minor, currency, self.now())

    def on_dispute(self, transaction: str, state: str, amount_minor: int | None = None) -> str:
        """inquiry and opened begin a dispute of a charge, won and lost end it; the dispute."""
        charge = self._known("charge", transaction)
        name = f"dp_{transaction}"
        there = self.thing("dispute", name) or {"state": None, "withdrawn_minor": 0}
        if state not in {None: ("inquiry", "opened"), "inquiry": ("opened", "won"), "opened": ("won", "lost")}.get(
            there["state"], ()
        ):
            raise Refusal("data", f"A dispute can't go from {there['state']} to {state[:20]}.", "Look at it first.")
        withdrawn_minor = there["withdrawn_minor"]
        if state == "opened":
            withdrawn_minor = charge["left_minor"] if amount_minor is None else amount_minor
            if withdrawn_minor <= 0:
                raise Refusal("data", "Nothing is left of the charge to be withdrawn.", "Look at the charge first.")
            self._move("dispute", transaction, -withdrawn_minor, charge["currency"], self.now())
        elif state == "won":
            self._move("dispute", transaction, withdrawn_minor, charge["currency"], self.now())
        self.keep("dispute", name, {"state": state, "withdrawn_minor": withdrawn_minor})
        ends_at = stamp(self.now() + timedelta(days=14)) if state in ("inquiry", "opened") else None
        told = {"withdrawn_minor": withdrawn_minor, "currency": charge["currency"], "answer_by": ends_at}
        order = self._named(charge["store"], charge["order"])
        self.say("dispute", order, dispute=name, transaction=transaction, state=state, **told)
        return name

    def on_payout(self, currency: str | None = None) -> list[str]:
        """Pay out what no payout has taken yet, in each currency or in one; the payouts."""
        items = [(name, item) for name, item in self.things("item") if item["payout"] is None]
        currencies = sorted({item["currency"] for _, item in items})
        paid = [self._pay(one, items) for one in currencies if currency in (None, one)]
        if not paid:
            raise Refusal("data", "There is nothing to pay out.", "Let money move first.")
        return paid

    def report(self, name: str) -> Json | None:
        """A payout with its items; None: there is none of this name."""
        payout = self.thing("payout", name)
        if payout is None:
            return None
        items = [{"item": item, **body} for item, body in self.things("item") if body["payout"] == name]
        return {"payout": name, **payout, "items": [{key: item[key] for key in _ITEM} for item in items]}

    # How money moves

    @property
    def _modes(self) -> GatewayModes:
        assert isinstance(self.modes, GatewayModes)
        return self.modes

    def _capture(self, authorisation: str, amount_minor: int, currency: str, at: datetime) -> str:
        there = self._known("authorisation", authorisation)
        if currency != there["currency"] or not 0 < amount_minor <= there["left_minor"]:
            cause = f"{amount_minor} {currency} (minor) is not within what {authorisation} has set aside."
            raise Refusal("data", cause, "Capture what was authorised, or less.")
        if stamp(at) > there["expires_at"]:
            raise Refusal("conflict", f"{authorisation} has expired.", "Let the customer pay again.")
        self.keep("authorisation", authorisation, {**there, "left_minor": there["left_minor"] - amount_minor})
        return self._charge(there["store"], there["order"], amount_minor, currency, there["method"], authorisation, at)

    def _charge(
        self,
        store: str | None,
        order: str | None,
        amount_minor: int,
        currency: str,
        method: str,
        authorisation: str | None,
        at: datetime,
    ) -> str:
        name = self._new_name("ch")
        self.keep("charge", name, {"store": store, "order": order, "left_minor": amount_minor, "currency": currency})
        self._move("charge", name, amount_minor, currency, at)
        told = {"authorisation": authorisation, "amount_minor": amount_minor, "currency": currency, "method": method}
        self.say("captured", self._named(store, order), at, transaction=name, **told)
        fee_minor = (amount_minor * self._modes.fee_per_mille + 500) // 1000 + self._modes.fee_minor
        if fee_minor:
            self._fee(name, fee_minor, currency, at)
        return name

    def _refund(self, transaction: str, amount_minor: int, currency: str, refund: str | None, at: datetime) -> str:
        there = self._known("charge", transaction)
        if currency != there["currency"] or not 0 < amount_minor <= there["left_minor"]:
            cause = f"{amount_minor} {currency} (minor) is more than is left of {transaction}."
            raise Refusal("refund", cause, "Refund what was taken, less what was given back already.")
        self.keep("charge", transaction, {**there, "left_minor": there["left_minor"] - amount_minor})
        name = self._new_name("re")
        self._move("refund", transaction, -amount_minor, currency, at)
        told = {"refund_transaction": name, "refund": refund, "amount_minor": amount_minor, "currency": currency}
        self.say("refunded", self._named(there["store"], there["order"]), at, transaction=transaction, **told)
        return name

    def _fee(self, transaction: str | None, amount_minor: int, currency: str, at: datetime) -> str:
        charge = self._known("charge", transaction) if transaction else {"store": None, "order": None}
        self._move("fee", transaction, -amount_minor, currency, at)
        told = {"amount_minor": amount_minor, "currency": currency}
        return self.say("fee", self._named(charge["store"], charge["order"]), at, transaction=transaction, **told)

    def _move(self, kind: str, transaction: str | None, amount_minor: int, currency: str, at: datetime) -> None:
        body = {"type": kind, "transaction": transaction, "amount_minor": amount_minor, "currency": currency}
        self.keep("item", self._new_name("txn"), {**body, "at": stamp(at), "payout": None})

    def _pay(self, currency: str, items: list[tuple[str, Json]]) -> str:
        mine = [(name, item) for name, item in items if item["currency"] == currency]
        amount_minor = sum(item["amount_minor"] for _, item in mine)
        name, paid_on = self._new_name("po"), self.now().astimezone(UTC).date().isoformat()
        for item_name, item in mine:
            self.keep("item", item_name, {**item, "payout": name})
        body = {"amount_minor": amount_minor, "currency": currency, "paid_on": paid_on}
        self.keep("payout", name, body)
        self.say("payout", (None, None), payout=name, **body)
        return name

    def _known(self, kind: str, name: str) -> Json:
        there = self.thing(kind, name) if isinstance(name, str) else None
        if there is None:
            raise Refusal("data", f"There is no {kind} {str(name)[:80]}.", "Name one that this gateway gave.")
        return there

    def _new_name(self, kind: str) -> str:
        count = (self.thing("count", kind) or {"last": 0})["last"] + 1
        self.keep("count", kind, {"last": count})
        return f"{kind}_{count}"

    def _named(self, store: str | None, order: str | None) -> tuple[str | None, str | None]:
        return (store, order) if self._modes.knows_orders else (None, None)


def _amount(amount_minor: Any, currency: Any) -> None:
    currency_of({"currency": currency}, "currency")
    if amount_of({"amount_minor": amount_minor}, "amount_minor") <= 0:
        raise Refusal("contract", "The amount is not above 0.", "Send what is to be taken.")


class GatewayService(party.PartyService):
    """A gateway over HTTP, with the reports of its payouts."""

    def __init__(self, name: str, gateway: Gateway, token: str, **more: Any) -> None:
        super().__init__(name, gateway, token, **more)

        @self.flask.get("/v1/payouts/<payout>")
        def payout(payout: str) -> Any:
            self.begin_call(is_post=False)
            report = gateway.report(payout.removesuffix(".csv"))
            if report is None:
                raise party.unknown("payout")
            return _as_csv(report) if payout.endswith(".csv") else jsonify(report)


def _as_csv(report: Json) -> Response:
    text = io.StringIO()
    rows = csv.DictWriter(text, _ITEM)
    rows.writeheader()
    rows.writerows(report["items"])
    return Response(text.getvalue(), mimetype="text/csv")


def main(arguments: list[str] | None = None) -> int:
    return party.main("gateway", Gateway, "gateway", "stripe", "127.0.0.1:8072", arguments, GatewayService)


if __name__ == "__main__":
    sys.exit(main())
