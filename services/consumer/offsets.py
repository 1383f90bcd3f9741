"""Which offsets may be committed, and when. Pure: no I/O, time comes in as an argument."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tandem.account import Account, Checkpoint, Resolution, extend, write


class Mark(NamedTuple):
    """A place to commit: the account up to there, and those before it that are worth keeping."""

    checkpoints: tuple[Checkpoint, ...]

    @property
    def offset(self) -> int:
        """The offset to read next."""
        return self.checkpoints[-1].offset

    @property
    def metadata(self) -> str:
        """What travels with the commit."""
        return write(self.checkpoints)


class Offsets:
    """The records of one partition in hand: only the unbroken run of resolved ones from the front may be committed.

    The log may skip offsets (compaction, transaction markers), so the order of fetching counts, not arithmetic. The account
    covers the unbroken run alone, as the commit does.
    """

    def __init__(self) -> None:
        self.latest = -1  # of those fetched
        self._open: deque[int] = deque()
        self._ahead: dict[int, tuple[int, Resolution]] = {}  # resolved, but not yet part of the run
        self._account: Account | None = None
        self._committed: tuple[Checkpoint, ...] = ()

    @property
    def next(self) -> int | None:
        """The first record that is not resolved; with nothing in hand what follows the last one, None before the first."""
        if self._open:
            return self._open[0]
        return None if self._account is None else self._account.offset

    @property
    def in_hand(self) -> int:
        """Records fetched and not yet part of the unbroken run."""
        return len(self._open)

    @property
    def open(self) -> int:
        """Records fetched and not yet resolved."""
        return len(self._open) - len(self._ahead)

    @property
    def uncommitted(self) -> int:
        """Records of the unbroken run that no acknowledged commit covers."""
        return 0 if self._account is None else self._account.resolved - self._committed[-1].resolved

    @property
    def committed(self) -> int | None:
        """Where the group would go on; None before that is known."""
        return self._committed[-1].offset if self._committed else None

    def begin(self, checkpoints: Sequence[Checkpoint], expired: int = 0) -> Account:
        """Go on with the account that came with the last commit, where there is one.

        `expired`: offsets between that commit and the first record fetched that the log does not hold any more.
        """
        known = tuple(checkpoints) or (Checkpoint(self._open[0]),)
        self._committed = known
        self._account = Account(known[-1]._replace(expired=known[-1].expired + expired))
        return self._account

    def fetch(self, offsets: Iterable[int]) -> None:
        """Take note of fetched records, in the order of the log."""
        self._open.extend(offsets)
        if self._open:
            self.latest = max(self.latest, self._open[-1])

    def resolve(self, offset: int, identity: int = 0, how: Resolution = Resolution.HANDLED) -> None:
        """Take note that a record, known by its `account.identity`, is resolved, and how."""
        if self._open[0] != offset:
            self._ahead[offset] = identity, how
            return
        account = self._account or self.begin(())
        account.add(self._open.popleft(), identity, how)
        while self._ahead and self._open[0] in self._ahead:
            first = self._open.popleft()
            account.add(first, *self._ahead.pop(first))

    def committable(self) -> Mark | None:
        """Where to commit now, or None when nothing is resolved beyond the last commit."""
        if self._account is None or not self.uncommitted:
            return None
        return Mark(extend(self._committed, self._account.checkpoint()))

    def commit(self, mark: Mark) -> None:
        """Take note that Kafka has acknowledged a commit; what was resolved meanwhile stays uncommitted."""
        self._committed = mark.checkpoints


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """Commit after so many records or so many seconds, whichever comes first."""

    records: int
    seconds: float

    def due(self, resolved: int, since: float, now: float) -> bool:
        """Whether `resolved` records since the last commit, at time `since`, ask for one at `now`."""
        return resolved >= self.records or (resolved > 0 and now - since >= self.seconds)
