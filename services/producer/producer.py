"""One producer: makes events when it is told to, spoils some of them if that is wanted, and hands them on."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from types import TracebackType
from typing import Self

import structlog

from services.producer.faults import Faults
from services.producer.generators import GENERATORS
from tandem.errors import CodecError
from tandem.producer import EventProducer
from tandem.records import Fate, Record, Settled
from tandem.settings import ProducerSettings
from tandem.stats import Activity, Phase, ProducerStats

log = structlog.get_logger()


class Producer:
    """The events of a generator on their way to Kafka, counted in `stats`; an async context manager.

    Leaving it flushes. `on_settled` hears of every batch whose fate is known. `seed` must be set.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        stats: ProducerStats,
        stop: asyncio.Event,
        on_settled: Callable[[Settled], None] = lambda _: None,
    ) -> None:
        # Sources of chance of their own, so that the events depend neither on the pace nor on the faults.
        self._generator = GENERATORS[settings.stream](settings, Random(f"events {settings.seed}"))
        self._faults = Faults.of(settings, Random(f"faults {settings.seed}"))
        self._events = EventProducer(settings, stop=stop, on_settled=self._settle)
        self._activity = Activity(self._events)
        stats.ledgers.append(self._events.ledger)
        stats.activities.append(self._activity)
        self._settings = settings
        self._stats = stats
        self._on_settled = on_settled
        self._heard: list[Settled] | None = None
        self._clock = asyncio.get_running_loop().time

    async def __aenter__(self) -> Self:
        await self._events.__aenter__()
        self._activity.phase = Phase.RUNNING
        log.info(
            "producer_started",
            stream=self._settings.stream,
            topics=self._events.topics,
            run=self._events.run,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._activity.phase = Phase.DRAINING
        log.info("producer_draining", in_flight=self.in_flight)
        await self._events.__aexit__(kind, error, trace)

    @property
    def in_flight(self) -> int:
        """Records accepted whose fate is open."""
        return self._events.in_flight

    async def put(self, count: int) -> None:
        """Make so many events and accept them for sending; waits while there is no room."""
        self._stats.begin(self._clock())
        now_ms = time.time_ns() // 1_000_000
        self._activity.putting = True
        try:
            if self._faults:
                await self._events.put_records(
                    record for _ in range(count) for record in self._spoilt(now_ms)
                )
            else:
                for error in await self._events.put(self._generator.take(count, now_ms)):
                    self._complain(error)
        finally:
            self._activity.putting = False

    async def pause(self, until: float) -> None:
        """Wait for the time of the next event."""
        self._activity.due = until
        await asyncio.sleep(max(0.0, until - self._clock()))

    async def send(self) -> list[Fate]:
        """Make one event, send it while nothing else is, and return the fates of its records."""
        self._heard = []
        try:
            await self.put(1)
            await self.flush()
            return [fate for settled in self._heard for fate in settled.fates()]
        finally:
            self._heard = None

    async def flush(self) -> None:
        """Wait until every record accepted has its fate, however long that takes."""
        await self._events.flush(float("inf"))

    def _spoilt(self, now_ms: int) -> list[Record]:
        fault = self._faults.draw()
        (event,) = self._generator.take(1, now_ms - self._faults.lateness_ms(fault))
        try:
            records = self._faults.records(event, fault, self._events.records)
        except CodecError as error:
            self._complain(error)
            return []
        if fault is not None:
            self._stats.faults[fault] += sum(bool(record.headers) for record in records)
        return records

    def _complain(self, error: CodecError) -> None:
        self._stats.encode_errors += 1
        log.error("event_not_encoded", reason=str(error))

    def _settle(self, settled: Settled) -> None:
        self._stats.settle(settled, self._clock(), datetime.now(UTC))
        self._on_settled(settled)
        if self._heard is not None:
            self._heard.append(settled)
        for fate in settled.fates() if self._settings.log_level == "debug" else ():
            log.debug(
                "delivery_report",
                outcome=fate.outcome,
                topic=settled.topic,
                partition=fate.partition,
                offset=fate.offset,
                key=fate.record.key,
                sequence=fate.sequence,
            )
