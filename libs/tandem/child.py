"""One of the services as a child process, its log lines shown among our own as they come.

Both ends are here: `child` is that of the parent, `python -m tandem.child MODULE` what runs in the child.
"""

import asyncio
import json
import os
import runpy
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from tandem.errors import ExitStatus
from tandem.log import relay

Line = dict[str, Any]
Show = Callable[[str, Line], None]

_LONGEST_LINE = 2**20
_STANDARD_INPUT = 0
_DRAIN_SECONDS = 40.0  # a service has a shorter deadline of its own
_CUT_SHORT_SECONDS = 3.0  # enough to leave a consumer group, which a killed member does not


class Child:
    """A running service. `watching` ends when the process does, and holds its exit status."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, show: Show) -> None:
        self.name = name
        self._process = process
        self._show = show
        self._last: dict[str, Line] = {}
        self.started = asyncio.Event()
        self.watching = asyncio.create_task(self._watch(), name=f"watch {name}")

    @property
    def alive(self) -> bool:
        return not self.watching.done()

    def last(self, event: str) -> Line:
        """The last line it logged of an event, or an empty one."""
        return self._last.get(event, {})

    async def until_started(self) -> bool:
        """Wait until it is at work, or has ended; say whether it is at work."""
        started = asyncio.create_task(self.started.wait(), name=f"wait for {self.name}")
        try:
            await asyncio.wait((started, self.watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            started.cancel()
        return self.alive

    async def stop(self, seconds: float = _DRAIN_SECONDS) -> ExitStatus:
        """Ask it to end, and return its exit status; after the deadline it is killed, and that is a failure.

        Asked a second time it cuts its drain short. One that had not yet got as far as to listen has done nothing.
        """
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        await asyncio.wait((self.watching,), timeout=seconds)
        with suppress(ProcessLookupError):
            self._process.kill()
        status = await self.watching
        if status == -signal.SIGTERM:
            return ExitStatus.DONE
        # What a killed process ends with is no status of ours.
        return ExitStatus(status) if status in set(ExitStatus) else ExitStatus.FAILURE

    async def _watch(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 -- it is a pipe
        async for raw in self._process.stdout:
            line = _parse(raw)
            self._last[line["event"]] = line
            if line["event"] == f"{self.name}_started":
                self.started.set()
            self._show(self.name, line)
        return await self._process.wait()


def _parse(raw: bytes) -> Line:
    with suppress(ValueError):
        line = json.loads(raw)
        if isinstance(line, dict) and "event" in line:
            return line
    # A complaint from before there is a log, or from something that does not write to it.
    return {"event": raw.decode(errors="replace").rstrip(), "level": "error"}


@asynccontextmanager
async def child(name: str, variables: Mapping[str, str], show: Show = relay) -> AsyncIterator[Child]:
    """Run `python -m services.<name>` with our environment and these variables on top, and show what it logs.

    It has a session of its own, so a Ctrl+C in the terminal does not reach it before we stop it. Nothing of it is left
    on exit; when we are killed, it drains by itself.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tandem.child",
        f"services.{name}",
        env={**os.environ, **variables, "LOG_FORMAT": "json"},
        start_new_session=True,
        stdin=asyncio.subprocess.PIPE,  # never written to: it ends when we do
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_LONGEST_LINE,
    )
    running = Child(name, process, show)
    try:
        yield running
    finally:
        await running.stop(_CUT_SHORT_SECONDS)


def _end_with_parent() -> None:
    """Ask ourselves to end once the one who holds the other end of our standard input is gone, however that ended."""
    while os.read(_STANDARD_INPUT, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    sys.argv[:] = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
