"""An idempotent producer breaks for good when one of its batches fails: here it is replaced while others wait."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka import AIOKafkaProducer

from tandem import kafka
from tandem.durations import growing_delays
from tandem.errors import TandemError

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0

log = structlog.get_logger()

Open = Callable[[asyncio.Event], Awaitable[AIOKafkaProducer]]


class RenewedProducer:
    """The producer to use now. `open_client` returns a started one, or gives up when the event it gets is set."""

    def __init__(self, open_client: Open) -> None:
        self._open_client = open_client
        self._client: AIOKafkaProducer
        self._broken = False
        self._renewing = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()

    async def open(self, stop: asyncio.Event) -> None:
        """Start the first one. Raises what `open_client` raises."""
        self._client = await self._open_client(stop)

    @property
    def newest(self) -> AIOKafkaProducer:
        """The latest one, broken or not: good enough to build a batch, which is bound to none until it is sent."""
        return self._client

    async def working(self) -> AIOKafkaProducer:
        """Return the current one; when it is broken, replace it, however long that takes."""
        async with self._renewing:
            delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
            while self._broken:
                try:
                    self._client = await self._open_client(asyncio.Event())
                    self._broken = False
                except TandemError as error:
                    delay = next(delays)
                    log.warning("producer_not_renewed", cause=error.cause, retry_in=f"{delay:g}s")
                    await asyncio.sleep(delay)
            return self._client

    def retire(self, client: AIOKafkaProducer) -> None:
        """Use a new one from now on, and let the old one finish what other lanes have under way in it."""
        if client is not self._client or self._broken:
            return
        self._broken = True
        log.warning("producer_retired", reason="a batch failed, which breaks an idempotent producer")
        closing = asyncio.create_task(kafka.close(client, seconds=None), name="close retired producer")
        self._retired.add(closing)
        closing.add_done_callback(self._retired.discard)

    async def close(self, seconds: float) -> None:
        """Close all within about `seconds`; what they have not delivered by then fails."""
        retired = list(self._retired)
        for closing in retired:
            closing.cancel()
        if not self._broken:
            await kafka.close(self._client, seconds)
        await asyncio.gather(*retired, return_exceptions=True)
