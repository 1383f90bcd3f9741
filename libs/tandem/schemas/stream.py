"""What makes a stream: its event, its topics, its key, its pace, its format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta, Struct

from tandem.durations import Interval
from tandem.formats.schema import Format

# The bounds in the schemas refuse nonsense; what a generator makes stays well inside them.
Name = Annotated[str, Meta(min_length=1, max_length=64)]

_EVERY_SECOND = Interval.parse("1s")


@dataclass(frozen=True, slots=True)
class EventTopic:
    """A topic that carries events of a stream; `configs` are Kafka's topic configs, where they differ from the broker's."""

    name: str
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of traffic. Records with the same key keep their order.

    An event goes to every topic that `route` names, by default to all of the stream's.
    """

    name: str
    topics: tuple[EventTopic, ...]
    event: type[Struct]
    key: Callable[[Any], bytes]
    interval: Interval = _EVERY_SECOND
    format: Format = Format.JSON
    route: Callable[[Any], tuple[str, ...]] | None = None

    def topics_of(self, event: Struct) -> tuple[str, ...]:
        """The topics that an event goes to, as declared."""
        return tuple(topic.name for topic in self.topics) if self.route is None else self.route(event)
