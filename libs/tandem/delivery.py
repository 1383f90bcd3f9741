"""Delivery: hands records to Kafka in batches and tells the fate of each."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import count
from types import TracebackType
from typing import Self

import structlog
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from tandem.handover import deliver
from tandem.lane import Lane
from tandem.records import Fate, Record, Settled
from tandem.renewal import Open, RenewedProducer

_RETRY_DELAY = 0.5

log = structlog.get_logger()


@lru_cache(maxsize=65536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Java's client chooses for a key (murmur2)."""
    everything = list(range(partitions))
    return int(DefaultPartitioner()(key, everything, everything))


class Delivery:
    """Sends records in order per partition; each ends as exactly one fate, also when the client breaks or time runs out.

    An async context manager; leaving it flushes for at most `drain_seconds`, unless it is cancelled. `open_client` is
    asked for an idempotent producer with `stop` at the start, and again whenever one breaks. `on_settled` hears of each
    batch. With `run`, each record gets its id. What waits is bounded: two batches a partition, then `put` waits.
    """

    def __init__(
        self,
        open_client: Open,
        on_settled: Callable[[Settled], None] = lambda _: None,
        *,
        stop: asyncio.Event,
        run: str | None = None,
        drain_seconds: float = 25.0,
    ) -> None:
        self.in_flight = 0
        self._client = RenewedProducer(open_client)
        self._on_settled = on_settled
        self._stop = stop
        self._run = run
        self._drain_seconds = drain_seconds
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._partitions: dict[str, int] = {}
        self._tasks = asyncio.TaskGroup()
        self._serving: list[asyncio.Task[None]] = []
        self._turns = count()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        await self._client.open(self._stop)
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None or isinstance(error, Exception):
                await self.flush(self._drain_seconds)
        finally:
            await self._close()
            await self._tasks.__aexit__(None, None, None)

    @property
    def connected(self) -> bool:
        """Whether a broker is connected, as far as the client knows."""
        return self._client.connected

    async def put(self, records: Iterable[Record]) -> None:
        """Accept records for sending, in order; waits while their lanes are full."""
        for record in records:
            await self._add(record, None)

    async def send(self, record: Record) -> Fate:
        """Send one record and return its fate."""
        waiter: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()
        await self._add(record, waiter)
        return await waiter

    async def flush(self, seconds: float) -> bool:
        """Wait until everything accepted has its fate, at most `seconds`; say whether that is so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        return self._idle.is_set()

    async def partitions(self, topic: str) -> int:
        """Number of partitions of a topic, as last heard; waits for a topic that was never there."""
        client = await self._client.working()
        heard = client.client.cluster.partitions_for_topic(topic)
        while not heard and topic not in self._partitions:
            try:
                heard = await client.partitions_for(topic)
            except KafkaError as error:
                log.warning("topic_missing", topic=topic, error=repr(error))
                await asyncio.sleep(_RETRY_DELAY)
                client = await self._client.working()
        if heard:
            self._partitions[topic] = len(heard)
        return self._partitions[topic]

    async def _add(self, record: Record, waiter: asyncio.Future[Fate] | None) -> None:
        lane = await self._lane(record)
        while not self._closed and not lane.add(record, waiter):
            await lane.room.wait()
        if self._closed:
            raise RuntimeError("the delivery is closed")
        self.in_flight += 1
        self._idle.clear()

    async def _lane(self, record: Record) -> Lane:
        partition = record.partition
        if partition is None:
            partitions = await self.partitions(record.topic)
            keyless = record.key is None
            partition = (
                next(self._turns) % partitions if keyless else partition_of(record.key or b"", partitions)
            )
        lane = self._lanes.get((record.topic, partition))
        if lane is None:
            lane = Lane(record.topic, partition, self._run, self._new_builder)
            self._lanes[record.topic, partition] = lane
            task = self._tasks.create_task(self._serve(lane), name=f"deliver {record.topic}/{partition}")
            self._serving.append(task)
        return lane

    def _new_builder(self) -> BatchBuilder:
        return self._client.newest.create_batch()

    async def _serve(self, lane: Lane) -> None:
        while True:
            await lane.loaded.wait()
            self._report(await deliver(self._client, lane, lane.take()))

    def _report(self, settled: Settled) -> None:
        self.in_flight -= len(settled.records)
        if self.in_flight == 0:
            self._idle.set()
        self._on_settled(settled)

    async def _close(self) -> None:
        self._closed = True
        undelivered = self.in_flight > 0
        for task in self._serving:
            task.cancel()
        for lane in self._lanes.values():
            lane.room.set()
            for settled in lane.abandon("not acknowledged before the end"):
                self._report(settled)
        await self._client.close(0.1 if undelivered else 5.0)  # it would only wait for the same again
