"""The composition root: steps by hand, threads that run them, one process on SQLite, and the schedule's jobs."""

import threading
import time
from dataclasses import replace

import pytest
from counterfoil_engine import config
from counterfoil_engine.bootstrap import SystemClock, build, opened, serve
from counterfoil_engine.domain.errors import CounterfoilError
from counterfoil_engine.records import identity
from counterfoil_engine.records.database import Database
from counterfoil_engine.records.lanes import leads
from fakes.databases import DIALECTS, database_url
from fakes.engine import a_document, a_world
from fakes.erp import FakeErp
from fakes.events import incoming


def test_nothing_is_written_by_a_preview(world):
    world.due("1001", a_document("payment", 100))
    world.run()
    world.due("1001", a_document("payment", 90), mark=False)
    before = world.one("select count(*) from intents"), world.one("select count(*) from looks")
    considered = world.looker().preview("order eu1/1001")
    assert [type(step).__name__ for step in considered.steps] == ["Reverse", "Post"]
    assert (world.one("select count(*) from intents"), world.one("select count(*) from looks")) == before
    assert world.one("select count(*) from brakes") == 0
    assert world.looker().preview("order eu1/9999").steps == []


def an_engine(world):
    return build(
        world.database,
        world.clock,
        {"DE01": world.erp},
        dues=world.dues,
        parse=lambda text, version: world.book._parse(text, version or "v1"),
        jitter=lambda: 0.0,
    )


def deliver(engine, world, *orders):
    """Orders come in through the front door; what they make due is said by the world."""
    engine.events.greet("eu1", "a" * 32, "1", {"order": [1]})
    for n, order in enumerate(orders, start=1):
        world.facts[str(order)] = [(a_document("payment", 100, order=str(order)),)]
        engine.events.append("eu1", [incoming(f"event {order}", n, order)])


def test_an_engine_looks_posts_and_does_its_jobs_step_by_step(world):
    engine = an_engine(world)
    deliver(engine, world, 1001)
    assert not engine.step_post()
    assert engine.step_look() and engine.step_post() and not engine.step_post()
    world.clock.pass_time(2)
    assert engine.step_look() and not engine.step_look()
    assert not engine.step_jobs()
    assert world.erp.posted() == ["eu1/1001/payment/x/r1"]
    engine.give_back()
    assert world.one("select count(*) from lanes where holder is not null") == 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_threads_of_every_role_do_the_same_and_stop_when_told(dialect, tmp_path):
    clock = SystemClock()
    with database_url(dialect, tmp_path) as url:
        database = Database(url, clock)
        world = a_world(database, clock)
        if dialect == "postgresql":
            del database.now  # the server's own clock
        world.erp = FakeErp(clock, lanes=3)
        engine = an_engine(world)
        deliver(engine, world, *range(1001, 1021))
        stop = threading.Event()
        threads = engine.run("all", stop)
        deadline = time.monotonic() + 30
        while len(world.erp.posted()) < 20 and time.monotonic() < deadline:
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join(timeout=10)
        assert sorted(world.erp.posted()) == [f"eu1/{number}/payment/x/r1" for number in range(1001, 1021)]
        assert not any(thread.is_alive() for thread in threads)
        assert world.one("select count(*) from lanes where holder is not null") == 0
        database.close()


def test_one_process_at_a_time_leads_the_schedule(database):
    assert leads(database) and leads(database)
    other = Database(database.url, database._clock)
    try:
        assert leads(other) is database.is_sqlite  # on SQLite there is one process anyway
        database.close()
        if not database.is_sqlite:
            time.sleep(0.2)
            assert leads(other)
    finally:
        other.close()


def test_a_sign_of_life_says_since_when_to_ask_after_a_restore(world):
    engine = an_engine(world)
    world.clock.pass_time(7200)
    engine.jobs.alive()
    world.clock.pass_time(7200)
    with world.database.transaction() as tx:
        identity.doubt(tx, "restored")
    engine.jobs.alive()  # while it is in doubt, no life is written
    with world.database.transaction() as tx:
        identity.confirm(tx, engine.place)
        since = identity.to_adopt(tx, "erp", "DE01")
    engine.jobs.alive()
    with world.database.transaction() as tx:
        assert identity.to_adopt(tx, "erp", "DE01") == since
    assert (world.clock.now() - since).total_seconds() == 7200 + 3600


def test_a_backup_that_is_put_back_between_two_starts_is_noticed(world):
    """Each sign of life is noted beside the database: a backup has seen fewer of them than the note."""
    engine, noted = an_engine(world), []
    engine.jobs = replace(engine.jobs, note=noted.append)
    engine.jobs.alive()
    with world.database.transaction() as tx:
        backup = identity.read(tx)["starts"]
    engine.jobs.alive()
    assert noted == [backup, backup + 1]
    with world.database.transaction() as tx:
        tx.run("update identity set starts = %s", backup)
        assert identity.establish(tx, engine.place, "an-id", noted[-1])["confirmed"] == 0
    engine.jobs.alive()
    assert noted == [backup, backup + 1]  # in doubt, nothing is noted: the next start doubts as well


# Serving.


RULES = """rules: "{}"
entities:
  - {{id: DE01, book_currency: EUR, zone: Europe/Berlin, country: DE}}
stores:
  - {{id: eu1, entity: DE01, start_line: 2026-01-01T00:00:00Z}}
"""


def settings(tmp_path, **engine):
    return config.settings({"engine": {"database": f"sqlite:///{tmp_path}/engine.sqlite", **engine}}, {})


def test_a_second_process_on_one_sqlite_file_refuses(tmp_path):
    second = opened(settings(tmp_path), SystemClock())
    with opened(settings(tmp_path), SystemClock()), pytest.raises(CounterfoilError, match="Another process serves"):
        second.__enter__()


def test_a_role_of_its_own_needs_postgresql(tmp_path):
    path = tmp_path / "engine.toml"
    path.write_text(f'[engine]\ndatabase = "sqlite:///{tmp_path}/engine.sqlite"\n')
    with pytest.raises(CounterfoilError, match="needs PostgreSQL"):
        serve(path, "worker", {})


def test_a_file_put_back_from_a_backup_or_copied_elsewhere_is_in_doubt(tmp_path):
    with opened(settings(tmp_path), SystemClock()) as engine, engine.records.transaction() as tx:
        assert identity.is_confirmed(tx)
    backup = (tmp_path / "engine.sqlite").read_bytes()
    with opened(settings(tmp_path), SystemClock()):
        pass
    (tmp_path / "engine.sqlite").write_bytes(backup)  # in place: the same file on the disk
    for rest in tmp_path.glob("engine.sqlite-*"):
        rest.unlink()
    with opened(settings(tmp_path), SystemClock()) as engine, engine.records.transaction() as tx:
        assert "restored from a backup" in identity.read(tx)["reason"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "engine.sqlite").write_bytes(backup)
    with opened(settings(elsewhere), SystemClock()) as engine, engine.records.transaction() as tx:
        assert "another place" in identity.read(tx)["reason"]


def test_rules_of_the_settings_are_put_in_force_once_and_a_later_version_stays(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format("v1"))
    for _ in range(2):
        with opened(settings(tmp_path, rules=str(path)), SystemClock()) as engine, engine.records.transaction() as tx:
            assert engine.book.current(tx).version == "v1"
    with opened(settings(tmp_path, rules=str(path)), SystemClock()) as engine:
        assert engine.load_rules(RULES.format("v2"), "anna") == "v2"
    with opened(settings(tmp_path, rules=str(path)), SystemClock()) as engine, engine.records.transaction() as tx:
        assert engine.book.current(tx).version == "v2"  # an operator loaded it after the file was written
    path.write_text(RULES.format("v1") + "# edited without a new label\n")
    with pytest.raises(CounterfoilError, match="was loaded before"):
        opened(settings(tmp_path, rules=str(path)), SystemClock()).__enter__()
