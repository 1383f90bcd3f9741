"""One partition's task: in order, and soon done when it has to be."""

import asyncio
import time

from aiokafka import ConsumerRecord, TopicPartition

from services.consumer.partition import Partition

AT = TopicPartition("orders", 0)


def records(count: int) -> list[ConsumerRecord[bytes, bytes]]:
    return [ConsumerRecord("orders", 0, offset, 0, 0, b"k", b"v", None, 1, 1, ()) for offset in range(count)]


async def test_records_are_resolved_in_order() -> None:
    seen: list[int] = []

    async def resolve(record: ConsumerRecord[bytes, bytes]) -> None:
        await asyncio.sleep(0)
        seen.append(record.offset)
        if len(seen) == 20:
            partition.finish()

    partition = Partition(AT, 1, resolve)
    partition.add(records(10))
    partition.add(records(20)[10:])
    await partition.run()
    assert seen == list(range(20))
    assert partition.offsets.next == 20


async def test_a_handler_that_never_waits_leaves_room_for_others() -> None:
    """Else a slow one would hold up heartbeats, and a signal, for a whole batch."""

    async def resolve(_: ConsumerRecord[bytes, bytes]) -> None:
        time.sleep(0.005)  # noqa: ASYNC251 -- a handler that blocks is what this is about

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

    async def resolve(_: ConsumerRecord[bytes, bytes]) -> None:
        in_hand.set()
        await go_on.wait()

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
