"""The producer service: start → generate → flush → stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random

import structlog

from services.producer.pacing import timer
from services.producer.producer import Producer
from services.producer.shares import shares
from services.producer.view import ProducerView
from tandem.admin.server import admin_server
from tandem.errors import ExitStatus, StopRequested, UndeliveredError
from tandem.schemas import STREAMS
from tandem.settings import ProducerSettings
from tandem.signals import unless_stopped
from tandem.stats import ProducerStats

_ADMIN_PORT = 8090  # unless settings say otherwise
_LARGEST_PUT = 500  # events made in one go: keeps the loop responsive at high rates

Generate = Callable[[Producer, ProducerSettings], Awaitable[None]]

log = structlog.get_logger()


async def serve(settings: ProducerSettings, stop: asyncio.Event) -> ExitStatus:
    """Produce until `stop` is set or the run's bound is reached, then wait for the fate of what is in flight.

    Raises UndeliveredError when something was not acknowledged in the end.
    """
    async with accounting(settings) as stats:
        await produce(settings, stats, stop, at_its_pace)
    return ExitStatus.DONE


@asynccontextmanager
async def accounting(settings: ProducerSettings) -> AsyncIterator[ProducerStats]:
    """Statistics of a run, shown at the admin port and told at the end, however it ends.

    Raises UndeliveredError as `serve` does, SettingsError for an admin port that can't be had.
    """
    clock = asyncio.get_running_loop().time
    stats = ProducerStats(clock())
    async with admin_server(settings, _ADMIN_PORT, ProducerView(settings, stats)):
        try:
            yield stats
        except asyncio.CancelledError:
            if stats.undelivered:
                log.error(stats.undelivered_text(), reason="the drain was cut short")
            raise
        finally:
            log.info("producer_stopped", **stats.final(clock()))
    if stats.undelivered:
        resend = (
            "" if settings.unacked_file is None else f"; `tandem resend {settings.unacked_file}` sends them"
        )
        raise UndeliveredError(
            stats.undelivered_text(),
            f"The log may hold the unknown ones; the failed ones it does not{resend}",
        )


async def produce(
    settings: ProducerSettings, stats: ProducerStats, stop: asyncio.Event, generate: Generate
) -> None:
    """Let each of the producers generate its share until it has, its time is over, or `stop` is set; then flush."""
    producers = [(Producer(share, stats, stop), share) for share in shares(settings)]
    async with asyncio.TaskGroup() as beside:
        telling = beside.create_task(
            _tell_statistics([each for each, _ in producers], stats, settings.stats_interval),
            name="statistics",
        )
        async with asyncio.TaskGroup() as lives:
            for number, (producer, share) in enumerate(producers):
                lives.create_task(_live(producer, share, stop, generate), name=f"producer {number}")
        telling.cancel()


async def _live(
    producer: Producer, settings: ProducerSettings, stop: asyncio.Event, generate: Generate
) -> None:
    async with producer:
        with suppress(StopRequested, TimeoutError):
            async with asyncio.timeout(settings.duration):
                await unless_stopped(stop, generate(producer, settings))


async def at_its_pace(producer: Producer, settings: ProducerSettings) -> None:
    """Put events when they are due."""
    clock = asyncio.get_running_loop().time
    interval = settings.message_interval or STREAMS[settings.stream].interval
    random = Random(f"pacing {settings.seed}")
    due_next = timer(interval, settings.rate or settings.ramp, settings.burst, random, clock())
    made = 0
    while room := _room(settings, made):
        due, skipped = due_next.due(clock(), room)
        if skipped:
            log.warning("events_skipped", count=skipped, reason="the time for them is over")
        await producer.put(due)
        made += due
        await producer.pause(due_next.next_due)


async def at_full_speed(producer: Producer, settings: ProducerSettings) -> None:
    """Put events as fast as their delivery makes room for more."""
    made = 0
    while room := _room(settings, made):
        await producer.put(room)
        made += room
        await asyncio.sleep(0)


def _room(settings: ProducerSettings, made: int) -> int:
    bound = settings.max_messages
    return _LARGEST_PUT if bound is None else min(_LARGEST_PUT, bound - made)


async def _tell_statistics(producers: Sequence[Producer], stats: ProducerStats, interval: float) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(interval)
        log.info("producer_statistics", **stats.snapshot(clock(), sum(each.in_flight for each in producers)))
