"""An idempotent producer breaks for good when one of its batches fails, or one of its tasks ends: here it is replaced while others wait."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tandem import kafka
from tandem.durations import growing_delays
from tandem.errors import TandemError

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
_FIRST_PACE, _LONGEST_PACE = 0.1, 2.0
_WELL_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_LAST_ANSWERS = 1.0  # seconds that a dead client's requests under way have left

log = structlog.get_logger()

Open = Callable[[asyncio.Event], Awaitable[AIOKafkaProducer]]


class RenewedProducer:
    """The producer to use now. `open_client` returns a started one, or gives up when the event it gets is set."""

    def __init__(self, open_client: Open) -> None:
        self._open_client = open_client
        self._client: AIOKafkaProducer
        self._broken = True  # until it is opened
        self._renewing = asyncio.Lock()
        self._not_before = -inf  # when the next one may be opened
        self._paces = growing_delays(_FIRST_PACE, _LONGEST_PACE)
        self._retired: set[asyncio.Task[None]] = set()
        self._watches: set[asyncio.Task[None]] = set()

    async def open(self, stop: asyncio.Event) -> None:
        """Start the first one. Raises what `open_client` raises."""
        await self._renew(stop)

    @property
    def newest(self) -> AIOKafkaProducer:
        """The latest one, broken or not: good enough to build a batch, which is bound to none until it is sent."""
        return self._client

    @property
    def connected(self) -> bool:
        """Whether the one in use has a broker, as far as it knows; False before the first, and while one is replaced."""
        return not self._broken and kafka.connected(self._client)

    async def working(self) -> AIOKafkaProducer:
        """Return the current one; when it is broken, replace it, however long that takes."""
        async with self._renewing:
            delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
            while self._broken:
                await asyncio.sleep(self._not_before - asyncio.get_running_loop().time())
                try:
                    await self._renew(asyncio.Event())
                except TandemError as error:
                    delay = next(delays)
                    log.warning("producer_not_renewed", cause=error.cause, retry_in=f"{delay:g}s")
                    await asyncio.sleep(delay)
            return self._client

    def retire(
        self, client: AIOKafkaProducer, reason: str = "a batch failed, which breaks an idempotent producer"
    ) -> None:
        """Use a new one from now on, and let the old one finish what other lanes have under way in it."""
        if client is not self._client or self._broken:
            return
        self._broken = True
        self._pace()
        log.warning("producer_retired", reason=reason)
        closing = asyncio.create_task(kafka.close(client, seconds=None), name="close retired producer")
        self._retired.add(closing)
        closing.add_done_callback(self._retired.discard)

    def _pace(self) -> None:
        """Let clients that break one after the other follow each other ever more slowly."""
        now = asyncio.get_running_loop().time()
        if now - self._not_before > _WELL_SECONDS:
            self._paces, self._not_before = growing_delays(_FIRST_PACE, _LONGEST_PACE), now
        else:
            self._not_before = now + next(self._paces)

    async def _renew(self, stop: asyncio.Event) -> None:
        self._client = await self._open_client(stop)
        self._broken = False
        watch = asyncio.create_task(self._watch(self._client), name="watch producer")
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _watch(self, client: AIOKafkaProducer) -> None:
        """Let a client look for a broker when it has none; retire it when one of its tasks ends, and fail what it would leave open for ever."""
        sending, wire = client._sender.sender_task, client.client  # noqa: SLF001 -- there is no public way
        tasks = sending, wire._sync_task  # noqa: SLF001
        ends = partial(asyncio.wait, tasks, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        while not (ended := (await ends())[0]):
            if not kafka.connected(client):
                kafka.look_for_broker(client)
        if wire._sync_task in ended:  # noqa: SLF001
            wire._sync_task = None  # noqa: SLF001 -- or what ended it would end the client's close(), too
        causes = ["cancelled" if task.cancelled() else repr(task.exception()) for task in ended]
        self.retire(client, f"a task of its own has ended: {', '.join(causes)}")
        sending.cancel()  # what it has not sent yet, it never will
        await asyncio.sleep(_LAST_ANSWERS)
        died = KafkaError("the client died")
        client._message_accumulator.fail_all(died)  # noqa: SLF001
        if wire._md_update_fut is not None and not wire._md_update_fut.done():  # noqa: SLF001
            wire._md_update_fut.set_exception(died)  # noqa: SLF001

    async def close(self, seconds: float) -> None:
        """Close all within about `seconds`; what they have not delivered by then fails."""
        ending = [*self._watches, *self._retired]
        for task in ending:
            task.cancel()
        if not self._broken:
            await kafka.close(self._client, seconds)
        await asyncio.gather(*ending, return_exceptions=True)
