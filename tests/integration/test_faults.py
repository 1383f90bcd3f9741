"""Faults that the producer injects: each is labelled in the log, and the consumer is scored by the labels."""

import json
from collections import Counter
from signal import SIGTERM

from tandem.codec import JsonCodec
from tandem.errors import CodecError
from tandem.schemas.orders import Order
from tests.integration.cluster_client import ClusterClient, LogRecord
from tests.integration.conftest import Run

RATES = {"fault_malformed": 0.2, "fault_duplicate": 0.2, "fault_late": 0.2}
LOAD = {"rate": "2000", "max_messages": 300, "seed": 11}


def label(record: LogRecord) -> str:
    return dict(record.headers).get("tandem_fault", b"").decode()


def order(record: LogRecord) -> Order | None:
    try:
        decoded: Order = JsonCodec(Order).decode(record.value)
    except CodecError:
        return None
    return decoded


def assert_labels_are_true(log: list[LogRecord]) -> None:
    plain = {made.order_id: made for record in log if not label(record) and (made := order(record))}
    for record in log:
        made = order(record)
        assert (made is None) == (label(record) == "malformed")
        if made is not None and label(record) == "duplicate":
            assert made == plain[made.order_id]
        if made is not None:
            late = record.timestamp_ms - made.timestamp > 59_000
            assert late == (label(record) == "late")


async def test_what_is_malformed_and_nothing_else_becomes_a_dead_letter(
    topic: str, cluster: ClusterClient, produce: Run, consume: Run
) -> None:
    async with produce(**LOAD, **RATES) as producer:
        assert await producer.end() == 0
    log = await cluster.read(topic)
    labels = Counter(map(label, log))
    final = producer.events("producer_stopped")[0]
    assert final["faults"] == {name: count for name, count in labels.items() if name}
    assert set(labels) == {"", "malformed", "duplicate", "late"}
    assert len(log) == 300 + labels["duplicate"] == final["produced"]
    assert_labels_are_true(log)

    async with consume() as consumer:
        await consumer.until_true(
            lambda: len(consumer.events("handled")) + len(consumer.events("dead_lettered")) == len(log)
        )
        assert await consumer.end(SIGTERM) == 0
    letters = await cluster.read(f"{topic}-dlt")
    assert Counter(letter.value for letter in letters) == Counter(
        record.value for record in log if label(record) == "malformed"
    )
    scores = consumer.events("consumer_stopped")[0]["faults"]
    assert scores == {
        "malformed": {"handled": 0, "dead_lettered": labels["malformed"]},
        "duplicate": {"handled": labels["duplicate"], "dead_lettered": 0},
        "late": {"handled": labels["late"], "dead_lettered": 0},
    }


async def test_the_events_are_the_same_whatever_the_rates(
    topic: str, cluster: ClusterClient, produce: Run
) -> None:
    async with produce(kafka_topic=f"{topic}-plain", **LOAD) as plain:
        assert await plain.end() == 0
    async with produce(**LOAD, fault_duplicate=0.5, fault_late=0.5) as spoilt:
        assert await spoilt.end() == 0

    def facts(log: list[LogRecord]) -> list[dict[str, object]]:
        events = [json.loads(record.value or b"") | {"timestamp": None} for record in log]
        return sorted(events, key=lambda event: str(event["orderId"]))

    with_faults = [record for record in await cluster.read(topic) if label(record) != "duplicate"]
    without = await cluster.read(f"{topic}-plain")
    assert facts(with_faults) == facts(without)
    assert not any(map(label, without))
    assert "faults" not in plain.events("producer_stopped")[0]
