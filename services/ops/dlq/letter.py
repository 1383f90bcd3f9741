"""A dead letter as it lies in its topic, and the mark which says that one was redriven. Pure.

Everything in a letter was written by others and is not believed: text is only shown escaped, and a number that is none
is None.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from aiokafka import ConsumerRecord

from tandem.headers import DEAD_LETTER, Headers, find
from tandem.records import Record

REDRIVEN = "tandem_redriven"  # the offset of the letter that a mark is about
REDRIVEN_TO = "tandem_redriven_to"  # where the letter went, as topic/partition/offset

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT = re.compile(r"(?:([a-zA-Z0-9._-]{1,249})/)?([0-9]{1,9})/([0-9]{1,18})", re.ASCII)


class Place(NamedTuple):
    """Where a record lies in the log."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class At:
    """One letter, as people name it. `topic` None: the only one looked at."""

    topic: str | None
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PARTITION/OFFSET` or `TOPIC/PARTITION/OFFSET`. Raises ValueError for anything else."""
        match = _AT.fullmatch(text)
        if match is None:
            raise ValueError("takes PARTITION/OFFSET or TOPIC/PARTITION/OFFSET, for example orders-dlt/0/17")
        return cls(match[1], int(match[2]), int(match[3]))


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    `failure` holds the headers that tell of the failure, by their names without `__dlq.errors.`, as text.
    `redriven`: a mark behind it in the log says so. `flaw` says why nothing but its place could be read.
    """

    place: Place
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    failure: Mapping[str, str]
    redriven: bool = False
    flaw: str | None = None

    def told(self, name: str) -> str:
        """What the letter says of its failure, or `-`."""
        return self.failure.get(name, "-")

    def number(self, name: str) -> int | None:
        """A number that it says of its failure; None when it does not, or says something else."""
        return number(self.failure.get(name, ""))

    @property
    def failed_at_ms(self) -> int:
        """When its record failed first, in epoch milliseconds; the letter's own time where that is not told."""
        told = self.failure.get("first.failed.at", "")
        try:
            return milliseconds(told)
        except ValueError:
            return self.timestamp_ms

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")


def letter(record: ConsumerRecord[bytes, bytes], *, redriven: bool = False) -> Letter:
    """Read a record of a dead-letter topic. Never fails."""
    return Letter(
        Place(record.topic, record.partition, record.offset),
        record.key,
        record.value,
        record.headers,
        record.timestamp,
        dict(_failure(record.headers)),
        redriven,
    )


def unreadable(place: Place, flaw: str) -> Letter:
    """A letter of which only the place is known."""
    return Letter(place, None, None, (), -1, {}, flaw=flaw)


def mark(letter: Letter, went: str) -> Record:
    """The record to write behind a letter that was redriven to `went`: in the same partition, without a value.

    Its key is no other record's, so that compaction would not take a mark for the removal of a letter.
    """
    offset = str(letter.place.offset).encode()
    return Record(
        topic=letter.place.topic,
        key=_mark_key(letter.place.offset),
        value=None,
        headers=[(REDRIVEN, offset), (REDRIVEN_TO, went.encode())],
        partition=letter.place.partition,
    )


def marked(record: ConsumerRecord[bytes, bytes]) -> int | None:
    """The offset of the letter that was redriven, if the record is a mark.

    A record that a consumer has set aside is none, whatever it looks like: it has that consumer's headers.
    """
    if record.value is not None or any(name.startswith(DEAD_LETTER) for name, _ in record.headers):
        return None
    offset = number((find(record.headers, REDRIVEN) or b"").decode(errors="replace"))
    if offset is None or offset >= record.offset or record.key != _mark_key(offset):
        return None
    return offset


def _mark_key(offset: int) -> bytes:
    return f"tandem-redriven/{offset}".encode()


def _failure(headers: Headers) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        if name.startswith(DEAD_LETTER) and value is not None:  # Kafka's headers may lack a value
            yield name.removeprefix(DEAD_LETTER), value.decode(errors="backslashreplace")


def number(text: str) -> int | None:
    """A whole number from zero on that Kafka could have meant; None for all else."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else None


def milliseconds(text: str) -> int:
    """Epoch milliseconds of a time in ISO 8601, UTC unless it says otherwise. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def moment(milliseconds: int) -> str:
    """Epoch milliseconds in ISO 8601, UTC; what no calendar holds as `s@<ms>`, the way it is given to us."""
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")[:-6] + "Z"
    except OverflowError:
        return f"s@{milliseconds}"
