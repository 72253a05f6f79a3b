"""Alerts by mail, to a real mail server: plain, by STARTTLS, and with TLS from the first byte."""

from __future__ import annotations

import smtplib
import socket
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from counterfoil_engine.adapters.alerts.mail import Mailbox, MailSink
from counterfoil_engine.domain.errors import Unavailable
from fakes.post import Post, a_certificate
from work.test_slo import MESSAGE


def tell(post: Post, tls: str = "none", **more: Any) -> None:
    post.start()
    mailbox = Mailbox("127.0.0.1", post.port, tls, **more)
    MailSink(mailbox, "counterfoil@example.com", ["night@example.com"]).send(MESSAGE)
    post.join(5)


def test_a_letter_says_what_burns_since_when_and_what_to_do() -> None:
    post = Post()
    tell(post)
    assert post.receivers == ["night@example.com"]
    assert "Subject: [page] orders" in post.letter
    assert "What to do: https://docs/runbooks/a.md" in post.letter
    assert "An order takes a minute." in post.letter


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_letter_and_who_sends_it_go_encrypted_to_a_server_that_is_vouched_for(
    tls: Literal["starttls", "tls"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = a_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # whom this host trusts
    post = Post(tls, certificate)
    tell(post, tls, user="counterfoil", password="a password of the mail server")
    assert (post.was_encrypted, post.signed_in) == (True, "counterfoil:a password of the mail server")
    assert "Subject: [page] orders" in post.letter


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_that_nobody_vouches_for_hears_neither_the_password_nor_the_letter(
    tls: Literal["starttls", "tls"], tmp_path: Path
) -> None:
    post = Post(tls, a_certificate(tmp_path))
    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        tell(post, tls, user="counterfoil", password="secret")
    post.join(5)
    assert (post.receivers, post.letter, post.signed_in) == ([], "", "")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_that_is_vouched_for_under_another_name_hears_nothing(
    tls: Literal["starttls", "tls"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = a_certificate(tmp_path, "192.0.2.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    post = Post(tls, certificate)
    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        tell(post, tls)
    assert post.letter == ""


def test_a_mail_server_that_isn_t_there_is_told_again() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match="mail was not taken"):
        MailSink(Mailbox("127.0.0.1", port, "none"), "counterfoil@example.com", ["night@example.com"]).send(MESSAGE)


def test_a_mail_server_that_offers_no_encryption_gets_no_letter() -> None:
    post = Post()
    with pytest.raises(Unavailable) as told:
        tell(post, "starttls")
    assert smtplib.SMTPNotSupportedError.__name__ in told.value.cause and post.letter == ""
