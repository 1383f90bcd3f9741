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
from tandem.delivery import Delivery
from tandem.encoding import EventEncoder, registry_for
from tandem.errors import CodecError
from tandem.headers import Headers
from tandem.kafka.topics import ledger_topic
from tandem.ledger import Ledger
from tandem.publisher import LedgerPublisher, closing_seconds
from tandem.records import Fate, Outcome, Record, Settled
from tandem.schemas import STREAMS
from tandem.settings import ProducerSettings
from tandem.signals import unless_stopped
from tandem.unacked import UnackedFile


class EventProducer:
    """Sends the events of one stream, keyed, encoded and numbered; every event's fate is told.

        async with EventProducer(ProducerSettings(stream="orders")) as producer:
            fate = await producer.send(Order(...))

    Entering waits for a broker, makes sure that the topics exist and, in a format with schemas, that the registry has the
    event's; leaving flushes within `drain_seconds`, unless it is by a cancellation. Events that one caller sends or puts keep
    their order per key.
    `run` identifies the life of this producer in every record's `ce_id`, and `ledger` has what became of each; it is
    published too, unless LEDGER_TOPIC=none. What was not acknowledged goes to UNACKED_FILE, if there is one.
    `stop` lets go of a wait for the broker. `on_settled` hears of every batch.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        *,
        stop: asyncio.Event | None = None,
        on_settled: Callable[[Settled], None] = lambda _: None,
    ) -> None:
        self.run = secrets.token_hex(6)
        self.ledger = Ledger(self.run, settings.stream)
        self._stream = STREAMS[settings.stream]
        self._settings = settings
        self._stop = stop or asyncio.Event()
        self._on_settled = on_settled
        self._entered = AsyncExitStack()
        self._encoder: EventEncoder
        self._unacked: UnackedFile | None = None
        self._ledger_topic = ledger_topic(settings)
        kept = 0.0 if self._ledger_topic is None else closing_seconds(settings.drain_seconds)
        self._delivery = Delivery(
            partial(kafka.open_producer, settings),
            self._settle,
            stop=self._stop,
            run=self.run,
            drain_seconds=settings.drain_seconds - kept,
        )

    async def __aenter__(self) -> Self:
        if self._settings.unacked_file is not None:
            self._unacked = UnackedFile(self._settings.unacked_file)
        async with registry_for(self._settings, [self._stream], self._stop) as registry:
            opening = EventEncoder.open(self._settings, [self._stream], registry, self._stop)
            self._encoder = await unless_stopped(self._stop, opening)
        async with AsyncExitStack() as stack:
            if self._ledger_topic is not None:
                publisher = LedgerPublisher(self._settings, self._ledger_topic, self.ledger, self._stop)
                await stack.enter_async_context(publisher)
            await stack.enter_async_context(self._delivery)
            for topic in self.topics:  # or the first event would wait for it
                await unless_stopped(self._stop, self._delivery.partitions(topic))
            self._entered = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._entered.__aexit__(kind, error, trace)

    @property
    def topics(self) -> list[str]:
        """The topics that the stream's events go to."""
        return self._encoder.topics

    @property
    def in_flight(self) -> int:
        """Records accepted whose fate is open."""
        return self._delivery.in_flight

    @property
    def connected(self) -> bool:
        """Whether a broker is connected, as far as the client knows. It must have been entered."""
        return self._delivery.connected

    async def send(self, event: Struct) -> Fate:
        """Send one event and return its fate: of a stream with several topics, the worst of its records.

        Raises CodecError when it can't be encoded; then nothing is sent. An event stays sent when the wait is cancelled.
        """
        records = self._encoder.records(event)
        fates = await asyncio.gather(*map(self._delivery.send, records))
        return next((fate for fate in fates if fate.outcome is not Outcome.ACKED), fates[0])

    async def put(self, events: Iterable[Struct]) -> list[CodecError]:
        """Accept events for sending, in order; waits while there is no room. Returns why some can't be encoded."""
        records: list[Record] = []
        errors: list[CodecError] = []
        for event in events:
            try:
                records += self._encoder.records(event)
            except CodecError as error:
                errors.append(error)
        await self._delivery.put(records)
        return errors

    def records(self, event: Struct, headers: Headers = ()) -> list[Record]:
        """The records that carry an event, one for each of its topics. Raises CodecError when it can't be encoded."""
        return self._encoder.records(event, headers)

    async def put_records(self, records: Iterable[Record]) -> None:
        """Accept records as they are for sending, in order; waits while there is no room."""
        await self._delivery.put(records)

    async def flush(self, seconds: float) -> bool:
        """Wait until every record accepted has its fate, at most `seconds`; say whether that is so."""
        return await self._delivery.flush(seconds)

    def _settle(self, settled: Settled) -> None:
        self.ledger.settle(settled)
        if settled.sent and self._unacked is not None:
            self._unacked.append(settled)
        self._on_settled(settled)
