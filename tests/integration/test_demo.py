"""`tandem demo`, as `make demo` runs it."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL

from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import free_port
from tests.integration.processes import processes_in
from tests.integration.server_process import lock_pids, until


@asynccontextmanager
async def demo(folder: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the demo with its broker's data in `folder`; it is stopped if it is still there at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ops",
        "demo",
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],  # the jars are there
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
            "MESSAGE_INTERVAL": "50ms",
            **settings,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(SIGINT)
            await process.wait()


async def at_work(process: asyncio.subprocess.Process) -> None:
    """Wait until an order went all the way."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"order_processed" not in await process.stdout.readline():
            pass


async def rest(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.read()).decode()


def assert_both_ended_well(said: str) -> None:
    (finished,) = re.findall(r"demo +\[info +\] demo_finished +(.*)", said)
    counts = dict(re.findall(r"(\w+)=({.*}|\S+)", finished))
    assert int(counts["produced"]) > 0
    assert set(re.findall(r": (\d+)", counts["handled"])) == {counts["produced"]}
    assert (counts["errors"], counts["dead_lettered"], counts["still_to_consume"]) == ("0", "0", "0")
    assert "producer_stopped" in said
    assert "consumer_stopped" in said
    assert "Traceback" not in said


async def test_it_shows_the_pair_at_work_and_ends_by_itself(tmp_path: Path) -> None:
    async with demo(tmp_path, DEMO_SECONDS="1") as process:
        said = await rest(process)
        assert await process.wait() == 0
    assert re.search(r"producer +\[debug +\] delivery_report +outcome=acked topic=transactions", said)
    assert re.search(r"transaction-monitor \[info +\] transaction +transaction=TXN-", said)
    assert_both_ended_well(said)


async def test_a_signal_drains_both_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with demo(tmp_path, STREAM="orders") as process:
        await at_work(process)
        assert len(processes_in(tmp_path)) == 4, "demo, broker, producer, consumer"
        process.send_signal(SIGINT)
        said = await rest(process)
        assert await process.wait() == 0
    assert_both_ended_well(said)
    assert not processes_in(tmp_path)


async def test_no_service_outlives_a_killed_demo(tmp_path: Path) -> None:
    """They drain: the consumer leaves its group. The broker lives on, and its lock tells of it."""
    address = f"127.0.0.1:{free_port()}"
    variables = {"STREAM": "orders", "GROUP_ID": "left", "KAFKA_BOOTSTRAP_SERVERS": address}
    async with demo(tmp_path, **variables) as process:
        await at_work(process)
        process.kill()
        await process.wait()
        (broker,) = lock_pids(tmp_path / ".tandem" / "kafka")[1:]
        try:
            await until(lambda: processes_in(tmp_path) == [str(broker)])
            assert await ClusterClient(address).members("left") == 0
        finally:
            os.kill(broker, SIGKILL)


async def test_a_bad_setting_of_a_service_is_told_before_a_broker_is_started(tmp_path: Path) -> None:
    async with demo(tmp_path, ROLE="cook") as process:
        said = await rest(process)
        assert await process.wait() == 3
    assert "ROLE=cook is no role" in said
    assert not (tmp_path / ".tandem").exists()


async def test_a_stream_whose_format_takes_a_registry_gets_one(tmp_path: Path) -> None:
    async with demo(tmp_path, STREAM="shoes", DEMO_SECONDS="1") as process:
        said = await rest(process)
        assert await process.wait() == 0
    assert re.search(r"demo +\[info +\] registry_ready", said)
    assert_both_ended_well(said)
    assert not processes_in(tmp_path)
