"""One partition's task: in order, and soon done when it has to be."""

import asyncio
import time

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from services.consumer.backlog import Message
from services.consumer.partition import Again, Partition
from services.consumer.retry import Failures
from tandem.account import Resolution
from tandem.errors import StopRequested

AT = TopicPartition("orders", 0)


def records(count: int, keys: str = "k") -> list[Message]:
    return [
        ConsumerRecord("orders", 0, offset, 0, 0, keys[offset % len(keys)].encode(), b"v", None, 1, 1, ())
        for offset in range(count)
    ]


async def test_records_are_resolved_in_order() -> None:
    seen: list[int] = []

    async def resolve(record: Message, _: Failures | None) -> Resolution:
        await asyncio.sleep(0)
        seen.append(record.offset)
        if len(seen) == 20:
            partition.finish()
        return Resolution.HANDLED

    partition = Partition(AT, 1, resolve)
    partition.add(records(10))
    partition.add(records(20)[10:])
    await partition.run()
    assert seen == list(range(20))
    assert partition.offsets.next == 20


async def test_a_handler_that_never_waits_leaves_room_for_others() -> None:
    """Else a slow one would hold up heartbeats, and a signal, for a whole batch."""

    async def resolve(*_: object) -> Resolution:
        time.sleep(0.005)  # noqa: ASYNC251 -- a handler that blocks is what this is about
        return Resolution.HANDLED

    partition = Partition(AT, 1, resolve)
    partition.add(records(500))
    running = asyncio.create_task(partition.run(), name="run")
    await asyncio.sleep(0)
    partition.finish()
    await running
    assert 1 <= partition.offsets.uncommitted <= 20


async def test_finishing_leaves_the_rest_unresolved() -> None:
    in_hand = asyncio.Event()
    go_on = asyncio.Event()

    async def resolve(*_: object) -> Resolution:
        in_hand.set()
        await go_on.wait()
        return Resolution.HANDLED

    partition = Partition(AT, 1, resolve)
    partition.add(records(3))
    running = asyncio.create_task(partition.run(), name="run")
    await in_hand.wait()
    partition.finish()
    go_on.set()
    await running
    mark = partition.offsets.committable()
    assert mark is not None
    assert mark.offset == 1


async def test_what_waits_for_another_try_holds_back_only_its_key() -> None:
    seen: list[int] = []

    async def resolve(record: Message, failures: Failures | None) -> Resolution | Again:
        if record.offset == 0 and failures is None:
            return Again(asyncio.get_running_loop().time() + 0.05, Failures(1, 1, 0.0, 0))
        seen.append(record.offset)
        if len(seen) == 6:
            partition.finish()
        return Resolution.HANDLED

    partition = Partition(AT, 1, resolve)
    partition.add(records(6, keys="ab"))
    await partition.run()
    assert seen == [1, 3, 5, 0, 2, 4]


async def test_nothing_is_committed_past_a_record_that_waits() -> None:
    async def resolve(record: Message, _: Failures | None) -> Resolution | Again:
        if record.offset == 2:
            return Again(asyncio.get_running_loop().time() + 60, None)
        if record.offset == 4:
            partition.finish()
        return Resolution.HANDLED

    partition = Partition(AT, 1, resolve)
    partition.add(records(6, keys="abcdef"))
    await partition.run()
    mark = partition.offsets.committable()
    assert mark is not None
    assert mark.offset == 2


async def test_several_keys_are_worked_on_at_the_same_time() -> None:
    """As many as the concurrency says, and one record of each key."""
    under_way: list[bytes] = []
    most = 0

    async def resolve(record: Message, _: Failures | None) -> Resolution:
        nonlocal most
        assert record.key not in under_way
        under_way.append(record.key or b"")
        most = max(most, len(under_way))
        await asyncio.sleep(0.001)
        under_way.remove(record.key or b"")
        if partition.offsets.open == 1:
            partition.finish()
        return Resolution.HANDLED

    partition = Partition(AT, 1, resolve, concurrency=3)
    partition.add(records(40, keys="abcde"))
    await partition.run()
    assert most == 3


async def test_an_ordered_partition_waits_with_its_record() -> None:
    seen: list[int] = []

    async def resolve(record: Message, failures: Failures | None) -> Resolution | Again:
        if record.offset == 1 and failures is None:
            return Again(asyncio.get_running_loop().time() + 0.02, Failures(1, 1, 0.0, 0))
        seen.append(record.offset)
        if len(seen) == 4:
            partition.finish()
        return Resolution.HANDLED

    partition = Partition(AT, 1, resolve, concurrency=8, ordered=True)
    partition.add(records(4, keys="abcd"))
    await partition.run()
    assert seen == [0, 1, 2, 3]


async def test_a_stop_in_the_midst_of_a_record_lets_the_others_in_hand_end() -> None:
    under_way = asyncio.Event()

    async def resolve(record: Message, _: Failures | None) -> Resolution:
        if record.offset == 1:
            await under_way.wait()
            raise StopRequested
        under_way.set()
        await asyncio.sleep(0.01)
        partition.finish()
        return Resolution.HANDLED

    partition = Partition(AT, 1, resolve, concurrency=2)
    partition.add(records(2, keys="ab"))
    await partition.run()
    mark = partition.offsets.committable()
    assert mark is not None
    assert mark.offset == 1


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("error", [asyncio.CancelledError, StopRequested])
async def test_a_worker_that_ends_by_itself_is_noticed(error: type[BaseException], concurrency: int) -> None:
    """A handler has cancelled its task, say: what it had in hand would stay there for ever."""

    async def resolve(*_: object) -> Resolution:
        await asyncio.sleep(0)
        raise error

    partition = Partition(AT, 1, resolve, concurrency=concurrency)
    partition.add(records(1))
    running = asyncio.create_task(partition.run(), name="run")
    async with asyncio.timeout(5):
        while not partition.broken:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0)
    partition.finish()
    await asyncio.wait((running,))


async def test_a_partition_that_was_told_to_finish_is_not_broken() -> None:
    async def resolve(*_: object) -> Resolution:
        partition.finish()
        raise StopRequested

    partition = Partition(AT, 1, resolve, concurrency=3)
    partition.add(records(1))
    await partition.run()
    assert not partition.broken
