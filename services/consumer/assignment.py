"""The partitions that this consumer holds: given and taken by rebalances, committed together."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from services.consumer.committed import last_account
from services.consumer.offsets import CommitPolicy
from services.consumer.partition import Partition
from tandem.errors import StopRequested
from tandem.signals import unless_stopped

# aiokafka's commit() has no time-out of its own, and goes on in the next generation: so a rebalance must wait for as long.
_COMMIT_SECONDS = 3.0
# To finish before a partition is given up; that, a commit and a heartbeat before them fit into REBALANCE_SECONDS.
_REVOKE_SECONDS = 4.0
REBALANCE_SECONDS = 12.0
_POSITION_SECONDS = 0.5
_ENDS_SECONDS = 5.0
_CLEAN_UP_SECONDS = 0.5  # for a handler that is cancelled
_TWIN_SECONDS = 5.0  # until this process has ended, and does not join again

log = structlog.get_logger()

# What has to be done before the first record of a partition is resolved; the object tells one assignment from every other.
Prepare = Callable[[TopicPartition, object], Awaitable[None]]
Begin = Callable[[TopicPartition, int], Partition]


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """Holds a Partition for each assigned one that records came from, on a task of its own, and commits for all."""

    def __init__(
        self,
        client: AIOKafkaConsumer,
        tasks: asyncio.TaskGroup,
        prepare: Prepare,
        begin: Begin,
        policy: CommitPolicy,
        twin_seconds: float = 0.0,
    ) -> None:
        self._client = client
        self._tasks = tasks
        self._prepare = prepare
        self._begin = begin
        self._policy = policy
        self._twin_seconds = twin_seconds
        self.rebalances = 0
        self._held: dict[TopicPartition, tuple[Partition, asyncio.Task[None]]] = {}
        self._releasing = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._committing = asyncio.Lock()
        self._last_commit = asyncio.get_running_loop().time()
        self._round = object()  # one assignment, whichever client it is of
        self._lost: deque[float] = deque(maxlen=2)  # when the membership was lost

    def dispatch(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Give records of one partition to its task.

        aiokafka may hand out records of a new assignment before it calls on_partitions_assigned, but never records
        of an old one after on_partitions_revoked: so the first record, not the callback, makes the Partition.
        """
        at = TopicPartition(records[0].topic, records[0].partition)
        if at in self._held and records[0].offset <= self._held[at][0].offsets.latest:
            log.error("topic_begins_anew", topic=at.topic, partition=at.partition, offset=records[0].offset)
            self._held.pop(at)[0].finish()  # the topic was deleted and is there again: another log
        if at not in self._held:
            partition = self._begin(at, self._generation)
            running = self._run(partition, self._round)
            task = self._tasks.create_task(running, name=f"resolve {at.topic}/{at.partition}")
            self._held[at] = partition, task
        self._held[at][0].add(records)

    async def _run(self, partition: Partition, assignment: object) -> None:
        with suppress(StopRequested):  # out of the wait for its state: what is in hand comes again
            await unless_stopped(partition.finishing, self._start(partition, assignment))
            await partition.run()

    async def _start(self, partition: Partition, assignment: object) -> None:
        await self._prepare(partition.at, assignment)
        first = partition.offsets.next
        assert first is not None  # noqa: S101 -- it is made for a record
        partition.offsets.begin(*await last_account(self._client, partition.at, first))

    def full(self) -> set[TopicPartition]:
        """Partitions that have enough in hand."""
        return {at for at, (held, _) in self._held.items() if held.full}

    @property
    def partitions(self) -> Mapping[TopicPartition, Partition]:
        """Those that records came from."""
        return {at: held for at, (held, _) in self._held.items()}

    def broken(self) -> list[str]:
        """Partitions whose work has ended by itself."""
        return [f"{at.topic}/{at.partition}" for at, (held, _) in self._held.items() if held.broken]

    async def lag(self) -> int:
        """How far the partitions of the assignment are behind their ends, in offsets, as far as that is known."""
        return sum(
            [behind for at in self._client.assignment() if (behind := await self._behind(at)) is not None]
        )

    async def unfetched(self) -> int:
        """The lag of the partitions of which nothing is in hand, asked of the brokers.

        0 when they don't answer: then it is not the client that is at fault.
        """
        idle = [at for at in self._client.assignment() if not self._in_hand(at)]
        lag = 0
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_ENDS_SECONDS):
                for at, end in (await self._client.end_offsets(idle)).items():
                    lag += 0 if self._in_hand(at) else max(0, end - (await self._following(at) or 0))
        return lag

    def _in_hand(self, at: TopicPartition) -> int:
        return self._held[at][0].offsets.in_hand if at in self._held else 0

    async def caught_up(self) -> bool:
        """Say whether every partition of the assignment is resolved up to its end."""
        return {await self._behind(at) for at in self._client.assignment()} == {0}

    async def _behind(self, at: TopicPartition) -> int | None:
        """From the first record that is not resolved to the end; None while that is not known.

        With nothing in hand it is where to fetch next that counts: it is beyond the marks of transactions, of which the
        last record tells nothing.
        """
        following = await self._following(at)
        # A rebalance may have taken it meanwhile.
        end = self._client.highwater(at) if at in self._client.assignment() else None
        return None if end is None or following is None else max(0, end - following)

    async def _following(self, at: TopicPartition) -> int | None:
        if self._in_hand(at):
            return self._held[at][0].offsets.next
        # A rebalance has just taken it, or it has no place yet.
        with suppress(IllegalStateError, TimeoutError):
            async with asyncio.timeout(_POSITION_SECONDS):
                return int(await self._client.position(at))
        return None

    async def commit_if_due(self) -> None:
        now = asyncio.get_running_loop().time()
        resolved = sum(held.offsets.uncommitted for held, _ in self._held.values())
        if self._policy.due(resolved, self._last_commit, now):
            self._last_commit = now  # also if it fails: trying again at once would not help
            await self._commit([held for held, _ in self._held.values()], _COMMIT_SECONDS)

    async def finish(self, seconds: float, commit_seconds: float) -> bool:
        """Finish the records in hand, commit, and let go of everything; say whether all of that worked in time."""
        return await self._release(list(self._held), seconds, commit_seconds)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish and commit, or abandon, before another consumer gets the partitions."""
        self._round = object()
        if self._generation < 0:
            self._lost.append(asyncio.get_running_loop().time())
        if self._releasing.locked():
            self._hurry.set()  # a drain may take longer than the group waits
        if revoked:
            finished = await self._release(revoked, _REVOKE_SECONDS, _COMMIT_SECONDS)
            log.info("partitions_revoked", **_numbers(revoked), finished=finished)
        if self.has_twin:
            await asyncio.sleep(_TWIN_SECONDS)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self.rebalances += 1
        log.info("partitions_assigned", **_numbers(assigned))

    @property
    def has_twin(self) -> bool:
        """Whether the group took a static membership away two times within its session time-out, `twin_seconds`.

        A consumer that was silent loses it at most once in that time. So another one must be there under its name.
        """
        return len(self._lost) > 1 and self._lost[1] - self._lost[0] < self._twin_seconds

    @property
    def _generation(self) -> int:
        """Of the group membership; negative while there is none. There is no public way to know."""
        return int(self._client._coordinator.generation)  # noqa: SLF001

    async def _release(
        self, partitions: Iterable[TopicPartition], seconds: float, commit_seconds: float
    ) -> bool:
        async with self._releasing:  # a drain waits for a revoke that is under way
            released = [self._held.pop(at) for at in partitions if at in self._held]
            for held, _ in released:
                held.finish()
            finished = await _end([task for _, task in released], seconds, self._hurry)
            committed = await self._commit([held for held, _ in released], commit_seconds)
            return finished and committed

    async def _commit(self, partitions: Sequence[Partition], seconds: float) -> bool:
        """Commit what is resolved; False when that failed, and then the records come again, here or elsewhere."""
        try:
            async with asyncio.timeout(seconds), self._committing:
                return await self._commit_held(partitions)
        except (KafkaError, TimeoutError) as error:
            log.warning("commit_failed", error=repr(error))
            return False

    async def _commit_held(self, partitions: Sequence[Partition]) -> bool:
        # A member that was expelled could still commit, backwards: Kafka takes commits without a membership when
        # the group is empty. Its records belong to others now.
        mine = [held for held in partitions if held.generation == self._generation >= 0]
        marks = [(held, mark) for held in mine if (mark := held.offsets.committable()) is not None]
        if marks:
            await self._client.commit({held.at: (mark.offset, mark.metadata) for held, mark in marks})
        for held, mark in marks:
            held.offsets.commit(mark)
            log.debug("committed", topic=held.at.topic, partition=held.at.partition, offset=mark.offset)
        return len(mine) == len(partitions)


async def _end(tasks: Collection[asyncio.Task[None]], seconds: float, hurry: asyncio.Event) -> bool:
    """Wait for tasks to end by themselves; cancel those that are late. Say whether all ended well.

    When `hurry` is set, there is only as much time as for a rebalance.
    """
    if not tasks:
        return True
    try:
        _, late = await unless_stopped(hurry, asyncio.wait(tasks, timeout=seconds))
    except StopRequested:
        _, late = await asyncio.wait(tasks, timeout=min(seconds, _REVOKE_SECONDS))
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=_CLEAN_UP_SECONDS)
    return not late and not any(task.cancelled() for task in tasks)


def _numbers(partitions: Iterable[TopicPartition]) -> dict[str, Any]:
    """Partitions for a log line: their numbers, by topic where there are several."""
    by_topic = defaultdict(list)
    for at in sorted(partitions):
        by_topic[at.topic].append(at.partition)
    return {"partitions": dict(by_topic) if len(by_topic) > 1 else [*chain(*by_topic.values())]}
