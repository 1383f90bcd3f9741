"""The records of one partition that are not resolved: which may be worked on now. Pure: time comes in as an argument."""

from collections import deque
from collections.abc import Hashable, Iterable
from heapq import heappop, heappush
from typing import TypeAlias

from aiokafka import ConsumerRecord

Message: TypeAlias = ConsumerRecord[bytes, bytes]


class Backlog:
    """Gives out records in order per key: what is worked on or waits holds back the later ones of its key, and no others.

    Records without a key have no order among each other. `ordered`: the whole partition is one key. `alone`: at most one record is
    out at a time, so that only those that wait have to be remembered.
    """

    def __init__(self, *, ordered: bool = False, alone: bool = False) -> None:
        self._ordered = ordered
        self._alone = alone and not ordered
        self._ready: deque[Message] = deque()
        self._next: deque[Message] = deque()  # the first of those that were held back, now their key is free
        self._behind: dict[Hashable, deque[Message] | None] = {}  # by the key of one that is out or waits
        self._waiting: list[tuple[float, int, Message]] = []

    @property
    def due(self) -> float | None:
        """When the first of those that wait is due."""
        return self._waiting[0][0] if self._waiting else None

    def add(self, records: Iterable[Message]) -> None:
        """Take records, in the order of the log, after those that are there."""
        self._ready.extend(records)

    def take(self, now: float) -> Message | None:
        """Give out a record: one that is due, or the next; None when all that are here have to wait."""
        if self._waiting and self._waiting[0][0] <= now:
            return heappop(self._waiting)[2]
        if self._next:
            return self._next.popleft()
        while self._ready:
            record = self._ready.popleft()
            if self._alone and not self._behind:
                return record
            if self._may_go(record):
                return record
        return None

    def done(self, record: Message) -> None:
        """Take note that a record is resolved: the next one of its key may go."""
        if not self._behind:
            return
        key = self._key(record)
        if behind := self._behind.get(key):
            self._next.append(behind.popleft())
        else:
            self._behind.pop(key, None)

    def wait(self, record: Message, until: float) -> None:
        """Take back a record that was given out, to give it out again when it is due; its key waits with it."""
        self._behind.setdefault(self._key(record), None)
        heappush(self._waiting, (until, record.offset, record))

    def _may_go(self, record: Message) -> bool:
        key = self._key(record)
        if key not in self._behind:
            if not self._alone:
                self._behind[key] = None
            return True
        behind = self._behind[key]
        if behind is None:
            behind = self._behind[key] = deque()
        behind.append(record)
        return False

    def _key(self, record: Message) -> Hashable:
        if self._ordered:
            return None
        key: Hashable = record.key
        return record.offset if key is None else key
