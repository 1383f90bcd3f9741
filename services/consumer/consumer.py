"""One membership in the group: records are fetched, resolved, committed, until it ends or does not get on."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.consumer.assignment import Assignment, Begin, Prepare
from services.consumer.backlog import Message
from services.consumer.handler import Handler
from services.consumer.membership import remedy
from services.consumer.offsets import CommitPolicy
from services.consumer.watch import StalledError, Watch
from tandem.errors import SettingsError, StopRequested, TandemError
from tandem.kafka.diagnosis import describe
from tandem.settings import ConsumerSettings
from tandem.signals import unless_stopped
from tandem.stats import ConsumerStats

_POLL_MS = 1000
_FULL_POLL_MS = 20  # while a partition has enough in hand: it may have room again soon
_NOWHERE = TopicPartition("", 0)
_MOST_RECORDS = 500  # of one partition in one go: keeps the loop responsive
_ERROR_PAUSE = 1.0
_LAST_COMMIT_SECONDS = 3.0
_LOOK_MS = 200  # enough for a fetch that fails to fail again, so that its partition is known

log = structlog.get_logger()


class Consumer:
    """Fetches records, has them resolved, commits; statistics and the role's report go on beside it.

    `announces`: tell of each batch that comes, not only at debug. `patience`: seconds without progress until StalledError.
    """

    def __init__(
        self,
        settings: ConsumerSettings,
        handler: Handler,
        stats: ConsumerStats,
        client: AIOKafkaConsumer,
        *,
        announces: bool,
        patience: float,
    ) -> None:
        self._settings = settings
        self._tell = log.info if announces else log.debug
        self.client = client
        self._handler = handler
        self._stats = stats
        self._patience = patience
        self._clock = asyncio.get_running_loop().time
        self.held: Assignment | None = None  # while it is a member, or on its way to be one
        self.last_poll = self._clock()  # when the loop that fetches last came round

    async def run(self, topics: Sequence[str], prepare: Prepare, begin: Begin, stop: asyncio.Event) -> None:
        """Consume until `stop` is set, then drain.

        Raises, in a group, StalledError when a new client is needed and what else can't be mended here.
        """
        tasks = asyncio.TaskGroup()
        held = self.held = self._assignment(tasks, prepare, begin)
        try:
            async with tasks:
                await self._live(tasks, held, topics, stop)
        except* StalledError:
            await held.finish(0.0, _LAST_COMMIT_SECONDS)  # or what was resolved would come again
            raise
        finally:
            self.held = None
            self._stats.rebalances += held.rebalances

    def _assignment(self, tasks: asyncio.TaskGroup, prepare: Prepare, begin: Begin) -> Assignment:
        policy = CommitPolicy(self._settings.commit_records, self._settings.commit_interval)
        static = self._settings.group_instance_id is not None
        twin_seconds = self._settings.session_timeout if static else 0.0
        return Assignment(self.client, tasks, prepare, begin, policy, twin_seconds)

    async def _live(
        self, tasks: asyncio.TaskGroup, held: Assignment, topics: Sequence[str], stop: asyncio.Event
    ) -> None:
        self.client.subscribe(topics, listener=held)
        watch = Watch(self._settings, self.client, self._stats, self._patience)
        beside = [
            tasks.create_task(self._commit(held), name="commit"),
            tasks.create_task(self._statistics(held), name="statistics"),
            tasks.create_task(watch.run(topics, held), name="watch progress"),
        ]
        with suppress(StopRequested):
            await unless_stopped(stop, self._poll(held))
        for task in beside:
            task.cancel()
        await self._drain(held)

    async def _poll(self, held: Assignment) -> None:
        while True:
            self.last_poll = self._clock()
            try:
                await self._fetch(held)
            except KafkaError as error:
                if change := remedy(error):
                    raise SettingsError(f"Kafka refuses this consumer: {describe(error)}", change) from error
                log.warning("fetch_failed", error=repr(error))
                await self._fetch_each(held)
            except Exception as error:  # noqa: BLE001 -- a batch that aiokafka can't read (a header's name, say)
                log.error("fetch_failed", error=repr(error))
                await self._fetch_each(held)
            await asyncio.sleep(0)

    async def _fetch(self, held: Assignment) -> None:
        """Wait for records and hand them on, from one partition at a time.

        A call that spans partitions loses what it took from the first one when the second one fails; asking for one
        record waits for all partitions and takes from one.
        """
        full = held.full()
        # To aiokafka no partition means all of them. Asking for one that does not exist keeps the membership alive.
        wanted = (self.client.assignment() - full or {_NOWHERE}) if full else ()
        wait_ms = _FULL_POLL_MS if full else _POLL_MS
        for at, first in (await self.client.getmany(*wanted, timeout_ms=wait_ms, max_records=1)).items():
            self._dispatch(held, first)
            for rest in (await self.client.getmany(at, timeout_ms=0, max_records=_MOST_RECORDS)).values():
                self._dispatch(held, rest)

    async def _fetch_each(self, held: Assignment) -> None:
        """Ask each partition by itself: one that can't be read stands still, loudly, and does not hide the others."""
        for at in self.client.assignment() - held.full():
            self.last_poll = self._clock()
            try:
                for records in (await self.client.getmany(at, timeout_ms=_LOOK_MS)).values():
                    self._dispatch(held, records)
            except Exception as error:  # noqa: BLE001 -- whatever makes it unreadable
                log.error("partition_not_readable", topic=at.topic, partition=at.partition, error=repr(error))
        await asyncio.sleep(_ERROR_PAUSE)

    def _dispatch(self, held: Assignment, records: list[Message]) -> None:
        first = records[0]
        self._tell("records_received", count=len(records), topic=first.topic, partition=first.partition)
        self._stats.consumed += len(records)
        held.dispatch(records)

    async def _commit(self, held: Assignment) -> None:
        caught_up = False
        while True:
            await asyncio.sleep(min(0.1, self._settings.commit_interval))
            await held.commit_if_due()
            if not caught_up and (caught_up := await held.caught_up()):
                log.info("caught_up", resolved=self._stats.resolved)

    async def _statistics(self, held: Assignment) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._settings.stats_interval)
            log.info("consumer_statistics", **self._stats.snapshot(clock()), lag=await held.lag())
            self._report()

    def _report(self) -> None:
        name, values = self._handler.report()
        log.info(name, **values)

    async def _drain(self, held: Assignment) -> None:
        finished = await held.finish(*shares(self._settings.drain_seconds)[:2])
        self._report()
        if not finished:
            raise TandemError(
                "Not all records in hand were handled and committed before the drain deadline; they will come again",
                "Look for the cause in the lines above; raise DRAIN_SECONDS if the handler is slow",
            )


def shares(seconds: float) -> tuple[float, float, float]:
    """Divide the time of a drain: to finish what is in hand, to commit, to leave the group."""
    reserve = min(5.0, seconds / 5)
    return seconds - 2 * reserve, reserve, reserve
