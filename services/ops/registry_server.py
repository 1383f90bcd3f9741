"""A real schema registry on this machine: Apicurio Registry, a Java process of our own."""

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from confluent_kafka.schema_registry import AsyncSchemaRegistryClient, SchemaRegistryError
from httpx2 import HTTPError

from services.ops.java import find_java, jvm
from services.ops.maven import Archive, fetch_archive
from services.ops.ports import HOST, free_ports, require_free
from services.ops.server import REQUEST_TIMEOUT, Server, in_time, until_usable
from tandem.errors import UnavailableError

APICURIO = Archive(
    "io.apicurio",
    "apicurio-registry-app",
    "3.3.3",
    "all",
    sha256="8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63",
)
REGISTRY_PORT = 8081
_JAVA = 21
_NAME = "The registry"


def registry_url(port: int) -> str:
    """Where a registry on this machine speaks Confluent's API."""
    return f"http://{HOST}:{port}/apis/ccompat/v7"


class SchemaRegistryServer(Server):
    """A registry: `async with SchemaRegistryServer(data=...) as server` starts it and stops it.

    Once it is entered, clients can use `url`.
    """

    def __init__(
        self, *, data: Path, port: int = REGISTRY_PORT, heap: str = "256m", fresh: bool = False
    ) -> None:
        """Prepare a registry on `port`, or on any free one if it is 0; `fresh` wipes the schemas."""
        super().__init__(data)
        self.url = ""
        self._port = port
        self._heap = heap
        self._fresh = fresh

    @property
    def found_at(self) -> Mapping[str, str]:
        return {"url": self.url}

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self._running[_NAME].kill()

    async def failure(self) -> UnavailableError:
        """Wait until it has ended, and return the reason."""
        await self._running[_NAME].wait()
        return self._running[_NAME].explain_end()

    async def _begin(self) -> None:
        if self._fresh:
            _wipe(self.data)
        port = self._choose_port()
        self.url = registry_url(port)
        java = await asyncio.to_thread(find_java, _JAVA)
        line = command(java, await fetch_archive(APICURIO), self._heap, port)
        output = self.data / "registry.log"
        async with in_time(_NAME, output):
            await self._launch(_NAME, line, output)
            await self._ready()

    def _choose_port(self) -> int:
        if self._port:
            require_free(self._port)
        return self._port or next(free_ports())

    async def _ready(self) -> None:
        client = AsyncSchemaRegistryClient({"url": self.url, "timeout": REQUEST_TIMEOUT, "max.retries": 0})
        async with client:
            await until_usable(partial(_usable, client), self._running.values())


def command(java: Path, application: Path, heap: str, port: int) -> list[str | Path]:
    """Return what starts the registry in the folder that keeps its data.

    Properties win over the environment, where a QUARKUS_HTTP_PORT may be meant for another program.
    """
    properties = {
        "quarkus.http.host": HOST,
        "quarkus.http.port": port,
        "quarkus.http.access-log.enabled": "false",
        "quarkus.management.host": HOST,  # by default anybody on the network
        "quarkus.management.port": 0,  # any free one: nobody asks it
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        # Relative: a semicolon in a path would end it. By default an id given out is on the disk half a second later.
        "apicurio.datasource.url": "jdbc:h2:file:./schemas;WRITE_DELAY=0",
        "apicurio.rules.global.compatibility": "BACKWARD",  # as in Confluent's registry; by default there is no check
    }
    return [
        *jvm(java, heap),
        *(f"-D{name}={value}" for name, value in properties.items()),
        "-jar",
        application / "quarkus-run.jar",
    ]


def _wipe(data: Path) -> None:
    for old in data.glob("schemas.*"):
        old.unlink()


async def _usable(client: AsyncSchemaRegistryClient) -> bool:
    """Ask for something that is in the data."""
    try:
        await client.get_subjects()
    except (HTTPError, SchemaRegistryError, ValueError):
        return False
    return True
