"""What becomes of a batch that Kafka refuses: sent again, failed or unknown."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from tandem import handover
from tandem.handover import deliver
from tandem.lane import Lane
from tandem.records import Outcome, Record
from tandem.renewal import RenewedProducer

NO_RIGHT = TopicAuthorizationFailedError("orders")
DIED = KafkaError("the client died")

Answer = tuple[KafkaError | None, int]  # and the tries that it took


class Cluster:
    """Gives these answers, one a batch, whatever client sends it."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.clients = 0
        self.written: list[bytes] = []

    async def open_client(self, _: asyncio.Event) -> Any:
        self.clients += 1
        queues: dict[Any, list[Any]] = defaultdict(list)
        accumulator = SimpleNamespace(_batches=queues)

        async def send_batch(builder: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[Any]:
            error, tries = self.answers.pop(0)
            queues[topic, partition].append(SimpleNamespace(retry_count=tries))
            self.written.append(bytes(builder._build()))
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            if error is None:
                answer.set_result(SimpleNamespace(offset=7))
            else:
                answer.set_exception(error)
            return answer

        alive: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return SimpleNamespace(
            send_batch=send_batch,
            _message_accumulator=accumulator,
            _sender=SimpleNamespace(sender_task=alive),
            client=SimpleNamespace(_sync_task=alive),
        )


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited, which takes no time; and old clients need no closing."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def close(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(handover, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("tandem.kafka.close", close)
    return waited


async def outcome(cluster: Cluster) -> Outcome:
    lane = Lane("orders", 0, "run", lambda: BatchBuilder(10_000, 0))
    lane.add(Record("orders", b"key", b"value"))
    producer = RenewedProducer(cluster.open_client)
    await producer.open(asyncio.Event())
    try:
        return (await deliver(producer, lane, lane.take())).outcome
    finally:
        await producer.close(0)


async def test_a_right_that_is_missing_holds_a_batch_back_longer_each_time(delays: list[float]) -> None:
    """Each time with a client of its own, and the same bytes."""
    cluster = Cluster(*[(NO_RIGHT, 1)] * 8, (None, 1))
    assert await outcome(cluster) is Outcome.ACKED
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert cluster.clients == 9
    assert len(set(cluster.written)) == 1


async def test_what_a_client_has_not_sent_before_it_died_is_sent_by_the_next_one(
    delays: list[float],
) -> None:
    cluster = Cluster((DIED, 0), (None, 1))
    assert await outcome(cluster) is Outcome.ACKED
    assert cluster.clients == 2
    assert len(set(cluster.written)) == 1
    assert delays == [0.5]


@pytest.mark.parametrize(
    ("answer", "becomes"),
    [
        (
            (NO_RIGHT, 2),
            Outcome.UNKNOWN,
        ),  # the first try may have been written before the right was taken away
        ((OutOfOrderSequenceNumber(), 1), Outcome.UNKNOWN),
        ((DIED, 1), Outcome.UNKNOWN),
        ((MessageSizeTooLargeError(), 1), Outcome.FAILED),
    ],
)
async def test_what_may_be_in_the_log_is_not_sent_again(
    answer: Answer, becomes: Outcome, delays: list[float]
) -> None:
    assert await outcome(Cluster(answer)) is becomes
    assert not delays
