"""Writes of stock with a basis into the sandbox shop, as the plugin does them, and its answers to sweeps.

    stock = number − what the shop lowered and the number doesn't count

A move isn't counted while it has no number, or one above the basis. A raise counts only up to an uncounted lowering of
the same order line: only the engine's number raises stock. An older version changes nothing. The stock status follows
after the commit, from a fresh read and without the quantity; the mark that asks for it is cleared last.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any

from counterfoil_sandbox.shop_stock import PER_UNIT, Product, status_of, text_of

if TYPE_CHECKING:
    from counterfoil_sandbox.shop_plugin import Plugin

AT_ONCE = 200
LARGEST = 1_000_000_000
ROUNDS = 3
LATE_MS = 3_000
LISTED_FROM, MOST_LISTED = 4, 5_000
GONE = ("trash", "auto-draft")

Json = dict[str, Any]
Basis = tuple[int, int]


def write(plugin: Plugin, items: list[Any]) -> list[Json]:
    """Write numbers; one result per item, in order."""
    results: dict[int, Json] = {}
    good: dict[int, int] = {}
    for place, item in enumerate(items):
        if fault := fault_of(item):
            results[place] = _result(item if isinstance(item, dict) else {}, "error", None, fault)
        elif (known := good.get(item["stock_id"])) is None:
            good[item["stock_id"]] = place
        else:  # twice in one call: the newer one counts
            old, new = (place, known) if items[known]["version"] >= item["version"] else (known, place)
            results[old], good[item["stock_id"]] = _result(items[old], "older"), new
    places = sorted(good.items())
    for start in range(0, len(places), AT_ONCE):
        chunk = dict(places[start : start + AT_ONCE])
        written = _write_chunk(plugin, {stock_id: items[place] for stock_id, place in chunk.items()})
        results |= {chunk[stock_id]: result for stock_id, result in written.items()}
    return [results[place] for place in range(len(items))]


def lapse(plugin: Plugin) -> None:
    """Numbers whose end has come: the shop goes on with the share that the policy leaves for silence."""
    rows = plugin.shop._all(
        "select stock_id, version, epoch, n, number, silence_share from plugin_stock"
        " where lapsed = 0 and expires_ms < ? order by stock_id limit 2000",
        (plugin.now_ms(),),
    )
    items = {
        row[0]: {
            "stock_id": row[0],
            "version": row[1],
            "number": min(row[4], int((row[4] * Decimal(row[5])).to_integral_value(ROUND_FLOOR))),  # a debt stays one
            "whole": row[4],
            "basis": {"epoch": row[2], "n": row[3]},
            "silence_share": row[5],
            "lapsed": True,
        }
        for row in rows
    }
    if items:
        _write_chunk(plugin, items)


def settle_late(plugin: Plugin) -> None:
    """Some seconds after a write: statuses that its process left behind."""
    rows = plugin.shop._all(
        "select stock_id from plugin_stock where crossing = 1 and at_ms < ?", (plugin.now_ms() - LATE_MS,)
    )
    if rows:
        cross(plugin, [row[0] for row in rows])


def _write_chunk(plugin: Plugin, items: dict[int, Json]) -> dict[int, Json]:
    products = plugin.shop.products
    results: dict[int, Json] = {}
    for stock_id, item in items.items():
        product = products.get(stock_id)
        if product is None or product.post_status == "trash":
            why = "The shop has no product with this id." if product is None else "The product is in the trash."
            results[stock_id] = _result(item, "missing", None, why)
        elif not product.manages:
            results[stock_id] = _result(item, "unmanaged", None, UNMANAGED)
    plugin.gate("plugin.stock.read")
    items = {stock_id: item for stock_id, item in items.items() if stock_id not in results}
    if items:
        with plugin.shop.transaction():
            written = _transaction(plugin, items)
        plugin.gate("plugin.stock.written")
        results |= written
        if crossing := [stock_id for stock_id, result in written.items() if result["crossed"]]:
            cross(plugin, crossing)
    return results


UNMANAGED = (
    "The shop does not manage the stock of this product. Switch it on in the product, or map the SKU to the product"
    " that manages it."
)


def _transaction(plugin: Plugin, items: dict[int, Json]) -> dict[int, Json]:
    products, results = plugin.shop.products, dict[int, Json]()
    for stock_id, item in items.items():
        product = products.get(stock_id)
        if product is None:
            results[stock_id] = _result(item, "missing", None, "The shop has no stock row for this product.")
            continue
        standing = plugin.shop._one("select version, lapsed from plugin_stock where stock_id = ?", (stock_id,))
        last, lapsed = standing or (0, 0)
        is_old = (last != item["version"] or lapsed) if item.get("lapsed") else last >= item["version"]
        if is_old:
            reason = f"The shop has a number of version {last}." if last > item["version"] else ""
            results[stock_id] = _result(item, "older", product.stock, reason)
            continue
        basis = (item["basis"]["epoch"], item["basis"]["n"])
        changed = replace(product, stock=item["number"] * PER_UNIT + uncounted(plugin, stock_id, basis))
        crossed = status_of(changed) != product.status
        products.save(changed)
        _keep(plugin, item, crossed)
        results[stock_id] = _result(item, "applied", changed.stock, "", crossed)
    return results


def uncounted(plugin: Plugin, stock_id: int, basis: Basis) -> int:
    """What a number with this basis doesn't count, in ten-thousandths: per order line, never above 0."""
    lines: dict[int, int] = {}
    for line, epoch, n, parts in plugin.shop._all(
        "select order_item_id, epoch, n, parts from plugin_moves where stock_id = ?", (stock_id,)
    ):
        if n is None or (epoch, n) > basis:
            lines[line] = lines.get(line, 0) + parts
    return sum(min(0, parts) for parts in lines.values())


def cross(plugin: Plugin, stock_ids: list[int]) -> None:
    """Put statuses right where they disagree with the quantity, by a save that writes no quantity."""
    products = plugin.shop.products
    for _ in range(ROUNDS):
        wrong = [p for p in map(products.get, stock_ids) if p is not None and p.manages and p.status != status_of(p)]
        for product in wrong:
            plugin.gate("plugin.stock.crossing")  # between reading the product and saving it a sale may come
            with plugin.shop.transaction():
                plugin.shop.connection.execute(
                    "update products set status = ? where id = ?", (status_of(product), product.id)
                )
        if not wrong:
            break
    with plugin.shop.transaction():
        plugin.shop.connection.executemany(
            "update plugin_stock set crossing = 0 where stock_id = ?", [(stock_id,) for stock_id in stock_ids]
        )


def _keep(plugin: Plugin, item: Json, crossed: bool) -> None:
    expires = datetime.fromisoformat(item["expires_at"]).timestamp() * 1000 if item.get("expires_at") else None
    plugin.shop.connection.execute(
        "insert or replace into plugin_stock (stock_id, version, epoch, n, number, expires_ms, silence_share, lapsed,"
        " crossing, at_ms) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            item["stock_id"],
            item["version"],
            item["basis"]["epoch"],
            item["basis"]["n"],
            item.get("whole", item["number"]),
            None if expires is None else int(expires),
            str(item.get("silence_share", 1)),
            bool(item.get("lapsed")),
            crossed,
            plugin.now_ms(),
        ),
    )


def fault_of(item: Any) -> str | None:
    """Why an item can't be taken, or None."""
    if not isinstance(item, dict) or not _is_whole(item.get("stock_id"), 1):
        return "stock_id has to be the whole number by which the shop knows the product."
    if not _is_whole(item.get("version"), 1):
        return "version has to be a whole number above 0."
    if not _is_whole(item.get("number"), -LARGEST) or item["number"] > LARGEST:
        return "number has to be a whole number of units."
    basis = item.get("basis")
    if not isinstance(basis, dict) or not _is_whole(basis.get("epoch"), 0) or not _is_whole(basis.get("n"), 0):
        return "basis has to have epoch and n, whole numbers."
    if item.get("expires_at") is not None and not _is_time(item["expires_at"]):
        return "expires_at has to be a time such as 2026-11-23T09:10:39Z."
    if item.get("silence_share") is not None and not _is_share(item["silence_share"]):
        return "silence_share has to be between 0 and 1."
    return None


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).replace(tzinfo=UTC) is not None
    except ValueError:
        return False


def _is_share(value: Any) -> bool:
    try:
        return 0 <= Decimal(str(value)) <= 1
    except ArithmeticError:
        return False


def _result(item: Json, verdict: str, stock: int | None = None, reason: str = "", crossed: bool = False) -> Json:
    shown = None if stock is None else stock / PER_UNIT
    return {
        "stock_id": item.get("stock_id"),
        "verdict": verdict,
        "stock": int(shown) if shown is not None and shown == int(shown) else shown,
        "crossed": crossed,
        "reason": reason,
    }


# Answers to sweeps


def digest(plugin: Plugin, prefix: str) -> Json:
    """Buckets below a prefix of md5(stock id), or from four digits on the items themselves."""
    items = [item for item in map(_swept(plugin), _managing(plugin)) if _place(item["stock_id"]).startswith(prefix)]
    if len(prefix) >= LISTED_FROM:
        return {"items": items[:MOST_LISTED]}
    buckets: dict[str, tuple[int, int]] = {}
    for item in items:
        bucket = _place(item["stock_id"])[: len(prefix) + 2]
        count, found = buckets.get(bucket, (0, 0))
        buckets[bucket] = count + 1, found ^ digest_of(item)
    return {
        "buckets": [
            {"bucket": bucket, "count": count, "digest": f"{found:015x}"}
            for bucket, (count, found) in sorted(buckets.items())
        ]
    }


def digest_of(item: Json) -> int:
    text = f"{item['stock_id']}|{item['sku']}|{item['number']}|{item['status']}"
    return int(hashlib.md5(text.encode()).hexdigest()[:15], 16)  # noqa: S324 (a checksum)


def _place(stock_id: int) -> str:
    return hashlib.md5(str(stock_id).encode()).hexdigest()  # noqa: S324 (a bucket)


def _managing(plugin: Plugin) -> list[Product]:
    return [p for p in plugin.shop.products.all("manages = 1") if p.post_status not in GONE]


def _swept(plugin: Plugin) -> Any:
    standing = {
        row[0]: (row[1], (row[2], row[3]), row[4])
        for row in plugin.shop._all("select stock_id, version, epoch, n, at_ms from plugin_stock", ())
    }
    outside = _outside(plugin, {stock_id: (basis, at_ms) for stock_id, (_, basis, at_ms) in standing.items()})

    def item(product: Product) -> Json:
        stock = product.stock or 0
        return {
            "stock_id": product.id,
            "sku": product.sku,
            "number": _three_decimals(stock - outside.get(product.id, 0)),
            "stock": _three_decimals(stock),
            "status": product.status,
            "version": standing[product.id][0] if product.id in standing else None,
        }

    return item


def _outside(plugin: Plugin, written: dict[int, tuple[Basis, int]]) -> dict[int, int]:
    """What numbers don't count. Of moves that were there when one was written, only what that write kept: a raise up to
    a lowering of its line."""
    lines: dict[tuple[int, int, bool], int] = {}
    moves = "select stock_id, order_item_id, epoch, n, parts, at_ms from plugin_moves"
    for stock_id, line, epoch, n, parts, at_ms in plugin.shop._all(moves, ()):
        if stock_id in written and (n is None or (epoch, n) > written[stock_id][0]):
            place = stock_id, line, at_ms <= written[stock_id][1]
            lines[place] = lines.get(place, 0) + parts
    outside: dict[int, int] = {}
    for (stock_id, _, was_there), parts in lines.items():
        outside[stock_id] = outside.get(stock_id, 0) + (min(0, parts) if was_there else parts)
    return outside


def _three_decimals(parts: int) -> str:
    return f"{Decimal(parts) / PER_UNIT:.3f}"


def items(plugin: Plugin, after: int, limit: int) -> Json:
    """Everything that has a SKU or whose stock is managed, in the order of ids."""
    products, rows = plugin.shop.products, list[Json]()
    for product in products.all("id > ?", (after,)):
        stock = products.stock_of(product)
        if product.post_status in GONE or not (product.sku or stock):
            continue
        if len(rows) == limit:
            return {"items": rows, "more": True}
        rows.append(
            {
                "id": product.id,
                "stock_id": stock.id if stock else product.id,
                "sku": product.sku,
                "quantity": text_of(stock.stock or 0) if stock else None,
                "status": (stock or product).status,
                "manages": product.manages,
                "parent_id": product.parent_id,
            }
        )
    return {"items": rows, "more": False}
