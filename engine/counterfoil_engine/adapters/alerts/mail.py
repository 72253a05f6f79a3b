"""Alerts by mail, over SMTP: a subject that says what burns, a body that says why and where to read on."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from counterfoil_engine.domain.errors import Unavailable

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Mailbox:
    """The way to an SMTP server. tls: `starttls` (the server has to offer it), `tls` from the first byte, or `none`."""

    host: str
    port: int = 587
    tls: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)


class MailSink:
    """sender, receivers: addresses as they stand in the settings."""

    name = "mail"

    def __init__(self, mailbox: Mailbox, sender: str, receivers: Sequence[str]) -> None:
        self._mailbox, self._sender, self._receivers = mailbox, sender, receivers

    def send(self, message: Mapping[str, Any]) -> None:
        try:
            with self._connected() as server:
                server.send_message(self._written(message))
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(
                f"The alerts' mail was not taken ({type(error).__name__}).",
                "Check smtp, mail_from and mail_to in [alerts], and the mail server.",
            ) from None

    def _connected(self) -> smtplib.SMTP:
        way = self._mailbox
        if way.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                way.host, way.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(way.host, way.port, timeout=TIMEOUT_S)
        try:
            if way.tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if way.user:
                server.login(way.user, way.password)
        except BaseException:
            server.close()
            raise
        return server

    def _written(self, message: Mapping[str, Any]) -> EmailMessage:
        """One thread for each alert, by its number: what ends it answers what opened it."""
        mail, thread = EmailMessage(), f"<alert-{message['id']}@counterfoil.invalid>"
        is_over = message["what"] == "resolved"
        mail["Subject"] = f"[{message['severity']}] {message['slo']}{': resolved' if is_over else ''}"
        mail["From"], mail["To"] = self._sender, ", ".join(self._receivers)
        mail["References"] = thread
        if not is_over:
            mail["Message-ID"] = thread
        since = f"Since {message['opened_at']}" + (f" until {message['resolved_at']}" if is_over else "")
        mail.set_content(f"{message['cause']}\n\n{since}.\nWhat to do: {message['runbook']}\nAlert {message['id']}\n")
        return mail
