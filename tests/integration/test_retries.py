"""Handlers that fail: tried again in place, then by way of retry topics, then set aside; and nobody else waits for them."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM

import orjson
import pytest

from tandem.account import Checkpoint, identity, read
from tests.integration.cluster_client import ClusterClient
from tests.integration.processes import Process, running

Run = Callable[..., AbstractAsyncContextManager[Process]]

QUICK = {"retry_backoff": "20ms", "retry_max_backoff": "50ms", "retry_attempts": 3}


def order(plan: str, number: int = 0) -> bytes:
    return orjson.dumps(
        {
            "orderId": f"{plan}:{number}",
            "customerId": "customer_1",
            "amount": 12.5,
            "timestamp": 1767225600000,
            "category": "Books",
        }
    )


@pytest.fixture
def scripted(bootstrap_servers: str, topic: str, tmp_path: Path) -> Run:
    """Start a consumer whose events tell its handler what to do."""
    return partial(
        running,
        "tests.integration.scripted_role",
        tmp_path,
        kafka_bootstrap_servers=bootstrap_servers,
        kafka_topic=topic,
        role="scripted",
        group_id=topic,
        session_timeout="3s",
        commit_interval="100ms",
        **QUICK,
    )


@pytest.fixture
async def one(cluster: ClusterClient, topic: str) -> str:
    """A topic with one partition."""
    await cluster.create_topic(topic, partitions=1)
    return topic


def outcomes(consumer: Process) -> list[str]:
    return [line["order"] for line in consumer.events("done")]


async def test_what_heals_in_time_is_handled(one: str, cluster: ClusterClient, scripted: Run) -> None:
    await cluster.write(one, order("fail2"))
    async with scripted() as consumer:
        await consumer.until("done")
        assert await consumer.end(SIGTERM) == 0
    assert len(consumer.events("tried")) == 3
    assert await cluster.committed(one, one) == {0: 1}
    assert consumer.events("consumer_stopped")[0]["retried"] == 2


async def test_what_does_not_heal_is_set_aside_after_the_last_try(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    await cluster.write(one, order("fail"), order("reject"), headers=[("trace", b"1")])
    async with scripted(dead_letter_stacktrace="true") as consumer:
        await consumer.until("dead_lettered", count=2)
        assert await consumer.end(SIGTERM) == 0
    rejected, failed = sorted(
        await cluster.read(f"{one}-dlt"), key=lambda letter: letter.header("__dlq.errors.attempts")
    )
    assert failed.header("__dlq.errors.attempts") == "3"
    assert failed.header("__dlq.errors.message") == "no connection for fail:0"
    assert "ConnectionError" in failed.header("__dlq.errors.stacktrace")
    assert rejected.header("__dlq.errors.attempts") == "1"
    assert failed.headers[0] == ("trace", b"1")
    assert await cluster.committed(one, one) == {0: 2}


async def test_a_record_that_waits_holds_back_only_its_key(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    await cluster.write(one, order("fail"), order("ok", 1), key=b"a")
    await cluster.write(one, *(order("ok", number) for number in range(2, 6)), key=b"b")
    async with scripted(retry_backoff="600ms", retry_max_backoff="600ms") as consumer:
        await consumer.until("done", count=5)
        assert await consumer.end(SIGTERM) == 0
    assert outcomes(consumer)[-1] == "ok:1"
    tried = [line["order"] for line in consumer.events("tried")]
    assert tried[1:5] == [f"ok:{number}" for number in range(2, 6)], "before the second try"


async def test_a_retry_topic_lets_a_record_wait_for_long(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    """With its origin and its number of tries; what fails there, too, goes on to the next, and in the end to the dead letters."""
    await cluster.write(one, order("fail"), timestamp=1767225600000, headers=[("trace", b"1")])
    async with scripted(retry_attempts=1, retry_delays="300ms,1s") as consumer:
        started = time.monotonic()
        await consumer.until("dead_lettered")
        assert time.monotonic() - started > 1.3
        assert await consumer.end(SIGTERM) == 0
    assert len(consumer.events("tried", offset=0)) == 3
    (waited,) = await cluster.read(f"{one}-retry-300ms")
    assert waited.header("tandem_group") == one
    (letter,) = await cluster.read(f"{one}-dlt")
    assert letter.header("__dlq.errors.attempts") == "3"
    assert letter.header("__dlq.errors.topic") == one
    assert letter.timestamp_ms == 1767225600000
    assert letter.headers[0] == ("trace", b"1")
    assert "tandem_group" not in dict(letter.headers)
    for topic in (one, f"{one}-retry-300ms", f"{one}-retry-1s"):
        assert await cluster.committed(one, topic) == {0: 1}


async def test_another_group_does_not_handle_what_waits_for_this_one(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    await cluster.write(one, order("fail"))
    settings = {"retry_attempts": 1, "retry_delays": "100ms"}
    async with scripted(**settings) as first, scripted(group_id=f"{one}-2", **settings) as second:
        await first.until("dead_lettered")
        await second.until("dead_lettered")
        await first.end(SIGTERM)
        await second.end(SIGTERM)
    assert len(first.events("tried")) == len(second.events("tried")) == 2
    letters = await cluster.read(f"{one}-dlt")
    assert {letter.header("__dlq.errors.group") for letter in letters} == {one, f"{one}-2"}


async def test_the_order_of_a_key_is_kept_over_retry_topics_and_a_kill(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    """The second consumer learns from the log which keys wait."""
    settings = {"retry_attempts": 1, "retry_delays": "2s", "retry_keep_order": "true"}
    await cluster.write(one, order("fail", 1), order("ok", 2), key=b"a")
    await cluster.write(one, order("ok", 10), key=b"b")
    async with scripted(**settings) as first:
        await first.until("retry_deferred", count=2)
        await first.until("done", order="ok:10")
        await cluster.write(one, order("ok", 3), key=b"a")
        await first.until("retry_deferred", count=3)
        await first.end(SIGKILL)
    await cluster.write(one, order("ok", 4), key=b"a")
    async with scripted(**settings) as second:
        await second.until("done", order="ok:4")
        assert await second.end(SIGTERM) == 0
    handled = [each for each in outcomes(second) if each != "ok:10"]
    firsts = list(dict.fromkeys(handled))  # what the first one had not committed comes again
    assert firsts == ["ok:2", "ok:3", "ok:4"]
    tried = [line["order"] for line in second.events("tried") if line["order"] != "ok:10"]
    assert tried[0] == "fail:1"


async def test_a_poison_record_delays_the_others_by_less_than_a_second(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    await cluster.write(one, order("fail"), key=b"poison")
    for key in range(10):
        await cluster.write(one, *(order("ok", number) for number in range(1000)), key=b"%d" % key)
    patient = {"retry_backoff": "1h", "retry_max_backoff": "1h", "retry_deadline": "24h"}
    async with scripted(retry_attempts=1_000_000, **patient) as consumer:
        await consumer.until("retry_scheduled")
        await consumer.until("done", count=10_000)
        assert not consumer.events("dead_lettered"), "the others did not wait for it"
        await consumer.kill()


async def test_several_events_of_a_partition_are_handled_at_the_same_time(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    for key in range(20):
        await cluster.write(one, order("slow", key), order("ok", key), key=b"%d" % key)
    async with scripted(concurrency=20) as consumer:
        await consumer.until("tried", count=20, plan="slow")
        assert not consumer.events("done")
        await consumer.until("done", count=40)
        assert await consumer.end(SIGTERM) == 0
    assert await cluster.committed(one, one) == {0: 40}


async def test_a_handler_that_hangs_is_given_up(one: str, cluster: ClusterClient, scripted: Run) -> None:
    await cluster.write(one, order("hang"), order("ok"))
    async with scripted(handler_timeout="100ms", retry_attempts=2) as consumer:
        await consumer.until("done")
        assert await consumer.end(SIGTERM) == 0
    (letter,) = await cluster.read(f"{one}-dlt")
    assert letter.header("__dlq.errors.message") == "the handler took longer than 0.1 s"


async def test_the_account_of_what_was_resolved_travels_with_the_offset(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    """Over a kill: it goes back to the last commit with the offset, and closes in the end."""
    values = [order("ok", 1), order("reject"), order("fail2"), order("ok", 2)]
    await cluster.write(one, *values, headers=[("ce_id", b"run/0/0")])
    async with scripted() as first:
        await first.until("done", order="ok:1")
        await first.end(SIGKILL)
    await cluster.write(one, order("ok", 3))
    async with scripted() as second:
        await second.until("done", order="ok:3")
        assert await second.end(SIGTERM) == 0
    checkpoints = read(await cluster.metadata(one, one, 0), 5)
    digest = 4 * identity(b"run/0/0", one, 0, 0) + identity(None, one, 0, 4)
    assert checkpoints[0] == Checkpoint(0)
    assert checkpoints[-1] == Checkpoint(5, resolved=5, dead=1, digest=digest % 2**64)


async def test_what_retention_took_is_told_and_counted(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    await cluster.write(one, order("ok", 1))
    async with scripted() as first:
        await first.until("done")
        assert await first.end(SIGTERM) == 0
    await cluster.write(one, *(order("ok", number) for number in range(2, 7)))
    await cluster.delete_records(one, 0, 4)
    async with scripted() as second:
        await second.until("records_expired", count=1, first=1)
        await second.until("done", order="ok:6")
        assert await second.end(SIGTERM) == 0
    assert second.events("records_expired")[0]["count"] == 3
    (*_, last) = read(await cluster.metadata(one, one, 0), 6)
    assert (last.resolved, last.expired) == (3, 3)


async def test_a_client_that_does_not_fetch_any_more_is_replaced(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    await cluster.write(one, order("kill fetch"))
    async with scripted() as consumer:
        await consumer.until("consumer_restarted")
        await cluster.write(one, order("ok"))
        await consumer.until("done", order="ok:0")
        assert await consumer.end(SIGTERM) == 0
    assert await cluster.committed(one, one) == {0: 2}


@pytest.mark.parametrize("concurrency", ["1", "3"])
async def test_a_handler_that_ends_its_own_task_does_not_leave_the_partition_standing(
    one: str, cluster: ClusterClient, scripted: Run, concurrency: str
) -> None:
    await cluster.write(one, order("cancel once"))
    async with scripted(concurrency=concurrency) as consumer:
        restarted = await consumer.until("consumer_restarted")
        assert f"{one}/0" in restarted["reason"]
        await consumer.until("done", order="cancel once:0")
        assert await consumer.end(SIGTERM) == 0
    assert await cluster.committed(one, one) == {0: 1}


async def test_a_static_member_comes_back_without_a_rebalance(
    cluster: ClusterClient, topic: str, scripted: Run
) -> None:
    await cluster.create_topic(topic, partitions=2)
    static = {"session_timeout": "20s"}
    async with scripted(group_instance_id="one", **static) as one:
        await one.until("partitions_assigned")
        async with scripted(group_instance_id="two", **static) as two:
            await two.until("partitions_assigned")
            await one.until("partitions_assigned", count=2)
            assert await two.end(SIGTERM) == 0
        async with scripted(group_instance_id="two", **static) as two:
            await two.until("partitions_assigned")
            await two.end(SIGTERM)
        assert len(one.events("partitions_assigned")) == 2
        await one.end(SIGTERM)


async def test_the_older_of_two_processes_with_one_name_ends(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    async with scripted(group_instance_id="twin") as older:
        await older.until("partitions_assigned")
        async with scripted(group_instance_id="twin") as newer:
            await newer.until("partitions_assigned")
            assert await older.end() == 3
            await cluster.write(one, order("ok"))
            await newer.until("done")
            await newer.end(SIGTERM)
    assert older.events("Another consumer is in the group as GROUP_INSTANCE_ID=twin", status=3)


async def test_what_waits_in_a_retry_topic_is_not_skipped_by_a_group_that_starts_at_the_end(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    """Killed before it had committed anything there, and in its own topic."""
    latest = {"auto_offset_reset": "latest", "retry_attempts": 1, "retry_delays": "3s"}
    await cluster.write(one, order("ok", 1))
    async with scripted(**latest, commit_interval="1h") as first:
        await first.until("partitions_assigned")
        await cluster.write(one, order("fail", 2), order("ok", 3))
        await first.until("retry_deferred")
        await first.until("done", order="ok:3")
        await first.kill()
    async with scripted(**latest) as second:
        await second.until("dead_lettered")
        await second.until("done", order="ok:3")
        assert await second.end(SIGTERM) == 0
    assert not second.events("tried", order="ok:1")


async def test_a_topic_that_is_there_again_is_read_from_its_beginning(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    await cluster.write(one, *(order("ok", number) for number in range(5)))
    async with scripted() as consumer:
        await consumer.until("done", count=5)
        await cluster.delete_topic(one)
        await consumer.until("topic_missing")
        await cluster.create_topic(one, partitions=1)
        await cluster.write(one, order("ok", 9))
        await consumer.until("done", order="ok:9")
        assert await consumer.end(SIGTERM) == 0
    assert await cluster.committed(one, one) == {0: 1}


async def test_what_waits_in_a_retry_topic_that_nobody_reads_any_more_is_told(
    one: str, cluster: ClusterClient, scripted: Run
) -> None:
    await cluster.write(one, order("fail"))
    async with scripted(retry_attempts=1, retry_delays="1h") as first:
        await first.until("retry_deferred")
        assert await first.end(SIGTERM) == 0
    async with scripted(retry_delays="100ms") as second:
        line = await second.until("retry_topic_not_read")
        assert (line["topic"], line["records"]) == (f"{one}-retry-3600s", 1)
        assert await second.end(SIGTERM) == 0
