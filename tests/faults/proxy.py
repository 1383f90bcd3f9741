"""A TCP proxy in front of one broker, which can be told to misbehave.

It reads Kafka's frames: a request or a response is its length (4 bytes, big-endian) and so many bytes; a request begins with
the number of its API (2 bytes). Source: the Kafka protocol guide. A connection's responses come in the order of its requests.
"""

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from services.ops.ports import HOST, free_ports

_PRODUCE = 0
_AT_ONCE = struct.pack("ii", 1, 0)  # of SO_LINGER: what is unsent is dropped, and the peer gets an RST
_BROKEN = (OSError, asyncio.IncompleteReadError)


@dataclass(eq=False)
class _Link:
    """One connection of a client and its counterpart to the broker."""

    client: StreamWriter
    broker: StreamWriter
    asked: int = 0
    answered: int = 0
    cut_at: set[int] = field(default_factory=set)  # the requests whose answer the client shall not get

    def reset(self) -> None:
        for writer in (self.client, self.broker):
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()


class Proxy:
    """Passes frames on between clients and the broker at `target`; listens from `async with` on.

    `delay` is how many seconds each frame waits, in both directions; `cut_every` of n lets every nth Produce request reach the
    broker and resets its connection instead of passing on the answer.
    """

    def __init__(self) -> None:
        self.port = next(free_ports())
        self.target = 0
        self.delay = 0.0
        self.cut_every = 0
        self.cuts = 0
        self._produced = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._links: dict[_Link, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self._flowing.set()
        await asyncio.gather(*self._links.values())

    async def listen(self) -> None:
        """Take connections; does nothing where it does."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    def refuse(self) -> None:
        """Reset what is connected, and refuse everybody until `listen`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    def reset(self) -> None:
        """Cut all connections with an RST; clients may connect again."""
        for link in self._links:
            link.reset()

    def swallow(self) -> None:
        """Be a black hole: connections are taken and stay, and nothing passes until `heal`."""
        self._flowing.clear()

    async def heal(self) -> None:
        """Behave from now on. What waited in a black hole goes on its way."""
        self.delay, self.cut_every = 0.0, 0
        self._flowing.set()
        await self.listen()

    async def _serve(self, from_client: StreamReader, client: StreamWriter) -> None:
        try:
            from_broker, broker = await asyncio.open_connection(HOST, self.target)
        except OSError:
            client.transport.abort()  # nobody is behind us
            return
        link = _Link(client, broker)
        task = asyncio.current_task()
        assert task is not None
        self._links[link] = task
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._requests(link, from_client), name="requests")
                tasks.create_task(self._responses(link, from_broker), name="responses")
        except* _BROKEN:
            pass  # one side has ended: so does the other
        finally:
            del self._links[link]
            client.transport.abort()
            broker.transport.abort()

    async def _requests(self, link: _Link, source: StreamReader) -> None:
        while True:
            frame = await self._frame(source)
            link.asked += 1
            if self._cuts(frame):
                link.cut_at.add(link.asked)
            link.broker.write(frame)
            await link.broker.drain()

    async def _responses(self, link: _Link, source: StreamReader) -> None:
        while True:
            frame = await self._frame(source)
            link.answered += 1
            if link.answered in link.cut_at:
                self.cuts += 1
                link.reset()
                raise ConnectionResetError
            link.client.write(frame)
            await link.client.drain()

    async def _frame(self, source: StreamReader) -> bytes:
        """The next frame, when it may pass."""
        await self._flowing.wait()
        head = await source.readexactly(4)
        frame = head + await source.readexactly(int.from_bytes(head))
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._flowing.wait()
        return frame

    def _cuts(self, request: bytes) -> bool:
        if int.from_bytes(request[4:6]) != _PRODUCE:
            return False
        self._produced += 1
        return self.cut_every > 0 and self._produced % self.cut_every == 0
