"""The audit beside the real services, and how it ends."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from xml.etree import ElementTree as ET

from services.ops.cluster import KafkaCluster
from tests.integration.audited import RUN, Event, Stage, audit
from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run, free_port
from tests.integration.processes import Process


@asynccontextmanager
async def auditing(
    directory: Path, servers: str, *flags: str
) -> AsyncIterator[tuple[Process, asyncio.subprocess.Process]]:
    """Run `tandem audit` with its log lines, which go to standard error, to be waited for."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ops",
        "audit",
        *flags,
        cwd=directory,  # no `.env` there
        env={"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": servers, "LOG_FORMAT": "json"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    process.stdout, process.stderr = process.stderr, process.stdout
    watched = Process(process)
    try:
        yield watched, process
    finally:
        await watched.kill()


async def until_caught_up(cluster: ClusterClient, group: str) -> None:
    """Wait until a group has committed the end of the topic of its name."""
    async with asyncio.timeout(45):
        behind = True
        while behind:
            behind = await cluster.committed(group, group) != await cluster.ends(group)


async def test_what_the_services_leave_is_clean_whatever_was_killed(
    topic: str, bootstrap_servers: str, cluster: ClusterClient, tmp_path: Path, produce: Run, consume: Run
) -> None:
    faulty = {"message_interval": "1ms", "fault_malformed": "0.02"}
    async with produce(**faulty) as killed, consume() as first:
        await first.until("handled", count=300)
        await first.end(SIGKILL)
        await killed.end(SIGKILL)
    async with produce(**faulty) as drained, consume() as second:
        await drained.until("delivery_report", count=500)
        assert await drained.end(SIGTERM) == 0
        reports = len(killed.events("delivery_report")) + len(drained.events("delivery_report"))
        await until_caught_up(cluster, topic)
        assert await second.end(SIGTERM) == 0
    answer = await audit(tmp_path, bootstrap_servers, "--json", "--topic", topic, "--group", topic)
    assert (answer.status, answer.told["findings"], answer.told["not_checked"]) == (0, [], []), answer
    groups = answer.told["groups"]
    assert sum(row["lag"] for row in groups) == 0
    assert (
        sum(row["resolved"] for row in groups)
        == sum(row["records"] for row in answer.told["logs"])
        >= reports
    )
    assert sum(row["dead"] for row in groups) > 0
    assert {row["state"] for row in answer.told["runs"]} <= {"closed", "live", "silent", "crashed"}


async def test_it_follows_services_at_work_and_tells_an_anomaly_when_it_comes(
    topic: str, bootstrap_servers: str, cluster: ClusterClient, tmp_path: Path, produce: Run, consume: Run
) -> None:
    flags = ("--follow", "--interval", "200ms", "--topic", topic, "--group", topic, "--json")
    async with produce(message_interval="2ms") as producer, consume() as consumer:
        await consumer.until("handled", count=50)
        async with auditing(tmp_path, bootstrap_servers, *flags) as (audited, _):
            await audited.until("audit_looked", count=10)
            assert not audited.events("audit_found")
            assert {line["verdict"] for line in audited.events("audit_looked")} == {"clean"}
            once = next(record for record in await cluster.read(topic) if record.partition == 0)
            stage = Stage(bootstrap_servers, topic, tmp_path)
            stage.send(topic, 0, [Event(once.key, once.value, once.headers)])
            found = await audited.until("audit_found")
            assert (found["kind"], found["partition"], found["ids"]) == (
                "DUPLICATED",
                0,
                once.header("ce_id"),
            )
            await audited.until("audit_looked", verdict="duplicates")
            await producer.end(SIGTERM)
            assert await audited.end(SIGTERM) == 7
            assert len(audited.events("audit_found")) == 1, "once is enough"


async def test_it_writes_a_junit_report(bootstrap_servers: str, topic: str, tmp_path: Path) -> None:
    stage = Stage(bootstrap_servers, topic, tmp_path)
    del stage.logs[0][7]
    stage.ledger_key = RUN.encode()
    await stage.write(commits=False)
    await stage.commit({0: stage.metadata(0), 1: (500, "\x1b[31mnot ours\x07")})
    assert (await stage.audit("--junit", "report.xml")).status == 6
    root = ET.fromstring((tmp_path / "report.xml").read_text())  # noqa: S314 -- our own
    suite = root[0]
    cases = {(case.get("classname"), case.get("name")): [each.tag for each in case] for case in suite}
    assert cases[f"{topic}/0", "LOST"] == ["failure"]
    assert cases[f"{topic}/1", "LOST"] == []
    assert cases[f"{topic}/0 {topic}", "MISSED"] == []
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (str(len(suite)), "1", "1")
    assert f"{RUN}/0/7" in next(each.get("message", "") for each in suite.iter("failure"))
    unwritable = await stage.audit("--junit", "no/such/folder/report.xml")
    assert (unwritable.status, unwritable.out) == (3, "")
    assert "--junit: can't write" in unwritable.errors


async def test_people_get_a_table_and_the_verdict(bootstrap_servers: str, topic: str, tmp_path: Path) -> None:
    stage = Stage(bootstrap_servers, topic, tmp_path)
    stage.logs[1][100:100] = stage.logs[1][5:6]
    await stage.write(commits=False)
    flags = ("--topic", topic, "--ledger-topic", stage.ledger, "--log-only")
    answer = await audit(tmp_path, bootstrap_servers, *flags)
    assert answer.status == 7
    lines = [line.split() for line in answer.out.splitlines() if line]
    assert lines[0][:5] == ["TOPIC", "PARTITION", "OFFSETS", "RECORDS", "RUNS"]
    assert ["DUPLICATED", f"{topic}/1", "1", f"{RUN}/1/5,", "offset", "100"] in lines
    assert (
        answer.out.splitlines()[-1]
        == "verdict: duplicates (status 7): 1 DUPLICATED; 1001 records, 1 run, 0 groups"
    )


async def test_without_a_broker_it_is_status_4(tmp_path: Path) -> None:
    port = free_port()
    answer = await audit(tmp_path, f"localhost:{port}", "--connect-timeout", "1s")
    assert (answer.status, answer.out) == (4, "")
    assert f"Nothing listens on localhost:{port}" in answer.errors


async def test_without_a_topic_it_is_status_3(bootstrap_servers: str, topic: str, tmp_path: Path) -> None:
    answer = await audit(tmp_path, bootstrap_servers, "--topic", topic)
    assert (answer.status, answer.out) == (3, "")
    assert "There is nothing to audit" in answer.errors


async def test_an_audit_that_was_stopped_is_not_a_clean_one(tmp_path: Path) -> None:
    async with auditing(tmp_path, f"127.0.0.1:{free_port()}") as (audited, _):
        await audited.until("broker_unavailable")
        assert await audited.end(SIGINT) == 8
        assert audited.events("The audit was stopped before its end")


async def test_batches_that_are_damaged_on_the_disk_are_named_and_stepped_over(
    topic: str, tmp_path: Path
) -> None:
    """Librdkafka says nothing: of one it leaves records out, and at the other it comes to a stand."""
    async with KafkaCluster(data=tmp_path / "kafka", port=0) as broker:
        client = ClusterClient(broker.bootstrap_servers)
        await client.create_topic(topic, partitions=1)
        for batch in range(4):
            await client.write(topic, *(b"%d" % batch * 100 for _ in range(4)), compression="zstd")
        (segment,) = (tmp_path / "kafka").rglob(f"{topic}-0/*.log")
        content = bytearray(segment.read_bytes())
        size = len(content) // 4
        content[2 * size - 15 : 2 * size - 12] = content[2 * size + 76 : 2 * size + 79] = b"\xff\xff\xff"
        with segment.open("r+b") as file:
            file.write(content)
        answer = await audit(tmp_path, broker.bootstrap_servers, "--json", "--topic", topic, "--log-only")
    assert answer.status == 6
    assert answer.found == [("CORRUPT", 0, 4, None, 4, 7), ("CORRUPT", 0, 4, None, 8, 11)]
    assert answer.told["logs"][0]["end"] == 16
