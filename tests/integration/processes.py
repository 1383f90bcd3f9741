"""The services as real processes: started, watched through their log lines, signalled, ended."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from signal import Signals
from typing import Any

Line = dict[str, Any]

_LONGEST_WAIT = 45.0


class Process:
    """One service process. Its log lines collect in `lines` as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[Line] = []
        self.errors = ""
        self.pid = process.pid
        self._ended = False
        self._process = process
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read(), name=f"read process {process.pid}")

    def events(self, name: str, **fields: Any) -> list[Line]:
        """The lines so far of one event, with these values."""
        wanted = {"event": name, **fields}
        return [line for line in self.lines if all(line.get(key) == value for key, value in wanted.items())]

    @property
    def ended(self) -> bool:
        return self._ended

    async def until(self, name: str, count: int = 1, **fields: Any) -> Line:
        """Wait for the `count`th line of an event, and return it."""
        await self.until_true(lambda: len(self.events(name, **fields)) >= count)
        return self.events(name, **fields)[count - 1]

    async def until_true(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_LONGEST_WAIT), self._news:
            await self._news.wait_for(lambda: condition() or self._ended)
        assert condition(), f"the process ended first: {self.lines[-5:]} {self.errors}"

    def type(self, text: str) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())

    def close_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def send(self, number: Signals) -> None:
        self._process.send_signal(number)

    async def end(self, number: Signals | None = None) -> int:
        """Send a signal, if one is given, wait for the end and return the exit status."""
        if number is not None:
            self.send(number)
        async with asyncio.timeout(_LONGEST_WAIT):
            await self._reading
            return await self._process.wait()

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.end()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        errors = asyncio.create_task(self._process.stderr.read(), name="read stderr")
        async for line in self._process.stdout:
            with suppress(json.JSONDecodeError):  # a line cut off by kill -9
                self.lines.append(json.loads(line))
            async with self._news:
                self._news.notify_all()
        self.errors = (await errors).decode()
        self._ended = True
        async with self._news:
            self._news.notify_all()


def processes_in(folder: Path) -> list[str]:
    """The processes that work in a folder or below it: the services, and Java in its data."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(process.name)
    return found


@asynccontextmanager
async def running(service: str, directory: Path, **settings: object) -> AsyncIterator[Process]:
    """Run `python -m services.<service>` with these settings and no others; it is killed if it is still there at the end.

    A name with a dot is that of another module that runs a service.
    """
    variables = {name.upper(): str(value) for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        service if "." in service else f"services.{service}",
        cwd=directory,  # no `.env` there
        env={"PATH": os.environ["PATH"], "LOG_FORMAT": "json", "ADMIN_PORT": "", **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    watched = Process(process)
    try:
        yield watched
    finally:
        await watched.kill()
