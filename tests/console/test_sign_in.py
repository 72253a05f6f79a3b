"""Signing in: sessions are new, short and the browser's alone; guesses are slowed down; passwords are hard to guess."""

from __future__ import annotations

from datetime import timedelta

import pytest
from console.conftest import PASSWORD, Visitor
from counterfoil_engine.ports import Caller, Rejected
from counterfoil_engine.work.passwords import Scrypt, is_right
from counterfoil_engine.work.sign_in import IDLE, LIFE, TRIES_OF_A_NAME
from counterfoil_engine.work.users import BOOTSTRAP

SESSION = "counterfoil_session"


def test_name_and_password_lead_to_the_stores(visitor):
    answer = visitor.signs_in("vera")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/")
    assert "vera" in visitor.get("/").text


def test_the_page_that_was_wanted_comes_after_signing_in(visitor):
    assert visitor.signs_in("vera", wanted="/console/account").headers["Location"] == "/console/account"


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example/console/", "/\\evil.example", "javascript:1"]
)
def test_nobody_is_sent_to_another_site_after_signing_in(visitor, wanted):
    assert visitor.signs_in("vera", wanted=wanted).headers["Location"] == "/console/"


@pytest.mark.parametrize(("name", "password"), [("vera", "wrong"), ("nobody", PASSWORD), ("vera", "")])
def test_what_is_wrong_is_not_said(visitor, name, password):
    answer = visitor.signs_in(name, password)
    assert answer.status_code in (400, 401)
    assert visitor.cookie(SESSION) is None


def test_a_wrong_name_and_a_wrong_password_are_told_alike(visitor):
    said = [visitor.signs_in(name, "a wrong password").text for name in ("vera", "nora")]
    assert "Name and password don&#39;t fit together." in said[0]
    assert said[0].replace("vera", "nora") == said[1]


def test_the_session_cookie_is_the_browsers_alone(visitor):
    answer = visitor.signs_in("vera")
    cookie = next(each for each in answer.headers.getlist("Set-Cookie") if each.startswith(SESSION))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/console/" in cookie
    assert f"Max-Age={int(LIFE.total_seconds())}" in cookie


def test_the_database_holds_no_secret_of_a_session(visitor, running):
    visitor.signs_in("vera")
    with running.chain.database.transaction() as tx:
        kept = str(tx.all("select * from sessions"))
    assert visitor.cookie(SESSION).value not in kept


def test_signing_in_makes_a_new_session_and_ends_the_one_before(running, visitor):
    visitor.signs_in("vera")
    before = visitor.cookie(SESSION).value
    again = Visitor(running.app)
    again.bears(SESSION, before)
    again.post("/sign-out")
    assert visitor.get("/").status_code == 302
    planted = Visitor(running.app)
    planted.bears(SESSION, "a-secret-that-somebody-planted")
    planted.signs_in("vera")
    assert planted.cookie(SESSION).value != "a-secret-that-somebody-planted"


def test_after_signing_out_the_secret_is_worth_nothing(visitor):
    visitor.signs_in("vera")
    secret = visitor.cookie(SESSION).value
    visitor.post("/sign-out")
    visitor.bears(SESSION, secret)
    assert visitor.get("/").status_code == 302


@pytest.mark.parametrize(("minutes", "still"), [(119, True), (121, False)])
def test_a_session_that_nobody_uses_ends_by_itself(visitor, running, minutes, still):
    visitor.signs_in("vera")
    running.chain.clock.sleep(minutes * 60)
    assert (visitor.get("/").status_code == 200) == still


def test_a_session_ends_however_much_it_is_used(visitor, running):
    visitor.signs_in("vera")
    for _ in range(int(LIFE / IDLE) * 2):
        assert visitor.get("/").status_code == 200
        running.chain.clock.sleep((IDLE / 2 - timedelta(seconds=1)).total_seconds())
    running.chain.clock.sleep(60)
    assert visitor.get("/").status_code == 302


def test_who_is_removed_is_signed_out_at_once_and_comes_back_without_the_old_password(visitor, running):
    visitor.signs_in("vera")
    users = running.chain.engine.control().users
    users.remove("vera", BOOTSTRAP)
    assert visitor.get("/").status_code == 302
    users.add("vera", "viewer", 30, BOOTSTRAP)
    assert visitor.get("/").status_code == 302
    assert visitor.signs_in("vera").status_code == 401


def test_guesses_at_a_name_are_slowed_down_whatever_the_password(visitor, running):
    for _ in range(TRIES_OF_A_NAME):
        assert visitor.signs_in("vera", "a wrong password").status_code == 401
    answer = visitor.signs_in("vera")
    assert answer.status_code == 429
    assert "Wait 15 minutes" in answer.text
    assert Visitor(running.app).signs_in("sam").status_code == 303
    running.chain.clock.sleep(15 * 60 + 1)
    assert visitor.signs_in("vera").status_code == 303


def test_a_sign_in_that_another_site_begins_is_refused(visitor):
    assert visitor.signs_in("vera", token="made-elsewhere").status_code == 403


def test_a_changed_password_ends_all_other_sessions(visitor, running):
    visitor.signs_in("vera")
    elsewhere = Visitor(running.app)
    elsewhere.signs_in("vera")
    new = "another four words"
    answer = visitor.post("/account/password", old=PASSWORD, new=new, again=new)
    assert answer.status_code == 303
    assert "Your password is changed" in visitor.get("/account").text
    assert "Your password is changed" not in visitor.get("/account").text
    assert elsewhere.get("/").status_code == 302
    assert elsewhere.signs_in("vera", new).status_code == 303


@pytest.mark.parametrize("weak", ["short", "x" * 20, "my name is vera, yes"])
def test_a_password_that_is_guessed_easily_is_refused(visitor, running, weak):
    visitor.signs_in("vera")
    assert "Choose 12 to 200 characters" in visitor.post("/account/password", old=PASSWORD, new=weak, again=weak).text
    assert Visitor(running.app).signs_in("vera").status_code == 303


def test_an_admin_sets_somebodys_first_password_and_others_only_their_own(running):
    sign_in = running.chain.engine.sign_in()
    with pytest.raises(Rejected, match="may only set their own"):
        sign_in.set_password("ada", "four words of theirs", Caller("carl", "controller"))
    sign_in.set_password("vera", "four words of theirs", Caller("ada", "admin"))
    assert Visitor(running.app).signs_in("vera", "four words of theirs").status_code == 303


def test_who_signs_in_by_a_password_that_the_proposer_chose_does_not_approve(running):
    engine = running.chain.engine
    engine.sign_in().set_password("carl", "four words of theirs", Caller("ada", "admin"))
    secret = engine.sign_in().with_password("carl", "four words of theirs", "here")
    session = engine.sign_in().session(secret)
    assert session is not None
    with running.chain.database.transaction() as tx:
        version = engine.records.rules.current_version(tx)
        text = engine.records.rules.text_of(tx, version)
    ada = Caller("ada", "admin")
    asked = engine.four_eyes().ask("load_rules", {"text": text.replace("rules: one", "rules: two")}, ada)
    with pytest.raises(Rejected, match="had your token or password made"):
        engine.four_eyes().approve(asked["proposal"], session.caller)


def test_what_is_kept_of_a_password_is_a_slow_hash_with_a_salt():
    kept = Scrypt().hash("four words of one's own", b"0" * 16)
    assert kept.startswith("scrypt$32768$8$3$")
    assert kept != Scrypt().hash("four words of one's own", b"1" * 16)
    assert is_right("four words of one's own", kept)
    assert not is_right("four words of one's owm", kept)
