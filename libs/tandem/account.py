"""The consumer's account of one partition, which travels in the metadata of its offset commits. Pure.

Offset and account move together or not at all: after any crash the account goes back to the last commit with the offset.
The text is `tandem/1` and then, separated by blanks, checkpoints from the oldest to that of the commit itself, each
`offset:resolved:dead:deferred:expired:digest`, all in hexadecimal (lower case). Their differences can be checked against the log, also
when retention has removed the oldest part of it.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from itertools import pairwise, starmap
from operator import le
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

_FORMAT = "tandem/1"
_MOST_CHECKPOINTS = 24  # about 700 bytes; a broker takes 4096 (offset.metadata.max.bytes)
_MODULUS = 2**64
_END = "\0"
_CHECKPOINT = re.compile(r"[0-9a-f]{1,16}(?::[0-9a-f]{1,16}){5}", re.ASCII)


class Resolution(Enum):
    """How a record was resolved."""

    HANDLED = auto()
    DEAD_LETTERED = auto()
    DEFERRED = auto()  # it waits in a retry topic
    NOT_OURS = auto()  # it is meant for another consumer group alone


class Checkpoint(NamedTuple):
    """The account before `offset`: every record from where the account begins to there is resolved.

    `resolved` counts them; `dead` and `deferred` are those of them that went to the dead letters or to a retry topic. `expired` counts
    offsets that the log had lost before they were read. `digest` is the sum modulo 2^64 of `identity` of each record.
    """

    offset: int
    resolved: int = 0
    dead: int = 0
    deferred: int = 0
    expired: int = 0
    digest: int = 0


class Account:
    """Goes on from a checkpoint, record by record."""

    __slots__ = ("_before", "_dead", "_deferred", "_digest", "offset", "resolved")

    def __init__(self, before: Checkpoint) -> None:
        self.offset = before.offset
        self.resolved = before.resolved
        self._before = before
        self._dead = self._deferred = self._digest = 0

    def add(self, offset: int, identity: int, how: Resolution) -> None:
        """Count the record at `offset`, the next one of the log."""
        self.offset = offset + 1
        self.resolved += 1
        self._digest += identity
        if how is not Resolution.HANDLED:
            self._dead += how is Resolution.DEAD_LETTERED
            self._deferred += how is Resolution.DEFERRED

    def checkpoint(self) -> Checkpoint:
        """The account as it is now."""
        return self._before._replace(
            offset=self.offset,
            resolved=self.resolved,
            dead=self._before.dead + self._dead,
            deferred=self._before.deferred + self._deferred,
            digest=(self._before.digest + self._digest) % _MODULUS,
        )


def identity(event_id: bytes | None, topic: str, partition: int, offset: int) -> int:
    """XXH3 (64 bits) of a record's `ce_id`, or of `<topic>/<partition>/<offset>` where it has none."""
    return xxh3_64_intdigest(event_id or b"%s/%d/%d" % (topic.encode(), partition, offset))


def write(checkpoints: Sequence[Checkpoint]) -> str:
    """The metadata for a commit at the last checkpoint."""
    words = (":".join(f"{number:x}" for number in each) for each in checkpoints)
    # librdkafka hands metadata on as a C string that nobody ends: what lies behind it in memory would follow.
    return " ".join([_FORMAT, *words]) + _END


def parse(metadata: str | None) -> tuple[Checkpoint, ...]:
    """The checkpoints of a commit; none when its metadata is not ours. Never raises."""
    name, *words = (metadata or "").removesuffix(_END).split(" ")
    if name != _FORMAT or not words or not all(map(_CHECKPOINT.fullmatch, words)):
        return ()
    found = tuple(Checkpoint(*(int(number, 16) for number in word.split(":"))) for word in words)
    return found if all(starmap(_follows, pairwise(found))) else ()


def read(metadata: str | None, offset: int) -> tuple[Checkpoint, ...]:
    """The checkpoints of a commit at `offset`; none when its metadata is not ours, or of another offset."""
    found = parse(metadata)
    return found if found and found[-1].offset == offset else ()


def _follows(before: Checkpoint, after: Checkpoint) -> bool:
    return before.offset < after.offset and all(map(le, before[:-1], after[:-1]))


def extend(checkpoints: Sequence[Checkpoint], new: Checkpoint) -> tuple[Checkpoint, ...]:
    """With one more; where that is too many, without the one that is missed least.

    They lie close together at the end and further apart towards the beginning, as the rings of a tree do.
    """
    kept = (*checkpoints, new)
    while len(kept) > _MOST_CHECKPOINTS:  # several times where somebody else has written more
        kept = _thinned(kept)
    return kept


def _thinned(checkpoints: tuple[Checkpoint, ...]) -> tuple[Checkpoint, ...]:
    end = checkpoints[-1].offset

    def gap(position: int) -> float:
        """How large the gap without it would be, beside the distance to the end."""
        before, after = checkpoints[position - 1].offset, checkpoints[position + 1].offset
        return (after - before) / (end - before + 1)

    least = min(range(1, len(checkpoints) - 1), key=gap)
    return checkpoints[:least] + checkpoints[least + 1 :]
