"""What is done with an event: decode → handle → emit."""

import asyncio
from collections.abc import Awaitable, Sequence
from inspect import isawaitable
from typing import Any

from msgspec import Struct

from services.consumer.backlog import Message
from services.consumer.handler import Emitted, Handler, Source
from services.consumer.outputs import Outputs
from tandem.codec import Decoder
from tandem.encoding import decode_event
from tandem.errors import StopRequested
from tandem.records import Record


class FailedError(Exception):
    """Raised where an event can't be handled, by the error that is the reason. `stage` is decode, handle or emit."""

    def __init__(self, stage: str, reason: Exception) -> None:
        super().__init__(stage)
        self.stage = stage
        self.reason = reason


class Handling:
    """Has events handled. A handler that waits for something gets at most `timeout` seconds for each."""

    def __init__(self, decoder: Decoder, handler: Handler, outputs: Outputs, timeout: float) -> None:
        self._decoder = decoder
        self._handler = handler
        self._outputs = outputs
        self._timeout = timeout

    async def handle(self, record: Message, source: Source) -> None:
        """Return when the record's event is handled and what follows from it acknowledged.

        Raises FailedError; StopRequested when the service is asked to stop while the schema is not known.
        """
        if emitted := await self._handled(record, source):
            await self._outputs.send(emitted)

    async def _handled(self, record: Message, source: Source) -> Sequence[Record]:
        stage = "decode"
        try:
            event = await decode_event(self._decoder, record.value)
            stage = "handle"
            events = await self._events(event, source)
            stage = "emit"
            return self._outputs.encode(record, source, events) if events else ()
        except StopRequested:
            raise
        except Exception as error:
            raise FailedError(stage, error) from error

    async def _events(self, event: Any, source: Source) -> Sequence[Struct]:  # noqa: ANN401 -- the event type of the stream
        try:
            emitted = self._handler.handle(event, source)
            if isawaitable(emitted):
                emitted = await self._in_time(emitted)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("the handler let a cancellation out that was not ours") from error
        except (Exception, KeyboardInterrupt, GeneratorExit):
            raise
        except (
            BaseException
        ) as error:  # a panic in a library in Rust, or sys.exit(): it would end each consumer anew
            raise RuntimeError(f"the handler raised {error!r}") from error
        return () if emitted is None else tuple(emitted)

    async def _in_time(self, work: Awaitable[Emitted]) -> Emitted:
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await work
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"the handler took longer than {self._timeout:g} s") from error
            raise
