"""Which offsets may be committed, and when. Pure: no I/O, time comes in as an argument."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Mark(NamedTuple):
    """A place to commit: the offset to read next, and how many records of this partition were resolved before it."""

    offset: int
    resolved: int


class Offsets:
    """The records of one partition in hand: only the unbroken run of resolved ones from the front may be committed.

    The log may skip offsets (compaction, transaction markers), so the order of fetching counts, not arithmetic.
    """

    def __init__(self) -> None:
        self.next: int | None = (
            None  # the offset to read next: the first one fetched, or that after the unbroken run
        )
        self._open: deque[int] = deque()
        self._ahead: set[int] = set()  # resolved, but not yet part of the run
        self._resolved = 0
        self._committed = 0

    @property
    def in_hand(self) -> int:
        """Records fetched and not yet part of the unbroken run."""
        return len(self._open)

    @property
    def uncommitted(self) -> int:
        """Records of the unbroken run that no acknowledged commit covers."""
        return self._resolved - self._committed

    def fetch(self, offsets: Iterable[int]) -> None:
        """Take note of fetched records, in the order of the log."""
        self._open.extend(offsets)
        if self.next is None and self._open:
            self.next = self._open[0]

    def resolve(self, offset: int) -> None:
        """Take note that a record is handled or set aside."""
        self._ahead.add(offset)
        while self._open and self._open[0] in self._ahead:
            first = self._open.popleft()
            self._ahead.remove(first)
            self._resolved += 1
            self.next = first + 1

    def committable(self) -> Mark | None:
        """Where to commit now, or None when nothing is resolved beyond the last commit."""
        return Mark(self.next, self._resolved) if self.next is not None and self.uncommitted else None

    def commit(self, mark: Mark) -> None:
        """Take note that Kafka has acknowledged a commit; what was resolved meanwhile stays uncommitted."""
        self._committed = mark.resolved


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """Commit after so many records or so many seconds, whichever comes first."""

    records: int
    seconds: float

    def due(self, resolved: int, since: float, now: float) -> bool:
        """Whether `resolved` records since the last commit, at time `since`, ask for one at `now`."""
        return resolved >= self.records or (resolved > 0 and now - since >= self.seconds)
