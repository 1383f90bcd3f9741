"""The consumer's account of one partition, which travels in the metadata of its offset commits. Pure.

Offset and account move together or not at all: after any crash the account goes back to the last commit with the offset.
The text is `tandem/1` and then, separated by blanks, checkpoints from the oldest to that of the commit itself, each
`offset:resolved:dead:deferred:expired:digest`, all in hexadecimal. Their differences can be checked against the log, also
when retention has removed the oldest part of it.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple, Self

from xxhash import xxh3_64_intdigest

_FORMAT = "tandem/1"
_MOST_CHECKPOINTS = 12  # about 500 bytes; a broker takes 4096 (offset.metadata.max.bytes)
_MODULUS = 2**64


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

    def after(self, offset: int, identity: int, resolution: Resolution) -> Self:
        """The account after one more record, the one at `offset`."""
        return self._replace(
            offset=offset + 1,
            resolved=self.resolved + 1,
            dead=self.dead + (resolution is Resolution.DEAD_LETTERED),
            deferred=self.deferred + (resolution is Resolution.DEFERRED),
            digest=(self.digest + identity) % _MODULUS,
        )


def identity(event_id: bytes | None, topic: str, partition: int, offset: int) -> int:
    """XXH3 (64 bits) of a record's `ce_id`, or of `<topic>/<partition>/<offset>` where it has none."""
    return xxh3_64_intdigest(event_id or b"%s/%d/%d" % (topic.encode(), partition, offset))


def write(checkpoints: Sequence[Checkpoint]) -> str:
    """The metadata for a commit at the last checkpoint."""
    return " ".join([_FORMAT, *(":".join(f"{number:x}" for number in each) for each in checkpoints)])


def read(metadata: str, offset: int) -> tuple[Checkpoint, ...]:
    """The checkpoints of a commit at `offset`; none when its metadata is not ours, or of another offset."""
    name, *words = metadata.split(" ")
    try:
        found = tuple(Checkpoint(*(int(number, 16) for number in word.split(":"))) for word in words)
    except (TypeError, ValueError):
        return ()
    return found if name == _FORMAT and found and found[-1].offset == offset else ()


def extend(checkpoints: Sequence[Checkpoint], new: Checkpoint) -> tuple[Checkpoint, ...]:
    """With one more; where that is too many, without the one that is missed least.

    They lie close together at the end and further apart towards the beginning, as the rings of a tree do.
    """
    if len(checkpoints) < _MOST_CHECKPOINTS:
        return (*checkpoints, new)
    return _thinned((*checkpoints, new))


def _thinned(checkpoints: tuple[Checkpoint, ...]) -> tuple[Checkpoint, ...]:
    end = checkpoints[-1].offset

    def gap(position: int) -> float:
        """How large the gap without it would be, beside the distance to the end."""
        before, after = checkpoints[position - 1].offset, checkpoints[position + 1].offset
        return (after - before) / (end - before + 1)

    least = min(range(1, len(checkpoints) - 1), key=gap)
    return checkpoints[:least] + checkpoints[least + 1 :]
