"""A service on a terminal: what a person at it sees and types."""

import asyncio
import os
import pty
import re
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import Signals

_LONGEST_WAIT = 45.0
_CONTROL = re.compile(r"\x1b(?:\[[0-9;?]*[a-zA-Z]|[=>])")


class Terminal:
    """One process and its terminal. What it shows collects in `shown`, without colours and movements."""

    def __init__(self, process: asyncio.subprocess.Process, descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._raw = b""
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    @property
    def shown(self) -> str:
        return _CONTROL.sub("", self._raw.decode(errors="replace"))

    async def until(self, pattern: str, count: int = 1) -> None:
        """Wait until a pattern was shown so often."""
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                while len(re.findall(pattern, self.shown)) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{pattern} was not shown: {self.shown[-3000:]}") from None

    async def until_it_asks(self) -> None:
        """Wait until the prompt is the last that is shown: what is typed earlier, the terminal may keep for itself."""
        await self.until(r"tandem>\s*\Z")

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def send(self, number: Signals) -> None:
        self._process.send_signal(number)

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown by the terminal itself, as in a shell: a prompt switches that off."""
        return bool(termios.tcgetattr(self._descriptor)[3] & termios.ECHO)

    async def end(self) -> int:
        async with asyncio.timeout(_LONGEST_WAIT):
            return await self._process.wait()

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        self._raw += os.read(self._descriptor, 65536)
        self._news.set()


@asynccontextmanager
async def at_a_terminal(directory: Path, **settings: object) -> AsyncIterator[Terminal]:
    """Run `python -m services.producer` on a terminal of its own; it is killed if it is still there at the end."""
    outer, inner = pty.openpty()
    try:
        termios.tcsetwinsize(inner, (50, 400))  # lines don't wrap
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.producer",
            cwd=directory,
            env={
                "PATH": os.environ["PATH"],
                "TERM": "xterm",
                "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody here answers where the cursor is
                **{name.upper(): str(value) for name, value in settings.items()},
            },
            stdin=inner,
            stdout=inner,
            stderr=inner,
        )
        terminal = Terminal(process, outer)
        try:
            yield terminal
        finally:
            await terminal.close()
    finally:
        os.close(inner)
