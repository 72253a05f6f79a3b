"""The outbox: numbers without holes, nothing sent twice in vain, nothing forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from counterfoil_agent import snapshot
from counterfoil_agent.errors import Stop
from counterfoil_agent.outbox import TABLES, Outbox, at_work
from counterfoil_agent.ports import Through, Verdict
from counterfoil_agent.snapshot import Event

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def an_event(order_id: int = 1001, text: str = "a", money: str = "m") -> Event:
    return Event(snapshot.ORDER, order_id, f'{{"text":"{text}"}}'.encode(), money)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox.open(tmp_path / "outbox.sqlite", Random(1))
    opened.renumber(1)
    yield opened
    opened.close(clean=False)


def put(outbox: Outbox, count: int = 3, first: int = 1) -> None:
    for place in range(first, first + count):
        assert outbox.append(an_event(1000 + place), NOW) is not None


def store_all(outbox: Outbox, now: datetime = NOW) -> None:
    rows = outbox.batch(1000, 10**9, now)
    outbox.acknowledge([Verdict(row.n, row.id, "stored") for row in rows], now)
    if rows:
        outbox.stored_through(Through(rows[-1].n, rows[-1].id), now)


def test_an_outbox_of_the_layout_before_is_taken_over_with_all_that_waits(tmp_path: Path) -> None:
    path = tmp_path / "older.sqlite"
    old = sqlite3.connect(path)
    old.executescript(TABLES)
    old.execute("insert into counter values (1, 1, 1)")
    old.execute(
        "insert into rows (epoch, n, id, type, order_id, time, occurred_on, traceparent, body, body_hash, money,"
        " appended_s) values (1, 1, 'a', ?, 1001, '', '', '', x'7b7d', '', '', 0)",
        (snapshot.ORDER,),
    )
    old.execute("pragma user_version = 1")
    old.commit()
    old.close()
    with pytest.raises(Stop, match="another version"):
        Outbox.read_only(path)
    outbox = Outbox.open(path, Random(1))
    assert [row.order_id for row in outbox.batch(10, 10**6, NOW)] == [1001]
    assert outbox.one("select count(*), count(written_as_of) from stock_numbers") == (0, 0)
    outbox.close()
    Outbox.read_only(path).close()


def test_numbers_go_up_one_by_one_and_ids_are_random(outbox: Outbox) -> None:
    put(outbox, 3)
    rows = outbox.batch(10, 10**6, NOW)
    assert [row.n for row in rows] == [1, 2, 3]
    assert len({row.id for row in rows}) == 3


def test_what_is_undone_burns_no_number(outbox: Outbox) -> None:
    with pytest.raises(RuntimeError), outbox.writing():
        outbox.append(an_event(1), NOW)
        raise RuntimeError
    row = outbox.append(an_event(2), NOW)
    assert row is not None
    assert row.n == 1


def test_an_order_that_says_the_same_as_last_time_is_not_sent_again(outbox: Outbox) -> None:
    assert outbox.append(an_event(text="a"), NOW)
    assert outbox.append(an_event(text="a"), NOW) is None


def test_an_order_that_goes_back_to_what_it_was_is_sent_again(outbox: Outbox) -> None:
    for text in "aba":
        assert outbox.append(an_event(text=text), NOW)
    assert [row.body for row in outbox.batch(10, 10**6, NOW)] == [b'{"text":"a"}', b'{"text":"b"}', b'{"text":"a"}']


def test_numbers_go_on_after_the_outbox_was_emptied(outbox: Outbox) -> None:
    put(outbox, 3)
    store_all(outbox)
    outbox.prune(NOW + timedelta(days=30), 0, 10**9)
    row = outbox.append(an_event(2000), NOW)
    assert row is not None
    assert row.n == 4


def test_a_batch_ends_at_its_count_or_its_bytes_but_never_before_the_first_row(outbox: Outbox) -> None:
    put(outbox, 5)
    assert len(outbox.batch(2, 10**6, NOW)) == 2
    assert len(outbox.batch(100, 1, NOW)) == 1
    assert len(outbox.batch(100, 1300, NOW)) == 2


def test_the_bytes_of_data_come_out_as_they_went_in(outbox: Outbox) -> None:
    body = '{"order": {"total":"1.50",  "n":1.50, "name":"Kö\\u006cn"},"refunds":[]}'.encode()
    outbox.append(Event(snapshot.ORDER, 1, body), NOW)
    row = outbox.batch(1, 10**6, NOW)[0]
    assert row.encoded("eu1").endswith(b',"data":' + body + b"}")


def test_a_refused_event_still_holds_its_number(outbox: Outbox) -> None:
    put(outbox, 1)
    row = outbox.batch(1, 10**6, NOW)[0]
    assert outbox.acknowledge([Verdict(row.n, row.id, "refused", "no")], NOW) == 0
    assert outbox.depth().waiting == 1


def test_a_verdict_on_another_event_of_the_same_number_is_none_on_ours(outbox: Outbox) -> None:
    put(outbox, 1)
    assert outbox.acknowledge([Verdict(1, "0" * 32, "stored")], NOW) == 0
    assert outbox.depth().waiting == 1


def test_what_is_kept_invalid_counts_as_stored_and_is_told(outbox: Outbox) -> None:
    put(outbox, 1)
    row = outbox.batch(1, 10**6, NOW)[0]
    assert outbox.acknowledge([Verdict(row.n, row.id, "kept-invalid", "no total")], NOW) == 1
    assert outbox.kept_invalid(0)[0]["reason"] == "no total"


def test_rows_that_wait_are_never_pruned(outbox: Outbox) -> None:
    put(outbox, 3)
    assert outbox.prune(NOW + timedelta(days=365), 0, 0) == 0
    assert outbox.depth().waiting == 3


def test_delivered_rows_are_kept_for_a_while_and_the_last_ones_id_for_ever(outbox: Outbox) -> None:
    put(outbox, 3)
    store_all(outbox)
    assert outbox.prune(NOW + timedelta(days=6), 7 * 86_400, 10**9) == 0
    last = outbox.position().last
    assert outbox.prune(NOW + timedelta(days=8), 7 * 86_400, 10**9) == 2
    assert outbox.position().last == last
    assert outbox.id_of(1, 3) == last.id


def test_delivered_rows_go_earlier_where_the_file_is_over_its_share(outbox: Outbox) -> None:
    put(outbox, 3)
    store_all(outbox)
    assert outbox.prune(NOW, 7 * 86_400, share_bytes=1) == 2


def test_rows_move_into_a_new_epoch_in_their_order_with_their_ids(outbox: Outbox) -> None:
    put(outbox, 2)
    store_all(outbox)
    put(outbox, 2, first=10)
    waiting = [row.id for row in outbox.batch(10, 10**6, NOW)]
    assert outbox.renumber(2) == 2
    rows = outbox.batch(10, 10**6, NOW)
    assert [(row.epoch, row.n) for row in rows] == [(2, 1), (2, 2)]
    assert [row.id for row in rows] == waiting
    assert outbox.position().through == Through(0, None)


def test_an_epoch_is_never_used_twice(outbox: Outbox) -> None:
    with pytest.raises(Stop, match="used already"):
        outbox.renumber(1)


def test_rows_above_a_watermark_that_went_back_wait_again(outbox: Outbox) -> None:
    put(outbox, 5)
    store_all(outbox)
    assert outbox.unacknowledge(above=2) == 3
    assert [row.n for row in outbox.batch(10, 10**6, NOW)] == [3, 4, 5]


def test_the_watermark_acknowledges_what_a_lost_answer_left_waiting(outbox: Outbox) -> None:
    put(outbox, 3)
    outbox.attempted(outbox.batch(10, 10**6, NOW), NOW)
    outbox.stored_through(Through(2, outbox.id_of(1, 2)), NOW)
    assert [row.n for row in outbox.batch(10, 10**6, NOW)] == [3]


def test_a_hole_is_filled_from_what_is_kept_and_else_with_a_void(outbox: Outbox) -> None:
    put(outbox, 5)
    store_all(outbox)
    outbox.prune(NOW + timedelta(days=30), 0, 10**9)
    put(outbox, 1, first=6)
    store_all(outbox)
    assert outbox.fill([(3, 3), (5, 5)], NOW) == 2
    rows = outbox.batch(10, 10**6, NOW)
    assert [(row.n, row.type) for row in rows] == [(3, snapshot.VOID), (5, snapshot.ORDER)]


def test_a_hole_beyond_the_last_number_is_none_of_ours(outbox: Outbox) -> None:
    put(outbox, 1)
    assert outbox.fill([(5, 10**12)], NOW) == 0


def test_a_tombstone_takes_the_number_and_keeps_hash_reason_and_what_was_said(outbox: Outbox) -> None:
    put(outbox, 1)
    row = outbox.batch(1, 10**6, NOW)[0]
    outbox.bury(row, "Too large.", NOW)
    stone = outbox.batch(1, 10**6, NOW)[0]
    assert (stone.n, stone.type) == (row.n, snapshot.TOMBSTONE)
    assert stone.id != row.id
    assert b'"reason":"Too large."' in stone.body
    assert outbox.tombstones()[0]["id"] == row.id
    assert outbox.buried_body(row.id) == row.body
    assert outbox.buried_since(NOW) == 1


def test_what_is_held_lets_its_neighbours_go_on(outbox: Outbox) -> None:
    put(outbox, 2)
    first = outbox.batch(1, 10**6, NOW)[0]
    assert outbox.hold(first, NOW + timedelta(seconds=30)) == 1
    assert [row.n for row in outbox.batch(10, 10**6, NOW)] == [2]
    assert [row.n for row in outbox.batch(10, 10**6, NOW + timedelta(seconds=31))] == [1, 2]


def test_near_the_bound_rows_that_say_the_same_about_money_become_one(outbox: Outbox) -> None:
    for text in ("a", "b", "c"):
        outbox.append(an_event(1, text, money="paid"), NOW)
    outbox.append(an_event(1, "d", money="refunded"), NOW)
    assert outbox.merge(NOW) == 2
    assert [row.type for row in outbox.batch(10, 10**6, NOW)] == [snapshot.VOID] * 2 + [snapshot.ORDER] * 2


def test_what_differs_in_money_is_never_merged(outbox: Outbox) -> None:
    for money in "xyx":
        outbox.append(an_event(1, money, money), NOW)
    assert outbox.merge(NOW) == 0


def test_what_the_engine_may_have_already_is_never_merged(outbox: Outbox) -> None:
    for text in "ab":
        outbox.append(an_event(1, text), NOW)
    outbox.attempted(outbox.batch(10, 10**6, NOW), NOW)
    assert outbox.merge(NOW) == 0


def test_a_marker_never_moves_before_the_work(outbox: Outbox) -> None:
    with pytest.raises(RuntimeError), outbox.writing():
        outbox.append(an_event(), NOW)
        outbox.remember("walk:any", "further")
        raise RuntimeError
    assert outbox.recall("walk:any") is None
    assert outbox.depth().waiting == 0


def test_a_second_agent_is_refused_with_a_remedy(outbox: Outbox) -> None:
    with pytest.raises(Stop, match="Another agent") as refused:
        Outbox.open(outbox.path, Random(2))
    assert refused.value.remedy
    assert at_work(outbox.path)


def test_an_outbox_without_an_agent_is_not_at_work(tmp_path: Path) -> None:
    assert not at_work(tmp_path / "outbox.sqlite")
    Outbox.open(tmp_path / "outbox.sqlite", Random(1)).close()
    assert not at_work(tmp_path / "outbox.sqlite")


def test_a_damaged_outbox_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(Stop, match="damaged") as refused:
        Outbox.open(path, Random(1))
    assert "handover" in refused.value.remedy
    with pytest.raises(Stop, match="damaged"):
        Outbox.read_only(path)


def test_damage_inside_is_found_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox.open(path, Random(1))
    put(outbox, 200)
    outbox._db.execute("pragma wal_checkpoint(truncate)")
    outbox.close(clean=False)
    torn = bytearray(path.read_bytes())
    torn[4096 * 5 : 4096 * 12] = b"\xff" * 4096 * 7
    path.write_bytes(torn)
    with pytest.raises(Stop, match="damaged"):
        Outbox.open(path, Random(1))


def test_an_outbox_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    Outbox.open(path, Random(1)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 99")
    with pytest.raises(Stop, match="newer agent"):
        Outbox.open(path, Random(1))


def test_a_folder_that_cant_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Stop, match="can't be written"):
        Outbox.open(tmp_path / "file" / "outbox.sqlite", Random(1))


def test_an_outbox_that_isnt_there_cant_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="no outbox"):
        Outbox.read_only(tmp_path / "outbox.sqlite")


def test_a_full_disk_stops_writing_and_undoes_what_was_begun(outbox: Outbox) -> None:
    pages = outbox._db.execute("pragma page_count").fetchone()[0]
    outbox._db.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(Stop, match="full"):
        outbox.append(Event(snapshot.ORDER, 1, b"x" * 100_000), NOW)
    outbox._db.execute("pragma max_page_count = 1000000")
    row = outbox.append(an_event(), NOW)
    assert row is not None
    assert row.n == 1


def test_only_its_owner_may_read_the_file(outbox: Outbox) -> None:
    assert outbox.path.stat().st_mode & 0o077 == 0


def test_who_looks_on_sees_what_the_agent_has_committed(outbox: Outbox) -> None:
    put(outbox, 2)
    view = Outbox.read_only(outbox.path)
    assert view.depth().waiting == 2
    assert [row["order_id"] for row in view.waiting()] == [1001, 1002]
    with pytest.raises(Stop):
        view.remember("a", "b")
    view.close()


def test_only_what_was_sent_and_passed_is_acknowledged_by_the_engines_last_number(outbox: Outbox) -> None:
    put(outbox, 4)
    rows = outbox.batch(1000, 10**9, NOW)
    outbox.attempted(rows[:3], NOW)
    outbox.hold(rows[1], NOW + timedelta(seconds=10))
    outbox.bury(rows[2], "It can't pass.", NOW)
    outbox.stored_through(Through(4, rows[3].id), NOW)
    assert [row["n"] for row in outbox.waiting()] == [2, 3, 4]


def test_an_agent_that_stops_on_a_full_disk_lets_go_of_its_outbox(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox.open(path, Random(1))
    outbox._db.execute("pragma query_only = 1")
    with pytest.raises(Stop, match="can't be written"):
        outbox.close()
    assert not at_work(path)
    Outbox.open(path, Random(1)).close()


def test_a_full_disk_at_the_start_is_not_told_as_damage(tmp_path, monkeypatch):
    """Who were told "damaged" would put the file aside, and with it what still waits in it."""
    Outbox.open(tmp_path / "outbox.sqlite", Random(1)).close(clean=False)

    class Full(sqlite3.Connection):
        def execute(self, sql, *values):
            if sql == "pragma journal_mode = wal":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, **named, factory=Full))
    with pytest.raises(Stop) as stopped:
        Outbox.open(tmp_path / "outbox.sqlite", Random(1))
    assert "damaged" not in stopped.value.cause and "Make room" in stopped.value.remedy
