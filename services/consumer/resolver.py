"""One record's way through the consumer: decode → handle → emit; or, if that fails, to the dead letters."""

import asyncio
from collections.abc import Sequence
from inspect import isawaitable
from typing import Any, Literal

import structlog
from aiokafka import ConsumerRecord
from msgspec import Struct

from services.consumer.dead_letters import DeadLetters
from services.consumer.handler import Handler, Source
from services.consumer.outputs import Outputs
from tandem.codec import Decoder
from tandem.encoding import decode_event
from tandem.errors import CodecError
from tandem.headers import FAULT, find
from tandem.stats import ConsumerStats

log = structlog.get_logger()


class Resolver:
    """Resolves records.

    When `resolve` returns, the record is handled and what follows from it acknowledged, or it lies in the dead-letter
    topic, acknowledged.
    """

    def __init__(
        self,
        decoder: Decoder,
        handler: Handler,
        outputs: Outputs,
        dead_letters: DeadLetters,
        stats: ConsumerStats,
    ) -> None:
        self._decoder = decoder
        self._handler = handler
        self._outputs = outputs
        self._dead_letters = dead_letters
        self._stats = stats
        self._log = log.bind()  # else it would be bound anew for each line, also for one that is not shown

    async def resolve(self, record: ConsumerRecord[bytes, bytes]) -> None:
        try:
            event = await decode_event(self._decoder, record.value)
        except CodecError as error:
            await self._set_aside(record, "decode", error)
            return
        try:
            emitted = self._outputs.encode(record, await self._handle(event, record))
        except Exception as error:  # noqa: BLE001 -- whatever a handler raises, its record must not be lost
            await self._set_aside(record, "handle", error)
            return
        if emitted:
            await self._outputs.send(emitted)
        self._count(record, "handled")
        self._log.debug(
            "handled", topic=record.topic, partition=record.partition, offset=record.offset, key=record.key
        )

    async def _handle(self, event: Any, record: ConsumerRecord[bytes, bytes]) -> Sequence[Struct]:  # noqa: ANN401 -- the event type of the stream
        source = Source(record.topic, record.partition, record.offset, record.key, record.timestamp)
        try:
            outputs = self._handler.handle(event, source)
            if isawaitable(outputs):
                outputs = await outputs
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("the handler let a cancellation out that was not ours") from error
        return () if outputs is None else tuple(outputs)

    def _count(
        self, record: ConsumerRecord[bytes, bytes], outcome: Literal["handled", "dead_lettered"]
    ) -> None:
        if outcome == "handled":
            self._stats.handled += 1
        else:
            self._stats.dead_lettered += 1
        if (label := find(record.headers, FAULT)) is not None:
            self._stats.score(label, outcome)

    async def _set_aside(self, record: ConsumerRecord[bytes, bytes], stage: str, error: Exception) -> None:
        await self._dead_letters.put(record, stage, error)
        self._count(record, "dead_lettered")
