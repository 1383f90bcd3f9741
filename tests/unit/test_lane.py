import asyncio

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from tandem.headers import checksum
from tandem.lane import Lane
from tandem.records import Fate, Outcome, Record


def lane(run: str | None = "run", batch_bytes: int = 10_000) -> Lane:
    return Lane("orders", 2, run, lambda: BatchBuilder(batch_bytes, 0))


def record(number: int, size: int = 10) -> Record:
    return Record("orders", b"key%d" % number, b"x" * size)


def test_records_leave_together_and_in_order() -> None:
    way = lane()
    records = [record(number) for number in range(3)]
    assert all(way.add(each) for each in records)
    assert way.take().records == records
    settled = way.settle(Outcome.ACKED, offset=40)
    assert [(fate.record, fate.sequence, fate.offset) for fate in settled.fates()] == [
        (records[0], 0, 40),
        (records[1], 1, 41),
        (records[2], 2, 42),
    ]


def test_sequences_go_on_from_batch_to_batch() -> None:
    way = lane()
    for start in (0, 1, 2):
        way.add(record(start))
        way.take()
        assert way.settle(Outcome.ACKED, offset=start).first_sequence == start


def test_the_next_batch_fills_while_one_is_under_way() -> None:
    way = lane()
    way.add(record(0))
    way.take()
    assert way.add(record(1))
    assert way.loaded.is_set()
    way.settle(Outcome.ACKED, offset=0)
    assert way.take().records == [record(1)]


def test_a_full_batch_takes_no_more_until_it_leaves() -> None:
    """This is the back-pressure: what waits for Kafka is bounded."""
    way = lane(batch_bytes=1000)
    added = 0
    while way.add(record(added, size=100)):
        added += 1
    assert 5 < added < 10
    assert not way.room.is_set()
    assert len(way.take().records) == added
    assert way.room.is_set()
    assert way.add(record(added))


def test_a_record_above_the_batch_size_travels_alone() -> None:
    way = lane(batch_bytes=1000)
    assert way.add(record(0, size=5000))
    assert not way.add(record(1))
    assert len(way.take().records) == 1


def test_a_batch_that_was_refused_is_built_again_byte_for_byte() -> None:
    """With the times of the first try: another size might not fit."""
    way = lane()
    for number in range(3):
        way.add(record(number)._replace(timestamp_ms=number or None))
    batch = way.take()
    first = bytes(batch.builder._build())
    batch.handed_over = True
    way.build_again()
    assert bytes(batch.builder._build()) == first
    assert not batch.handed_over
    assert way.add(record(3)), "the next batch fills on"


def test_what_was_not_acknowledged_is_told_as_it_was_sent() -> None:
    """With its id and checksum behind its own headers, its time and its partition: it can be sent once more."""
    way = lane()
    own = record(0)._replace(headers=[("trace", b"1")], timestamp_ms=1_767_225_600_000)
    way.add(own)
    way.add(record(1))
    way.take()
    first, second = way.settle(Outcome.UNKNOWN).sent
    assert first == own._replace(
        headers=[("trace", b"1"), ("ce_id", b"run/2/0"), ("tandem_crc32", checksum(own.key, own.value))],
        partition=2,
    )
    assert second.timestamp_ms
    assert second.timestamp_ms > 1_767_225_600_000


def test_what_was_acknowledged_is_not_kept() -> None:
    way = lane()
    way.add(record(0))
    way.take()
    assert way.settle(Outcome.ACKED, offset=0).sent == ()


def test_a_lane_without_a_run_adds_no_header() -> None:
    way = lane(run=None)
    way.add(record(0))
    way.take()
    (sent,) = way.settle(Outcome.FAILED).sent
    assert sent.headers == []


async def test_who_waits_for_a_record_gets_its_own_fate() -> None:
    way = lane()
    waiter: asyncio.Future[Fate] = asyncio.get_running_loop().create_future()
    way.add(record(0))
    way.add(record(1), waiter)
    way.take()
    way.settle(Outcome.UNKNOWN, error="gone")
    fate = await waiter
    assert (fate.outcome, fate.sequence, fate.offset, fate.error) == (Outcome.UNKNOWN, 1, None, "gone")


@pytest.mark.parametrize(("handed_over", "outcome"), [(True, Outcome.UNKNOWN), (False, Outcome.FAILED)])
def test_what_is_abandoned_is_unknown_only_if_kafka_may_have_it(handed_over: bool, outcome: Outcome) -> None:  # noqa: FBT001 -- parametrized
    way = lane()
    way.add(record(0))
    way.take().handed_over = handed_over
    way.add(record(1))
    way.add(record(2))
    ended = way.abandon("the end")
    assert [(settled.outcome, settled.first_sequence, len(settled.records)) for settled in ended] == [
        (outcome, 0, 1),
        (Outcome.FAILED, 1, 2),
    ]
