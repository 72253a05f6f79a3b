"""`make demo`: a shop, its agent, the engine and an ERP as real processes, a bad day in two minutes, and the proof.

    python -m counterfoil_engine.demo [--once]        the story; --once ends by itself, exit status 0 if all held
    python -m counterfoil_engine.demo --prove FOLDER  prove again while a demo is up

Everything lives in a temporary folder and on free ports of 127.0.0.1, and goes when the demo goes. Real recorded
WooCommerce orders and histories are fed through the shop; nothing here touches the engine but its commands, its API
and, to read, its database file.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import requests
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from counterfoil_engine import demo_proof, demo_stock
from counterfoil_engine.demo_proof import Places, Proof
from counterfoil_engine.domain.errors import CounterfoilError

STORE, ENTITY = "eu1", "DE01"
WEBHOOK_PATH = "/"
START_TIMEOUT_S = 30.0
REST_TIMEOUT_S = 60.0
STEP_PAUSE_S = 1.2

PAID = (
    "order_simple_paid",
    "order_multiline_coupon_fee",
    "order_fixed_cart_coupon_rounding",
    "order_guest_fr",
    "order_gift_card_negative_fee",
    "order_zero_total",
    "order_jpy",
    "order_kwd",
    "order_usd",
    "order_variation",
    "order_status_completed",
)
UNPAID = ("order_status_pending", "order_status_on-hold", "order_status_failed", "order_status_cancelled")
WHILE_DOWN = (
    "order_90_lines_two_coupons",
    "order_prices_include_tax_coupon",
    "order_round_at_subtotal_prices_include_tax",
    "order_two_shipping_negative_taxable_fee",
)
AFTER = ("order_compound_tax_canada", "order_untaxed_and_virtual_lines", "order_before_edit")
HISTORIES = (
    "trashed_and_deleted",
    "pending_paid_edited_refunded",
    "cancelled_then_revived",
    "refund_deleted_then_full",
    "moved_abroad_after_payment",
)
RATES = {"USD": "1.25", "JPY": "160", "KWD": "0.35"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m counterfoil_engine.demo",
        description="A shop, its agent, the engine and an ERP as real processes, a bad day, and the proof.",
        epilog="Exit status: 0 every invariant held, 1 one did not, 2 the demo could not run.",
    )
    parser.add_argument("--once", action="store_true", help="end by itself after the proof")
    parser.add_argument("--prove", metavar="FOLDER", type=Path, help="prove again, of a demo that is up")
    options = parser.parse_args(arguments)
    story = Story()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a script's background process would ignore
    try:
        if options.prove:
            return 0 if show_proof(story, prove(read_places(options.prove))) else 1
        with Demo(story) as demo:
            held = demo.run()
            if not options.once:
                demo.stay_up()
            return 0 if held else 1
    except KeyboardInterrupt:
        story.tell("Stopped; everything is gone.")
        return 130
    except CounterfoilError as error:
        story.console.print(f"\n[red]{escape(error.cause)}[/red] {escape(error.remedy)}", soft_wrap=True)
        return 2


class Story:
    """What the reader sees: one line for each thing that happens, with the seconds since the start."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.began_s = time.monotonic()

    def tell(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self.began_s:5.1f} s[/dim]  {text}", soft_wrap=True)

    def head(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/bold]", soft_wrap=True)


# The processes


@dataclass
class Child:
    """One process in a session of its own: Ctrl-C reaches the demo alone, which then ends it with its workers."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9, with all that it started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            self.kill()

    def said(self, prefix: str) -> str | None:
        """The first line of its log that begins so, without that beginning."""
        for line in self.tail(200):
            if line.startswith(prefix):
                return line.removeprefix(prefix).strip()
        return None

    def tail(self, lines: int = 12) -> list[str]:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text.splitlines()[-lines:]


class Demo:
    """The world of the demo, from an empty folder to the proof; as a context it leaves nothing behind."""

    def __init__(self, story: Story) -> None:
        self.story, self.tell = story, story.tell
        self.folder = Path(tempfile.mkdtemp(prefix="counterfoil-demo-"))
        self.children: dict[str, Child] = {}
        self.replays: dict[str, int] = {}

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # A second Ctrl-C while ending must not leave a process behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for child in reversed(self.children.values()):
            child.stop()
        if kind is not None and issubclass(kind, CounterfoilError):
            self.tell(f"The logs are kept in {self.folder}.")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self) -> bool:
        """The whole story. Returns whether everything held."""
        self.story.head("A shop, its agent, the engine and an ERP, each a process of its own")
        self.start()
        self.first_orders()
        self.merchants_day()
        self.the_warehouse_speaks()
        self.the_erp_goes_down()
        self.an_answer_is_lost()
        self.a_delivery_comes_twice()
        self.the_agent_dies()
        self.nobody_mapped_it()
        self.finish_histories()
        self.come_to_rest()
        return self.prove_all()

    # Starting

    def start(self) -> None:
        key, secret, token, self.plugin_key = (secrets.token_hex(12) for _ in range(4))
        shop_environment = {"SHOP_CONSUMER_KEY": f"ck_{key}", "SHOP_CONSUMER_SECRET": f"cs_{secret}"}
        shop_environment["SHOP_PLUGIN_KEY"] = self.plugin_key
        shop = self.python("shop", "counterfoil_sandbox.shop", shop_environment, "--database", self.path("shop.sqlite"))
        rates = [f"--rate={currency}/EUR={rate}" for currency, rate in RATES.items()]
        erp_environment = {"COUNTERFOIL_ERP_TOKEN": token}
        erp = self.python(
            "erp", "counterfoil_sandbox.erp", erp_environment, "--database", self.path("erp.sqlite"), *rates
        )
        self.shop_url = self.until(lambda: shop.said("shop: listening on "), "the shop to start")
        self.erp_url = self.until(lambda: erp.said("sandbox ERP: "), "the ERP to start").rstrip("/")
        self.tell(f"The shop is up at {self.shop_url}, the ERP at {self.erp_url}.")
        self.places = Places(
            STORE, ENTITY, self.shop_url, f"ck_{key}", f"cs_{secret}", self.erp_url, token,
            self.folder / "erp.sqlite", self.folder / "engine.sqlite",
        )  # fmt: skip
        write_places(self.folder, self.places)
        self.start_engine()
        self.start_agent()

    def python(self, name: str, module: str, environment: Mapping[str, str], *arguments: str) -> Child:
        listen = ("--listen", "127.0.0.1:0")
        return self.child(name, [sys.executable, "-m", module, *listen, *arguments], environment)

    def child(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        child = Child(name, command, environment, self.folder / f"{name}.log")
        self.children[name] = child
        child.start()
        return child

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def start_engine(self) -> None:
        listen, feed = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.engine_url, secret = f"http://{listen}", secrets.token_hex(24)
        (self.folder / "rules.yaml").write_text(json.dumps(rules(), indent=1))
        (self.folder / "engine.toml").write_text(
            f'[engine]\ndatabase = "sqlite:///{self.path("engine.sqlite")}"\nlisten = "{listen}"\n'
            f'rules = "{self.path("rules.yaml")}"\n\n[erp.{ENTITY}]\nadapter = "http"\nurl = "{self.erp_url}"\n'
            f'token_env = "COUNTERFOIL_ERP_TOKEN"\n\n[feed]\nlisten = "{feed}"\nurl = "http://{feed}"\n'
        )
        self.engine_environment = {
            "COUNTERFOIL_ERP_TOKEN": self.places.erp_token,
            "COUNTERFOIL_API_TOKEN": secrets.token_hex(24),
            f"COUNTERFOIL_STORE_SECRET_{STORE.upper()}": secret,
        }
        command = [script("counterfoil"), "serve", "--config", self.path("engine.toml")]
        engine = self.child("engine", command, self.engine_environment)
        self.until(lambda: answers(self.engine_url) or None, "the engine to start", START_TIMEOUT_S, engine)
        self.tell(f"The engine is up at {self.engine_url}, on a database of its own.")
        self.engine_secret = secret

    def start_agent(self) -> None:
        hook, hook_secret = f"127.0.0.1:{free_port()}", secrets.token_hex(16)
        (self.folder / "agent.toml").write_text(
            f'store = "{STORE}"\n\n[shop]\nurl = "{self.shop_url}"\npoll_s = 1\noverlap_s = 5\nreread_every_h = 0.01\n'
            f'reread_page_s = 0\n\n[engine]\nurl = "{self.engine_url}"\nheartbeat_s = 2\nlongest_pause_s = 2\n\n'
            f'[outbox]\npath = "{self.path("outbox.sqlite")}"\ndisk_free_bytes = 0\n\n[webhook]\nlisten = "{hook}"\n\n'
            '[plugin]\nkey_env = "COUNTERFOIL_PLUGIN_KEY"\nnudge_listen = ""\npoll_s = 1\nsafety_poll_s = 1\n\n'
            '[stock]\nswitch = "on"\naccept_when = { most_changes_share = 1.0 }\nidle_s = 0.5\nwait_s = 1\n'
        )
        environment = {
            "COUNTERFOIL_SHOP_KEY": self.places.shop_key,
            "COUNTERFOIL_SHOP_SECRET": self.places.shop_secret,
            "COUNTERFOIL_ENGINE_SECRET": self.engine_secret,
            "COUNTERFOIL_WEBHOOK_SECRET": hook_secret,
            "COUNTERFOIL_PLUGIN_KEY": self.plugin_key,
        }
        command = [script("counterfoil-agent"), "run", "--config", self.path("agent.toml")]
        agent = self.child("agent", command, environment)
        self.until(lambda: answers(f"http://{hook}") or None, "the agent to start", START_TIMEOUT_S, agent)
        for topic in ("order.created", "order.updated", "order.deleted"):
            body = {"topic": topic, "delivery_url": f"http://{hook}{WEBHOOK_PATH}", "secret": hook_secret}
            self.shop_api().post("webhooks", body).raise_for_status()
        self.tell("The shop's agent is up: it asks the shop every second, and the shop's webhooks hurry it.")

    # The story

    def first_orders(self) -> None:
        self.story.head("Recorded WooCommerce orders come in")
        shown = [self.place(name) for name in (*PAID, *UNPAID)][1]
        self.place("order_after_partial_refund", "refund_partial_line_restock")
        self.place("order_fully_refunded", "refund_full_amount")
        count = len(PAID) + len(UNPAID) + 2
        self.tell(f"{count} orders are placed: coupons, gift card, refunds, France, US dollars, yen, Kuwaiti dinars.")
        self.step_histories()
        paid = len(PAID) + 2
        self.until(lambda: self.posted("sales_order") >= paid or None, "the first orders to reach the ERP")
        self.until(lambda: self.due() == 0 or None, "the first orders to be posted")
        self.tell(f"{self.posted('sales_order')} sales orders are in the ERP, with {self.posted()} documents in all.")
        self.tell(f"Order {shown} there: {', '.join(self.documents_of(shown))}.")

    def merchants_day(self) -> None:
        self.story.head("The merchant works: edits, cancels, refunds")
        for _ in range(2):
            self.tell(self.step_histories())
            time.sleep(STEP_PAUSE_S)

    def the_warehouse_speaks(self) -> None:
        self.story.head("The warehouse says what is there, and the shop offers it")
        products = demo_stock.add_products(self.places)
        demo_stock.put(self.places, demo_stock.ON_HAND)
        self.until(lambda: demo_stock.agrees(self.places).ok or None, "the first numbers to reach the shop")
        self.tell(f"The shop had none: now it offers {told_of(demo_stock.offered(self.places))}.")
        order = recorded("order_simple_paid")
        order["line_items"][0] |= {"product_id": products["MUG"], "sku": "MUG"}
        order_id = self.control("orders", order=order)["order_id"]
        demo_stock.put(self.places, {"TEAPOT": 30})
        self.until(lambda: demo_stock.agrees(self.places).ok or None, "the sale and the goods to be counted")
        now = told_of(demo_stock.offered(self.places))
        self.tell(f"Order {order_id} takes 2 mugs while 24 teapots come in: it offers {now}.")

    def the_erp_goes_down(self) -> None:
        self.story.head("The ERP goes down")
        before = self.posted()
        self.erp_modes(fault="down", retry_after_s=1)
        self.tell("The ERP answers 503 to everything. The shop goes on selling:")
        placed = [self.place(name) for name in WHILE_DOWN]
        self.tell(f"{len(placed)} more orders, one of them with 90 lines, and {lower_first(self.step_histories())}")
        self.until(self.breaker, "the engine to notice that the ERP is down")
        self.tell(f"The engine has stopped calling it: {self.breaker()}.")
        self.until(lambda: all(self.knows(order_id) for order_id in placed) or None, "the engine to go on taking in")
        self.tell(f"It goes on taking in what the shop sells. {self.due()} documents wait, in the engine's database.")
        self.erp_modes(reset=True)
        self.tell("The ERP is back.")
        self.until(lambda: self.posted() > before or None, "the engine to try the ERP again")
        self.until(lambda: self.due() == 0 or None, "what waited to be posted")
        self.tell(f"All that waited is posted: {self.posted() - before} documents more, none of them twice.")

    def an_answer_is_lost(self) -> None:
        self.story.head("The ERP commits, and its answer is lost")
        self.erp_modes(fault="cut_after_commit", fault_times=1)
        for name in AFTER:
            self.place(name)
        self.until(lambda: self.erp_mode("fault") is None or None, "the lost answer")
        self.tell("The ERP committed, and the line was cut before it answered: the engine can't know what was done.")
        self.until(lambda: self.due() == 0 or None, "the engine to look up what became of them")
        self.tell("It asked the ERP for the keys, found the documents, and posted none of them again.")

    def a_delivery_comes_twice(self) -> None:
        self.story.head("A webhook delivery comes twice")
        self.until(lambda: not self.control_state("webhooks")["waiting"] or None, "earlier deliveries to go out")
        self.control("webhook-faults", faults=["twice"])
        order_id = self.place("order_simple_paid")
        self.until(lambda: self.deliveries_of(order_id) > 1 or None, "the delivery to come twice")
        self.until(lambda: self.knows(order_id) or None, f"order {order_id} to reach the engine")
        events = self.count("select count(*) from events where subject = ?", f"order {STORE}/{order_id}")
        twice = f"Order {order_id} was delivered {self.deliveries_of(order_id)} times"
        self.tell(f"{twice}; the engine keeps {events} fact{'s' * (events != 1)} of it.")

    def the_agent_dies(self) -> None:
        self.story.head("The agent dies: kill -9")
        first = [self.place(name) for name in ("order_guest_fr", "order_usd")]
        agent = self.children["agent"]
        agent.kill()
        self.tell(f"Killed while orders {first[0]} and {first[1]} were coming in. The shop goes on:")
        more = [self.place(name) for name in ("order_multiline_coupon_fee", "order_variation")]
        self.tell(f"Orders {more[0]} and {more[1]} come while nobody listens; {lower_first(self.step_histories())}")
        time.sleep(STEP_PAUSE_S)
        agent.start()
        self.tell("The agent is started again. What its outbox holds and what it missed, it sends now.")
        self.until(lambda: all(self.knows(o) for o in first + more) or None, "the missed orders to reach the engine")
        self.tell("All four are there.")

    def nobody_mapped_it(self) -> None:
        self.story.head("A payment method that nobody has mapped")
        order = {**recorded("order_simple_paid"), "payment_method": "klarna_later", "payment_method_title": "Pay later"}
        order_id = self.control("orders", order=order)["order_id"]
        self.until(lambda: self.case_of(order_id), "the case")
        self.tell(f"Order {order_id} is not guessed at. It is a case: {escape(self.case_of(order_id) or '')}")
        more = rules()
        more["rules"] = "demo, with klarna_later"
        row = {"store": "*", "method": "klarna_later", "gateway": "klarna", "from": "2020-01-01"}
        more["payment_methods"].append(row)
        (self.folder / "rules.yaml").write_text(json.dumps(more, indent=1))
        self.counterfoil("rules", "load", self.path("rules.yaml"))
        self.until(lambda: self.case_of(order_id) is None or None, "the case to end by itself")
        self.tell("The missing row is filled in (counterfoil rules load); the order goes on by itself.")

    def finish_histories(self) -> None:
        while told := self.step_histories():
            self.tell(told)
            time.sleep(STEP_PAUSE_S)

    def step_histories(self) -> str:
        """Let the next thing happen to the order of each recorded history. Returns what happened, "" at the end."""
        told = []
        for name in HISTORIES:
            if name not in self.replays:
                answer = self.control("histories", recording=name)
                self.replays[name] = answer["replay"]
            step = self.control(f"histories/{self.replays[name]}/step")
            if step["after"]:
                told.append(f"order {step['order_id']}: {step['after']}")
        return upper_first("; ".join(told)) + "." if told else ""

    def come_to_rest(self) -> None:
        self.until(self.at_rest, "everything to come to rest", REST_TIMEOUT_S)
        self.tell("Everything is at rest: nothing to send, to look at or to post.")

    # The proof

    def prove_all(self) -> bool:
        self.story.head("The proof: shop, engine and ERP compared from outside")
        proof = prove(self.places)
        proof.checks.append(self.replay_changes_nothing())
        held = show_proof(self.story, proof)
        seconds = time.monotonic() - self.story.began_s
        verdict = "[green]Every invariant held.[/green]" if held else "[red]An invariant did not hold.[/red]"
        self.story.console.print(f"\n{verdict} {len(proof.lines)} orders, {self.posted()} documents, {seconds:.0f} s.")
        return held

    def replay_changes_nothing(self) -> demo_proof.Check:
        """I6: every fact is looked at again, and nothing comes of it."""
        name, before = "I6  replaying every event changes nothing", demo_proof.fingerprint(self.places)
        self.counterfoil("replay", "--since", "2000-01-01")
        self.until(self.at_rest, "the replay to end", REST_TIMEOUT_S)
        keys, balances = demo_proof.fingerprint(self.places)
        is_same = (keys, balances) == before
        detail = f"{len(keys)} documents before and after" if is_same else f"{len(keys ^ before[0])} documents differ"
        return demo_proof.Check(name, is_same, detail)

    def stay_up(self) -> None:
        """Until Ctrl-C, saying how to look around and how to break things."""
        post = "curl -H 'Content-Type: application/json'"
        erp = f'{post} -H "Authorization: Bearer $COUNTERFOIL_ERP_TOKEN" {self.erp_url}/sandbox'
        edit = json.dumps(self.a_cent_more())
        console, password = f"{self.engine_url}/console", self.let_in("demo")
        self.story.head("Look around, and break things")
        for what, how in (
            (f"The console: sign in as demo, with the password {password}", f"{console}/"),
            ("  what is stuck, and what ends it", f"{console}/cases"),
            ("  one order from the click to the ledger line", f"{console}/orders/{STORE}/1002"),
            ("  why the shop shows a number", f"{console}/stock"),
            ("  how far the month is from its close", f"{console}/close"),
            ("The shop: place orders, edit, refund, cancel, send twice", self.shop_url),
            ("The ERP: its books, and switches for its bad days", self.erp_url),
            ("In another terminal, first", f". {self.write_env()}"),
            ("Ask the engine", f"counterfoil status; counterfoil order {STORE}/1002; counterfoil cases"),
            ("Stop the ERP, and start it again", f'{erp}/modes -d \'{{"fault": "down"}}\''),
            ("", f"{erp}/modes -d '{{\"reset\": true}}'"),
            ("Send an order twice", f"{post} {self.shop_url}/sandbox/orders/1001/send-twice -d '{{}}'"),
            ("Edit a document behind its back, by a cent", f"{erp}/tamper -d '{edit}'"),
            ("Prove again, which finds it", f"{sys.executable} -m counterfoil_engine.demo --prove {self.folder}"),
        ):
            if what:
                self.story.console.print(f"  [bold]{what}[/bold]")
            self.story.console.print(f"    {escape(how)}", soft_wrap=True)
        self.story.console.print("\nCtrl-C ends it and leaves nothing behind.")
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
                for child in self.children.values():
                    if not child.is_up():
                        raise failed(f"The {child.name} has ended by itself.", child)
        self.story.console.print("\nEnded.")

    def let_in(self, name: str) -> str:
        """Somebody who may do all in the console; their password."""
        password, token = secrets.token_hex(8), self.engine_environment["COUNTERFOIL_API_TOKEN"]
        for path, body in (
            ("users", {"name": name, "role": "admin"}),
            ("users/password", {"name": name, "password": password}),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            requests.post(f"{self.engine_url}/v1/{path}", json=body, headers=headers, timeout=10).raise_for_status()
        return password

    def write_env(self) -> Path:
        """What a shell needs to speak to the engine and the ERP; in the demo's folder, which is its owner's alone."""
        variables = {
            "COUNTERFOIL_URL": self.engine_url,
            "COUNTERFOIL_API_TOKEN": self.engine_environment["COUNTERFOIL_API_TOKEN"],
            "COUNTERFOIL_ERP_TOKEN": self.places.erp_token,
            "PATH": f"{Path(sys.executable).parent}:$PATH",
        }
        file = self.folder / "env"
        file.write_text("".join(f'export {name}="{value}"\n' for name, value in variables.items()))
        return file

    def a_cent_more(self) -> dict[str, Any]:
        """What to edit in the ERP: one of its invoices, by a cent."""
        documents = demo_proof.Ledger.of_erp(self.places.erp_file).documents
        key = next(k for k, document in documents.items() if document["kind"] == "invoice" and document["amount_minor"])
        return {"key": key, "amount_minor": documents[key]["amount_minor"] + 1}

    # Asking and telling the processes

    def shop_api(self) -> Any:
        return demo_proof.shop_api(self.places)

    def counterfoil(self, *words: str) -> None:
        """One of Counterfoil's own commands, as a person would type it."""
        answer = subprocess.run(
            [script("counterfoil"), "--url", self.engine_url, *words],
            env={**os.environ, **self.engine_environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if answer.returncode != 0:
            said = " ".join((answer.stderr or answer.stdout).split())
            raise CounterfoilError(f"`counterfoil {' '.join(words)}` failed: {said}", "See the engine's log.", "outage")

    def place(self, recording: str, *refunds: str) -> int:
        return int(self.control("orders", recording=recording, refund_recordings=refunds)["order_id"])

    def control(self, path: str, **body: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.shop_url}/sandbox/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return dict(answer.json())

    def control_state(self, path: str) -> dict[str, Any]:
        return dict(requests.get(f"{self.shop_url}/sandbox/{path}", timeout=30).json())

    def erp_modes(self, **modes: Any) -> None:
        headers = {"Authorization": f"Bearer {self.places.erp_token}"}
        requests.post(f"{self.erp_url}/sandbox/modes", json=modes, headers=headers, timeout=30).raise_for_status()

    def erp_mode(self, name: str) -> Any:
        headers = {"Authorization": f"Bearer {self.places.erp_token}"}
        return requests.get(f"{self.erp_url}/sandbox/modes", headers=headers, timeout=30).json()[name]

    def count(self, query: str, *values: Any) -> int:
        """A number out of the engine's database."""
        return int(next(demo_proof.rows(self.places.engine_file, query, values))[0])

    def posted(self, kind: str = "%") -> int:
        """Documents in the ERP."""
        query = "select count(*) from documents where kind like ?"
        return int(next(demo_proof.rows(self.places.erp_file, query, (kind,)))[0])

    def documents_of(self, order_id: int) -> list[str]:
        """What the ERP has of an order, in its own numbers."""
        query = "select kind, number from documents where key like ? order by id"
        found = demo_proof.rows(self.places.erp_file, query, (f"{STORE}/{order_id}/%",))
        return [f"{row['kind'].replace('_', ' ')} {row['number']}" for row in found]

    def deliveries_of(self, order_id: int) -> int:
        recent = self.control_state("webhooks")["recent"]
        return sum(1 for each in recent if each["order_id"] == order_id and each["outcome"] == "delivered")

    def due(self) -> int:
        return self.count("select count(*) from intents where state in ('ready', 'sent')")

    def breaker(self) -> str | None:
        query = "select reason from breakers where state <> 'closed' and entity = ?"
        row = next(demo_proof.rows(self.places.engine_file, query, (ENTITY,)), None)
        return None if row is None else str(row[0]).rstrip(".")

    def knows(self, order_id: int) -> bool:
        return self.count("select count(*) from subjects where subject = ?", f"order {STORE}/{order_id}") > 0

    def case_of(self, order_id: int) -> str | None:
        query = "select cause from cases where subject = ? and resolved_at is null"
        row = next(demo_proof.rows(self.places.engine_file, query, (f"order {STORE}/{order_id}",)), None)
        return None if row is None else str(row[0])

    def at_rest(self) -> bool | None:
        """Nothing on its way: the engine's newest fact of each order is what the shop shows, looked at and posted."""
        busy = self.due() + self.count("select count(*) from work") + self.control_state("webhooks")["waiting"]
        return True if not busy and not demo_proof.behind(self.places) else None

    def until(
        self, ready: Callable[[], Any], what: str, timeout_s: float = REST_TIMEOUT_S, child: Child | None = None
    ) -> Any:
        """Wait until something is true (not None), and return it; too long, or a process gone, ends the demo."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            with suppress(demo_proof.NotThereYet):
                if (value := ready()) is not None:
                    return value
            for each in self.children.values():
                if not each.is_up():
                    raise failed(f"The {each.name} ended while waiting for {what}.", each)
            time.sleep(0.1)
        raise failed(f"Waited {timeout_s:.0f} s in vain for {what}.", child or self.children["engine"])


def prove(places: Places) -> Proof:
    """Orders and stock, all parties as they are now."""
    proof = demo_proof.prove(places)
    proof.checks.append(demo_stock.agrees(places))
    return proof


def told_of(units: Mapping[str, int]) -> str:
    return ", ".join(f"{number} of {sku}" for sku, number in sorted(units.items()))


def show_proof(story: Story, proof: Proof) -> bool:
    """The proof on the screen, cases first. Returns whether all held."""
    for case in proof.cases:
        head = f"case {case['category']}, {case['subject']}"
        text = f"{escape(case['cause'])} {escape(case['remedy'])}"
        story.console.print(f"  [yellow]{escape(head)}[/yellow]: {text}", soft_wrap=True)
    story.console.print(table_of(proof))
    for check in proof.checks:
        mark = "[green]OK  [/green]" if check.ok else "[red]FAIL[/red]"
        story.console.print(f"  {mark}  {escape(check.name)}: {escape(check.detail)}", soft_wrap=True)
    return proof.ok


def table_of(proof: Proof) -> Table:
    """What is kept of all orders without a case, by currency: as the shop, the engine and the ERP have it."""
    table = Table(box=box.SIMPLE, title_justify="left")
    for column, is_left in (
        ("sold, less given back", True),
        ("orders", False),
        ("shop", False),
        ("engine", False),
        ("ERP", False),
    ):
        table.add_column(column, justify="left" if is_left else "right")
    for total in proof.totals:
        amounts = [
            demo_proof.as_money(each, total.currency)
            for each in (total.shop_minor, total.engine_minor, total.erp_minor)
        ]
        table.add_row(total.currency, str(total.orders), *amounts)
    return table


def rules() -> dict[str, Any]:
    """The rules file: JSON is YAML too, and its strings are quoted."""
    since = {"from": "2020-01-01"}
    sold = {line["sku"] for order in recorded_orders() for line in order["line_items"] if line["sku"]}
    skus = sorted(sold | demo_stock.ON_HAND.keys())
    untaxed = {line["sku"] for order in recorded_orders() for line in order["line_items"] if not line["taxes"]}
    jurisdictions = (("DE", "domestic"), ("FR", "oss"), ("CA-QC", "export"))
    codes = (
        ("DE-MWST 19%-1", "domestic", "DE"),
        ("DE-MWST 7%-1", "domestic", "DE"),
        ("FR-TVA 20%-1", "oss", "FR"),
        ("CA-QC-*", "domestic", "CA-QC"),
    )
    return {
        "rules": "demo",
        "entities": [
            {
                "id": ENTITY,
                "book_currency": "EUR",
                "zone": "Europe/Berlin",
                "country": "DE",
                "registrations": [{"jurisdiction": j, "treatment": t} for j, t in jurisdictions],
            }
        ],
        "stores": [
            {
                "id": STORE,
                "entity": ENTITY,
                "pool": "eu",
                "start_line": "2026-01-01T00:00:00Z",
                "switches": {"erp": "on"},
            }
        ],
        "payment_methods": [{"store": "*", "method": m, "gateway": m, **since} for m in ("bacs", "cod", "cheque")],
        "tax_rates": [{"store": "*", "code": c, "treatment": t, "jurisdiction": j, **since} for c, t, j in codes],
        "items": [
            {"store": "*", "sku": sku, "item": sku, "class": "goods", "exempt": sku in untaxed, **since} for sku in skus
        ],
        "guests": [{"store": "*", "policy": "per_country", **since}],
        "fees": [
            {"store": "*", "title": "Gift card*", "reads_as": "gift_card", "provider": "gift-cards", **since},
            {"store": "*", "title": "Loyalty discount", "reads_as": "fee", **since},
        ],
        "rates": [{"book": "EUR", "currency": c, "rate": r, **since} for c, r in RATES.items()],
        "sequence": [{"entity": "*", "method": "*", "invoice_on": "acceptance", **since}],
        **demo_stock.rules_of(ENTITY),
    }


def recorded(name: str) -> Any:
    """A recording that comes with the sandbox."""
    file = resources.files("counterfoil_sandbox") / "recorded" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def recorded_orders() -> Iterator[dict[str, Any]]:
    for name in (*PAID, *UNPAID, *WHILE_DOWN, *AFTER, "order_after_partial_refund", "order_fully_refunded"):
        yield recorded(name)
    for name in HISTORIES:
        for snapshot in recorded(f"histories/{name}")["snapshots"]:
            if "order" in snapshot:
                yield snapshot["order"]


def write_places(folder: Path, places: Places) -> None:
    """For `--prove`; the folder is readable by its owner alone."""
    told = {name: str(value) for name, value in asdict(places).items()}
    (folder / "demo.json").write_text(json.dumps(told, indent=1))


def read_places(folder: Path) -> Places:
    try:
        told = json.loads((folder / "demo.json").read_text())
    except (OSError, ValueError):
        raise CounterfoilError(
            f"No demo is up in {folder}.", "Start one with `make demo` and use the folder that it names."
        ) from None
    return Places(**{**told, "erp_file": Path(told["erp_file"]), "engine_file": Path(told["engine_file"])})


def failed(cause: str, child: Child) -> CounterfoilError:
    said = " / ".join(line.strip() for line in child.tail(6))
    return CounterfoilError(cause, f"The {child.name}'s log ends: {said or 'it said nothing'}", "outage")


def script(name: str) -> str:
    """A command of this very installation, whether or not it is on the path."""
    return str(Path(sys.executable).with_name(name))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        requests.get(url, timeout=2)
    except requests.RequestException:
        return False
    return True


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


if __name__ == "__main__":
    sys.exit(main())
