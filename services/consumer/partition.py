"""One assigned partition: its records are resolved in order per key, on tasks of its own.

What waits in one partition, for a handler or for the dead-letter topic, holds up no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from aiokafka import TopicPartition

from services.consumer.backlog import Backlog, Message
from services.consumer.offsets import Offsets
from services.consumer.retry import Failures
from tandem.account import Resolution, identity
from tandem.errors import StopRequested
from tandem.headers import EVENT_ID, find

# Of one partition; beyond any of them, no more is fetched of it before some of it is resolved.
_MOST_OPEN = 5000
_MOST_BYTES = 16 * 1024 * 1024
# With those that are resolved, but not all before them: what comes again after a crash.
_MOST_IN_HAND = 100_000
# Seconds; then a handler that never waits lets heartbeats, commits and signals have theirs.
_LONGEST_TURN = 0.02


class Again(NamedTuple):
    """The record is not resolved: try again at that time of the loop's clock, with what is known of it."""

    at: float
    failures: Failures | None


Resolve = Callable[[Message, Failures | None], Awaitable[Resolution | Again]]


class Partition:
    """Resolves records until it is told to finish; lives as long as one assignment of the partition.

    `generation` is that of the group when it was assigned: work that outlived it must not be committed. At most `concurrency`
    records are worked on at the same time; `ordered`: one after the other, whatever their keys.
    """

    def __init__(
        self,
        at: TopicPartition,
        generation: int,
        resolve: Resolve,
        *,
        concurrency: int = 1,
        ordered: bool = False,
    ) -> None:
        self.at = at
        self.generation = generation
        self.offsets = Offsets()
        self._bytes = 0
        self._resolve = resolve
        self._workers = 1 if ordered else concurrency
        self._backlog = Backlog(ordered=ordered, alone=self._workers == 1)
        self._failures: dict[int, Failures | None] = {}
        self._news = asyncio.Event()
        self.finishing = asyncio.Event()
        self.broken = False  # a worker ended although nobody had told it to: what it had in hand stays there
        self._clock = asyncio.get_running_loop().time

    @property
    def full(self) -> bool:
        """Whether it has enough in hand."""
        offsets = self.offsets
        return offsets.open >= _MOST_OPEN or self._bytes >= _MOST_BYTES or offsets.in_hand >= _MOST_IN_HAND

    @property
    def next_try(self) -> float | None:
        """When the first of the records that are tried again is due."""
        return self._backlog.due

    def add(self, records: Sequence[Message]) -> None:
        """Take records to resolve after those in hand."""
        self.offsets.fetch(record.offset for record in records)
        self._bytes += sum(map(_size, records))
        self._backlog.add(records)
        self._news.set()

    def finish(self) -> None:
        """Resolve no more than what is being worked on, then end."""
        self.finishing.set()
        self._news.set()

    async def run(self) -> None:
        """Resolve what comes, until `finish`."""
        async with asyncio.TaskGroup() as workers:
            for number in range(1, self._workers):
                name = f"resolve {self.at.topic}/{self.at.partition} ({number})"
                workers.create_task(self._work(), name=name)
            await self._work()

    async def _work(self) -> None:
        try:
            with suppress(StopRequested):  # out of a wait for a schema: the record comes again
                await self._resolve_all()
        finally:
            self.broken |= not self.finishing.is_set()

    async def _resolve_all(self) -> None:
        turn_ends = self._clock() + _LONGEST_TURN
        while not self.finishing.is_set():
            if (now := self._clock()) > turn_ends:
                await asyncio.sleep(0)
                turn_ends = self._clock() + _LONGEST_TURN
                continue
            self._news.clear()
            record = self._backlog.take(now)
            if record is None:
                await self._something_to_do(now)
                continue
            failures = self._failures.pop(record.offset, None) if self._failures else None
            self._settle(record, await self._resolve(record, failures))

    def _settle(self, record: Message, how: Resolution | Again) -> None:
        if isinstance(how, Again):
            self._failures[record.offset] = how.failures
            self._backlog.wait(record, how.at)
        else:
            found = find(record.headers, EVENT_ID)
            known = identity(found, record.topic, record.partition, record.offset)
            self.offsets.resolve(record.offset, known, how)
            self._bytes -= _size(record)
            self._backlog.done(record)
        if self._workers > 1:
            self._news.set()

    async def _something_to_do(self, now: float) -> None:
        """Wait for news, or until a record that waits is due."""
        due = self._backlog.due
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                await self._news.wait()
        except TimeoutError:
            return


def _size(record: Message) -> int:
    return len(record.key or b"") + len(record.value or b"")
