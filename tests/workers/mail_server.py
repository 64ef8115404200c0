"""A mail server on this machine: real SMTP, with STARTTLS, TLS and logins as the test asks, that keeps what it gets."""

from __future__ import annotations

import ssl
import subprocess
import time
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message as Mime
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port

USER, PASSWORD = "handrail", "correct horse"


class _Handler:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_RCPT(  # noqa: N802  # as the library calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self._server.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # as the library calls it
        if self._server.script and (word := self._server.script.pop(0)):
            return word
        assert isinstance(envelope.content, bytes)
        self._server.got.append((tuple(envelope.rcpt_tos), message_from_bytes(envelope.content)))
        return "250 OK"


class MailServer:
    """`script`: what is answered to the next mails, an empty text for taking them."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, implicit: bool = False, login: bool = False, port: int = 0
    ) -> None:
        self.got: list[tuple[tuple[str, ...], Mime]] = []
        self.refuses: set[str] = set()
        self.script: list[str] = []
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": port or free_port()}
        if tls is not None:
            options |= {"ssl_context": tls} if implicit else {"tls_context": tls, "require_starttls": True}
        if login:
            options |= {"authenticator": self._login, "auth_required": True, "auth_require_tls": not implicit}
        self.port: int = options["port"]
        self._controller = Controller(_Handler(self), **options)

    @staticmethod
    def _login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: object) -> AuthResult:
        assert isinstance(given, LoginPassword)
        right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=right)

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def wait_for(self, holds: Callable[[list[tuple[tuple[str, ...], Mime]]], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds(self.got):
            assert time.monotonic() < deadline, f"waited in vain, got {len(self.got)} mails"
            time.sleep(0.02)


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server called `localhost` shows, and what a client needs to believe it."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))
