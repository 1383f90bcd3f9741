"""The producer for programs: events in, fates out."""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self

from msgspec import Struct

from tandem import kafka
from tandem.codec import JsonCodec
from tandem.delivery import Delivery
from tandem.errors import CodecError
from tandem.records import Fate, Record, Settled
from tandem.schemas import STREAMS
from tandem.settings import ProducerSettings
from tandem.signals import unless_stopped
from tandem.topics import Topic, ensure_topics


class EventProducer:
    """Sends the events of one stream, keyed, encoded and numbered; every event's fate is told.

        async with EventProducer(ProducerSettings(stream="orders")) as producer:
            fate = await producer.send(Order(...))

    Entering waits for a broker and makes sure that the topic exists; leaving flushes within `drain_seconds`, unless it
    is by a cancellation. Events that one caller sends or puts keep their order per key.
    `run` identifies the life of this producer in every record's `ce_id`. `stop` lets go of a wait for the broker.
    `on_settled` hears of every batch.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        *,
        stop: asyncio.Event | None = None,
        on_settled: Callable[[Settled], None] = lambda _: None,
    ) -> None:
        stream = STREAMS[settings.stream]
        self.run = secrets.token_hex(6)
        self.topic = settings.kafka_topic or stream.topic
        self._settings = settings
        self._stream = stream
        self._codec = JsonCodec(stream.event)
        self._stop = stop or asyncio.Event()
        self._entered = AsyncExitStack()
        self._delivery = Delivery(
            partial(kafka.open_producer, settings),
            on_settled,
            stop=self._stop,
            run=self.run,
            drain_seconds=settings.drain_seconds,
        )

    async def __aenter__(self) -> Self:
        topic = Topic(self.topic, self._settings.topic_partitions, self._settings.topic_replication)
        await ensure_topics(self._settings, [topic], self._stop)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._delivery)
            # Or the first event would wait for it.
            await unless_stopped(self._stop, self._delivery.partitions(self.topic))
            self._entered = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._entered.__aexit__(kind, error, trace)

    @property
    def in_flight(self) -> int:
        """Events accepted whose fate is open."""
        return self._delivery.in_flight

    async def send(self, event: Struct) -> Fate:
        """Send one event and return its fate.

        Raises CodecError when it can't be encoded; then nothing is sent. An event stays sent when the wait is cancelled.
        """
        return await self._delivery.send(self._record(event))

    async def put(self, events: Iterable[Struct]) -> list[CodecError]:
        """Accept events for sending, in order; waits while there is no room. Returns why some can't be encoded."""
        records: list[Record] = []
        errors: list[CodecError] = []
        for event in events:
            try:
                records.append(self._record(event))
            except CodecError as error:
                errors.append(error)
        await self._delivery.put(records)
        return errors

    async def flush(self, seconds: float) -> bool:
        """Wait until every event accepted has its fate, at most `seconds`; say whether that is so."""
        return await self._delivery.flush(seconds)

    def _record(self, event: Struct) -> Record:
        if not isinstance(event, self._stream.event):
            raise CodecError(f"{type(event).__name__} is no event of the stream {self._stream.name}")
        return Record(self.topic, self._stream.key(event), self._codec.encode(event))
