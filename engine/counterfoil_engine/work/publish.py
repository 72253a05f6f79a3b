"""Publishing what may be sold: the numbers of SKUs that changed, each with the next version of its pool.

    marked SKUs → positions, order lines, policy in one snapshot → numbers, caps → versions, and the marks are done

One publisher serves a pool at a time. A SKU that a store's move was counted for gets a version in any case, since its
basis has moved (A1); any other only where something about its number changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from loguru import logger

from counterfoil_engine.domain.availability import (
    Availability,
    Policies,
    Term,
    available,
    cap_of,
    item_key,
    kit,
    left_of,
)
from counterfoil_engine.domain.errors import Unavailable
from counterfoil_engine.domain.reservations import Reservation, SoldLine, reservation
from counterfoil_engine.domain.rules import Rules
from counterfoil_engine.domain.stock import sku_key
from counterfoil_engine.ports import (
    AtsRecords,
    PoolInputs,
    PoolLocks,
    PoolState,
    Published,
    PublishedCap,
    Rejected,
    RulesBook,
    Transactions,
)
from counterfoil_engine.work.feed import told_version

AT_ONCE = 5_000  # marks of one publication: so long may others wait for it
_ALWAYS = frozenset({"move", "set"})
_COUNTS = frozenset({"count", "receipt"})
_SHORTEST_RENEWAL = timedelta(minutes=15)
_BY_OWNER = frozenset({"position", "receipt"})  # the owner of the stock said something new


class Computed(NamedTuple):
    """A SKU's number and what it came from."""

    available: Availability
    reservations: Sequence[Reservation]
    published: Published


class Publisher:
    """Publishes the pools of the rules in force; `step` is all that its loop calls.

    catch_up: counts what older databases have not counted yet; whether there is more."""

    def __init__(
        self,
        database: Transactions,
        book: RulesBook,
        ats: AtsRecords,
        locks: PoolLocks,
        catch_up: Callable[[], bool] = lambda: False,
        at_once: int = AT_ONCE,
    ) -> None:
        self._database, self._book, self._ats, self._locks = database, book, ats, locks
        self._catch_up, self._at_once = catch_up, at_once
        self._prepared: tuple[str, str] | None = None
        self._policies: dict[str, Policies] = {}

    def step(self) -> bool:
        """Publish what is marked, a part of each pool; False where nothing was."""
        did = self._catch_up()
        with self._database.transaction() as tx:
            try:
                rules = self._book.current(tx)
            except Unavailable:
                return did
            if not rules.pools:
                return did
            as_of = tx.now()
            names = self._ats.unread_names(tx, None)
            pools = [pool for pool in self._ats.dirty_pools(tx, as_of) if pool in rules.pools]
        if names:
            self._name(rules, names, as_of)
        if self._prepare(rules, as_of):
            pools = sorted(rules.pools)
        for pool in pools:
            did = self.publish(pool) > 0 or did
        return did

    def publish_all(self, pool: str | None = None) -> int:
        """Publish until nothing is marked; how many versions were given."""
        total = 0
        while self.step():
            total += 1
        return total

    def publish(self, pool: str) -> int:
        """Publish a part of what is marked in a pool; how many marks were answered. 0 while another is at it."""
        with self._locks.hold(pool) as is_free:
            if not is_free:
                return 0
            with self._database.transaction() as tx:
                self._ats.snapshot(tx)
                done, closed = self._publish(tx, pool)
            if closed:
                with self._database.transaction() as tx:
                    self._ats.close_lines(tx, closed)
        return done

    # What the rules say, once for each version and day

    def _prepare(self, rules: Rules, as_of: datetime) -> bool:
        """Let all be computed anew where rules or day are others than those published by; a new day is a count."""
        day = as_of.date().isoformat()
        if self._prepared == (rules.version, day):
            return False
        self._policies = {}
        with self._database.transaction() as tx:
            is_new = self._ats.set_members(tx, members(rules))
        with self._database.transaction() as tx:
            names = self._ats.unread_names(tx, rules.version)
        self._name(rules, names, as_of)
        began = [self._begin(rules, pool, as_of, is_new) for pool in sorted(rules.pools)]
        if None not in began:
            self._prepared = (rules.version, day)
        return any(began)

    def _begin(self, rules: Rules, pool: str, as_of: datetime, is_new: bool) -> bool | None:
        """Whether the pool has to be computed anew by these rules; None while another publishes it."""
        day = as_of.date().isoformat()
        with self._locks.hold(pool) as is_free:
            if not is_free:
                return None
            with self._database.transaction() as tx:
                state = self._ats.state_of(tx, pool)
                if (state.rules_version, state.counted_on) == (rules.version, day) and not is_new:
                    return False
                floor = self._floor(tx, rules, pool, state.rules_version)
                self._ats.begin_pool(tx, pool, rules.version, day, floor)
                kits = Policies(rules, pool, as_of.date()).kits
                self._ats.mark_all(tx, pool, "rules" if state.counted_on == day else "count", kits)
                if floor > state.version:
                    self._ats.mark_all(tx, pool, "set", kits)
                return True

    def _floor(self, tx: Any, rules: Rules, pool: str, before: str | None) -> int:
        """What the pool's versions have to be above: all that its stores may have been told by pools that they were in,
        since a store writes no version below one that it has (A6). before: the rules it was published by until now."""
        versions = self._ats.versions(tx)
        if before is None:
            return max(versions.values(), default=0)
        old = self._book.version(tx, before)
        stores = old.stores if old is not None else {}
        came = {stores[name].pool for name, one in rules.stores.items() if one.pool == pool and name in stores}
        return max((versions.get(name, 0) for name in came - {pool}), default=0)

    def _name(self, rules: Rules, names: Sequence[tuple[str, str, str]], as_of: datetime) -> None:
        named = [(store, said, old, item_key(rules, store, said, as_of.date())) for store, said, old in names]
        with self._database.transaction() as tx:
            self._ats.rename(tx, named, rules.version)

    def _policies_of(self, rules: Rules, pool: str, as_of: datetime) -> Policies:
        known = self._policies.get(pool)
        if known is None or known.rules is not rules or known.on != as_of.date():
            known = self._policies[pool] = Policies(rules, pool, as_of.date())
        return known

    # One publication

    def _publish(self, tx: Any, pool: str) -> tuple[int, list[SoldLine]]:
        ats, as_of = self._ats, tx.now()
        rules = self._book.current(tx)
        if pool not in rules.pools:
            return 0, []
        ats.mark_time(tx, pool, as_of)
        marks = ats.dirty(tx, pool, self._at_once)
        if not marks:
            return 0, []
        state = ats.state_of(tx, pool)
        policies = self._policies_of(rules, pool, as_of)
        reasons: dict[str, set[str]] = {}
        for _, key, reason in marks:
            reasons.setdefault(key, set()).add(reason)
        _with_kits(reasons, policies)
        calculation = Calculation.load(tx, ats, pool, list(reasons), rules, policies, as_of)
        computed = {key: one for key in reasons if (one := calculation.of(key)) is not None}
        caps = self._caps(tx, pool, policies, computed, reasons)
        must = {cap.key for cap in caps}
        rows: list[Published] = []
        later: dict[str, datetime | None] = {}
        for key, one in computed.items():
            before, row = calculation.inputs.published.get(key), _renewed(one.published, as_of)
            is_ending = row.silence_hours is not None and "time" in reasons[key]
            if before is None or key in must or reasons[key] & _ALWAYS or is_ending or _differs(before, row):
                is_by_owner = before is None or reasons[key] & _BY_OWNER
                changed = calculation.newest_as_of(key) if is_by_owner else before and before.changed_as_of
                rows.append(Published(*row[:-1], changed))
                continue
            again_at = row.again_at if row.silence_hours is None else _first(before.again_at, row.again_at)
            if before.again_at != again_at:
                later[key] = again_at
        ats.publish(tx, pool, state, rows, caps, ats.bases(tx, policies.stores), [mark[0] for mark in marks])
        ats.note_again(tx, pool, later)
        if rows:
            logger.debug("published", pool=pool, skus=len(rows), marks=len(marks))
        return len(marks), calculation.closed()

    def _caps(
        self,
        tx: Any,
        pool: str,
        policies: Policies,
        computed: Mapping[str, Computed],
        reasons: Mapping[str, set[str]],
    ) -> list[PublishedCap]:
        """The stores' shares that are counted anew, or of which more or less is left (A4)."""
        known = self._ats.caps(tx, pool, list(computed)) if computed else {}
        if not policies.has_caps and not known:
            return []
        shares = {
            (store, key): share
            for key, one in computed.items()
            for store in policies.stores
            if (share := policies.share(store, one.published.sku)) is not None
        }
        self._ats.forget_caps(tx, pool, [place for place in known if place not in shares])
        sold = self._ats.sold(tx, list(shares))
        found: list[PublishedCap] = []
        for (store, key), share in shares.items():
            cap, sold_now = known.get((store, key)), sold.get((store, key), 0)
            if cap is None or cap.share != share or reasons[key] & _COUNTS:
                cap = cap_of(share, computed[key].available.number, sold_now)
            elif not reasons[key] & _ALWAYS:
                continue
            found.append(PublishedCap(store, key, cap, left_of(cap, sold_now)))
        return found

    # Why a number is what it is

    def why(self, pool: str, sku: str) -> dict[str, Any]:
        """The waterfall of a SKU as of now, each term with its source and age, and what was published and written."""
        with self._database.transaction() as tx:
            self._ats.snapshot(tx)
            rules, as_of, key = self._book.current(tx), tx.now(), sku_key(sku)
            if pool not in rules.pools:
                raise _nothing(f"There is no pool {pool!r}.", f"Known are {', '.join(sorted(rules.pools)) or 'none'}.")
            policies = self._policies_of(rules, pool, as_of)
            calculation = Calculation.load(tx, self._ats, pool, [key], rules, policies, as_of)
            computed = calculation.of(key)
            if computed is None:
                raise _nothing(
                    f"No warehouse of {pool} has a position of {sku!r}.",
                    "Write it as the warehouse's owner does; counterfoil cases shows what can't be read.",
                )
            return {
                **_number(computed, calculation, policies, key, as_of, self._ats.engine_epoch(tx)),
                "pool": pool,
                "terms": [_term(term, calculation.owners, rules.version, as_of) for term in computed.available.terms],
                "reservations": [_reservation(one) for one in computed.reservations],
                "stores": self._stores(tx, pool, policies, key, computed.published.sku),
            }

    def _stores(self, tx: Any, pool: str, policies: Policies, key: str, sku: str) -> list[dict[str, Any]]:
        """For each store: its cap, the basis, and the last numbers written with the store's answers."""
        caps, bases = self._ats.caps(tx, pool, [key]), self._ats.bases(tx, policies.stores)
        sold = self._ats.sold(tx, [(store, key) for store in policies.stores])
        writes: dict[str, list[dict[str, Any]]] = {}
        for row in self._ats.writes_of(tx, key):
            writes.setdefault(row["store"], []).append(
                {name: _plain(row[name]) for name in ("version", "number", "verdict", "stock", "reason", "at")}
            )
        found = []
        for store in policies.stores:
            cap = caps.get((store, key))
            left = left_of(cap, sold.get((store, key), 0)) if cap else None
            shown = {"units": cap.units, "share": str(cap.share), "left": left} if cap else None
            basis = bases.get(store)
            found.append(
                {
                    "store": store,
                    "cap": shown,
                    "basis": {"epoch": basis[0], "n": basis[1]} if basis else None,
                    "writes": writes.get(store, []),
                }
            )
        return found


def members(rules: Rules) -> Iterator[tuple[str, str, str]]:
    """Who marks a pool dirty: its warehouses; the stores whose pool shares one with it (A4); and the other warehouses
    of those stores' pools (`beside`), since what they hold of a line ends its reservation here."""
    for pool in rules.pools.values():
        own = set(pool.warehouses)
        beside: set[str] = set()
        for store in rules.stores.values():
            other = rules.pools.get(store.pool)
            if other is not None and own & set(other.warehouses):
                yield "store", store.id, pool.id
                beside |= set(other.warehouses) - own
        yield from (("warehouse", name, pool.id) for name in own)
        yield from (("beside", name, pool.id) for name in beside)


def _with_kits(reasons: dict[str, set[str]], policies: Policies) -> None:
    """A kit that was sold takes from its parts, and a part that changed changes the kits that it is in."""
    for key in list(reasons):
        for part in policies.kits.get(key, ()):
            reasons.setdefault(part.key, set()).add("kit")
    for key in list(reasons):
        for name in policies.kits_with.get(key, ()):
            reasons.setdefault(name, set()).update({"kit"} | (reasons[key] & _COUNTS))


def _renewed(row: Published, as_of: datetime) -> Published:
    """A number that has an end gets its next version at half the time until then, so it ends only in a silence."""
    if row.silence_hours is None:
        return row
    half = max(timedelta(hours=row.silence_hours) / 2, _SHORTEST_RENEWAL)
    return row._replace(again_at=_first(row.again_at, as_of + half))


def _first(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _differs(before: Published, now: Published) -> bool:
    return before[1:7] != now[1:7]


class Calculation:
    """The numbers of some SKUs of a pool, from inputs read in one snapshot."""

    def __init__(self, inputs: PoolInputs, pool: str, rules: Rules, policies: Policies, as_of: datetime) -> None:
        self.inputs, self._policies, self._as_of = inputs, policies, as_of
        owners = [rules.warehouses[name] for name in rules.pools[pool].warehouses if name in rules.warehouses]
        self.owners = {one.id: f"{one.owner} {one.entity}" for one in owners}
        self._by_store = bool(owners) and all(one.lines == "store" for one in owners)
        self._stock: dict[str, tuple[Availability, list[Reservation]]] = {}
        self._closed: list[SoldLine] = []

    @classmethod
    def load(
        cls,
        tx: Any,
        ats: AtsRecords,
        pool: str,
        keys: Sequence[str],
        rules: Rules,
        policies: Policies,
        as_of: datetime,
    ) -> Calculation:
        needed = dict.fromkeys(keys)
        needed.update(dict.fromkeys(part.key for key in keys for part in policies.kits.get(key, ())))
        line_keys = dict.fromkeys(needed)
        line_keys.update(dict.fromkeys(name for key in needed for name in policies.kits_with.get(key, ())))
        return cls(ats.inputs(tx, pool, list(needed), list(line_keys)), pool, rules, policies, as_of)

    def of(self, key: str) -> Computed | None:
        """None where nothing is known of the SKU in this pool."""
        parts = self._policies.kits.get(key)
        before = self.inputs.published.get(key)
        if parts is None and key not in self.inputs.stock and before is None:
            return None
        sku = self.inputs.skus.get(key) or (before.sku if before else key)
        policy = self._policies.of(sku)
        if parts is None:
            found, reservations = self._of_stock(key)
        else:
            found = kit([(part, self._of_stock(part.key)[0]) for part in parts], policy)
            reservations = []
        published = Published(
            key,
            sku,
            0 if policy.excluded else found.number,
            policy.excluded,
            policy.backorders and not policy.discontinued,
            policy.silence_hours,
            policy.silence_share,
            found.stock_as_of,
            found.again_at,
        )
        return Computed(found, reservations, published)

    def newest_as_of(self, key: str) -> datetime | None:
        """Of all positions that the number rests on."""
        keys = [part.key for part in self._policies.kits.get(key, ())] or [key]
        return max((one.as_of for each in keys for one in self.inputs.stock.get(each, ())), default=None)

    def closed(self) -> list[SoldLine]:
        """Lines that are shipped in full, as positions show."""
        return self._closed

    def _of_stock(self, key: str) -> tuple[Availability, list[Reservation]]:
        if key not in self._stock:
            policy = self._policies.of(self.inputs.skus.get(key, key))
            stock, reservations = self.inputs.stock.get(key, ()), self._reservations(key, policy.unpaid_hours)
            self._stock[key] = (available(stock, reservations, policy, self._as_of), reservations)
        return self._stock[key]

    def _reservations(self, key: str, unpaid_hours: int | None) -> list[Reservation]:
        """What order lines reserve of a SKU: its own, and those of kits that take it."""
        own = self.inputs.lines.get(key, []) if key not in self._policies.kits else []
        lines = list(own)
        for name in self._policies.kits_with.get(key, ()):
            each = next(part.units for part in self._policies.kits[name] if part.key == key)
            lines += [line._replace(key=key, each=each) for line in self.inputs.lines.get(name, ())]
        if not lines:
            return []
        seen, found = self.inputs.seen.get(key, {}), []
        for line in lines:
            held = self.inputs.held.get((line.store, line.order_id, line.line, key), ())
            one = reservation(line, held, seen, self._as_of, unpaid_hours=unpaid_hours, by_store=self._by_store)
            found.append(one)
            if one.shipped >= line.lowered and line in own:
                self._closed.append(line)
        return found


# Showing


def _nothing(cause: str, remedy: str) -> Rejected:
    return Rejected(cause, remedy, slug="no-such-subject")


def _number(
    computed: Computed, calculation: Calculation, policies: Policies, key: str, as_of: datetime, epoch: int
) -> dict[str, Any]:
    before = calculation.inputs.published.get(key)
    policy = policies.of(computed.published.sku)
    return {
        "sku": computed.published.sku,
        "as_of": as_of.isoformat(),
        "number": computed.published.number,
        "excluded": computed.published.excluded,
        "published": {"number": before.number, "version": told_version(epoch, before.version)} if before else None,
        "is_published": before is not None and not _differs(before, computed.published),
        "again_at": _plain(computed.available.again_at),
        "policy": {
            name: _plain(sorted(value) if isinstance(value, frozenset) else value)
            for name, value in vars(policy).items()
            if name != "by_warehouse"
        },
    }


def _term(term: Term, owners: Mapping[str, str], version: str, as_of: datetime) -> dict[str, Any]:
    age_s = round((as_of - term.as_of).total_seconds(), 1) if term.as_of else None
    return {
        "name": term.name,
        "units": term.units,
        "warehouse": term.warehouse,
        "source": owners.get(term.warehouse or "", "") if term.as_of else term.source or f"rules {version}",
        "as_of": _plain(term.as_of),
        "age_s": age_s,
    }


def _reservation(one: Reservation) -> dict[str, Any]:
    return {
        "store": one.line.store,
        "order": one.line.order_id,
        "line": one.line.line,
        "lowered": one.line.lowered * one.line.each,
        "allocated": one.allocated,
        "shipped": one.shipped,
        "waiting": one.waiting,
        "reserved": one.units,
        "note": one.note,
    }


def _plain(value: Any) -> Any:
    """A value as JSON can say it."""
    if value is None or isinstance(value, str | int | bool | list):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


__all__ = ["Calculation", "Computed", "PoolState", "Publisher", "members"]
