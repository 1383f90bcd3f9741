"""`tandem dlq` on a real broker: what is set aside is found, goes back byte for byte, once, and can be removed."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Consumer, TopicPartition

from tests.integration.cluster_client import ClusterClient, LogRecord
from tests.integration.conftest import Run, free_port

TIME = 1767225600000
MALFORMED = (b"not json", b"", None, b"\xff\xfe", b'{"orderId":1}')


class Answer(NamedTuple):
    """How the command ended and what it printed."""

    status: int
    out: str
    errors: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Start = Callable[..., Awaitable[Process]]
Dlq = Callable[..., Awaitable[Answer]]


async def _start(directory: Path, servers: str, topic: str, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ops",
        "dlq",
        *arguments,
        cwd=directory,  # no `.env` there
        env={
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "KAFKA_TOPIC": topic,
            "LOG_FORMAT": "json",
        },
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )


async def _answer(process: Process) -> Answer:
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), errors.decode())


@pytest.fixture
def start(bootstrap_servers: str, tmp_path: Path, topic: str) -> Start:
    """Start the command on this test's topic."""
    return partial(_start, tmp_path, bootstrap_servers, topic)


@pytest.fixture
def dlq(start: Start) -> Dlq:
    """Run the command on this test's topic, to its end."""

    async def run(*arguments: str) -> Answer:
        return await _answer(await start(*arguments))

    return run


def told(topic: str, /, **more: bytes | None) -> list[tuple[str, bytes]]:
    """Headers as a consumer writes them; None leaves one out."""
    headers = {
        "topic": topic.encode(),
        "partition": b"0",
        "offset": b"0",
        "group": b"a-group",
        "attempts": b"1",
        "stage": b"handle",
        "exception": b"ValueError",
        "message": b"no such order",
    } | {name.replace("_", "."): value for name, value in more.items()}
    return [(f"__dlq.errors.{name}", value) for name, value in headers.items() if value is not None]


async def topics(cluster: ClusterClient, topic: str, partitions: int = 1) -> str:
    """Create the topic and the one for its dead letters, whose name is returned."""
    await cluster.create_topic(topic, partitions, retention_ms="-1")  # or the old times would be cleaned up
    limits = {
        "max_message_bytes": "16777216",
        "message_timestamp_after_max_ms": str(2**63 - 1),
        "retention_ms": "-1",
    }
    await cluster.create_topic(f"{topic}-dlt", partitions, **limits)
    return f"{topic}-dlt"


def content(record: LogRecord) -> tuple[bytes | None, bytes | None, int]:
    return record.key, record.value, record.timestamp_ms


async def until_sent(cluster: ClusterClient, topic: str, count: int) -> None:
    async with asyncio.timeout(30):
        while sum((await cluster.ends(topic)).values()) < count:  # noqa: ASYNC110 -- Kafka tells nobody
            await asyncio.sleep(0.02)


async def test_what_a_consumer_set_aside_goes_back_byte_for_byte_and_only_once(
    topic: str, cluster: ClusterClient, consume: Run, dlq: Dlq
) -> None:
    await cluster.create_topic(topic, partitions=3, retention_ms="-1")
    for partition, value in enumerate(MALFORMED):
        headers = [("ce_id", b"run/0/%d" % partition), ("trace", b"\x00\xff"), ("trace", b"2")]
        await cluster.write(
            topic, value, key=b"k\xff", headers=headers, timestamp=TIME + partition, partition=partition % 3
        )
    before = await cluster.read(topic)
    async with consume() as consumer:
        await consumer.until("dead_lettered", count=len(MALFORMED))
        assert await consumer.end(SIGTERM) == 0

    listed = await dlq("list", "--json")
    assert (listed.status, listed.errors) == (0, "")
    assert sum(row["count"] for row in listed.rows) == len(MALFORMED)
    assert {(row["topic"], row["stage"], row["group"]) for row in listed.rows} == {
        (f"{topic}-dlt", "decode", topic)
    }

    plan = await dlq("redrive", "--dry-run", "--json")
    assert plan.status == 0
    assert {(row["action"], row["letters"], row["to"]) for row in plan.rows} == {
        ("redrive", f"{topic}-dlt", topic)
    }
    assert await cluster.read(topic) == before, "a dry run sends nothing"

    done = await dlq("redrive", "--json")
    assert (done.status, done.rows) == (0, plan.rows)
    copies = [record for record in await cluster.read(topic) if record not in before]
    assert sorted(map(repr, map(content, copies))) == sorted(map(repr, map(content, before)))
    for copy in copies:
        (original,) = (record for record in before if record.timestamp_ms == copy.timestamp_ms)
        assert copy.partition == original.partition
        assert copy.headers == (
            *original.headers,
            ("__dlq.errors.replay.count", b"1"),
            ("tandem_copy", b"redrive"),
            ("tandem_group", topic.encode()),
        )

    again = await dlq("redrive", "--json")
    assert (again.status, again.rows) == (0, [])
    assert len(await cluster.read(topic)) == 2 * len(MALFORMED)
    assert (await dlq("list")).out == f"no letters in {topic}-dlt\n5 redriven before; --all shows them too\n"


async def test_hostile_letters_stay_and_the_others_go(topic: str, cluster: ClusterClient, dlq: Dlq) -> None:
    letters = await topics(cluster, topic)
    await cluster.create_topic(f"{topic}-secrets")
    hostile: list[list[tuple[str, bytes]]] = [
        [],
        told(f"{topic}-secrets"),
        told(topic, topic=b"\xff"),
        told(topic, group=b"\xff"),
        told(topic, group=None),
        told(topic, partition=b"-1"),
        told(topic, replay_count=b"none"),
        [("kafka_dlt-original-topic", f"{topic}-secrets".encode())],
        [("tandem_redriven", b"9999999999999999999999")],
        [("\x1b[31m", b"\x1b[2J")],
    ]
    for headers in hostile:
        await cluster.write(letters, b"hostile", headers=headers)
    await cluster.write(letters, b"forged time", headers=told(topic, first_failed_at=b"\xff", partition=b"7"))
    await cluster.write(letters, b"good", headers=told(topic))

    done = await dlq("redrive")
    assert done.status == 1
    assert (
        f"10 letter(s) were refused and stay: its header __dlq.errors.topic is not {topic}; " in done.errors
    )
    assert {record.value for record in await cluster.read(topic)} == {b"good", b"forged time"}
    assert not await cluster.read(f"{topic}-secrets")
    for command in ("list", "list --records", "show"):
        shown = await dlq(*command.split())
        assert shown.status == 0
        assert "\x1b" not in shown.out


async def test_a_forged_mark_only_hides_a_letter(topic: str, cluster: ClusterClient, dlq: Dlq) -> None:
    letters = await topics(cluster, topic)
    await cluster.write(letters, b"hidden", headers=told(topic))
    await cluster.write(letters, None, key=b"tandem-redriven/0", headers=[("tandem_redriven", b"0")])
    assert (await dlq("list")).out.startswith("no letters")
    assert [row["offset"] for row in (await dlq("show", "--all", "--json")).rows] == [0]
    assert (await dlq("redrive", "--all")).status == 0
    assert [record.value for record in await cluster.read(topic)] == [b"hidden"]


async def test_a_letter_that_kafka_refuses_stays_and_its_neighbours_go(
    topic: str, cluster: ClusterClient, dlq: Dlq
) -> None:
    letters = await topics(cluster, topic)
    large = os.urandom(3_000_000)
    for value, time in (
        (b"first", TIME),
        (large, TIME),
        (b"from the future", 7_258_118_400_000),
        (b"last", TIME),
    ):
        await cluster.write(letters, value, headers=told(topic), timestamp=time)
    shown = await dlq("show", "--at=0/1", "--json")
    assert [row["size"] for row in shown.rows] == [3_000_001]

    done = await dlq("redrive")
    assert done.status == 5
    assert "2 letter(s) were not acknowledged and stay" in done.errors
    assert [record.value for record in await cluster.read(topic)] == [b"first", b"last"]
    assert [row["offset"] for row in (await dlq("list", "--records", "--json")).rows] == [1, 2]


async def test_a_letter_that_comes_back_too_often_is_parked(
    topic: str, cluster: ClusterClient, dlq: Dlq
) -> None:
    letters = await topics(cluster, topic)
    for replays in (b"2", b"3"):
        await cluster.write(letters, replays, headers=told(topic, replay_count=replays), timestamp=TIME)
    done = await dlq("redrive", "--json")
    assert done.status == 0
    assert {(row["action"], row["to"], row["count"]) for row in done.rows} == {
        ("redrive", topic, 1),
        ("park", f"{topic}-parking", 1),
    }
    (sent,) = await cluster.read(topic)
    assert (sent.value, sent.header("__dlq.errors.replay.count")) == (b"2", "3")
    (parked,) = await cluster.read(f"{topic}-parking")
    assert (parked.value, parked.timestamp_ms) == (b"3", TIME)
    assert list(parked.headers) == told(topic, replay_count=b"3")
    assert not (await dlq("list", "--json")).rows


@pytest.mark.parametrize("number", [SIGTERM, SIGKILL], ids=["SIGTERM", "SIGKILL"])
async def test_a_redrive_that_is_interrupted_goes_on_where_it_was(
    topic: str, cluster: ClusterClient, dlq: Dlq, start: Start, number: Signals
) -> None:
    """After SIGTERM nothing is sent twice; after kill -9 what was not marked yet is, under the same id."""
    letters = await topics(cluster, topic)
    for name in range(60):
        headers = [("ce_id", b"run/0/%d" % name), *told(topic)]
        await cluster.write(letters, b"%d" % name, headers=headers)
    limited = await start("redrive", "--rate=20/s")
    await until_sent(cluster, topic, 7)
    before = asyncio.get_running_loop().time()
    limited.send_signal(number)
    stopped = await _answer(limited)
    assert asyncio.get_running_loop().time() - before < 10
    assert stopped.status == (0 if number == SIGTERM else -SIGKILL)
    sent = len(await cluster.read(topic))
    assert sent < 60

    assert (await dlq("redrive")).status == 0
    values = [record.value for record in await cluster.read(topic)]
    assert set(values) == {b"%d" % name for name in range(60)}, "none is lost"
    assert 60 <= len(values) <= (60 if number == SIGTERM else 62), "a batch under this rate holds two"
    if number == SIGTERM:
        assert values == [b"%d" % name for name in range(60)], "the order is kept"


async def test_a_slow_rate_does_not_hold_up_a_stop(topic: str, cluster: ClusterClient, start: Start) -> None:
    letters = await topics(cluster, topic)
    await cluster.write(letters, b"1", b"2", headers=told(topic))
    slow = await start("redrive", "--rate=0.001/s")
    await until_sent(cluster, topic, 1)
    slow.send_signal(SIGTERM)
    async with asyncio.timeout(10):
        assert (await _answer(slow)).status == 0
    assert len(await cluster.read(topic)) == 1


async def test_filters_and_a_limit_choose_what_goes(topic: str, cluster: ClusterClient, dlq: Dlq) -> None:
    letters = await topics(cluster, topic, partitions=2)
    times = (b"2026-01-01T00:00:00.000+00:00", b"2026-02-01T00:00:00.000+00:00")
    for number, (exception, time) in enumerate([(b"ValueError", times[0]), (b"KeyError", times[1])] * 3):
        headers = told(topic, exception=exception, first_failed_at=time)
        await cluster.write(
            letters, b"%d" % number, headers=headers, key=b"%d" % number, partition=number % 2
        )
    for filters, values in (
        (["--exception=KeyError", "--key=1"], {b"1"}),
        (["--until=2026-01-15", "--max=2"], {b"0", b"2"}),
        (["--since=2026-01-15", "--message-contains=order", "--at=1/2", "--group=a-group"], {b"5"}),
        (["--stage=decode"], set()),
    ):
        before = await cluster.read(topic)
        assert (await dlq("redrive", *filters)).status == 0
        assert {record.value for record in (await cluster.read(topic)) if record not in before} == values
    left = await dlq("list", "--records", "--json")
    assert {row["value"] for row in left.rows} == {"Mw==", "NA=="}  # 3 and 4


async def test_a_purge_removes_what_was_redriven_from_the_oldest_on(
    topic: str, cluster: ClusterClient, dlq: Dlq, bootstrap_servers: str
) -> None:
    letters = await topics(cluster, topic)
    for value, exception in ((b"1", b"KeyError"), (b"2", b"KeyError"), (b"3", b"Other"), (b"4", b"KeyError")):
        await cluster.write(letters, value, headers=told(topic, exception=exception))
    assert (await dlq("redrive", "--exception=KeyError")).status == 0

    asked = await dlq("purge", "--json")
    row = {
        "topic": letters,
        "partition": 0,
        "before": 2,
        "redriven": 2,
        "never_redriven": 0,
        "marks": 0,
        "kept": 2,
    }
    assert (asked.status, asked.rows) == (2, [row])
    assert "Add --yes" in asked.errors
    assert beginning(bootstrap_servers, letters) == 0

    done = await dlq("purge", "--json", "--yes")
    assert (done.status, done.rows) == (0, [row])
    assert beginning(bootstrap_servers, letters) == 2
    assert (await dlq("purge", "--yes")).errors == "nothing to remove\n"

    up_to = await dlq("purge", "--force", "--at=0/2", "--yes", "--json")
    assert up_to.rows == [row | {"before": 3, "redriven": 0, "never_redriven": 1, "kept": 1}]
    everything = await dlq("purge", "--force", "--yes", "--json")
    assert everything.rows == [row | {"before": 7, "redriven": 1, "marks": 3, "kept": 0}]
    assert beginning(bootstrap_servers, letters) == 7
    assert (await dlq("list")).out == f"no letters in {letters}\n"


def beginning(servers: str, topic: str) -> int:
    """The first offset that partition 0 of a topic holds."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "auditor"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[0])
    finally:
        consumer.close()


async def test_a_letter_that_cannot_be_read_hides_no_other(
    topic: str, cluster: ClusterClient, dlq: Dlq, bootstrap_servers: str
) -> None:
    letters = await topics(cluster, topic)
    await cluster.write(letters, b"before", headers=told(topic))
    await write_unreadable(bootstrap_servers, letters)
    await cluster.write(letters, b"behind", headers=told(topic))
    shown = await dlq("list", "--records", "--json")
    assert [row["flaw"] for row in shown.rows] == [
        None,
        "it can't be read: the name of a header is not UTF-8",
        None,
    ]
    done = await dlq("redrive")
    assert done.status == 1
    assert "1 letter(s) were refused and stay: it can't be read" in done.errors
    assert [record.value for record in await cluster.read(topic)] == [b"before", b"behind"]


async def write_unreadable(servers: str, topic: str) -> None:
    """Write a record with a header whose name is not UTF-8: no client would, so its bytes are changed."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=b"k", value=b"v", timestamp=TIME, headers=[("name", b"")])
        batch.close()
        data = batch._build()
        at = data.index(b"name")
        data[at : at + 4] = b"\xff\xfe\xfd\xfc"
        data[17:21] = calc_crc32c(memoryview(data)[21:]).to_bytes(4)
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


async def test_no_dead_letter_topic_means_no_letters(dlq: Dlq) -> None:
    for command in ("list", "show", "redrive"):
        assert await dlq(command) == (0, "no dead-letter topics\n", "")
    assert await dlq("purge", "--yes") == (0, "", "nothing to remove\n")


async def test_without_a_broker_it_is_status_4(tmp_path: Path, topic: str) -> None:
    servers = f"localhost:{free_port()}"
    answer = await _answer(await _start(tmp_path, servers, topic, "list", "--connect-timeout=1s"))
    assert (answer.status, answer.out) == (4, "")
    assert f"Nothing listens on {servers}" in answer.errors
