"""Lines that someone types, or that a script sends."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

NextLine = Callable[[], Awaitable[str | None]]

_CHUNK = 64 * 1024
_LONGEST_LINE = 64 * 1024


@asynccontextmanager
async def lines(words: Sequence[str], redirect: Callable[[], None]) -> AsyncIterator[NextLine]:
    """Yield what returns the next line, and None when there are no more.

    On a terminal there is a prompt, with a history and completion of `words`. What is printed meanwhile appears above
    it, if it goes to what `sys.stdout` is then: `redirect` is called whenever that has changed.
    """
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()):
        yield PipedLines(None if sys.stdin is None else sys.stdin.fileno()).next
        return
    from services.producer.terminal import typed_lines  # noqa: PLC0415 -- 6 MB that a service has no use for

    with typed_lines(words, redirect) as next_line:
        yield next_line


class PipedLines:
    """Lines from a file descriptor, as they come; None when it is closed."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._buffer = b""

    async def next(self) -> str | None:
        while b"\n" not in self._buffer and len(self._buffer) < _LONGEST_LINE:
            chunk = await self._read()
            if not chunk:
                rest, self._buffer = self._buffer, b""
                return rest.decode(errors="replace") or None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")

    async def _read(self) -> bytes:
        if self._descriptor is None:
            return b""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(self._descriptor, ready.set)
        except OSError:  # a file, or nothing: it can always be read
            return os.read(self._descriptor, _CHUNK)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._descriptor)
        return os.read(self._descriptor, _CHUNK)
