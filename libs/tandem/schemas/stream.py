"""What makes a stream: its event, its topic, its key, its pace."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct

from tandem.durations import Interval

# The bounds in the schemas refuse nonsense; what a generator makes stays well inside them.
Name = Annotated[str, Meta(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of traffic. Records with the same key keep their order."""

    name: str
    topic: str
    event: type[Struct]
    key: Callable[[Any], bytes]
    interval: Interval
