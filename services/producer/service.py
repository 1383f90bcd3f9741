"""The producer: start → generate → flush → stop."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import structlog

from services.producer.generators import GENERATORS, Generator
from services.producer.pacing import IntervalTimer
from tandem.errors import ExitStatus, StopRequested, UndeliveredError
from tandem.producer import EventProducer
from tandem.records import Settled
from tandem.schemas import STREAMS
from tandem.settings import ProducerSettings
from tandem.signals import unless_stopped
from tandem.stats import ProducerStats

_LARGEST_PUT = 500  # events made in one go: keeps the loop responsive at high rates

log = structlog.get_logger()


async def serve(settings: ProducerSettings, stop: asyncio.Event) -> ExitStatus:
    """Produce until `stop` is set or the run's bound is reached, then wait for the fate of what is in flight.

    Raises UndeliveredError when something was not acknowledged in the end.
    """
    clock = asyncio.get_running_loop().time
    stats = ProducerStats(clock())
    try:
        async with EventProducer(settings, stop=stop, on_settled=_reporter(stats, settings)) as events:
            log.info("producer_started", stream=settings.stream, topic=events.topic, run=events.run)
            await Producer(settings, events, stats).run(stop)
            log.info("producer_draining", in_flight=events.in_flight)
    except asyncio.CancelledError:
        if stats.undelivered:
            log.error(stats.undelivered_text(), reason="the drain was cut short")
        raise
    finally:
        log.info("producer_stopped", **stats.final(clock()))
    if stats.undelivered:
        raise UndeliveredError(
            stats.undelivered_text(), "The log may hold the unknown ones; the failed ones it does not"
        )
    return ExitStatus.DONE


def _reporter(stats: ProducerStats, settings: ProducerSettings) -> Callable[[Settled], None]:
    each = settings.log_level == "debug"

    def report(settled: Settled) -> None:
        stats.settle(settled, datetime.now(UTC))
        for fate in settled.fates() if each else ():
            log.debug(
                "delivery_report",
                outcome=fate.outcome,
                topic=settled.topic,
                partition=fate.partition,
                offset=fate.offset,
                key=fate.record.key,
                sequence=fate.sequence,
            )

    return report


class Producer:
    """Makes events when they are due and hands them on, until its bound or a stop."""

    def __init__(self, settings: ProducerSettings, events: EventProducer, stats: ProducerStats) -> None:
        self._settings = settings
        self._events = events
        self._stats = stats
        self._clock = asyncio.get_running_loop().time
        self._made = 0

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            statistics = tasks.create_task(self._statistics(), name="statistics")
            with suppress(StopRequested, TimeoutError):
                async with asyncio.timeout(self._settings.duration):
                    await unless_stopped(stop, self._generate())
            statistics.cancel()

    async def _generate(self) -> None:
        seed = Random().getrandbits(64) if self._settings.seed is None else self._settings.seed
        # Two sources of chance, so that what happens does not depend on how often the timer was asked.
        generator = GENERATORS[self._settings.stream](self._settings, Random(f"events {seed}"))
        interval = self._settings.message_interval or STREAMS[self._settings.stream].interval
        timer = IntervalTimer(interval, Random(f"pacing {seed}"), self._clock())
        while room := self._room():
            due, skipped = timer.due(self._clock(), room)
            if skipped:
                log.warning("events_skipped", count=skipped, reason="the time for them is over")
            await self._put(generator, due)
            await asyncio.sleep(max(0.0, timer.next_due - self._clock()))

    def _room(self) -> int:
        bound = self._settings.max_messages
        return _LARGEST_PUT if bound is None else min(_LARGEST_PUT, bound - self._made)

    async def _put(self, generator: Generator, count: int) -> None:
        self._made += count
        for error in await self._events.put(generator.take(count, time.time_ns() // 1_000_000)):
            self._stats.encode_errors += 1
            log.error("event_not_encoded", reason=str(error))

    async def _statistics(self) -> None:
        while True:
            await asyncio.sleep(self._settings.stats_interval)
            log.info("producer_statistics", **self._stats.snapshot(self._clock(), self._events.in_flight))
