"""`tandem broker` and `tandem registry` as processes of their own, and what is to be known of them from outside."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

from tests.integration.processes import Process

LONG = 30.0


def lives(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def lock_pids(data: Path) -> list[int]:
    """The processes that have signed the lock: the owner, then the Java ones."""
    return [int(pid) for pid in (data / "lock").read_text().splitlines()[1].split()]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 -- other processes, files and log lines set no event
            await asyncio.sleep(0.01)


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@asynccontextmanager
async def server_process(command: str, data: Path) -> AsyncIterator[Process]:
    """Run `tandem broker` or `tandem registry` as a terminal does; nothing of it is left at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.ops", command),
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
