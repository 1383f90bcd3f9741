"""The producer's ledger: what became of every sequence of one run. Pure: no I/O, time comes in as an argument.

It is published to the compacted topic LEDGER_TOPIC under the key `run`, and each edition replaces the one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import msgspec

from tandem.records import Outcome, Settled


class Span(NamedTuple):
    """Sequences that follow each other, both ends included."""

    first: int
    last: int


class LaneLedger(msgspec.Struct, frozen=True, rename="camel"):
    """One partition's part: the sequences below `settled` are acked, but for those in `failed` and `unknown`.

    What lies at `settled` and beyond has no fate yet.
    """

    topic: str
    partition: int
    settled: int = 0
    failed: tuple[Span, ...] = ()
    unknown: tuple[Span, ...] = ()

    def settle(self, settled: Settled) -> Self:
        """The same with the next batch's fate."""
        end = settled.first_sequence + len(settled.records)
        span = Span(settled.first_sequence, end - 1)
        match settled.outcome:
            case Outcome.ACKED:
                return msgspec.structs.replace(self, settled=end)
            case Outcome.FAILED:
                return msgspec.structs.replace(self, settled=end, failed=_with(self.failed, span))
            case Outcome.UNKNOWN:
                return msgspec.structs.replace(self, settled=end, unknown=_with(self.unknown, span))


class Edition(msgspec.Struct, frozen=True, rename="camel"):
    """A ledger as it is published: JSON in UTF-8.

    `closed`: nothing follows, so that a sequence at `settled` or beyond was never sent. `at_ms` is in epoch milliseconds;
    `interval_ms` is the longest time until the next edition, while the run lives.
    """

    run: str
    stream: str
    at_ms: int
    interval_ms: int
    closed: bool
    lanes: tuple[LaneLedger, ...]

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, value: bytes) -> "Edition":
        """Read one. Raises msgspec.DecodeError or ValueError for bytes that are none."""
        return msgspec.json.decode(value, type=cls)


@dataclass(slots=True)
class Ledger:
    """Keeps account of one run, batch by batch."""

    run: str
    stream: str
    lanes: dict[tuple[str, int], LaneLedger] = field(default_factory=dict)

    def settle(self, settled: Settled) -> None:
        """Take note of a batch's fate. Batches of a partition come in the order of their sequences."""
        at = settled.topic, settled.partition
        self.lanes[at] = self.lanes.get(at, LaneLedger(*at)).settle(settled)

    def edition(self, now_ms: int, interval_ms: int, *, closed: bool) -> Edition:
        return Edition(self.run, self.stream, now_ms, interval_ms, closed, tuple(self.lanes.values()))

    def undelivered(self) -> Mapping[tuple[str, int], LaneLedger]:
        """The partitions where something was not acknowledged."""
        return {at: lane for at, lane in self.lanes.items() if lane.failed or lane.unknown}


def _with(spans: tuple[Span, ...], new: Span) -> tuple[Span, ...]:
    """Spans that touch become one: a long outage must not fill the memory."""
    if spans and spans[-1].last + 1 == new.first:
        return (*spans[:-1], Span(spans[-1].first, new.last))
    return (*spans, new)
