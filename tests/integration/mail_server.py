"""A real SMTP server in this process, which keeps what it is given."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class MailServer:
    """What `mail_server` gives: its address, and the mails it took."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.ways: list[tuple[bool, bool]] = []  # over TLS, with a password
        self.answer = "250 taken"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        if self.answer.startswith("250"):
            content = envelope.original_content or b""
            self.mails.append(message_from_bytes(content, EmailMessage, policy=policy.default))
            self.recipients.append(list(envelope.rcpt_tos))
            assert server.transport is not None
            over_tls = server.transport.get_extra_info("sslcontext") is not None
            self.ways.append((over_tls, bool(session.authenticated)))
        return self.answer


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, from_start: bool = False, user: tuple[str, str] | None = None
) -> AsyncIterator[MailServer]:
    """Listen on a free port of this machine; with `tls` behind STARTTLS or, on wish, from the first byte."""

    def check(*arguments: Any) -> AuthResult:
        given = arguments[-1]
        assert isinstance(given, LoginPassword)
        known = (given.login.decode(), given.password.decode()) == user
        return AuthResult(success=known, handled=known)

    def connection() -> SMTP:
        return SMTP(
            kept,
            tls_context=None if from_start else tls,
            authenticator=check,
            auth_required=user is not None and not from_start,  # it takes TLS from the first byte for none
            auth_require_tls=not from_start,
        )

    kept = MailServer(0)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls if from_start else None)
    kept.port = server.sockets[0].getsockname()[1]
    async with server:
        yield kept
