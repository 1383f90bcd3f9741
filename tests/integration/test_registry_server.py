"""The embedded registry, for real: what is ready, what is kept, what goes wrong, and that no process is left."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM

import pytest
from confluent_kafka.schema_registry import AsyncSchemaRegistryClient, Schema

from services.ops import registry as server_module
from services.ops.maven import Archive
from services.ops.registry import RegistryServerSettings, SchemaRegistryServer, serve
from tandem.errors import SettingsError, UnavailableError
from tests.integration.processes import Process

LONG = 30.0
SUBJECT = "things-value"
SCHEMA = Schema(json.dumps({"type": "record", "name": "Thing", "fields": []}), "AVRO")


async def register(url: str) -> int:
    async with AsyncSchemaRegistryClient({"url": url}) as client:
        schema_id: int = await client.register_schema(SUBJECT, SCHEMA)
        return schema_id


async def subjects(url: str) -> list[str]:
    async with AsyncSchemaRegistryClient({"url": url}) as client:
        names: list[str] = await client.get_subjects()
        return names


def lives(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def lock_pids(data: Path) -> list[int]:
    """The processes that have signed the lock: the owner, then the registry."""
    return [int(pid) for pid in (data / "lock").read_text().splitlines()[1].split()]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 -- other processes and files set no event
            await asyncio.sleep(0.01)


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@asynccontextmanager
async def registry_process(data: Path) -> AsyncIterator[Process]:
    """Run the command as a process of its own, as a terminal does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.ops", "registry"),
        *("--data", data, "--port", "0", "--log-format", "json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    watched = Process(process)
    try:
        yield watched
    finally:
        await watched.kill()
        for pid in filter(lives, lock_pids(data)[1:]):
            os.kill(pid, SIGKILL)


async def test_schemas_keep_their_ids_through_a_power_cut_until_they_are_wiped(tmp_path: Path) -> None:
    """Ready means usable: the first request of a client works; and an id once given is on the disk."""
    async with SchemaRegistryServer(data=tmp_path, port=0) as first:
        schema_id = await register(first.url)
        await first.kill()

    async with SchemaRegistryServer(data=tmp_path, port=0) as second:
        assert await subjects(second.url) == [SUBJECT]
        assert await register(second.url) == schema_id

    async with SchemaRegistryServer(data=tmp_path, port=0, fresh=True) as third:
        assert await subjects(third.url) == []


async def test_a_signal_stops_it_cleanly_and_a_second_one_at_once(tmp_path: Path) -> None:
    """No process is left; nobody but this machine could reach it; a second start names the first."""
    async with registry_process(tmp_path) as command:
        ready = await command.until("registry_ready")
        assert os.getsid(ready["pid"]) != os.getsid(0)  # Ctrl+C does not reach it before us
        assert listeners(ready["pid"]) == {"127.0.0.1"}
        with pytest.raises(SettingsError) as refused:
            await SchemaRegistryServer(data=tmp_path, port=0, fresh=True).start()
        assert refused.value.cause.startswith(
            f"Already running at {ready['url']} on the data in {tmp_path} (pid "
        )
        assert await subjects(ready["url"]) == []

        assert await command.end(SIGTERM) == 0
        assert not any(map(lives, lock_pids(tmp_path)))

    async with registry_process(tmp_path) as command:
        ready = await command.until("registry_ready")
        os.kill(ready["pid"], SIGSTOP)
        command.send(SIGTERM)
        await command.until("registry_stopping")

        assert await command.end(SIGTERM) == 128 + SIGTERM
        assert not lives(ready["pid"])


def listeners(pid: int) -> set[str]:
    """The addresses on which a process listens."""
    inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
    ]
    found = [
        line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in inodes
    ]
    return {str(socket.inet_ntop(socket.AF_INET, bytes.fromhex(address[-8:])[::-1])) for address in found}


async def test_a_registry_that_dies_ends_the_command(tmp_path: Path) -> None:
    """With the reason, the log's path and the status for what is unavailable."""
    settings = RegistryServerSettings(data=tmp_path, port=0)
    serving = asyncio.create_task(serve(settings, asyncio.Event()), name="serve")
    await until(lambda: "Listening on" in log_of(tmp_path))
    os.kill(lock_pids(tmp_path)[1], SIGKILL)

    with pytest.raises(
        UnavailableError, match=rf"The registry .* was killed by signal 9.*Read {tmp_path}/registry.log"
    ):
        await asyncio.wait_for(serving, LONG)


def log_of(data: Path) -> str:
    log = data / "registry.log"
    return log.read_text() if log.exists() else ""


async def test_a_start_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    server = SchemaRegistryServer(data=tmp_path, port=0)
    starting = asyncio.create_task(server.start(), name="start")
    await until(lambda: server.pid)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert server.pid is not None
    assert not lives(server.pid)


async def test_a_registry_that_can_not_start_tells_why(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"The registry .* ended: .*OutOfMemoryError.* --heap"):
        await SchemaRegistryServer(data=tmp_path, port=0, heap="4m").start()

    assert not any(map(lives, lock_pids(tmp_path)[1:]))


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with listening() as port, pytest.raises(SettingsError, match=rf"Port {port} can't be used.*--port"):
        await SchemaRegistryServer(data=tmp_path, port=port).start()


async def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"Can't keep data in .*file/data: Not a directory.*--data"):
        await SchemaRegistryServer(data=tmp_path / "file" / "data", port=0).start()


async def test_a_java_that_is_too_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_JAVA", 99)
    with pytest.raises(SettingsError, match=r"There is no Java 99 or newer \(.* is Java \d+.*JAVA_HOME"):
        await SchemaRegistryServer(data=tmp_path, port=0).start()


async def test_a_download_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "APICURIO", Archive("org.example", "nothing", "1", "all", "0" * 64))
    for name in ("JGO_CACHE_DIR", "M2_REPO"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(
        UnavailableError, match=r"^Can't get org.example:nothing:1: Connection refused\. Check the net"
    ):
        await SchemaRegistryServer(data=tmp_path, port=0).start()
