"""The admin port of both services: what it says while the cluster comes, goes and stands still."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.ops.cluster import KafkaCluster
from tests.integration.admin_client import Admin
from tests.integration.conftest import Run, free_port
from tests.integration.processes import running

BOTH = pytest.mark.parametrize("service", ["producer", "consumer"])


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[KafkaCluster]:
    """A broker to be hurt."""
    async with KafkaCluster(data=tmp_path / "kafka", port=0) as cluster:
        yield cluster


async def probe(port: int, *path: str) -> tuple[int, str]:
    """Run the container's health check; return its exit status and what it complains of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tandem.admin.probe",
        *path,
        env={"ADMIN_PORT": str(port)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    return process.returncode or 0, complaint.decode()


async def test_a_broker_that_goes_away_takes_readiness_and_not_life(
    broker: KafkaCluster, tmp_path: Path
) -> None:
    run = partial(running, directory=tmp_path, kafka_bootstrap_servers=broker.bootstrap_servers, admin_port=0)
    async with run("producer", message_interval="1h") as producer, run("consumer") as consumer:
        pair = [await Admin.of(producer), await Admin.of(consumer)]
        for admin in pair:
            await admin.until("/readyz", 200)
            assert await admin.status("/livez") == 200
        await broker.kill(1)
        for admin in pair:
            said = orjson.loads(await admin.until("/readyz", 503))
            assert said == {"ok": False, "reasons": ["no broker is connected"]}
            assert await admin.status("/livez") == 200
        await broker.restart(1)
        for admin in pair:
            await admin.until("/readyz", 200)
        assert await producer.end(SIGTERM) == 0
        assert await consumer.end(SIGTERM) == 0


async def test_a_broker_that_stands_still_does_so_too_and_a_drain_is_told(
    broker: KafkaCluster, tmp_path: Path
) -> None:
    run = partial(
        running,
        directory=tmp_path,
        kafka_bootstrap_servers=broker.bootstrap_servers,
        admin_port=0,
        drain_seconds=5,
    )
    async with run("producer", message_interval="10ms") as process:
        producer = await Admin.of(process)
        await producer.until("/readyz", 200)
        os.kill(broker.pids[0], SIGSTOP)
        reason = await producer.until("/readyz", 503)
        assert "acknowledged nothing" in reason or "no broker is connected" in reason
        assert await producer.status("/livez") == 200
        process.send(SIGTERM)
        await process.until("producer_draining")
        assert "draining" in await producer.until("/readyz", 503)
        assert await producer.status("/livez") == 200
        assert await process.end() == 5
    await broker.kill(1)  # frozen, it would not stop


@BOTH
async def test_before_there_is_a_broker_a_service_lives_and_is_not_ready(
    service: str, tmp_path: Path
) -> None:
    async with running(
        service, tmp_path, kafka_bootstrap_servers=f"localhost:{free_port()}", admin_port=0
    ) as process:
        admin = await Admin.of(process)
        await process.until("broker_unavailable")
        assert await admin.status("/livez") == 200
        ready = await admin.ask("/readyz")
        assert ready.status == 503
        assert orjson.loads(ready.text)["reasons"] == ["connecting"]
        assert (await probe(admin.port)) == (0, "")
        assert (await probe(admin.port, "readyz")) == (1, f"/readyz: 503 {ready.text}")
        await process.end(SIGTERM)


async def test_the_pair_shows_what_it_does(produce: Run, consume: Run, topic: str) -> None:
    async with produce(message_interval="1ms", admin_port=0) as producer, consume(admin_port=0) as consumer:
        sending, receiving = await Admin.of(producer), await Admin.of(consumer)
        await consumer.until("handled", count=100)
        run = orjson.loads((await sending.ask("/status")).text)
        assert run["service"] == "producer"
        assert run["counts"]["acked"] >= 100
        assert await producer.end(SIGTERM) == 0
        produced = producer.events("producer_stopped")[0]["produced"]
        await consumer.until("handled", count=produced)
        shown = orjson.loads((await receiving.ask("/status")).text)
        assert shown["live"]
        assert shown["ready"]
        assert shown["group"] == topic
        assert shown["counts"]["handled"] == produced
        assert sum(each["position"] for each in shown["partitions"]) == produced
        families = {
            each.name: each for each in text_string_to_metric_families((await receiving.ask("/metrics")).text)
        }
        lag = families["kafka_consumergroup_group_lag"].samples
        assert {sample.labels["partition"] for sample in lag} == {"0", "1", "2"}
        assert {sample.labels["topic"] for sample in lag} == {topic}
        assert sum(sample.value for sample in lag) == 0
        handled = {
            sample.labels["resolution"]: sample.value
            for sample in families["tandem_resolved_messages"].samples
        }
        assert handled == {"handled": produced, "dead_lettered": 0, "deferred": 0, "not_ours": 0}
        assert all(each.documentation for each in families.values())


async def test_a_process_that_stands_still_fails_its_probe(produce: Run) -> None:
    async with produce(message_interval="1h", admin_port=0) as process:
        admin = await Admin.of(process)
        await admin.until("/readyz", 200)
        os.kill(process.pid, SIGSTOP)
        status, complaint = await probe(admin.port)
        os.kill(process.pid, SIGCONT)
        assert status == 1
        assert complaint.startswith(f"/livez: no answer from 127.0.0.1:{admin.port} within 3 s")
        assert (await probe(admin.port)) == (0, "")
        await process.end(SIGTERM)
    status, complaint = await probe(admin.port)
    assert status == 1
    assert "refused" in complaint


@BOTH
async def test_a_named_port_that_is_taken_ends_the_start(service: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with running(service, tmp_path, admin_port=port) as process:
            assert await process.end() == 3
    (line,) = process.lines
    assert line["event"].startswith(f"The admin port can't listen on 127.0.0.1:{port}: ")
    assert "ADMIN_PORT" in line["remedy"]


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
async def test_an_address_that_is_not_of_this_machine_ends_the_start(host: str, tmp_path: Path) -> None:
    async with running("producer", tmp_path, admin_host=host, admin_port=0) as process:
        assert await process.end() == 3
    assert host in process.lines[0]["event"]


@pytest.mark.parametrize(("service", "usual"), [("producer", 8090), ("consumer", 8091)])
async def test_where_the_usual_port_is_taken_another_one_will_do(
    service: str, usual: int, bootstrap_servers: str, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        with suppress(OSError):  # then somebody else has it
            taken.bind(("127.0.0.1", usual))
            taken.listen()
        async with running(
            service, tmp_path, kafka_bootstrap_servers=bootstrap_servers, admin_port="auto"
        ) as process:
            admin = await Admin.of(process)
            assert admin.port != usual
            assert await admin.status("/livez") == 200
            await process.end(SIGTERM)


@BOTH
async def test_an_empty_admin_port_is_none(service: str, bootstrap_servers: str, tmp_path: Path) -> None:
    async with running(
        service, tmp_path, kafka_bootstrap_servers=bootstrap_servers, admin_port=""
    ) as process:
        await process.until(f"{service}_started")
        assert await process.end(SIGTERM) == 0
    assert not process.events("admin_listening")
