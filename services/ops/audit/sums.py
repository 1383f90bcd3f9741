"""How many records a partition holds up to certain offsets, and the sum of their identities. Pure."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from tandem.ledger import Span

_MODULUS = 2**64
_SAMPLE = 100_000  # records


class Message(Protocol):
    """What is used of confluent_kafka's Message."""

    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> list[tuple[str, bytes]] | None: ...


Fold = Callable[[Sequence[Message]], int]  # looks at records, and returns the sum of their identities


class Sum(NamedTuple):
    """The records before an offset: how many, and the sum of their identities modulo 2^64."""

    offset: int
    records: int
    digest: int

    def since(self, before: "Sum") -> tuple[int, int]:
        """Number and digest of the records from `before` to here."""
        return self.records - before.records, (self.digest - before.digest) % _MODULUS


class RunningSum:
    """Passes the records of one partition on, and remembers the sums at `marks`: offsets that someone will ask for.

    `holes` are parts in which not every offset has a record.
    """

    def __init__(self, start: int, fold: Fold) -> None:
        self.start = start
        self.now = Sum(start, 0, 0)
        self.holes: list[Span] = []
        self._fold = fold
        self._marks: list[int] = []
        self._at = {start: self.now}
        self._sampled = 0

    def mark(self, offsets: Iterable[int]) -> None:
        """Remember the sum at these offsets, too, as far as they are still ahead."""
        for offset in offsets:
            if offset > self.now.offset and offset not in self._marks:
                insort(self._marks, offset)

    def add(self, messages: Sequence[Message]) -> None:
        """Take the next records, in the order of their offsets."""
        while messages and self._marks and messages[-1].offset() >= self._marks[0]:
            mark = self._marks.pop(0)
            cut = bisect_left(messages, mark, key=lambda message: message.offset())
            self._take(messages[:cut])
            messages = messages[cut:]
            self._at[mark] = self.now._replace(offset=mark)
        self._take(messages)

    def end(self, offset: int) -> None:
        """Take note that there is no more before `offset`."""
        while self._marks and self._marks[0] <= offset:
            mark = self._marks.pop(0)
            self._at[mark] = self.now._replace(offset=mark)
        if offset > self.now.offset:
            self._note_hole(Span(self.now.offset, offset - 1))
            self.now = self.now._replace(offset=offset)
        self._at[offset] = self.now

    def at(self, offset: int) -> Sum | None:
        """The sum at an offset; None where it was not marked in time."""
        return self._at.get(offset)

    def known(self, offset: int) -> Sum:
        """The sum at an offset that was marked, or remembered."""
        return self._at[offset]

    def nearest(self, offset: int) -> Sum:
        """The last sum known at or before an offset, which is not before `start`."""
        return self._at[max(known for known in self._at if known <= offset)]

    def remember(self, known: Sum) -> None:
        """Keep a sum that was found by reading a part once more."""
        self._at[known.offset] = known

    def _take(self, messages: Sequence[Message]) -> None:
        if messages:
            end = messages[-1].offset() + 1
            if end - self.now.offset != len(messages):
                self._note_hole(Span(self.now.offset, end - 1))
            digest = (self.now.digest + self._fold(messages)) % _MODULUS
            self.now = Sum(end, self.now.records + len(messages), digest)
            if self.now.records - self._sampled >= _SAMPLE:  # so that no large part has to be read once more
                self._sampled, self._at[self.now.offset] = self.now.records, self.now

    def _note_hole(self, part: Span) -> None:
        if self.holes and self.holes[-1].last + 1 == part.first:
            part = Span(self.holes.pop().first, part.last)
        self.holes.append(part)
