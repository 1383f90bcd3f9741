"""The ways to run the producer, as real processes."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run
from tests.integration.processes import Line, Process, processes_in
from tests.integration.server_process import until
from tests.integration.terminal import at_a_terminal

SCRIPT = "send\nbatch 100\n\nbatch\ndance\nstats\nhelp\n"


def of(process: Process, service: str) -> list[Line]:
    """What a service has said in a view of several."""
    return [line for line in process.lines if line.get("service") == service]


async def test_auto_sends_three_messages_and_consumes_them_and_nothing_else(
    topic: str, cluster: ClusterClient, produce: Run
) -> None:
    async with produce(message_interval="1ms", max_messages=20) as earlier:
        assert await earlier.end() == 0
    async with produce(mode="auto") as process:
        assert await process.end() == 0
    sent = process.events("delivery_report", outcome="acked")
    handled = process.events("handled", service="consumer")
    assert len(sent) == 3
    positions = [{(line["partition"], line["offset"]) for line in lines} for lines in (sent, handled)]
    assert positions[0] == positions[1]
    assert process.events("consumer_stopped", consumed=3, handled=3)
    assert process.events("auto_finished", sent=3, consumed=3)
    assert len(await cluster.read(topic)) == 23


async def test_auto_ends_as_its_consumer_does_when_that_cant_start(produce: Run) -> None:
    async with produce(mode="auto", role="cook") as process:
        assert await process.end() == 3
    assert any("ROLE=cook is no role" in line["event"] for line in of(process, "consumer"))


@pytest.mark.parametrize(("count", "settings"), [(50, {}), (2000, {"count": 2000, "producers": 3})])
async def test_load_sends_its_count_at_full_speed_and_tells_the_rate(
    count: int, settings: dict[str, int], topic: str, cluster: ClusterClient, produce: Run
) -> None:
    async with produce(mode="load", message_interval="1h", **settings) as process:
        assert await process.end() == 0
    (finished,) = process.events("load_finished", acknowledged=count)
    assert finished["rate"] == pytest.approx(count / finished["seconds"], rel=0.1)
    assert len(await cluster.read(topic)) == count


async def test_a_load_that_is_not_delivered_ends_with_5(
    topic: str, cluster: ClusterClient, produce: Run
) -> None:
    await cluster.create_topic(topic, partitions=1, max_message_bytes="100")
    async with produce(mode="load") as process:
        assert await process.end() == 5
    assert process.events("load_finished", acknowledged=0)


async def test_several_producers_have_runs_of_their_own_and_joined_statistics(
    topic: str, cluster: ClusterClient, produce: Run
) -> None:
    async with produce(producers=3, rate="1000/s", max_messages=301, seed=1) as process:
        assert await process.end() == 0
    assert process.events("producer_stopped", produced=301, errors=0)
    runs = {line["run"] for line in process.events("producer_started")}
    sequences = defaultdict(list)
    for record in await cluster.read(topic):
        run, _, sequence = record.header("ce_id").split("/")
        sequences[run, record.partition].append(int(sequence))
    assert {run for run, _ in sequences} == runs
    assert len(runs) == 3
    assert all(numbers == list(range(len(numbers))) for numbers in sequences.values())
    counts = Counter(run for (run, _), numbers in sequences.items() for _ in numbers)
    assert sorted(counts.values()) == [100, 100, 101]


@pytest.mark.parametrize("mode", ["interactive", "producer-only"])
async def test_a_script_may_do_the_typing(
    mode: str, topic: str, cluster: ClusterClient, produce: Run
) -> None:
    async with produce(mode=mode) as process:
        process.type(f"{SCRIPT}quit\nsend\n")
        assert await process.end() == 0
    assert len(process.events("sent", outcome="acked", topic=topic)) == 1
    assert process.events("batch_sent", acknowledged=100)
    assert process.events("producer_statistics", produced=101, in_flight=0)
    assert [line["reason"].split(",")[0] for line in process.events("not_understood")] == [
        "batch takes a number from 1 to 1000000",
        "there is no command dance; there are: send",
    ]
    assert {line["command"] for line in process.events("help")} == {"send", "batch", "stats", "help", "quit"}
    assert len(await cluster.read(topic)) == 101
    if mode == "interactive":
        assert process.events("consumer_stopped", consumed=101, handled=101)
    else:
        assert not of(process, "consumer")


async def test_the_end_of_the_script_is_the_end(topic: str, cluster: ClusterClient, produce: Run) -> None:
    """Also when its last line has no end of its own."""
    async with produce(mode="producer-only") as process:
        process.type("send\nsend")
        process.close_input()
        assert await process.end() == 0
    assert len(await cluster.read(topic)) == 2


async def test_a_signal_drains_what_the_script_has_sent(produce: Run) -> None:
    async with produce(mode="producer-only") as process:
        process.type("send\n")
        await process.until("sent")
        assert await process.end(SIGTERM) == 0
    assert process.events("producer_stopped", produced=1, errors=0)


async def test_consumer_only_is_the_consumer(topic: str, produce: Run) -> None:
    async with produce(message_interval="1ms", max_messages=5) as producer:
        assert await producer.end() == 0
    async with produce(mode="consumer-only", group_id=topic) as process:
        await process.until("handled", count=5)
        assert await process.end(SIGTERM) == 0
    assert process.events("consumer_stopped", handled=5)
    assert not process.events("producer_started")


async def test_the_consumer_does_not_outlive_a_killed_producer(
    topic: str, cluster: ClusterClient, produce: Run, tmp_path: Path
) -> None:
    """It drains and leaves its group: a session would last longer than this test waits."""
    async with produce(mode="consumer-only", group_id=topic, session_timeout="1m") as process:
        await process.until("partitions_assigned")
        await process.end(SIGKILL)
        await until(lambda: not processes_in(tmp_path))
    assert await cluster.members(topic) == 0


async def test_at_a_terminal_there_is_a_prompt_with_the_consumers_lines_above_it(
    bootstrap_servers: str, topic: str, tmp_path: Path
) -> None:
    cluster = {"kafka_bootstrap_servers": bootstrap_servers, "kafka_topic": topic}
    async with at_a_terminal(tmp_path, mode="interactive", **cluster) as terminal:
        await terminal.until_it_asks()
        terminal.type("send\r")
        await terminal.until(r"producer +\[info +\] sent +outcome=acked")
        await terminal.until(r"consumer +\[info +\] order_processed")
        await terminal.until_it_asks()
        terminal.type("\x1b[A")  # arrow up: the last command again
        await terminal.until(r"tandem> ?send", count=2)
        terminal.type("\r")
        await terminal.until("sent +outcome=acked", count=2)
        await terminal.until("order_processed", count=2)
        await terminal.until_it_asks()
        terminal.type("\x04")  # Ctrl+D
        assert await terminal.end() == 0
        await terminal.until("consumer_stopped +consumed=2 handled=2")
        assert terminal.echoes
    assert (tmp_path / ".tandem" / "history").read_text().count("+send") == 1


async def test_at_a_terminal_the_consumer_does_not_outlive_a_killed_producer(
    bootstrap_servers: str, topic: str, cluster: ClusterClient, tmp_path: Path
) -> None:
    settings = {"kafka_bootstrap_servers": bootstrap_servers, "kafka_topic": topic, "session_timeout": "1m"}
    async with at_a_terminal(tmp_path, mode="interactive", **settings) as terminal:
        await terminal.until_it_asks()
        terminal.send(SIGKILL)
        await terminal.end()
        await until(lambda: not processes_in(tmp_path))
        (group,) = set(re.findall(r"group=(interactive-\w+)", terminal.shown))
    assert await cluster.members(group) == 0


@pytest.mark.parametrize("how", ["key", "SIGINT", "SIGTERM"])
async def test_at_a_terminal_ctrl_c_and_signals_drain(
    how: str, bootstrap_servers: str, topic: str, tmp_path: Path
) -> None:
    cluster = {"kafka_bootstrap_servers": bootstrap_servers, "kafka_topic": topic}
    async with at_a_terminal(tmp_path, mode="producer-only", **cluster) as terminal:
        await terminal.until_it_asks()
        terminal.type("batch 10\r")
        await terminal.until("batch_sent")
        await terminal.until_it_asks()
        if how == "key":
            terminal.type("\x03")
        else:
            terminal.send(SIGINT if how == "SIGINT" else SIGTERM)
        assert await terminal.end() == 0
        await terminal.until("producer_stopped +produced=10 errors=0")
        assert terminal.echoes
