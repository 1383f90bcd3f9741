"""A server of ours on this machine: what the embedded cluster and the embedded registry have in common."""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from services.ops.java import JavaProcess, complaint
from services.ops.lock import FolderLock
from tandem.errors import ExitStatus, SettingsError, StopRequested, UnavailableError
from tandem.signals import unless_stopped

START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0
REQUEST_TIMEOUT = 3.0
POLL = 0.05

log = structlog.get_logger()


class Server(ABC):
    """Java on data that outlive it: `async with` starts it and stops it.

    Once it is entered, clients can use it. Whatever happens in between, no process of it is left. No second one runs on
    the same data, not even when the process of the first was killed and its Java lives on.
    """

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self._lock: FolderLock | None = None
        self._running: dict[str, JavaProcess] = {}  # also those that have ended

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and return when clients can use it; leave nothing behind when that fails.

        Raises SettingsError when the data or a port are in use or Java is missing, UnavailableError when what is to be
        downloaded can't be had or the server does not come up.
        """
        try:
            self._lock = FolderLock(self.data)
            await self._begin()
        except OSError as error:
            await self.stop()
            raise SettingsError(
                f"Can't keep data in {self.data}: {error.strerror}",
                "Free space there, or name a folder that you may write to with --data",
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop it: cleanly if it does so in time, by force if not or if we are cancelled. Is idempotent."""
        try:
            await self._end()
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    @property
    def pids(self) -> list[int]:
        """Its processes, in the order in which they were first started."""
        return [process.pid for process in self._running.values()]

    @property
    @abstractmethod
    def found_at(self) -> Mapping[str, str]:
        """The addresses of it, by the names that clients know them under."""

    @abstractmethod
    async def failure(self) -> UnavailableError:
        """Wait until it does not work any more, and return the reason."""

    @abstractmethod
    async def _begin(self) -> None:
        """Start it on data that are ours by now."""

    async def _end(self) -> None:
        """Stop what has been started."""
        await asyncio.gather(*[process.stop(STOP_TIMEOUT) for process in self._running.values()])

    async def _launch(self, name: str, command: Sequence[str | Path], output: Path) -> None:
        """Start a Java in the folder of the data. It holds their lock while it lives, and is named there."""
        assert self._lock is not None  # noqa: S101 -- nothing is launched on data that are not ours
        self._running[name] = await JavaProcess.start(name, command, output, self.data, self._lock.descriptor)
        self._lock.sign(" ".join(self.found_at.values()), [os.getpid(), *self.pids])


@asynccontextmanager
async def in_time(who: str, output: Path) -> AsyncIterator[None]:
    """Raise UnavailableError when it takes too long to start what prints to `output`; `who` is what people call it."""
    try:
        async with asyncio.timeout(START_TIMEOUT):
            yield
    except TimeoutError as error:
        raise UnavailableError(
            f"{who} was not ready within {START_TIMEOUT:g} s: {complaint(output)}", f"Read {output}"
        ) from error


async def until_usable(usable: Callable[[], Awaitable[bool]], processes: Iterable[JavaProcess]) -> None:
    """Ask until the answer is yes. Raises UnavailableError when one of the processes ends first."""
    while not await usable():
        for process in processes:
            if process.status is not None:
                raise process.explain_end()
        await asyncio.sleep(POLL)


async def serve(name: str, server: Server, stop: asyncio.Event) -> ExitStatus:
    """Run it until `stop` is set. Raises UnavailableError when it does not come up, or does not live on."""
    try:
        await unless_stopped(stop, server.start())
        ready = {**server.found_at, "data": str(server.data), "pids": server.pids}
        log.info(f"{name}_ready", **ready)  # noqa: G004 -- an event's name, not a text
        raise await unless_stopped(stop, server.failure())
    except StopRequested:
        log.info(f"{name}_stopping")  # noqa: G004 -- as above
        return ExitStatus.DONE
    finally:
        await server.stop()
