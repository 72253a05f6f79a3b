"""A mail server, as far as letters need it (RFC 5321, 3207, 4954): plain, by STARTTLS, or TLS from the first byte."""

from __future__ import annotations

import base64
import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def a_certificate(folder: Path, address: str = "127.0.0.1") -> Path:
    """A key and a certificate for a server at this address that vouches for itself, as one PEM file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{address}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


class Post(threading.Thread):
    """Takes one caller. tls: as `Mailbox` says it; certificate: its PEM file, with its key."""

    def __init__(self, tls: Literal["none", "starttls", "tls"] = "none", certificate: Path | None = None) -> None:
        super().__init__(daemon=True)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(20)
        self.port = self._server.getsockname()[1]
        self._tls, self._certificate = tls, certificate
        self.receivers: list[str] = []
        self.letter = ""
        self.signed_in = ""
        self.was_encrypted = False  # when it was said who is to have the letter

    def run(self) -> None:
        line, _ = self._server.accept()
        with self._server, line:
            try:
                if self._tls == "tls":
                    self._talk(self._encrypted(line), "220 post")
                else:
                    self._talk(line, "220 post")
            except (ssl.SSLError, ConnectionError):
                pass  # the caller doesn't trust us, and has gone

    def _talk(self, line: socket.socket, *greeting: str) -> None:
        """Until the caller leaves; after STARTTLS anew, without a greeting, over the encrypted line."""
        talk = line.makefile("rw", newline="")
        self._say(talk, *greeting)
        for words in talk:
            verb = words.strip().upper()
            if verb == "STARTTLS" and self._tls == "starttls":
                self._say(talk, "220 go on")
                return self._talk(self._encrypted(line))
            self._say(talk, *self._answer(words, verb, talk, isinstance(line, ssl.SSLSocket)))
            if verb == "QUIT":
                return None
        return None

    def _answer(self, words: str, verb: str, talk: Any, is_encrypted: bool) -> list[str]:
        if verb.startswith("EHLO"):
            offers_more = self._tls == "starttls" and not is_encrypted
            return ["250-post", "250 STARTTLS" if offers_more else "250 AUTH PLAIN"]
        if verb.startswith("AUTH PLAIN"):
            _, user, password = base64.b64decode(words.split()[2]).decode().split("\0")
            self.signed_in = f"{user}:{password}"
            return ["235 welcome"]
        if verb == "DATA":
            self._say(talk, "354 go on")
            while (part := talk.readline()) not in (".\r\n", ""):
                self.letter += part
        if verb.startswith("RCPT TO:"):
            self.receivers.append(words.split("<")[1].split(">")[0])
            self.was_encrypted = is_encrypted
        return ["221 bye" if verb == "QUIT" else "250 ok"]

    def _encrypted(self, line: socket.socket) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self._certificate))
        return context.wrap_socket(line, server_side=True)

    @staticmethod
    def _say(talk: Any, *lines: str) -> None:
        for each in lines:
            talk.write(f"{each}\r\n")
        talk.flush()
