"""The embedded registry, for real: what is ready, what is kept, what goes wrong, and that no process is left."""

import asyncio
import json
import os
import socket
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM

import pytest
from confluent_kafka.schema_registry import AsyncSchemaRegistryClient, Schema

from services.ops import registry_server as server_module
from services.ops.maven import Archive
from services.ops.registry_server import SchemaRegistryServer
from tandem.errors import SettingsError, UnavailableError
from tests.integration.server_process import listening, lives, lock_pids, server_process, until

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
    async with server_process("registry", tmp_path) as command:
        ready = await command.until("registry_ready")
        (pid,) = ready["pids"]
        assert os.getsid(pid) != os.getsid(0)  # Ctrl+C does not reach it before us
        assert listeners(pid) == {"127.0.0.1"}
        with pytest.raises(SettingsError) as refused:
            await SchemaRegistryServer(data=tmp_path, port=0, fresh=True).start()
        assert refused.value.cause.startswith(
            f"Already running at {ready['url']} on the data in {tmp_path} (pid "
        )
        assert await subjects(ready["url"]) == []

        assert await command.end(SIGTERM) == 0
        assert not any(map(lives, lock_pids(tmp_path)))

    async with server_process("registry", tmp_path) as command:
        (pid,) = (await command.until("registry_ready"))["pids"]
        os.kill(pid, SIGSTOP)
        command.send(SIGTERM)
        await command.until("registry_stopping")

        assert await command.end(SIGTERM) == 128 + SIGTERM
        assert not lives(pid)


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
    async with server_process("registry", tmp_path) as command:
        (pid,) = (await command.until("registry_ready"))["pids"]
        os.kill(pid, SIGKILL)

        assert await command.end() == 4
        (told,) = command.events(f"The registry (pid {pid}) was killed by signal 9")
        assert told["remedy"] == f"Read {tmp_path}/registry.log"


async def test_a_start_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    server = SchemaRegistryServer(data=tmp_path, port=0)
    starting = asyncio.create_task(server.start(), name="start")
    await until(lambda: server.pids)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not any(map(lives, server.pids))


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
