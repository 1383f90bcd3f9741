"""A lane: one partition's way to Kafka. Pure bookkeeping, no I/O.

At most one batch is under way; the next one fills meanwhile. So a lone record leaves at once and a flood travels in
large batches, without a timer. A full batch that can't leave yet is the back-pressure.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aiokafka.producer.message_accumulator import BatchBuilder

from tandem.headers import CHECKSUM, EVENT_ID, Header, checksum
from tandem.records import Fate, Outcome, Record, Settled


@dataclass(slots=True)
class Batch:
    """Records that will be one Kafka batch. `handed_over`: aiokafka has it, so it may end up in the log."""

    builder: BatchBuilder
    first_sequence: int
    records: list[Record] = field(default_factory=list)
    times: list[int] = field(default_factory=list)  # of the records, in milliseconds
    waiters: list[tuple[int, asyncio.Future[Fate]]] = field(default_factory=list)
    handed_over: bool = False


class Lane:
    """Fills one batch at a time. `run` None: records keep their headers, and get neither an id nor a checksum."""

    def __init__(
        self, topic: str, partition: int, run: str | None, new_builder: Callable[[], BatchBuilder]
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.loaded = asyncio.Event()  # something waits to leave
        self.room = asyncio.Event()  # the filling batch takes more
        self.under_way: Batch | None = None
        self._ids = None if run is None else b"%b/%d/" % (run.encode(), partition)  # what they begin with
        self._new_builder = new_builder
        self._filling = self._new_batch(0)

    def add(self, record: Record, waiter: asyncio.Future[Fate] | None = None) -> bool:
        """Put a record into the filling batch, or say False when it is full: then wait for `room`."""
        batch = self._filling
        position = len(batch.records)
        time = self._build(batch, position, record, record.timestamp_ms)
        if time is None:
            self.room.clear()
            return False
        batch.records.append(record)
        batch.times.append(time)
        if waiter is not None:
            batch.waiters.append((position, waiter))
        self.loaded.set()
        return True

    def take(self) -> Batch:
        """Put the filling batch under way and begin the next one."""
        assert self.under_way is None, "one batch at a time keeps the order"  # noqa: S101 -- an invariant
        batch = self.under_way = self._filling
        batch.builder.close()
        self._filling = self._new_batch(batch.first_sequence + len(batch.records))
        self.loaded.clear()
        self.room.set()
        return batch

    def build_again(self) -> None:
        """Make the batch under way, which was surely not written, ready to be sent once more: byte for byte the same.

        What has been sent is bound to the client that sent it.
        """
        batch = self.under_way
        assert batch is not None, "only what is under way was sent"  # noqa: S101 -- an invariant
        batch.builder = self._new_builder()
        for position, (record, time) in enumerate(zip(batch.records, batch.times, strict=True)):
            self._build(batch, position, record, time)
        batch.builder.close()
        batch.handed_over = False

    def settle(self, outcome: Outcome, offset: int | None = None, error: str | None = None) -> Settled:
        """End the batch that is under way, and tell those who wait for one of its records."""
        batch, self.under_way = self.under_way, None
        assert batch is not None, "only what is under way can settle"  # noqa: S101 -- an invariant
        settled = Settled(
            outcome,
            self.topic,
            self.partition,
            tuple(batch.records),
            batch.first_sequence,
            offset,
            error,
            () if outcome is Outcome.ACKED else tuple(self._sent(batch)),
        )
        for position, waiter in batch.waiters:
            if not waiter.done():
                waiter.set_result(settled.fate(position))
        return settled

    def abandon(self, error: str) -> list[Settled]:
        """End everything: UNKNOWN what was handed over, FAILED what was not."""
        settled = []
        if self.under_way is not None:
            outcome = Outcome.UNKNOWN if self.under_way.handed_over else Outcome.FAILED
            settled.append(self.settle(outcome, error=error))
        if self._filling.records:
            self.take()
            settled.append(self.settle(Outcome.FAILED, error=error))
        return settled

    def _new_batch(self, first_sequence: int) -> Batch:
        return Batch(self._new_builder(), first_sequence)

    def _build(self, batch: Batch, position: int, record: Record, time: int | None) -> int | None:
        """Write a record behind the others, and return its time (None: now); None when the batch is full."""
        added = batch.builder.append(
            timestamp=time,
            key=record.key,
            value=record.value,
            headers=self._headers(record, batch.first_sequence + position),
        )
        return None if added is None else added.timestamp

    def _headers(self, record: Record, sequence: int) -> list[Header]:
        if self._ids is None:
            return list(record.headers)
        return [
            *record.headers,
            (EVENT_ID, b"%b%d" % (self._ids, sequence)),  # as `event_id` writes it
            (CHECKSUM, checksum(record.key, record.value)),
        ]

    def _sent(self, batch: Batch) -> Iterator[Record]:
        for sequence, (record, time) in enumerate(
            zip(batch.records, batch.times, strict=True), batch.first_sequence
        ):
            yield record._replace(
                headers=self._headers(record, sequence), timestamp_ms=time, partition=self.partition
            )
