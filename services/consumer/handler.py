"""What a role is, and what its handler promises. A handler knows no Kafka."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from tandem.schemas.stream import Stream
from tandem.settings import ConsumerSettings


class Source(NamedTuple):
    """Where an event comes from: the place of its record, its key and its time in epoch milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    timestamp_ms: int


class RejectedError(Exception):
    """Raised by a handler for an event that no try heals: it goes straight to the dead letters."""


Emitted = Iterable[Struct] | None


class Handler(Protocol):
    """Does a role's work, event by event."""

    def handle(self, event: Any, source: Source, /) -> Emitted | Awaitable[Emitted]:  # noqa: ANN401 -- the event type of its stream
        """Handle one event and return the events that follow from it; may return something to await for them.

        An event may come again, after a crash or a rebalance: the same event must have the same outputs.
        After an exception it comes again, as often as the retry settings say, and then goes to the dead letters.
        """

    def report(self) -> tuple[str, dict[str, Any]]:
        """Say what was seen so far: a log event's name and values."""


@runtime_checkable
class Restored(Protocol):
    """A handler whose state is what it put into a topic before: it gets that back before its first event."""

    def reset(self, partition: int) -> None:
        """Forget what is known of a partition."""

    def restore(self, partition: int, output: Any, /) -> None:  # noqa: ANN401 -- the event type of its stream
        """Take back what the role put into a partition, from the oldest to the newest."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a consumer process does: one handler, one consumer group, one stream or some of its topics.

    `emits` are the streams of the events that the handler returns. `restores` is the topic from which the handler, which is
    Restored, gets its state back; it needs as many partitions as the role's only topic.
    """

    stream: str
    create: Callable[[ConsumerSettings], Handler]
    topics: tuple[str, ...] = ()  # none: all of the stream's
    group: str | None = None  # None: the role's name
    emits: tuple[Stream, ...] = ()
    restores: str | None = None
    announces: bool = False  # tell of each batch that comes, not only at debug
