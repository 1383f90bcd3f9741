"""Mails to a real SMTP server: with and without TLS and a password, and what a server may refuse."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
)

from services.consumer.mail import Mail, PatientMailer, SmtpMailer, is_final
from tests.integration.mail_server import mail_server

CANARY = "canary-4711"
MAIL = Mail(
    mail_id="5d1f0c1e",
    name="Ada Müller",
    address="ada@example.com",
    subject="Your order is confirmed",
    text="Dear Ada Müller,\n.a line with a dot in front\n",
    date=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for 127.0.0.1, by an authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def mailer(port: int, scheme: str = "smtp", user: str = "", seconds: float = 10.0) -> SmtpMailer:
    return SmtpMailer(f"{scheme}://{user}127.0.0.1:{port}", "shop@example.com", seconds)


async def test_a_mail_arrives_as_it_was_sent() -> None:
    async with mail_server() as server:
        await mailer(server.port).send(MAIL)
    (mail,) = server.mails
    assert server.recipients == [["ada@example.com"]]
    assert (mail["From"], mail["To"]) == ("shop@example.com", "Ada Müller <ada@example.com>")
    assert (mail["Subject"], mail["Message-ID"]) == ("Your order is confirmed", "<5d1f0c1e@example.com>")
    assert mail.get_content().replace("\r\n", "\n") == MAIL.text


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_password_goes_over_tls(scheme: str, tls: ssl.SSLContext) -> None:
    user = ("ada", CANARY)
    async with mail_server(tls=tls, from_start=scheme == "smtps", user=user) as server:
        await mailer(server.port, scheme, f"ada:{CANARY}@").send(MAIL)
    assert server.ways == [(True, True)]


async def test_without_a_password_tls_is_taken_where_it_is_offered(tls: ssl.SSLContext) -> None:
    async with mail_server(tls=tls) as server:
        await mailer(server.port).send(MAIL)
    assert server.ways == [(True, False)]


async def test_a_password_is_not_sent_in_the_clear() -> None:
    async with mail_server(user=("ada", CANARY)) as server:
        with pytest.raises(SMTPException, match="STARTTLS") as refused:
            await mailer(server.port, user=f"ada:{CANARY}@").send(MAIL)
    assert CANARY not in str(refused.value)
    assert not server.mails


async def test_a_wrong_password_is_told_and_not_shown(tls: ssl.SSLContext) -> None:
    async with mail_server(tls=tls, user=("ada", "another")) as server:
        with pytest.raises(SMTPException, match="535") as refused:
            await mailer(server.port, user=f"ada:{CANARY}@").send(MAIL)
    assert CANARY not in repr(refused.value)


@pytest.mark.usefixtures("tls")
async def test_a_server_that_nobody_vouches_for_gets_no_password() -> None:
    stranger = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(stranger)
    async with mail_server(tls=stranger, user=("ada", CANARY)) as server:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await mailer(server.port, user=f"ada:{CANARY}@").send(MAIL)
    assert not server.mails


async def test_a_mail_that_the_server_refuses_is_not_sent() -> None:
    async with mail_server() as server:
        server.answer = "452 full"
        with pytest.raises(SMTPException, match="full"):
            await mailer(server.port).send(MAIL)


async def test_what_is_refused_for_now_is_sent_again(capsys: pytest.CaptureFixture[str]) -> None:
    async with mail_server() as server:
        server.answer = "452 full"
        sending = asyncio.create_task(PatientMailer(mailer(server.port), 0.01).send(MAIL), name="send")
        async with asyncio.timeout(10):
            while "mail_waits" not in capsys.readouterr().out:  # noqa: ASYNC110 -- a line of the log sets no event
                await asyncio.sleep(0.01)
        server.answer = "250 taken"
        await sending
    assert len(server.mails) == 1


async def test_what_is_refused_for_good_is_told_at_once() -> None:
    async with mail_server() as server:
        server.answer = "554 not this text"
        with pytest.raises(SMTPException, match="not this text"):
            await PatientMailer(mailer(server.port)).send(MAIL)


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (ConnectionRefusedError(), False),
        (TimeoutError(), False),
        (SMTPAuthenticationError(535, "who are you"), False),
        (SMTPRecipientsRefused([SMTPRecipientRefused(450, "busy", "ada@example.com")]), False),
        (SMTPRecipientsRefused([SMTPRecipientRefused(550, "nobody", "ada@example.com")]), True),
        (SMTPSenderRefused(550, "not you", "shop@example.com"), True),
    ],
)
def test_only_what_is_about_the_mail_itself_is_final(error: Exception, *, final: bool) -> None:
    """A password that is wrong today makes mails wait: they are not at fault."""
    assert is_final(error) is final


async def test_a_server_that_is_not_there_is_an_error() -> None:
    async with mail_server() as server:
        port = server.port
    with pytest.raises((OSError, SMTPException), match=f"{port}"):
        await mailer(port).send(MAIL)


async def test_a_server_that_says_nothing_is_waited_for_so_long() -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    over = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(TimeoutError, match=f"the mail server 127.0.0.1:{port} took longer than 0.2s"):
            await mailer(port, seconds=0.2).send(MAIL)
        over.set()
