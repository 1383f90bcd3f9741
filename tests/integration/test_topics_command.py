"""`tandem topics` on a real cluster: it creates what is missing, tells what differs, and changes nothing unasked."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tandem.schemas import STREAMS
from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import free_port


class Answer(NamedTuple):
    """How the command ended and what it printed."""

    status: int
    out: str
    errors: str

    @property
    def rows(self) -> Any:
        return json.loads(self.out)


Tandem = Callable[..., Awaitable[Answer]]


async def _tandem(directory: Path, servers: str, *arguments: str) -> Answer:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ops",
        "topics",
        *arguments,
        cwd=directory,  # no `.env` there
        env={"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": servers, "LOG_FORMAT": "json"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, errors = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), errors.decode())


@pytest.fixture
def topics(bootstrap_servers: str, tmp_path: Path) -> Tandem:
    return partial(_tandem, tmp_path, bootstrap_servers)


async def test_what_is_missing_is_created_and_then_there_is_no_difference(topic: str, topics: Tandem) -> None:
    bank = ("--stream=bank", f"--topic-prefix={topic}.", "--topic-partitions=2")
    own = ("transactions", "transactions-dlt", "fraud-alerts", "tandem-ledger")
    names = [f"{topic}.{name}" for name in own]

    before = await topics("diff", "--json", *bank)
    assert before.status == 1
    assert [(row["topic"], row["found"]) for row in before.rows] == [(name, "missing") for name in names]

    created = await topics("create", "--json", *bank)
    assert created.status == 0
    assert created.rows == [{"topic": name, "created": True} for name in names]
    assert created.errors.count("topic_created") == len(names)

    after = await topics("diff", *bank)
    assert (after.status, after.out, after.errors) == (0, "no differences\n", "")

    described = await topics("describe", "--json", *bank)
    assert [row["topic"] for row in described.rows] == names
    *streams, ledger = described.rows
    assert {(row["partitions"], row["replication"]) for row in streams} == {(2, 1)}
    assert (ledger["partitions"], ledger["configs"]["cleanup.policy"]) == (1, "compact")
    assert described.rows[1]["configs"] == {
        "min.insync.replicas": "1",
        "retention.ms": "-1",
        "max.message.bytes": "16777216",
        "message.timestamp.after.max.ms": str(2**63 - 1),
    }


async def test_a_broker_takes_what_every_stream_declares(topic: str, topics: Tandem) -> None:
    everything = (f"--topic-prefix={topic}.", "--topic-partitions=1")
    created = await topics("create", "--json", *everything)
    assert created.status == 0
    declared = [each.name for stream in STREAMS.values() for each in stream.topics]
    assert {f"{topic}.{name}" for name in declared} < {row["topic"] for row in created.rows}
    after = await topics("diff", "--json", *everything)
    assert (after.status, after.rows) == (0, [])


async def test_what_differs_is_told_and_left_as_it_is(
    topic: str, cluster: ClusterClient, topics: Tandem
) -> None:
    orders = ("--stream=orders", f"--kafka-topic={topic}", "--ledger-topic=none")
    await cluster.create_topic(topic, partitions=5)
    await cluster.create_topic(f"{topic}-dlt", partitions=5, retention_ms="1000")
    created = await topics("create", *orders)
    assert created.status == 0
    assert created.errors == ""
    differs = await topics("diff", "--json", *orders)
    assert differs.status == 1
    found = {(row["topic"], row["what"]): (row["wanted"], row["found"]) for row in differs.rows}
    assert found[topic, "partitions"] == ("3", "5")
    assert found[f"{topic}-dlt", "retention.ms"] == ("-1", "1000")
    assert (f"{topic}-dlt", "partitions") not in found


async def test_describing_creates_nothing(topic: str, topics: Tandem) -> None:
    arguments = ("describe", "--stream=orders", f"--topic-prefix={topic}.")
    first, second = await topics(*arguments), await topics(*arguments)
    assert first == second
    assert first.out.splitlines()[1].split() == [f"{topic}.orders", "-", "-", "-"]


async def test_without_a_broker_it_is_status_4(tmp_path: Path) -> None:
    port = free_port()
    answer = await _tandem(tmp_path, f"localhost:{port}", "diff", "--connect-timeout=1s")
    assert answer.status == 4
    assert answer.out == ""
    assert f"Nothing listens on localhost:{port}" in answer.errors
