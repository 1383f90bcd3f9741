"""The roles: what a consumer does with events. A handler knows no Kafka. One line each in ROLES."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from services.consumer.handlers.bank import TransactionMonitor
from services.consumer.handlers.orders import OrderProcessor
from tandem.errors import SettingsError
from tandem.settings import ConsumerSettings


class Handler(Protocol):
    """Does a role's work, event by event."""

    def handle(self, event: Any) -> Awaitable[None] | None:  # noqa: ANN401 -- the event type of its stream
        """Handle one event; an exception sets it aside as a dead letter. May return something to await."""

    def report(self) -> tuple[str, dict[str, Any]]:
        """Say what was seen so far: a log event's name and values."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a consumer process does: one handler, one consumer group, one stream."""

    stream: str
    create: Callable[[ConsumerSettings], Handler]


ROLES: dict[str, Role] = {
    "order-processor": Role("orders", lambda settings: OrderProcessor(settings.alert_amount)),
    "transaction-monitor": Role("bank", lambda settings: TransactionMonitor(settings.large_amount)),
}


def choose_role(settings: ConsumerSettings) -> str:
    """The role that ROLE names, or the first role of STREAM (default: orders).

    Raises SettingsError for an unknown role and for one that reads another stream than STREAM.
    """
    if settings.role is None:
        return next(name for name, role in ROLES.items() if role.stream == (settings.stream or "orders"))
    if settings.role not in ROLES:
        raise SettingsError(
            f"ROLE={settings.role} is no role; there are: {', '.join(ROLES)}", "Set ROLE to one of them"
        )
    reads = ROLES[settings.role].stream
    if settings.stream not in {None, reads}:
        raise SettingsError(
            f"ROLE={settings.role} reads the stream {reads}, but STREAM={settings.stream}",
            f"Leave STREAM out, or set it to {reads}",
        )
    return settings.role
