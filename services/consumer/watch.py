"""The watch over a consumer: aiokafka's tasks may die, or stop to fetch, while everything looks well."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from services.consumer.assignment import Assignment
from services.consumer.progress import Progress
from tandem.errors import SettingsError
from tandem.settings import ConsumerSettings
from tandem.stats import ConsumerStats

_PAUSE = 1.0
_METADATA_SECONDS = 5.0

log = structlog.get_logger()


class StalledError(Exception):
    """Raised when a consumer does not get on, and a new client may help. Ends no program.

    `ever_got_on`: it did for a while.
    """

    def __init__(self, reason: str, *, ever_got_on: bool) -> None:
        super().__init__(reason)
        self.ever_got_on = ever_got_on


class Watch:
    """Looks every second whether a membership in the group is of use."""

    def __init__(
        self, settings: ConsumerSettings, client: AIOKafkaConsumer, stats: ConsumerStats, patience: float
    ) -> None:
        self._settings = settings
        self._client = client
        self._stats = stats
        self._patience = patience
        self._missing: list[str] = []
        self._told = False

    async def run(self, topics: Sequence[str], held: Assignment) -> None:
        """Look without end. Raises StalledError when a new client is needed, SettingsError when there is a twin."""
        clock = asyncio.get_running_loop().time
        progress = Progress(self._patience, self._stats.resolved, clock())
        while True:
            await asyncio.sleep(_PAUSE)
            if held.has_twin:
                raise SettingsError(
                    f"Another consumer is in the group as GROUP_INSTANCE_ID={self._settings.group_instance_id}",
                    "Give each process a name of its own, and keep it over restarts",
                )
            if dead := ", ".join(_dead_tasks(self._client)):
                raise StalledError(f"a task of the client has died: {dead}", ever_got_on=progress.ever)
            if broken := ", ".join(held.broken()):
                reason = f"the work on {broken} has ended by itself: a handler has cancelled its task"
                raise StalledError(reason, ever_got_on=progress.ever)
            await self._look_for(topics)
            lag = await held.unfetched()
            if progress.stalled(self._stats.resolved, lag=lag, now=clock()):
                reason = f"nothing has come for {self._patience:g} s, but {lag} records are there"
                raise StalledError(reason, ever_got_on=progress.ever)

    async def _look_for(self, topics: Sequence[str]) -> None:
        """Ask for topics that are gone: aiokafka itself would look for them again after minutes."""
        missing = [topic for topic in topics if not self._client.partitions_for_topic(topic)]
        if missing and missing == self._missing:  # at the first look it may not have been told of them yet
            log.error(
                "topic_missing", topics=missing, remedy="Create it again; it is read from its beginning"
            )
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_METADATA_SECONDS):
                    await self._client._client.force_metadata_update()  # noqa: SLF001 -- there is no public way
        self._missing = missing
        self._told &= bool(missing)


def _dead_tasks(client: AIOKafkaConsumer) -> Iterator[str]:
    """The tasks of a started client that have ended, by what they are for. There is no public way to know."""
    tasks: dict[str, asyncio.Task[None] | None] = {
        "metadata": client._client._sync_task,  # noqa: SLF001
        "group": client._coordinator._coordination_task,  # noqa: SLF001
        "fetch": client._fetcher._fetch_task,  # noqa: SLF001
    }
    return (name for name, task in tasks.items() if task is not None and task.done())
