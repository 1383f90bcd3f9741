"""Questions that librdkafka can't answer well, put by aiokafka, from a thread that has no loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient

from tandem import kafka
from tandem.settings import KafkaSettings

_LOOK_AGAIN = 0.1

Result = TypeVar("Result")


def ask(
    settings: KafkaSettings,
    stopped: Callable[[], bool],
    work: Callable[[AIOKafkaAdminClient], Awaitable[Result]],
) -> Result:
    """Do `work` with a client that was made for it.

    Raises what `kafka.using` raises, and StopRequested when `stopped` says so meanwhile.
    """
    return asyncio.run(_ask(settings, stopped, work))


async def _ask(
    settings: KafkaSettings,
    stopped: Callable[[], bool],
    work: Callable[[AIOKafkaAdminClient], Awaitable[Result]],
) -> Result:
    stop = asyncio.Event()
    watching = asyncio.create_task(_set_when(stopped, stop), name="watch for stop")
    try:
        return await kafka.using_admin(settings, stop, work)
    finally:
        watching.cancel()


async def _set_when(stopped: Callable[[], bool], stop: asyncio.Event) -> None:
    while not stopped():  # noqa: ASYNC110 -- another thread says so
        await asyncio.sleep(_LOOK_AGAIN)
    stop.set()
