"""Mail, as the roles see it: a port that takes one; an SMTP server behind it, or the log."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog
from aiosmtplib import (
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
)

from tandem.durations import growing_delays
from tandem.settings import ConsumerSettings

_LONGEST_DELAY = 30.0
_FOR_GOOD = 500  # RFC 5321: codes from here on say that trying again does not help
_REMEDY = "The mail server must take mails: look into its log, check SMTP_URL"
_SECONDS = 20.0  # for one mail, from the connection to the server's word that it has it

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. The same `mail_id` (letters, digits, dashes) says that it is the same mail again."""

    mail_id: str
    name: str
    address: str
    subject: str
    text: str
    date: datetime


class Mailer(Protocol):
    """Where mails go."""

    async def send(self, mail: Mail) -> None:
        """Return when the mail is accepted. Whatever is raised says that it is not, as far as one can know."""


def mailer(settings: ConsumerSettings) -> Mailer:
    """The server that SMTP_URL names, or else the log."""
    if settings.smtp_url is None:
        return LogMailer()
    return PatientMailer(SmtpMailer(settings.smtp_url.get_secret_value(), settings.smtp_from))


class PatientMailer:
    """Tries again, however long it takes, what is not this mail's fault: an outage must not cost a mail."""

    def __init__(self, mailer: Mailer, first_delay: float = 0.5) -> None:
        self._mailer = mailer
        self._first_delay = first_delay

    async def send(self, mail: Mail) -> None:
        """Raises what says that this very mail is not taken."""
        for delay in growing_delays(self._first_delay, _LONGEST_DELAY):
            try:
                await self._mailer.send(mail)
            except (OSError, SMTPException) as error:
                if is_final(error):
                    raise
                log.error(
                    "mail_waits",
                    mail=mail.mail_id,
                    error=repr(error),
                    remedy=_REMEDY,
                    retry_in=f"{delay:.1f}s",
                )
            else:
                return
            await asyncio.sleep(delay)


def is_final(error: Exception) -> bool:
    """Say whether a server refuses this mail for good: it names the sender, the recipient or the text, with a 5xx code."""
    match error:
        case SMTPRecipientsRefused():
            return all(refused.code >= _FOR_GOOD for refused in error.recipients)
        case SMTPSenderRefused() | SMTPRecipientRefused() | SMTPDataError():
            return error.code >= _FOR_GOOD
        case _:
            return isinstance(error, SMTPNotSupported)


class LogMailer:
    """Says what it would have sent."""

    async def send(self, mail: Mail) -> None:
        log.info("mail", to=mail.address, subject=mail.subject, mail=mail.mail_id)


class SmtpMailer:
    """Hands each mail to an SMTP server, over a connection of its own.

    smtps:// is TLS from the first byte. smtp:// takes the server's offer of STARTTLS, and insists on it when there is
    a password to send. Certificates are checked against the system's authorities (SSL_CERT_FILE names others).
    """

    def __init__(self, url: str, sender: str, seconds: float = _SECONDS) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._tls = parts.scheme == "smtps"
        self._sender = sender
        self._seconds = seconds

    async def send(self, mail: Mail) -> None:
        """Raises ValueError for an address that is none, OSError or SMTPException when the server does not take the mail."""
        message = _message(mail, self._sender)
        try:
            async with asyncio.timeout(self._seconds):
                await self._hand_over(message, mail.address)
        except TimeoutError:
            server = self._host if self._port is None else f"{self._host}:{self._port}"
            raise TimeoutError(f"the mail server {server} took longer than {self._seconds:g}s") from None

    async def _hand_over(self, message: EmailMessage, address: str) -> None:
        # None: as the server offers.
        start_tls = None if self._user is None and not self._tls else not self._tls
        await aiosmtplib.send(
            message,
            sender=self._sender,
            recipients=[address],
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._tls,
            start_tls=start_tls,
            timeout=self._seconds,
        )


def _message(mail: Mail, sender: str) -> EmailMessage:
    """The mail as it travels. `Address` and the headers refuse whatever could add a recipient or a header."""
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = f"<{mail.mail_id}@{sender.rpartition('@')[2]}>"
    message["Date"] = mail.date
    message["From"] = Address(addr_spec=sender)
    message["To"] = Address(mail.name, addr_spec=mail.address)
    message["Subject"] = mail.subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    message.set_content(mail.text, cte="quoted-printable")  # which every server takes
    return message
