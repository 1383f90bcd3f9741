"""The ways to run the producer: MODE."""

import asyncio
from contextlib import suppress

import structlog

from services.producer import service
from services.producer.beside import Arrivals, consumer_beside, shared_variables
from services.producer.producer import Producer
from services.producer.prompt import converse
from services.producer.service import accounting, at_full_speed, produce
from services.producer.shares import shares
from tandem.child import Child, child
from tandem.errors import ExitStatus, StopRequested, TandemError
from tandem.runner import Serve
from tandem.settings import ProducerSettings
from tandem.signals import unless_stopped

_AUTO_MESSAGES, _LOAD_MESSAGES = 3, 50
_ROUND_TRIP_SECONDS = 30.0  # for all messages of `auto`

log = structlog.get_logger()


async def serve(settings: ProducerSettings, stop: asyncio.Event) -> ExitStatus:
    """Run the mode that the settings name. Raises what the mode raises."""
    if settings.mode in {"auto", "interactive", "consumer-only"}:
        structlog.contextvars.bind_contextvars(service="producer")
    return await MODES[settings.mode](settings, stop)


async def auto(settings: ProducerSettings, stop: asyncio.Event) -> ExitStatus:
    """Send 3 messages, or MAX_MESSAGES, and consume them.

    Raises TandemError when the consumer has not resolved all of them in time.
    """
    arrivals = Arrivals()
    async with accounting(settings) as stats, consumer_beside(settings, arrivals) as consumer:
        if not await unless_stopped(stop, consumer.until_started()):
            return await consumer.stop() or ExitStatus.FAILURE
        async with Producer(shares(settings)[0], stats, stop, arrivals.settled) as producer:
            with suppress(StopRequested):
                count = settings.max_messages or _AUTO_MESSAGES
                await unless_stopped(stop, _round_trip(producer, count, arrivals, consumer))
        return await consumer.stop()


async def _round_trip(producer: Producer, count: int, arrivals: Arrivals, consumer: Child) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_ROUND_TRIP_SECONDS):
            await producer.put(count)
            await producer.flush()
            await _last_arrivals(arrivals, consumer)
    waiting = arrivals.missing() or (["acknowledgements"] if producer.in_flight else [])
    if waiting:
        raise TandemError(
            f"The messages did not come back within {_ROUND_TRIP_SECONDS:g} s; still waiting for {', '.join(waiting)}",
            "Look for the cause in the lines above",
        )
    log.info("auto_finished", sent=count, consumed=count)


async def _last_arrivals(arrivals: Arrivals, consumer: Child) -> None:
    """Wait until the consumer has resolved all that it can get of us, or has ended."""
    complete = asyncio.create_task(arrivals.complete(), name="wait for arrivals")
    try:
        await asyncio.wait((complete, consumer.watching), return_when=asyncio.FIRST_COMPLETED)
    finally:
        complete.cancel()


async def load(settings: ProducerSettings, stop: asyncio.Event) -> ExitStatus:
    """Send 50 messages, or MAX_MESSAGES, as fast as their delivery allows, and tell how fast that was."""
    bounded = settings.model_copy(update={"max_messages": settings.max_messages or _LOAD_MESSAGES})
    async with accounting(settings) as stats:
        await produce(bounded, stats, stop, at_full_speed)
        log.info("load_finished", **stats.speed())
    return ExitStatus.DONE


async def producer_only(settings: ProducerSettings, stop: asyncio.Event) -> ExitStatus:
    """A prompt that sends what it is told to."""
    async with accounting(settings) as stats, Producer(shares(settings)[0], stats, stop) as producer:
        await converse(settings, producer, stats, stop)
    return ExitStatus.DONE


async def interactive(settings: ProducerSettings, stop: asyncio.Event) -> ExitStatus:
    """The prompt, with a consumer beside it."""
    arrivals = Arrivals()
    async with consumer_beside(settings, arrivals) as consumer:
        if not await unless_stopped(stop, consumer.until_started()):
            return await consumer.stop() or ExitStatus.FAILURE
        async with accounting(settings) as stats:
            async with Producer(shares(settings)[0], stats, stop, arrivals.settled) as producer:
                await converse(settings, producer, stats, stop)
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.drain_seconds):
                    await _last_arrivals(arrivals, consumer)
        return await consumer.stop()


async def consumer_only(settings: ProducerSettings, stop: asyncio.Event) -> ExitStatus:
    """The consumer service, without a producer."""
    async with child("consumer", shared_variables(settings)) as consumer:
        with suppress(StopRequested):
            await unless_stopped(stop, asyncio.shield(consumer.watching))
        return await consumer.stop()


MODES: dict[str, Serve[ProducerSettings]] = {
    "continuous": service.serve,
    "auto": auto,
    "load": load,
    "interactive": interactive,
    "producer-only": producer_only,
    "consumer-only": consumer_only,
}
