"""The producer's ledger: what became of every sequence of one run. Pure: no I/O, time comes in as an argument.

It is published to the compacted topic LEDGER_TOPIC under the key `run`, and each edition replaces the one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import msgspec

from tandem.records import Outcome, Settled

_TOO_MANY = 2**63


class Span(NamedTuple):
    """Sequences that follow each other, both ends included."""

    first: int
    last: int


class LaneLedger(msgspec.Struct, frozen=True, rename="camel"):
    """One partition's part: the sequences below `settled` are acked, but for those in `failed` and `unknown`.

    What lies at `settled` and beyond has no fate yet. `first_offset` is that of sequence 0, `last_offset` that of the last acked
    record, as far as Kafka told them: who knows where the log begins can tell what was removed from what is missing.
    """

    topic: str
    partition: int
    settled: int = 0
    failed: tuple[Span, ...] = ()
    unknown: tuple[Span, ...] = ()
    first_offset: int | None = None
    last_offset: int | None = None

    def settle(self, settled: Settled) -> Self:
        """The same with the next batch's fate."""
        end = settled.first_sequence + len(settled.records)
        span = Span(settled.first_sequence, end - 1)
        match settled.outcome:
            case Outcome.ACKED:
                return msgspec.structs.replace(self._placed(settled), settled=end)
            case Outcome.FAILED:
                return msgspec.structs.replace(self, settled=end, failed=_with(self.failed, span))
            case Outcome.UNKNOWN:
                return msgspec.structs.replace(self, settled=end, unknown=_with(self.unknown, span))

    def _placed(self, settled: Settled) -> Self:
        """The same with the place of the next acked batch; Kafka may not have told where the first one is."""
        if settled.first_offset is None:
            return self
        first = settled.first_offset if settled.first_sequence == 0 else self.first_offset
        last = settled.first_offset + len(settled.records) - 1
        return msgspec.structs.replace(self, first_offset=first, last_offset=last)

    def is_sound(self) -> bool:
        """Whether it can be one of ours: what can be read as one may be written by anybody."""
        free = 0
        for span in sorted((*self.failed, *self.unknown)):
            if not free <= span.first <= span.last:
                return False
            free = span.last + 1
        return free <= self.settled < _TOO_MANY and self.partition >= 0


class Edition(msgspec.Struct, frozen=True, rename="camel"):
    """A ledger as it is published: JSON in UTF-8.

    `closed`: nothing follows, so that a sequence at `settled` or beyond was never sent. `at_ms` is in epoch milliseconds;
    `interval_ms` is the longest time until the next one, when something has changed and the run lives.
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
        """Read one. Raises ValueError for bytes that are none."""
        try:
            edition = msgspec.json.decode(value, type=cls)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if not all(lane.is_sound() for lane in edition.lanes):
            raise ValueError("its spans contradict each other")
        return edition


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
