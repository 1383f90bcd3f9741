"""Where a record was first: one that comes from a retry topic or from the dead letters tells it in its headers. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from services.consumer.backlog import Message
from services.consumer.handler import Source
from tandem.headers import DEAD_LETTER

_LARGEST = 2**63 - 1
_MOST_DIGITS = 19
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999


class Place(NamedTuple):
    """Where a topic stands on the way of a record: `level` 0 is `source` itself, n the n-th of its retry topics.

    `wait` is for how long records stay there.
    """

    source: str
    level: int
    wait: float


class Origin(NamedTuple):
    """A record's first place and time, and what it has been through since.

    `home` is the topic whose retry topics and dead letters are for it. `first_ms`: when it failed for the first time, in epoch
    milliseconds; None when it has not.
    """

    home: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    attempts: int = 0
    first_ms: int | None = None
    replays: int = 0

    def source(self, key: bytes | None) -> Source:
        """What the handler is told."""
        return Source(self.topic, self.partition, self.offset, key, self.timestamp_ms)


def find_origin(record: Message, headers: Mapping[str, bytes], place: Place) -> Origin:
    """Where a record was first. Anyone can write a header: what is not as we write it is left out of account."""
    own = Origin(place.source, record.topic, record.partition, record.offset, record.timestamp)
    replays = _number(headers, "replay.count") or 0
    if place.level == 0:
        return own._replace(replays=replays)
    numbers = [_number(headers, name) for name in ("partition", "offset", "timestamp", "attempts")]
    partition, offset, timestamp, attempts = numbers
    if None in numbers or headers.get(f"{DEAD_LETTER}topic") != place.source.encode():
        return own
    return Origin(
        place.source,
        place.source,
        partition or 0,
        offset or 0,
        timestamp or 0,
        attempts or 0,
        _moment(headers),
        replays,
    )


def _number(headers: Mapping[str, bytes], name: str) -> int | None:
    text = headers.get(f"{DEAD_LETTER}{name}") or b""
    return int(text) if text.isdigit() and len(text) <= _MOST_DIGITS and int(text) <= _LARGEST else None


def _moment(headers: Mapping[str, bytes]) -> int | None:
    text = (headers.get(f"{DEAD_LETTER}first.failed.at") or b"").decode(errors="replace")
    try:
        moment = datetime.fromisoformat(text)
        ms = -1 if moment.tzinfo is None else int(moment.timestamp() * 1000)
    except (OverflowError, ValueError):
        return None
    return ms if 0 <= ms <= _LATEST_MS else None


def moment_text(ms: int) -> bytes:
    """An ISO 8601 time in UTC, as `first.failed.at` has it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").encode()
