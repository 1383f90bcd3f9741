"""A set of numbers, kept as spans: its memory grows with the gaps, not with the numbers. Pure."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from tandem.ledger import Span


class Spans:
    """Numbers from 0 to 2^63, sixteen bytes for each span of them."""

    __slots__ = ("_edges",)

    def __init__(self) -> None:
        self._edges = array("q")  # where a span begins, and where it has ended: in turns, and rising

    def __len__(self) -> int:
        """How many spans."""
        return len(self._edges) // 2

    def __iter__(self) -> Iterator[Span]:
        edges = self._edges
        return (Span(edges[at], edges[at + 1] - 1) for at in range(0, len(edges), 2))

    def add(self, first: int, last: int) -> bool:
        """Add the numbers from `first` to `last`; say False, and add none, where one of them is there already."""
        edges = self._edges
        at = bisect_right(edges, first)
        if at % 2 or (at < len(edges) and edges[at] <= last):
            return False
        joins_before, joins_after = (
            at > 0 and edges[at - 1] == first,
            at < len(edges) and edges[at] == last + 1,
        )
        begin = at - 1 if joins_before else at
        end = at + 1 if joins_after else at
        edges[begin:end] = array("q", ([] if joins_before else [first]) + ([] if joins_after else [last + 1]))
        return True

    def count(self, first: int, last: int) -> int:
        """How many numbers from `first` to `last` are in it."""
        return sum(span.last - span.first + 1 for span in self.within(first, last))

    def within(self, first: int, last: int) -> Iterator[Span]:
        """The part of it from `first` to `last`."""
        edges = self._edges
        at = bisect_right(edges, first) // 2 * 2
        while at < len(edges) and edges[at] <= last:
            begin, end = max(edges[at], first), min(edges[at + 1] - 1, last)
            if begin <= end:
                yield Span(begin, end)
            at += 2

    def gaps(self, first: int, last: int) -> Iterator[Span]:
        """The numbers from `first` to `last` that are not in it."""
        return without([Span(first, last)], self.within(first, last))


def without(spans: Iterable[Span], taken: Iterable[Span]) -> Iterator[Span]:
    """What is left of rising spans when other rising spans are taken out."""
    others = iter(taken)
    other = next(others, None)
    for span in spans:
        first = span.first
        while other is not None and other.first <= span.last:
            if other.first > first:
                yield Span(first, other.first - 1)
            first = max(first, other.last + 1)
            if other.last > span.last:
                break
            other = next(others, None)
        if first <= span.last:
            yield Span(first, span.last)


def size(spans: Iterable[Span]) -> int:
    """How many numbers they hold."""
    return sum(span.last - span.first + 1 for span in spans)
