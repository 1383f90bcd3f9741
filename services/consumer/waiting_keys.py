"""The keys that have records in retry topics: with RETRY_KEEP_ORDER later records of such a key wait behind them. Pure."""

from collections import Counter, defaultdict
from typing import NamedTuple


class Family(NamedTuple):
    """A partition of a topic, and those of the same number of its retry topics: all records of a key are in one family."""

    topic: str
    partition: int


class WaitingKeys:
    """Counts the records of each key on each level of a family: level n is the n-th retry topic."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Family, dict[bytes, Counter[int]]] = defaultdict(dict)

    def forget(self, family: Family) -> None:
        """Know nothing of a family any more."""
        self._waiting.pop(family, None)

    def enter(self, family: Family, key: bytes, level: int) -> None:
        """A record has been written to a level."""
        self._waiting[family].setdefault(key, Counter())[level] += 1

    def leave(self, family: Family, key: bytes, level: int) -> None:
        """A record of a level has been resolved there."""
        levels = self._waiting[family].get(key, Counter[int]())
        levels[level] -= 1
        if levels[level] <= 0:
            del levels[level]
        if not levels:
            self._waiting[family].pop(key, None)

    def behind(self, family: Family, key: bytes, level: int) -> int | None:
        """The level where a record must wait that is on `level` now: None when no earlier one of its key waits beyond.

        The nearest level, because what waits there may still go on to a further one.
        """
        return min((each for each in self._waiting[family].get(key, ()) if each > level), default=None)
