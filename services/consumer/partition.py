"""One assigned partition: its records are resolved in order, on a task of their own.

What waits in one partition, for a handler or for the dead-letter topic, holds up no other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import ConsumerRecord, TopicPartition

from services.consumer.offsets import Offsets

_LONGEST_TURN = (
    0.02  # seconds; then a handler that never waits lets heartbeats, commits and signals have theirs
)

Resolve = Callable[[ConsumerRecord[bytes, bytes]], Awaitable[None]]


class Partition:
    """Resolves records until it is told to finish; lives as long as one assignment of the partition.

    `generation` is that of the group when it was assigned: work that outlived it must not be committed.
    """

    def __init__(self, at: TopicPartition, generation: int, resolve: Resolve) -> None:
        self.at = at
        self.generation = generation
        self.offsets = Offsets()
        self.bytes_in_hand = 0
        self._resolve = resolve
        self._batches: deque[Sequence[ConsumerRecord[bytes, bytes]]] = deque()
        self._filled = asyncio.Event()
        self._finishing = False
        self._clock = asyncio.get_running_loop().time

    def add(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Take records to resolve after those in hand."""
        self.offsets.fetch(record.offset for record in records)
        self.bytes_in_hand += sum(map(_size, records))
        self._batches.append(records)
        self._filled.set()

    def finish(self) -> None:
        """Resolve no more than what fits into the running turn, at least the record in hand, then end."""
        self._finishing = True
        self._filled.set()

    async def run(self) -> None:
        """Resolve what comes, until `finish`."""
        while not self._finishing:
            await self._filled.wait()
            while self._batches and not self._finishing:
                await self._resolve_all(self._batches.popleft())
                await asyncio.sleep(0)
            self._filled.clear()

    async def _resolve_all(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        turn_ends = self._clock() + _LONGEST_TURN
        for record in records:
            if self._clock() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = self._clock() + _LONGEST_TURN
            if self._finishing:
                return
            await self._resolve(record)
            self.offsets.resolve(record.offset)
            self.bytes_in_hand -= _size(record)


def _size(record: ConsumerRecord[bytes, bytes]) -> int:
    return len(record.key or b"") + len(record.value or b"")
