"""One record's way through the consumer: decode → handle; or, if that fails, to the dead letters."""

import asyncio
from inspect import isawaitable
from typing import Any

import structlog
from aiokafka import ConsumerRecord

from services.consumer.dead_letters import DeadLetters
from services.consumer.handlers import Handler
from tandem.codec import Codec
from tandem.errors import CodecError
from tandem.stats import ConsumerStats

log = structlog.get_logger()


class Resolver:
    """Resolves records: when it returns, the record is handled, or lies in the dead-letter topic, acknowledged."""

    def __init__(
        self, codec: Codec, handler: Handler, dead_letters: DeadLetters, stats: ConsumerStats
    ) -> None:
        self._codec = codec
        self._handler = handler
        self._dead_letters = dead_letters
        self._stats = stats

    async def resolve(self, record: ConsumerRecord[bytes, bytes]) -> None:
        try:
            event = self._codec.decode(record.value)
        except CodecError as error:
            await self._set_aside(record, "decode", error)
            return
        try:
            await self._handle(event)
        except Exception as error:  # noqa: BLE001 -- whatever a handler raises, its record must not be lost
            await self._set_aside(record, "handle", error)
            return
        self._stats.handled += 1
        log.debug("handled", partition=record.partition, offset=record.offset, key=record.key)

    async def _handle(self, event: Any) -> None:  # noqa: ANN401 -- the event type of the stream
        try:
            waiting = self._handler.handle(event)
            if isawaitable(waiting):
                await waiting
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("the handler let a cancellation out that was not ours") from error

    async def _set_aside(self, record: ConsumerRecord[bytes, bytes], stage: str, error: Exception) -> None:
        await self._dead_letters.put(record, stage, error)
        self._stats.dead_lettered += 1
