"""What an audit may find, as values."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tandem.ledger import Span


class At(NamedTuple):
    """A partition."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Kind(StrEnum):
    """What is wrong with records: the first four are losses, the others are about records that are there."""

    LOST = "LOST"  # acknowledged, and not in the log
    MISSED = "MISSED"  # committed past, and neither handled nor set aside
    EXPIRED = "EXPIRED"  # retention took them before the group had read them
    CORRUPT = "CORRUPT"  # not what was sent, or not to be read
    DUPLICATED = "DUPLICATED"  # twice in the log
    PHANTOM = "PHANTOM"  # surely not written, and in the log
    REORDERED = "REORDERED"  # behind a later one


LOSSES = frozenset({Kind.LOST, Kind.MISSED, Kind.EXPIRED, Kind.CORRUPT})


@dataclass(frozen=True, slots=True)
class Finding:
    """Records of one partition with the same thing wrong.

    They are named by their ids (`run` and `sequences`), by their offsets, or by both. `group` is set when it is about what a
    consumer group did.
    """

    kind: Kind
    at: At
    count: int
    run: str | None = None
    sequences: Span | None = None
    offsets: Span | None = None
    group: str | None = None
    detail: str = ""

    @property
    def ids(self) -> str | None:
        """Their ids: the first one's, and the sequence of the last."""
        if self.run is None or self.sequences is None:
            return None
        return f"{self.run}/{self.at.partition}/{_range(self.sequences)}"

    @property
    def name(self) -> str:
        """Which records, in words."""
        where = None if self.offsets is None else f"offset {_range(self.offsets)}"
        return ", ".join(filter(None, (self.ids, where))) or f"{self.count} records"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that could not be checked, and why."""

    about: str
    reason: str
    at: At | None = None
    group: str | None = None


@dataclass(slots=True)
class Findings:
    """What was found so far: wrong, not to be checked, or worth a word."""

    wrong: list[Finding] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def count(self, kind: Kind, at: At | None = None, group: str | None = None) -> int:
        """Records with that wrong; in one partition, or for one group, where it is named."""
        return sum(
            each.count
            for each in self.wrong
            if each.kind is kind and at in {None, each.at} and group in {None, each.group}
        )

    def add(self, other: "Findings") -> None:
        self.wrong += other.wrong
        self.doubts += other.doubts
        self.remarks += other.remarks


def _range(span: Span) -> str:
    return str(span.first) if span.first == span.last else f"{span.first}-{span.last}"
