"""Records on their way to Kafka, and what became of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tandem.headers import Headers


class Record(NamedTuple):
    """What is to be sent. `partition` None: chosen by the key, as Java's client does (murmur2)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    partition: int | None = None


class Outcome(StrEnum):
    """What became of a record that was sent."""

    ACKED = "acked"
    FAILED = "failed"  # surely not in the log
    UNKNOWN = "unknown"  # perhaps in the log


class Fate(NamedTuple):
    """One record's delivery report: `offset` is set when it is acked and Kafka told it, `error` when it is not acked.

    `sequence` numbers the records of this run in the partition: 0, 1, 2 …
    """

    outcome: Outcome
    record: Record
    partition: int
    sequence: int
    offset: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """Records of one partition that share an outcome; sequences and offsets follow each other from the first one's.

    `sent` are those that were not acked, as the log would hold them: with their headers, time and partition.
    """

    outcome: Outcome
    topic: str
    partition: int
    records: tuple[Record, ...]
    first_sequence: int
    first_offset: int | None = None
    error: str | None = None
    sent: tuple[Record, ...] = ()

    def fate(self, position: int) -> Fate:
        offset = None if self.first_offset is None else self.first_offset + position
        sequence = self.first_sequence + position
        return Fate(self.outcome, self.records[position], self.partition, sequence, offset, self.error)

    def fates(self) -> Iterator[Fate]:
        return map(self.fate, range(len(self.records)))
