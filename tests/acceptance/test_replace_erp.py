"""Replacing an ERP as people do it, with real processes: the shop sells on one ERP, on both, and on the other."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
from acceptance.test_sweeps import TOKEN, Town, until
from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.domain.documents import JournalLine

ORDERS = ("order_simple_paid", "order_guest_fr", "order_variation", "order_multiline_coupon_fee", "order_simple_paid")


class TownWithTwo(Town):
    """A shop, its agent, an engine and two ERPs, `old` and `next`."""

    next: str = ""

    def more_settings(self) -> str:
        self.next = self._sandbox("erp", "sandbox ERP: ", {"COUNTERFOIL_ERP_TOKEN": TOKEN}, as_name="next")
        return (
            'name = "old"\n\n[successor.DE01]\nname = "next"\nadapter = "http"\n'
            f'url = "{self.next}"\ntoken_env = "COUNTERFOIL_ERP_TOKEN"\n'
        )

    def buys(self, recording: str) -> None:
        body = {"recording": recording}
        requests.post(f"{self.shop_url}/sandbox/orders", json=body, timeout=10).raise_for_status()

    def orders_in(self, name: str) -> list[str]:
        rows = self.rows(name, "select key from documents where kind = 'sales_order' order by key")
        return [row[0] for row in rows]

    def keys_in(self, name: str) -> list[str]:
        return [row[0] for row in self.rows(name, "select key from documents order by key")]

    def says(self, *words: str) -> Any:
        told = self.counterfoil(*words, "--json")
        assert told.returncode == 0, told.stdout + told.stderr
        return json.loads(told.stdout)

    def at_rest(self, orders: int) -> None:
        """Every order is in an ERP that counts, and nothing waits."""
        standing = "select 1 from intents where state in ('ready', 'sent') limit 1"
        sold = "select count(distinct about) from intents where kind = 'sales_order' and state = 'done'"
        until(
            lambda: (self.rows("engine", sold)[0][0] == orders and not self.rows("engine", standing)) or None,
            f"{orders} orders are posted",
        )


def balances(url: str) -> dict[tuple[str, str], JournalLine]:
    return dict(HttpErp(url, TOKEN).balances("DE01"))


def test_a_shop_goes_from_one_erp_to_the_next_while_it_sells_and_nothing_is_posted_twice(tmp_path: Path) -> None:
    with ExitStack() as stack:
        town = TownWithTwo(tmp_path, stack)
        town.buys(ORDERS[0])
        town.at_rest(1)
        assert town.keys_in("next") == [], "one counts, and the other has nothing"

        town.says("erp", "beside", "DE01")
        town.buys(ORDERS[1])
        town.at_rest(2)
        until(lambda: town.keys_in("next") == town.keys_in("erp") or None, "the one beside has all that stands")
        shown = town.says("erp", "roles", "DE01")
        assert (shown["counts"], shown["beside"], shown["behind"], shown["refused"]) == ("old", "next", 0, 0)
        assert shown["differing"] == 0 and balances(town.next) == balances(town.erp)

        town.says("erp", "hand-over", "DE01")
        town.buys(ORDERS[2])
        until(lambda: town.says("erp", "roles", "DE01")["counts"] == "next" or None, "the next one counts")
        left_behind = town.keys_in("erp")
        town.buys(ORDERS[3])
        town.at_rest(4)
        assert town.keys_in("erp") == left_behind, "the old one gets nothing any more"
        orders = town.orders_in("next")
        assert len(orders) == len(set(orders)) == 4 and set(town.orders_in("erp")) < set(orders)
        ours = {
            (role, currency): (amount, book)
            for role, currency, amount, book in town.rows(
                "engine",
                "select role, currency, sum(debit_minor - credit_minor), sum(book_debit_minor - book_credit_minor)"
                " from journal group by role, currency",
            )
        }
        theirs = {
            place: (line.debit_minor - line.credit_minor, line.book_debit_minor - line.book_credit_minor)
            for place, line in balances(town.next).items()
        }
        assert theirs == ours


def test_what_somebody_changed_in_the_one_beside_holds_the_hand_over_until_it_is_put_right(tmp_path: Path) -> None:
    with ExitStack() as stack:
        town = TownWithTwo(tmp_path, stack)
        town.says("erp", "beside", "DE01")
        town.buys(ORDERS[0])
        town.at_rest(1)
        until(lambda: town.keys_in("next") == town.keys_in("erp") or None, "the one beside has all that stands")
        ((key,),) = town.rows("next", "select key from documents where kind = 'invoice'")
        right = next(
            amount for (amount,) in town.rows("next", f"select amount_minor from documents where key = '{key}'")
        )
        _tamper(town, key, right + 1)
        town.says("erp", "hand-over", "DE01")
        shown = town.says("erp", "roles", "DE01")
        assert shown["is_handing_over"] and [one["key"] for one in shown["documents"]] == [key]
        assert key in town.counterfoil("erp", "roles", "DE01").stdout
        _tamper(town, key, right)
        until(lambda: town.says("erp", "roles", "DE01")["counts"] == "next" or None, "the next one counts")


def _tamper(town: TownWithTwo, key: str, amount_minor: int) -> None:
    body, headers = {"key": key, "amount_minor": amount_minor}, {"Authorization": f"Bearer {TOKEN}"}
    requests.post(f"{town.next}/sandbox/tamper", json=body, headers=headers, timeout=10).raise_for_status()
