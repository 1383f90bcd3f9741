"""`tandem registry`: a real schema registry on this machine, Apicurio Registry, from nothing but Python."""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from confluent_kafka.schema_registry import AsyncSchemaRegistryClient, SchemaRegistryError
from httpx2 import HTTPError
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.ops.java import JavaProcess, find_java
from services.ops.lock import FolderLock
from services.ops.maven import Archive, fetch_archive
from services.ops.node import HOST, free_ports, require_free
from tandem.errors import ExitStatus, SettingsError, StopRequested, UnavailableError
from tandem.settings import LogSettings
from tandem.signals import unless_stopped

APICURIO = Archive(
    "io.apicurio",
    "apicurio-registry-app",
    "3.3.3",
    "all",
    sha256="8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63",
)
START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0
_JAVA = 21
_REQUEST_TIMEOUT = 3.0
_POLL = 0.05

log = structlog.get_logger()


class RegistryServerSettings(LogSettings):
    """Run a schema registry on this machine until stopped; its schemas are kept."""

    # The settings of a client of any registry begin with SCHEMA_REGISTRY_, those of this one with REGISTRY_.
    model_config = SettingsConfigDict(env_prefix="registry_", cli_prog_name="tandem registry")

    data: Path = Field(Path(".tandem/registry"), description="Folder for schemas and log")
    port: int = Field(8081, ge=0, le=65_535, description="Port; 0: any free one")
    heap: str = Field("256m", pattern=r"^[1-9]\d*[mMgG]$", description="Memory for its objects")
    fresh: bool = Field(default=False, description="Wipe the schemas first")


class SchemaRegistryServer:
    """A registry whose schemas outlive it: `async with SchemaRegistryServer(data=...) as server` starts it and stops it.

    Once it is entered, clients can use `url`. Whatever happens in between, no process of it is left. No second one
    runs on the same data, not even when the process of the first was killed and its registry lives on.
    """

    def __init__(self, *, data: Path, port: int = 8081, heap: str = "256m", fresh: bool = False) -> None:
        """Prepare a registry on `port`, or on any free one if it is 0; `fresh` wipes the schemas."""
        self.data = data.absolute()
        self.url = ""
        self._port = port
        self._heap = heap
        self._fresh = fresh
        self._lock: FolderLock | None = None
        self._process: JavaProcess | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it and return when clients can use it; leave nothing behind when that fails.

        Raises SettingsError when the data or the port are in use or Java is missing, UnavailableError when the
        archive can't be had or the registry does not come up.
        """
        try:
            self._lock = FolderLock(self.data)
            if self._fresh:
                _wipe(self.data)
            port = self._choose_port()
            self.url = f"http://{HOST}:{port}/apis/ccompat/v7"
            java = await asyncio.to_thread(find_java, _JAVA)
            application = await fetch_archive(APICURIO)
            line = command(java, application, self._heap, port)
            await self._bring_up(self._lock, line)
        except OSError as error:
            await self.stop()
            raise SettingsError(
                f"Can't keep data in {self.data}: {error.strerror}",
                "Free the space, or choose another --data",
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop it: cleanly if it does so in time, by force if not or if we are cancelled. Is idempotent."""
        try:
            if self._process is not None:
                await self._process.stop(STOP_TIMEOUT)
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            await self._process.kill()

    async def failure(self) -> UnavailableError:
        """Wait until it has ended, and return the reason."""
        assert self._process is not None  # noqa: S101 -- it was started
        await self._process.wait()
        return self._process.explain_end("The registry")

    def _choose_port(self) -> int:
        if self._port:
            require_free(self._port)
        return self._port or next(free_ports())

    async def _bring_up(self, lock: FolderLock, line: list[str | Path]) -> None:
        output = self.data / "registry.log"
        try:
            async with asyncio.timeout(START_TIMEOUT):
                self._process = await JavaProcess.start(line, output, self.data, lock.descriptor)
                lock.sign(self.url, [os.getpid(), self._process.pid])
                await self._ready(self._process)
        except TimeoutError as error:
            complaint = self._process.complaint() if self._process else "it printed nothing"
            raise UnavailableError(
                f"The registry was not ready within {START_TIMEOUT:g} s: {complaint}", f"Read {output}"
            ) from error

    async def _ready(self, process: JavaProcess) -> None:
        client = AsyncSchemaRegistryClient({"url": self.url, "timeout": _REQUEST_TIMEOUT, "max.retries": 0})
        async with client:
            while not await _usable(client):
                if process.status is not None:
                    raise process.explain_end("The registry")
                await asyncio.sleep(_POLL)


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
        java,
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
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


async def serve(settings: RegistryServerSettings, stop: asyncio.Event) -> ExitStatus:
    """Run the registry until `stop` is set. Raises UnavailableError when it does not come up, or does not live on."""
    server = SchemaRegistryServer(
        data=settings.data, port=settings.port, heap=settings.heap, fresh=settings.fresh
    )
    try:
        await unless_stopped(stop, server.start())
        log.info("registry_ready", url=server.url, data=str(settings.data), pid=server.pid)
        raise await unless_stopped(stop, server.failure())
    except StopRequested:
        log.info("registry_stopping")
        return ExitStatus.DONE
    finally:
        await server.stop()
