"""`tandem resend`: what a producer could not deliver is sent with its old id, and never lost on the way."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import NamedTuple

import pytest

from tandem.headers import checksum
from tandem.unacked import NotAcked, Unacked, sent_beside
from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import free_port


class Answer(NamedTuple):
    """How the command ended and what it printed."""

    status: int
    out: str
    errors: str

    @property
    def error(self) -> str:
        """What its last line complains of."""
        return str(json.loads(self.errors.splitlines()[-1])["event"])


Start = Callable[..., Awaitable[asyncio.subprocess.Process]]
Resend = Callable[..., Awaitable[Answer]]


def line(topic: str, number: int, outcome: NotAcked = "unknown", size: int = 10) -> Unacked:
    key, value = b"key%d" % number, b"x" * size
    headers = (
        ("trace", b"1"),
        ("ce_id", b"8a7ec0f0a724/1/%d" % number),
        ("tandem_crc32", checksum(key, value)),
    )
    return Unacked(topic, number % 3, 1_767_225_600_000 + number, key, value, headers, outcome, "gone")


def write(path: Path, lines: Sequence[Unacked], more: bytes = b"") -> None:
    path.write_bytes(b"".join(each.encode() for each in lines) + more)


def read(path: Path) -> list[Unacked]:
    """What a file holds; nothing where there is none."""
    text = path.read_bytes() if path.exists() else b""
    return [Unacked.decode(each) for each in text.splitlines(keepends=True)]


async def _start(directory: Path, topic: str, servers: str, *arguments: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ops",
        "resend",
        *map(str, arguments),
        cwd=directory,  # no `.env` there
        env={
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "KAFKA_TOPIC": topic,
            "LOG_FORMAT": "json",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def answer(process: asyncio.subprocess.Process, signal: Signals | None = None) -> Answer:
    if signal is not None:
        process.send_signal(signal)
    async with asyncio.timeout(40):
        out, errors = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), errors.decode())


@pytest.fixture
def start(bootstrap_servers: str, topic: str, tmp_path: Path) -> Start:
    return partial(_start, tmp_path, topic, bootstrap_servers)


@pytest.fixture
def resend(start: Start) -> Resend:
    async def run(*arguments: object) -> Answer:
        return await answer(await start(*arguments))

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unacked.jsonl"


async def test_records_are_sent_as_they_were(
    topic: str, path: Path, cluster: ClusterClient, resend: Resend
) -> None:
    await cluster.create_topic(topic)
    lines = [line(topic, number) for number in range(10)]
    write(path, lines)
    told = await resend(path)
    assert told.status == 0, told.errors
    assert told.out.splitlines()[1].split() == [topic, "unknown", "10", "10"]
    log = await cluster.read(topic)
    assert sorted(
        (record.partition, record.timestamp_ms, record.key, record.value, record.headers) for record in log
    ) == sorted(
        (each.partition, each.timestamp_ms, each.key, each.value, (*each.headers, ("tandem_copy", b"resend")))
        for each in lines
    )


async def test_what_was_sent_is_not_sent_again(
    topic: str, path: Path, cluster: ClusterClient, resend: Resend
) -> None:
    await cluster.create_topic(topic)
    lines = [line(topic, number) for number in range(10)]
    write(path, lines)
    assert (await resend(path)).status == 0
    assert read(path) == []
    assert read(sent_beside(path)) == lines
    assert (await resend(path)).status == 3
    assert len(await cluster.read(topic)) == 10
    assert (await resend(sent_beside(path))).status == 0, "unless that is asked for"
    assert len(await cluster.read(topic)) == 20


async def test_one_outcome_may_be_chosen_and_the_other_stays(
    topic: str, path: Path, cluster: ClusterClient, resend: Resend
) -> None:
    await cluster.create_topic(topic)
    lines = [line(topic, number, "failed" if number % 2 else "unknown") for number in range(10)]
    write(path, lines)
    assert (await resend(path, "--only=failed")).status == 0
    assert read(path) == lines[::2]
    assert read(sent_beside(path)) == lines[1::2]
    assert {record.header("ce_id")[-1] for record in await cluster.read(topic)} == set("13579")
    nothing = await resend(path, "--only=failed")
    assert (nothing.status, nothing.out) == (0, "nothing to send\n")


async def test_a_dry_run_counts_and_sends_nothing(
    topic: str, path: Path, cluster: ClusterClient, resend: Resend
) -> None:
    await cluster.create_topic(topic)
    lines = [line(topic, number, "failed" if number < 3 else "unknown") for number in range(10)]
    write(path, lines)
    told = await resend(path, "--dry-run")
    assert told.status == 0
    assert [row.split() for row in told.out.splitlines()] == [
        ["TOPIC", "OUTCOME", "RECORDS"],
        [topic, "failed", "3"],
        [topic, "unknown", "7"],
    ]
    assert read(path) == lines
    assert not sent_beside(path).exists()
    assert not await cluster.read(topic)


async def test_what_kafka_refuses_stays(
    topic: str, path: Path, cluster: ClusterClient, resend: Resend
) -> None:
    await cluster.create_topic(topic, max_message_bytes="1000")
    lines = [line(topic, 0), line(topic, 1, "failed", size=2000), line(topic, 2)]
    write(path, lines)
    told = await resend(path)
    assert told.status == 5
    assert told.error == f"1 of 3 were not acknowledged and stay in {path}"
    assert read(path) == [lines[1]]
    assert read(sent_beside(path)) == [lines[0], lines[2]]


async def test_other_topics_are_refused(
    topic: str, path: Path, cluster: ClusterClient, resend: Resend
) -> None:
    """A file must not be able to write wherever it likes."""
    await cluster.create_topic(topic)
    await cluster.create_topic(f"{topic}-other")
    write(path, [line(topic, 0), line(f"{topic}-other", 1)])
    told = await resend(path)
    assert told.status == 3
    assert told.error == f"{path} has records for topics that are not the streams': {topic}-other"
    assert not await cluster.read(topic)
    assert not await cluster.read(f"{topic}-other")


async def test_malformed_lines_are_named_and_nothing_is_sent(
    topic: str, path: Path, cluster: ClusterClient, resend: Resend
) -> None:
    await cluster.create_topic(topic)
    whole = line(topic, 0).encode()
    write(path, [line(topic, 0)], b"{}\n" + whole + b"\x1b[31mred\n" + whole[:-5])
    told = await resend(path)
    assert told.status == 3
    assert told.error.startswith(f"{path} has 3 lines that are no unacknowledged records: line 2: ")
    assert "; line 4: " in told.error
    assert told.error.endswith("; line 5: it is cut off")
    assert not await cluster.read(topic)


async def test_a_partition_that_is_not_there_is_refused(
    topic: str, path: Path, cluster: ClusterClient, resend: Resend
) -> None:
    """Its records would wait for ever."""
    write(path, [line(topic, 2)])
    assert (await resend(path)).error == f"{topic} has 0 partitions, and there is a record for partition 2"
    await cluster.create_topic(topic, partitions=2)
    assert (await resend(path)).error == f"{topic} has 2 partitions, and there is a record for partition 2"


async def test_a_kill_at_any_moment_loses_no_record(
    topic: str, path: Path, cluster: ClusterClient, start: Start, resend: Resend
) -> None:
    """What is not in the log is still in the file; at worst it is sent a second time."""
    await cluster.create_topic(topic)
    write(path, [line(topic, number, size=2000) for number in range(20_000)])
    process = await start(path)
    while not await cluster.ends(topic):
        assert process.returncode is None
    await answer(process, SIGKILL)
    in_log = {record.header("ce_id") for record in await cluster.read(topic)}
    left = read(path)
    assert len(in_log | {dict(each.headers)["ce_id"].decode() for each in left}) == 20_000
    assert not left or (await resend(path)).status == 0
    assert len({record.header("ce_id") for record in await cluster.read(topic)}) == 20_000


async def test_two_at_once_are_one_too_many(
    topic: str, path: Path, cluster: ClusterClient, start: Start, resend: Resend
) -> None:
    await cluster.create_topic(topic)
    write(path, [line(topic, number, size=2000) for number in range(20_000)])
    first = await start(path)
    while not sent_beside(path).exists():
        assert first.returncode is None
        await cluster.ends(topic)
    second = await resend(path)
    assert (await answer(first)).status == 0
    assert second.status == 3
    assert second.error == f"Another `tandem resend` is at work on {path}"
    assert len(await cluster.read(topic)) == 20_000


@pytest.mark.parametrize("how", ["| head -c 0", ">&-", ">&- 2>&-", ">/dev/full"])
async def test_where_nothing_can_be_printed_all_is_done_nevertheless(
    how: str, bootstrap_servers: str, topic: str, path: Path, cluster: ClusterClient
) -> None:
    await cluster.create_topic(topic)
    write(path, [line(topic, 0)])
    process = await asyncio.create_subprocess_exec(
        *("/bin/bash", "-o", "pipefail", "-c", f"{sys.executable} -m services.ops resend {path} {how}"),
        cwd=path.parent,
        env={"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "KAFKA_TOPIC": topic, "LOG_FORMAT": "json"}
        | {"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    ended = await answer(process)
    if how == ">/dev/full":
        assert (ended.status, ended.error) == (1, "Can't write to standard output: No space left on device")
    else:
        assert (ended.status, ended.errors) == (0, "")
    assert read(path) == []
    assert len(read(sent_beside(path))) == 1


async def test_without_a_broker_the_file_stays_as_it_is(topic: str, path: Path, tmp_path: Path) -> None:
    write(path, [line(topic, 0)])
    process = await _start(tmp_path, topic, f"localhost:{free_port()}", path, "--connect-timeout=1s")
    assert (await answer(process)).status == 4
    assert read(path) == [line(topic, 0)]
    assert not sent_beside(path).exists()


async def test_a_topic_that_goes_away_meanwhile_leaves_its_records_in_the_file(
    topic: str, path: Path, cluster: ClusterClient, start: Start
) -> None:
    """Asked to stop, it says what is left; those on their way are unknown from now on."""
    await cluster.create_topic(topic)
    write(path, [line(topic, number, "failed", size=2000) for number in range(30_000)])
    process = await start(path, "--drain-seconds=1")
    while not await cluster.ends(topic):
        assert process.returncode is None
    await cluster.delete_topic(topic)
    told = await answer(process, SIGTERM)
    left, sent = read(path), read(sent_beside(path))
    assert told.status == 5
    assert told.error == f"{len(left)} of 30000 were not acknowledged and stay in {path}"
    assert len(left) + len(sent) == 30_000
    assert {each.outcome for each in left} == {"failed", "unknown"}
