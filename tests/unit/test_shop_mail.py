"""Confirmations: one for each order, which nothing in it can turn into another mail."""

from typing import Any

import pytest
from msgspec.structs import replace

from services.consumer.handlers.shop.notifications import Notifications, confirmation
from services.consumer.mail import LogMailer, Mail, _message, mailer
from tandem.errors import SettingsError
from tandem.schemas.shop import ShopEvent
from tandem.settings import ConsumerSettings
from tandem.settings.source import read_settings
from tests.unit.shop_events import created, paid, source

CONFIRMED = paid(1).then("OrderConfirmed")


class Outbox:
    """A mailer that remembers, or refuses."""

    def __init__(self, error: Exception | None = None) -> None:
        self.mails: list[Mail] = []
        self.error = error

    async def send(self, mail: Mail) -> None:
        if self.error:
            raise self.error
        self.mails.append(mail)


def with_order(**changes: Any) -> ShopEvent:
    return replace(CONFIRMED, order=replace(CONFIRMED.order, **changes))


async def test_an_order_that_is_confirmed_is_told_by_mail() -> None:
    outbox = Outbox()
    notifications = Notifications(outbox)
    for event in (created(1), CONFIRMED, paid(2).then("OrderCancelled")):
        await notifications.handle(event, source())
    (mail,) = outbox.mails
    assert (mail.address, mail.subject) == ("ada@example.com", "Your order ORD-1 is confirmed")
    assert "1 x Mouse at 24.90" in mail.text
    assert "Total: 24.90" in mail.text
    assert notifications.report() == ("notifications_report", {"sent": 1, "repeated": 0, "failed": 0})


async def test_a_repeated_event_is_counted_and_sends_nothing() -> None:
    outbox = Outbox()
    notifications = Notifications(outbox)
    for _ in range(3):
        await notifications.handle(CONFIRMED, source())
    assert len(outbox.mails) == 1
    assert notifications.report()[1] == {"sent": 1, "repeated": 2, "failed": 0}


async def test_a_mail_that_was_refused_is_not_taken_for_sent() -> None:
    outbox = Outbox(error=OSError("no server"))
    notifications = Notifications(outbox)
    with pytest.raises(OSError, match="no server"):
        await notifications.handle(CONFIRMED, source())
    outbox.error = None
    await notifications.handle(CONFIRMED, source())
    assert notifications.report()[1] == {"sent": 1, "repeated": 0, "failed": 1}


def test_the_same_event_makes_the_same_message_with_the_same_id() -> None:
    first, second = (_message(confirmation(CONFIRMED), "shop@example.com") for _ in range(2))
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@example.com>")
    assert first["Date"] == second["Date"] == "Thu, 01 Jan 2026 12:00:00 +0000"
    other = _message(confirmation(paid(2).then("OrderConfirmed")), "shop@example.com")
    assert other["Message-ID"] != first["Message-ID"]


def test_names_of_all_the_world_may_order() -> None:
    message = _message(confirmation(CONFIRMED), "shop@example.com")
    assert message["To"] == "Ada Müller <ada@example.com>"
    assert message.as_bytes().isascii()


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "ada@example.com\r\nBcc: all@example.com"},
        {"email": "ada@example.com\n"},
        {"email": "ada@example.com, eve@example.com"},
        {"email": "ada@example.com>, <eve@example.com"},
        {"email": "ada@example.com> SIZE=1"},
        {"email": "no address"},
        {"name": "Ada\r\nBcc: all@example.com"},
        {"order_id": "1\r\nBcc: all@example.com"},
        {"order_id": "1\n\nBuy more"},
    ],
)
def test_nothing_in_an_order_adds_a_header_or_a_recipient(changes: dict[str, str]) -> None:
    with pytest.raises((ValueError, IndexError)):
        _message(confirmation(with_order(**changes)), "shop@example.com")


def test_a_name_can_not_be_an_address_of_its_own() -> None:
    message = _message(confirmation(with_order(name='Eve" <eve@example.com>, "')), "shop@example.com")
    assert [address.addr_spec for address in message["To"].addresses] == ["ada@example.com"]


def test_without_a_server_mails_are_logged() -> None:
    assert isinstance(mailer(ConsumerSettings()), LogMailer)


@pytest.mark.parametrize(
    "url",
    [
        "//mail.example.com:25",
        "http://mail.example.com",
        "smtp://host:none",
        "smtp://user@host",
        "smtp://user:can/ary@host",
        "smtp://host/path",
    ],
)
def test_a_server_that_can_not_be_reached_is_refused_and_not_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", url)
    with pytest.raises(SettingsError, match=r"SMTP_URL takes smtp://host:port") as refused:
        read_settings(ConsumerSettings, [])
    assert url.partition("//")[2] not in str(refused.value)


@pytest.mark.parametrize("address", ["shop", "shop@", "@example.com", "a@b, c@d", "a@b\nBcc: c@d"])
def test_a_sender_is_one_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_FROM", address)
    with pytest.raises(SettingsError, match=r"SMTP_FROM=.* takes one address"):
        read_settings(ConsumerSettings, [])


def test_a_password_may_hold_any_character_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", "smtps://me:can%2Fary%40@mail.example.com")
    settings = read_settings(ConsumerSettings, [])
    assert "ary" not in repr(settings)
    patient: Any = mailer(settings)
    made = patient._mailer
    assert (made._host, made._port, made._user, made._password) == (
        "mail.example.com",
        None,
        "me",
        "can/ary@",
    )
