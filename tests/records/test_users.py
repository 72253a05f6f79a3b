"""People and their tokens as they are kept: hashes alone, names that stay the same person."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta

import pytest
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.records import users as kept
from counterfoil_engine.records.database import Database
from counterfoil_engine.work.users import BOOTSTRAP
from fakes.control import the_users


@pytest.fixture
def users(database, clock):
    database.now = clock.now
    return the_users(database)


def test_a_token_is_its_users_until_it_is_replaced(users):
    first = users.add("anna", "controller", 30, BOOTSTRAP)["token"]
    assert users.of_token(first) == Caller("anna", "controller", token_by="operator")
    second = users.rotate(None, 30, Caller("anna", "controller"))["token"]
    assert users.of_token(first) is None
    assert users.of_token(second) == Caller("anna", "controller", token_by="anna")


def test_a_token_that_differs_in_its_last_character_is_nobodys(users):
    token = users.add("anna", "viewer", 30, BOOTSTRAP)["token"]
    assert users.of_token(token[:-1] + "y") is None
    for other in ("", "cf_", "cf_0000000000000009_" + "x" * 43, token + "x", token.upper()):
        assert users.of_token(other) is None


def test_the_database_holds_no_token_but_its_hash(users, database):
    token = users.add("anna", "viewer", 30, BOOTSTRAP)["token"]
    with database.transaction() as tx:
        row = kept.read(tx, "anna")
        assert row["token_hash"] == hashlib.sha256(token.encode()).hexdigest()
        everything = str([tx.all(f"select * from {table}") for table in ("users", "audit")])
    assert token not in everything and token.rpartition("_")[2] not in everything


def test_a_token_expires_and_says_so(users, clock):
    token = users.add("anna", "viewer", 30, BOOTSTRAP)["token"]
    clock.pass_time(timedelta(days=30).total_seconds() - 1)
    assert users.of_token(token) is not None
    clock.pass_time(1)
    with pytest.raises(Rejected, match="The token of anna expired on 2026-12-23"):
        users.of_token(token)


def test_who_is_removed_may_do_nothing_and_comes_back_as_the_same_person(users, database):
    token = users.add("anna", "admin", 30, BOOTSTRAP)["token"]
    users.remove("anna", BOOTSTRAP)
    assert users.of_token(token) is None and users.list() == {"users": []}
    users.add("anna", "viewer", 30, BOOTSTRAP)
    assert users.of_token(token) is None
    with database.transaction() as tx:
        assert len(tx.all("select name from users")) == 1


@pytest.mark.parametrize("name", ["operator", "settings", "engine", "Anna", "", "a b", "-a", "a" * 64, "änna"])
def test_a_name_that_could_be_taken_for_another_is_refused(users, name):
    with pytest.raises(Rejected, match="can't be a user's name"):
        users.add(name, "viewer", 30, BOOTSTRAP)


def test_one_name_is_one_person(users):
    users.add("anna", "viewer", 30, BOOTSTRAP)
    with pytest.raises(Rejected, match="There is a user anna already, with the role viewer"):
        users.add("anna", "admin", 30, BOOTSTRAP)


def test_only_an_admin_replaces_somebody_elses_token(users):
    users.add("anna", "controller", 30, BOOTSTRAP)
    users.add("ben", "controller", 30, BOOTSTRAP)
    with pytest.raises(Rejected, match="anna has the role controller, and may only replace their own token") as refused:
        users.rotate("ben", 30, Caller("anna", "controller"))
    assert refused.value.slug == "role"
    assert users.of_token(users.rotate("ben", 30, BOOTSTRAP)["token"]).token_by == "operator"


def test_of_two_who_are_added_at_once_the_later_brings_four_eyes_into_force(database, clock):
    far_off = clock.now() + timedelta(days=30)
    own = database if database.is_sqlite else Database(database.url, clock)
    first_is_in, later_may_end = threading.Event(), threading.Event()

    def later() -> None:
        first_is_in.wait(10)
        with own.transaction() as tx:
            kept.save(tx, "ben", "admin", "2" * 16, "hash", far_off, "operator")
        later_may_end.set()

    thread = threading.Thread(target=later)
    thread.start()
    with database.transaction() as tx:
        kept.save(tx, "anna", "admin", "1" * 16, "hash", far_off, "operator")
        first_is_in.set()
        later_may_end.wait(0.3)  # it waits for this one, and would not without a lock
    thread.join()
    if own is not database:
        own.close()
    with database.transaction() as tx:
        assert kept.four_eyes_since(tx) is not None


def test_four_eyes_begin_with_the_second_user_and_stay(users, database):
    with database.transaction() as tx:
        assert kept.four_eyes_since(tx) is None
    users.add("anna", "admin", 30, BOOTSTRAP)
    users.remove("anna", BOOTSTRAP)
    users.add("ben", "admin", 30, BOOTSTRAP)
    with database.transaction() as tx:
        assert kept.four_eyes_since(tx) is None  # one after the other is one person at a time
    users.add("anna", "admin", 30, BOOTSTRAP)
    users.remove("ben", BOOTSTRAP)
    with database.transaction() as tx:
        assert kept.four_eyes_since(tx) is not None
