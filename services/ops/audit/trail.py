"""The trail that one run left in one partition: which sequences came, and in which order. Pure."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from services.ops.audit.findings import At, Finding, Kind
from services.ops.audit.spans import Spans, size
from tandem.ledger import Span

MOST_NAMED = 1000
_MOST_SPANS = 1_000_000  # 16 MB; a producer of ours leaves few
_SEQUENCE = re.compile(rb"0|[1-9][0-9]{0,17}")


class _Odd(NamedTuple):
    """Sequences that follow each other, at offsets from the first one's to the last one's."""

    sequences: Span
    offsets: Span


class Oddities:
    """Records with the same thing wrong; those whose sequences follow each other are one. Beyond a thousand they are only counted."""

    __slots__ = ("_found", "count")

    def __init__(self) -> None:
        self.count = 0
        self._found: list[_Odd] = []

    def add(self, sequence: int, offset: int) -> None:
        """Take note of a record. One that has no sequence is given its offset for one."""
        self.count += 1
        last = self._found[-1] if self._found else None
        if last is not None and last.sequences.last + 1 == sequence:
            sequences, offsets = Span(last.sequences.first, sequence), Span(last.offsets.first, offset)
            self._found[-1] = _Odd(sequences, offsets)
        elif len(self._found) < MOST_NAMED:
            self._found.append(_Odd(Span(sequence, sequence), Span(offset, offset)))

    def findings(self, kind: Kind, at: At, run: str | None = None, detail: str = "") -> Iterator[Finding]:
        """All of them by name, as far as they are known by name."""
        named = 0
        for sequences, offsets in self._found:
            count = size([sequences])
            named += count
            yield Finding(kind, at, count, run, None if run is None else sequences, offsets, detail=detail)
        if self.count > named:
            yield Finding(kind, at, self.count - named, run, detail=f"{detail}; too many to name".strip("; "))


class Trail:
    """Takes a run's sequences in the order of the log.

    `expected` are the digits of the sequence that is next when all is well. Who finds it counts `next` up and makes the
    following digits himself: that is done ten million times. Anything else goes to `jump`.
    """

    __slots__ = ("_begin", "_sealed", "duplicated", "expected", "next", "reordered", "scattered")

    def __init__(self) -> None:
        self.next = 0  # above all sequences so far
        self.expected = b"0"
        self.duplicated = Oddities()
        self.reordered = Oddities()
        self.scattered = False  # too many gaps to remember
        self._begin = 0  # of the span that ends at `next`
        self._sealed = Spans()  # the spans before that one

    def jump(self, digits: bytes, offset: int) -> bool:
        """Take a sequence that is not the expected one; say False when it is no sequence."""
        if _SEQUENCE.fullmatch(digits) is None:
            return False
        sequence = int(digits)
        if sequence >= self.next:
            self._seal()
            self._begin, self.next = sequence, sequence + 1
            self.expected = b"%d" % self.next
        elif sequence >= self._begin or not self._sealed.add(sequence, sequence):
            self.duplicated.add(sequence, offset)
        else:
            self.reordered.add(sequence, offset)
        return True

    def seen(self) -> Spans:
        """The sequences so far."""
        self._seal()
        self._begin = self.next
        return self._sealed

    def _seal(self) -> None:
        self.scattered = self.scattered or len(self._sealed) >= _MOST_SPANS
        if self.next > self._begin and not self.scattered:
            self._sealed.add(self._begin, self.next - 1)
