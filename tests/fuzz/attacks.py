"""The bad requests: to the engine's ingest and commands, to the agent's webhook receiver, to the ERP.

Most of them are signed rightly, or bear the right token: behind the door it gets interesting. What such a request might
do by right is kept off the good orders: it speaks for the store `hostile`, and names that store's things.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fuzz import corpus, mutate
from fuzz.wire import Attempt, Headers, garbage

HOSTILE = "hostile"  # the store whose agent has gone bad
AGENTS = ("/v1/hello", "/v1/epoch", "/v1/events", "/v1/heartbeat", "/v1/updates", "/v1/sweeps")
BY_CONTRACT = {"/v1/updates": "feed/results.v1", "/v1/sweeps": "feed/sweep_answers.v1"}  # no traffic of theirs is kept
METHODS = ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", "post", "P" * 30)
TYPES = (
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data", "",
    "application/json; charset=utf-16", "application/json; charset=" + "x" * 300, "application/cloudevents+json",
    "application/json;;;=", "APPLICATION/JSON", "*/*", "é/ö",
)  # fmt: skip


@dataclass(frozen=True)
class Keys:
    """Every secret of the run, by name, and the mark of personal data."""

    secrets: dict[str, str]
    mark: str
    place: list[int] = field(default_factory=lambda: [1, 0])  # the hostile store's epoch and last number

    @property
    def epoch(self) -> int:
        return self.place[0]

    def next_number(self) -> int:
        self.place[1] += 1
        return self.place[1]

    def told(self, epoch: int) -> None:
        """The hostile store has got an epoch, in which numbers begin anew."""
        if epoch != self.epoch:
            self.place[:] = [epoch, 0]

    def __getitem__(self, name: str) -> str:
        return self.secrets[name]


def attack(keys: Keys, randomly: random.Random) -> Attempt:
    """Any one of them."""
    makers: tuple[tuple[int, Callable[[Keys, random.Random], Attempt]], ...] = (
        (38, ingest),
        (10, command),
        (20, webhook),
        (26, erp),
        (6, anything),
    )
    return randomly.choices([maker for _, maker in makers], [weight for weight, _ in makers])[0](keys, randomly)


# The engine, as its agents speak to it


def ingest(keys: Keys, randomly: random.Random) -> Attempt:
    path = randomly.choices(AGENTS, (2, 1, 10, 2, 2, 2))[0]
    body = _garbled_at_times(_agents_body(path, keys, randomly), randomly)
    attempt = Attempt("engine", f"ingest {path}", path=path, body=body)
    encoding = "identity"
    if randomly.random() < 0.3:
        encoding, attempt.body = _packed(body, randomly)
    kind = "application/cloudevents-batch+json" if path == "/v1/events" else "application/json"
    attempt.headers = [("Content-Type", kind), ("Content-Encoding", encoding)]
    _bent(attempt, randomly)
    attempt.headers += _signatures(attempt, keys, randomly)
    return attempt


def _agents_body(path: str, keys: Keys, randomly: random.Random) -> bytes:
    if path == "/v1/events":
        return _batch([_event(keys, randomly) for _ in range(randomly.choice((1, 1, 1, 2, 3, 8)))])
    if path in ("/v1/hello", "/v1/epoch") and randomly.random() < 0.3:
        good: Any = {"store": HOSTILE, "installation": "0" * 32, "epoch": keys.epoch, "reason": "because"}
        return mutate.encoded(mutate.changed({**good, "agent_version": "1", "contracts": {"order": [1]}}, randomly, 2))
    if path in BY_CONTRACT:
        said = corpus.from_contract(BY_CONTRACT[path], randomly)
        said = {**said, "store": HOSTILE} if isinstance(said, dict) else said
        return mutate.encoded(said if randomly.random() < 0.3 else mutate.changed(said, randomly, 3, big=True))
    body = randomly.choice([body for sent, body in corpus.traffic() if sent == path])
    return mutate.encoded(mutate.changed(_ours(body), randomly, 3, big=True))


def _event(keys: Keys, randomly: random.Random) -> bytes:
    # Mostly the next number, so that the watermark follows and what is readable is posted.
    n = keys.next_number() if randomly.random() < 0.9 else randomly.randrange(1, 2**40)
    event = envelope(randomly, HOSTILE, keys.epoch, n, {})
    kind = randomly.randrange(10)
    if kind < 6:
        event["data"] = {"order": _bad_order(keys, randomly), "refunds": []}
        if kind == 0:
            event["data"]["refunds"] = [mutate.changed(randomly.choice(corpus.refunds()), randomly, 2)]
        order_id = event["data"]["order"].get("id") if isinstance(event["data"]["order"], dict) else 1
        event["subject"] = f"order/{order_id if isinstance(order_id, int) else 1}"
    elif kind == 6:
        event["data"] = corpus.from_contract("events/order.v1", randomly)
    elif kind == 7:
        name = randomly.choice(("gone", "void", "tombstone", "heartbeat", "envelope"))
        event["data"] = corpus.from_contract(f"events/{name}.v1", randomly)
        event |= {"type": f"counterfoil.{name}.v1", "dataschema": f"urn:counterfoil:events:{name}:1"}
    else:
        event["data"] = {"order": corpus.marked(randomly.choice(corpus.orders()), keys.mark), "refunds": []}
    if kind > 4:
        return mutate.encoded(mutate.changed(event, randomly, 3, big=True))
    return mutate.encoded(event)


def _bad_order(keys: Keys, randomly: random.Random) -> Any:
    """A shopper's or a shop's order with something wrong in it, under an id of its own."""
    order = corpus.marked(randomly.choice(corpus.orders()), keys.mark)
    order |= {"id": randomly.randrange(10**6, 4 * 10**8), "customer_id": randomly.randrange(10**6, 4 * 10**8)}
    return mutate.changed(
        order, randomly, 4, big=randomly.random() < 0.2, keep=("id",) if randomly.random() < 0.9 else ()
    )


def envelope(randomly: random.Random, store: str, epoch: int, n: int, data: Any) -> dict[str, Any]:
    """A good event."""
    return {
        "specversion": "1.0",
        "id": f"{randomly.getrandbits(128):032x}",
        "source": f"/stores/{store}",
        "type": "counterfoil.order.v1",
        "subject": f"order/{data.get('order', {}).get('id', 1)}",
        "time": "2026-11-23T10:00:00.000Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:counterfoil:events:order:1",
        "traceparent": f"00-{randomly.getrandbits(128):032x}-{randomly.getrandbits(64):016x}-01",
        "epoch": epoch,
        "n": n,
        "occurredon": "2026-11-23",
        "data": data,
    }


def hostile_event(keys: Keys, randomly: random.Random, store: str, epoch: int, n: int) -> bytes:
    """An event that breaks something, but keeps its brackets and its place, so that its neighbours have theirs."""
    order = _bad_order(keys, randomly)
    if randomly.random() < 0.3:
        order = mutate.changed(order, randomly, 3, keep=("id",))
    event = envelope(randomly, store, epoch, n, {"order": order, "refunds": []} if isinstance(order, dict) else {})
    if randomly.random() < 0.3:
        event = mutate.changed(event, randomly, 1, keep=("epoch", "n", "source"))
    return mutate.encoded(event)


def batch_of(events: list[bytes]) -> bytes:
    return _batch(events)


def _batch(events: list[bytes]) -> bytes:
    return b"[" + b",".join(events) + b"]"


def _ours(body: Any) -> Any:
    return json.loads(json.dumps(body).replace("eu1", HOSTILE))


def _packed(body: bytes, randomly: random.Random) -> tuple[str, bytes]:
    how = randomly.randrange(12)
    packed = gzip.compress(body, 1)
    if how < 5:
        return "gzip", packed
    if how == 5:
        return "gzip", bomb(randomly.choice((20, 200)))
    if how == 6:
        return "gzip", mutate.garbled(packed, randomly)
    if how == 7:
        return "gzip", packed + packed
    if how == 8:
        return "gzip", gzip.compress(packed, 1)
    if how == 9:
        return "gzip", body
    return randomly.choice((("deflate", packed), ("br", body), ("gzip, gzip", packed), ("GZIP", packed), ("\t", body)))


_BOMBS: dict[int, bytes] = {}


def bomb(megabytes: int) -> bytes:
    """A few KB that unpack to very much."""
    if megabytes not in _BOMBS:
        _BOMBS[megabytes] = gzip.compress(b"[" + b" " * (megabytes * 1_000_000), 9)
    return _BOMBS[megabytes]


def signed(keys: Keys, store: str, attempt: Attempt, skew_s: int = 0) -> Headers:
    """The right signature, by a store's own secret."""
    timestamp = str(int(time.time()) + skew_s)
    return [
        ("Counterfoil-Store", store),
        ("Counterfoil-Timestamp", timestamp),
        ("Counterfoil-Signature", "v1=" + _mac(keys[store], attempt, timestamp)),
    ]


def _mac(secret: str, attempt: Attempt, timestamp: str) -> str:
    signed_bytes = f"{attempt.method}\n{attempt.path}\n{timestamp}\n".encode("utf-8", "surrogateescape") + attempt.body
    return hmac.new(secret.encode(), signed_bytes, hashlib.sha256).hexdigest()


def _signatures(attempt: Attempt, keys: Keys, randomly: random.Random) -> Headers:
    good = signed(keys, HOSTILE, attempt)
    how = randomly.randrange(24)
    if how < 14:
        return good
    if how == 14:
        return [header for header in good if randomly.random() < 0.5]
    if how == 15:
        return signed(keys, HOSTILE, attempt, randomly.choice((-(10**9), -3600, -302, 302, 3600, 10**10)))
    if how == 16:  # another store's name over this one's secret
        return [("Counterfoil-Store", "good"), *good[1:]]
    if how == 17:  # what was signed for another path
        return signed(keys, HOSTILE, Attempt("engine", "", path="/v1/hello2", body=attempt.body))
    if how == 18:
        return [*good, ("Counterfoil-Store", "good")]
    name = randomly.choice((0, 1, 2))
    value = randomly.choice(
        (good[name][1] + "\x01", good[name][1].upper(), "", "v1=", "v1=" + "0" * 64, "v2=" + "0" * 64, keys.mark, "-1",
         "٣" * 10, "9" * 30, "1e9", "0" * 3_000, "\udcff\udcfe", "../x", "good\udce9", "nan")
    )  # fmt: skip
    good[name] = (good[name][0], value)
    return good


# The engine, as operators speak to it


def command(keys: Keys, randomly: random.Random) -> Attempt:
    path, body = randomly.choice(
        (
            ("/v1/retry", {"subject": f"order {HOSTILE}/1", "category": "data"}),
            ("/v1/replay", {"since": "2099-01-01T00:00:00Z", "store": HOSTILE, "dry_run": True}),
            ("/v1/rules", {"text": _rules(randomly), "dry_run": True}),
            ("/v1/approve", {"version": "there is none"}),
            ("/v1/handover", {"store": HOSTILE}),
            ("/v1/release-brake", {"entity": "XX99"}),
            ("/v1/switch", {"store": HOSTILE, "party": "erp", "setting": randomly.choice(("preview", "of", "ON", ""))}),
            ("/v1/status", None),
            ("/v1/cases", None),
            (f"/v1/cases/{_segment(randomly)}", None),
            ("/v1/cases/comment", {"case": randomly.choice((1, 0, "x")), "text": "\x00"}),
            ("/v1/rules", None),
            ("/v1/restatements", None),
            (f"/v1/orders/{HOSTILE}/{_segment(randomly)}", None),
            (f"/v1/orders/{_segment(randomly)}/{_segment(randomly)}", None),
        )
    )
    attempt = Attempt("engine", f"command {path[:12]}", method="GET" if body is None else "POST", path=path)
    if body is None:
        attempt.path += _query(randomly, ("category", "limit", "store"))
    elif "text" in body and randomly.random() < 0.7:
        attempt.body = mutate.encoded(body)
    else:
        # What makes a command harmless stays: were it lost by chance, the good orders would feel it by right.
        keep = ("dry_run", "store", "subject", "entity", "setting")
        attempt.body = _garbled_at_times(mutate.encoded(mutate.changed(body, randomly, 2, keep=keep)), randomly)
    attempt.headers = [("Content-Type", "application/json")]
    _bent(attempt, randomly)
    attempt.headers += _bearer(keys["api"], keys, randomly)
    return attempt


_BOMB_OF_ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


def _rules(randomly: random.Random) -> str:
    how = randomly.randrange(6)
    if how == 0:
        return randomly.choice(
            ("", "\x00", "a: b: c", "- " * 2_000, "!!python/object/apply:os.system [id]", _BOMB_OF_ALIASES, "&a [*a]",
             "[" * 3_000, "? {a: b}\n: 1", "<<: {a: 1}", "x: 1\nx: 2", "2026-13-45: 1", "rules: .nan",
             "a: 0x" + "f" * 999)
        )  # fmt: skip
    rules = _RULES[0] if how < 4 else corpus.from_contract("config/rules.v1", randomly)
    text = mutate.encoded(mutate.changed(rules, randomly, 3))
    return text.decode("utf-8", "replace")


_RULES: list[dict[str, Any]] = [{}]  # those of the run; set when it begins


def set_rules(rules: dict[str, Any]) -> None:
    _RULES[0] = rules


# The agent, as the shop and anybody else speak to it


def webhook(keys: Keys, randomly: random.Random) -> Attempt:
    headers, body = randomly.choice(corpus.deliveries())
    attempt = Attempt(
        "webhook", "webhook", path=randomly.choice(("/", "/", "/", "/hook?a=b", "/" + _segment(randomly)))
    )
    kept = [(name, value) for name, value in headers.items() if name.startswith("X-WC-") and "Signature" not in name]
    if randomly.random() < 0.1:
        kept = [(name, str(randomly.choice(mutate.TEXTS[30:]))) for name, _ in kept]
    try:
        order = corpus.marked(json.loads(body), keys.mark)
        attempt.body = mutate.encoded(mutate.changed(order, randomly, 3, big=True, keep=()))
    except (ValueError, TypeError):
        attempt.body = body
    attempt.body = _garbled_at_times(attempt.body, randomly)
    attempt.headers = [("Content-Type", headers.get("Content-Type", "application/json")), *kept]
    _bent(attempt, randomly)
    good = base64.b64encode(hmac.new(keys["hook"].encode(), attempt.body, hashlib.sha256).digest()).decode()
    how = randomly.randrange(14)
    if how < 9:
        attempt.headers.append(("X-WC-Webhook-Signature", good))
    elif how < 13:
        other = base64.b64encode(hmac.new(b"another", attempt.body, hashlib.sha256).digest()).decode()
        wrong = (other, good[:-1], good.lower(), "", "=" * 44, keys.mark, "\udcff", "é", "a" * 4_000, good + good)
        attempt.headers.append(("X-WC-Webhook-Signature", randomly.choice(wrong)))
    return attempt


# The ERP, as the engine and anybody else speak to it


def erp(keys: Keys, randomly: random.Random) -> Attempt:
    how = randomly.randrange(20)
    if how < 11:
        attempt = Attempt("erp", "erp documents", path="/v1/documents", body=_documents(keys, randomly))
    elif how < 13:
        found = {"keys": [document["key"] for document in corpus.documents(HOSTILE)]}
        body = mutate.encoded(mutate.changed(found, randomly, 3, big=True))
        attempt = Attempt("erp", "erp find", path="/v1/documents/find", body=body)
    elif how < 18:
        path = randomly.choice(("documents", "rates", "periods", "balances", "health", "documents/find", "x"))
        query = _query(randomly, ("since", "cursor", "currency", "book", "on", "entity"))
        attempt = Attempt("erp", f"erp {path}", method="GET", path=f"/v1/{path}{query}")
    elif how == 18:
        path = randomly.choice(("/", "/documents/", "/sandbox/modes", "/sandbox/", "/static/"))
        attempt = Attempt(
            "erp", "erp page", method="GET", path=path + _segment(randomly) + _query(randomly, ("before",))
        )
    else:  # switches, without their token: with it they may be turned
        path = "/sandbox/" + randomly.choice(("modes", "tamper", "periods", "rates", "items"))
        kind, body = randomly.choice(
            (
                ("application/x-www-form-urlencoded", b"fault=down&form_token=guessed"),
                ("application/json", b'{"fault":"down"}'),
            )
        )
        guess = [("Authorization", f"Bearer guess {keys.mark}")]
        return Attempt("erp", "erp switches", path=path, body=body, headers=[("Content-Type", kind), *guess])
    attempt.body = _garbled_at_times(attempt.body, randomly) if attempt.method == "POST" else b""
    attempt.headers = [("Content-Type", "application/json")]
    _bent(attempt, randomly)
    if attempt.path.startswith("/sandbox"):
        return attempt
    attempt.headers += _bearer(keys["erp"], keys, randomly)
    return attempt


def _documents(keys: Keys, randomly: random.Random) -> bytes:
    documents = []
    for _ in range(randomly.choice((1, 1, 2, 5, 20))):
        if randomly.random() < 0.15:
            kind = randomly.choice(("invoice", "payment", "customer", "credit_note", "application", "tender"))
            document = corpus.from_contract(f"documents/{kind}.v1", randomly)
        else:
            document = corpus.marked(randomly.choice(corpus.documents(HOSTILE)), keys.mark)
        if isinstance(document, dict) and randomly.random() < 0.7:
            document["key"] = f"{HOSTILE}/{randomly.randrange(10**9)}/x/r1"
        documents.append(mutate.changed(document, randomly, 3, big=True))
    return mutate.encoded({"documents": documents})


# Of all


def anything(keys: Keys, randomly: random.Random) -> Attempt:
    target = randomly.choice(("engine", "engine", "webhook", "erp"))
    path = {"engine": "/v1/events", "webhook": "/", "erp": "/v1/documents"}[target]
    return garbage(randomly, target, path, keys.mark)


def _bent(attempt: Attempt, randomly: random.Random) -> None:
    """Now and then: another method, path, form or framing, and headers that nobody asked for."""
    how = randomly.randrange(24)
    if how == 0:
        attempt.method = randomly.choice(METHODS)
        attempt.may_drop = True
    elif how == 1:
        attempt.path += randomly.choice(("/", "//", "%00", "/..", "?a=b", "?" + "a" * 3_000, "#x", ";x=y", "%2e%2e/"))
    elif how == 2:
        attempt.headers[0] = ("Content-Type", randomly.choice(TYPES))
    elif how == 3:
        attempt.framing = randomly.choice(("chunked", "none", "more", "less"))
        attempt.may_drop = True
    elif how == 4:
        attempt.headers.append(
            randomly.choice(
                (
                    ("X-Forwarded-For", "' OR 1=1"),
                    ("X-Forwarded-Proto", "gopher"),
                    ("X-HTTP-Method-Override", "DELETE"),
                    ("Range", "bytes=0-1,5-"),
                    ("If-Modified-Since", "never"),
                    ("Accept", "text/" + "x" * 2_000),
                    ("Cookie", "session=" + "a" * 3_000),
                    ("Transfer-Encoding", "identity"),
                    ("Expect", "200-maybe"),
                    ("Connection", "close, upgrade"),
                    ("Content-Language", "\udcff"),
                    ("Date", "9" * 50),
                )
            )
        )
        attempt.may_drop = True


def _bearer(token: str, keys: Keys, randomly: random.Random) -> Headers:
    if randomly.random() < 0.8:
        return [("Authorization", f"Bearer {token}")]
    wrong = ("", "Bearer", "Bearer ", f"Bearer {keys.mark}", f"bearer {token}x", f"Basic {keys.mark}",
             "Bearer \udcff\udcc3", "Bearer " + "a" * 3_900, f"Bearer {token[:-1]}")  # fmt: skip
    return [("Authorization", randomly.choice(wrong))]


def _garbled_at_times(body: bytes, randomly: random.Random) -> bytes:
    return mutate.garbled(body, randomly) if randomly.random() < 0.12 else body


def _segment(randomly: random.Random) -> str:
    text = str(randomly.choice((*mutate.TEXTS, *mutate.NUMBERS)))[:400]
    return quote(text, safe="" if randomly.random() < 0.8 else "/.;:@")


def _query(randomly: random.Random, names: tuple[str, ...]) -> str:
    values = ("2026-11-23", "2026-11-23T10:00:00Z", "EUR", "USD", "DE01", "1", *map(str, mutate.TEXTS))
    chosen = [name for name in names if randomly.random() < 0.6]
    parts = [f"{name}={quote(str(randomly.choice(values))[:700])}" for name in chosen]
    if randomly.random() < 0.1:
        parts.append(randomly.choice(("&&", "=", "%ff=%fe", "a[]=1&a[b]=2", "limit=1&limit=2", "%")))
    return "?" + "&".join(parts) if parts else ""
