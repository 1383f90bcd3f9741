"""What has been read of one partition so far."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from services.ops.audit.findings import At
from services.ops.audit.picture import Bounds
from services.ops.audit.reading import Reader
from services.ops.audit.records import Records
from services.ops.audit.run_check import LogPart
from services.ops.audit.set_aside import SetAside
from services.ops.audit.spans import size
from services.ops.audit.sums import Message, RunningSum, Sum
from tandem.account import identity
from tandem.headers import EVENT_ID, find
from tandem.ledger import Span

_MODULUS = 2**64


@dataclass(slots=True)
class View:
    """One partition, its records and their sums. `problem`: why it was not read to its end."""

    at: At
    bounds: Bounds
    records: Records | SetAside
    sums: RunningSum
    compacted: bool = False
    unreadable: list[Span] = field(default_factory=list)
    problem: str | None = None

    @classmethod
    def of(cls, at: At, bounds: Bounds, *, set_aside: bool, compacted: bool = False) -> "View":
        records = SetAside(at, bounds.log_start) if set_aside else Records(at)
        return cls(at, bounds, records, RunningSum(bounds.start, records.fold), compacted)

    @property
    def part(self) -> LogPart:
        """What of the partition is known."""
        bounds = self.bounds
        hidden_from = bounds.stable if bounds.stable < bounds.end else None
        start = self.sums.start
        return LogPart(
            self.at,
            bounds.log_start,
            start,
            bounds.stable,
            self.compacted,
            hidden_from,
            size(self.unreadable),
        )

    def read_on(self, reader: Reader, bounds: Bounds, marks: Iterable[int]) -> None:
        """Read from where it stands to the end that `bounds` tells, and make sure that the sums at the marks are known.

        Raises what Reader raises.
        """
        marks = sorted(marks)
        self.sums.mark(marks)
        for messages in reader.batches(self.at, self.sums.now.offset, bounds.stable):
            self.sums.add(messages)
        self.sums.end(bounds.stable)
        self.bounds = bounds
        holes, self.sums.holes = self.sums.holes, []
        if holes and not self.compacted:
            self.note_damage(reader.damage(self.at, holes))
        self._recall(reader, marks)

    def note_damage(self, spans: Iterable[Span]) -> None:
        """Take note of batches that are not what Kafka wrote."""
        self.unreadable += [span for span in spans if span not in self.unreadable]

    def _recall(self, reader: Reader, offsets: Iterable[int]) -> None:
        """Find the sums at offsets that were not marked in time: a part of the log is read once more."""
        for offset in offsets:
            if self.sums.start <= offset <= self.sums.now.offset and self.sums.at(offset) is None:
                known = self.sums.nearest(offset)
                found = [each for _, each in self.identities(reader, known.offset, offset)]
                digest = (known.digest + sum(found)) % _MODULUS
                self.sums.remember(Sum(offset, known.records + len(found), digest))

    def identities(self, reader: Reader, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Offset and identity of each record from `first` to `end`, read once more."""
        for messages in reader.batches(self.at, first, end):
            yield from self._identities(messages)

    def _identities(self, messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
        for message in messages:
            try:
                name = find(message.headers() or (), EVENT_ID)
            except SystemError:  # the name of a header is not UTF-8
                continue
            yield message.offset(), identity(name, *self.at, message.offset())
