"""A door in front of a registry: with TLS, a password and a client certificate if wanted; it can be shut."""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_REFUSAL = b'{"error_code":40101,"message":"Unauthorized"}'
_BAD_GATEWAY = b"<html>No registry behind it</html>"


@dataclass
class Door:
    """Passes requests on to `behind`, host and port, if their Authorization header is `wanted` (None: any)."""

    behind: str
    wanted: str | None = None
    tls: ssl.SSLContext | None = None
    port: int = 0
    requests: list[str] = field(default_factory=list)
    _server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse connections from now on; the port stays ours to open again."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def url(self, path: str) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{path}"

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            self.requests.append(head.split(b" HTTP")[0].decode())
            writer.write(await self._answer(head, body))
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        who = re.search(rb"(?i)authorization: ([^\r]+)", head)
        if self.wanted is not None and (who is None or who[1].decode() != self.wanted):
            return _reply("401 Unauthorized", _REFUSAL)
        try:
            host, port = self.behind.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return _reply("502 Bad Gateway", _BAD_GATEWAY)
        writer.write(re.sub(rb"(?i)connection: [^\r]+", b"Connection: close", head) + body)
        answer = await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return answer


def _reply(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@asynccontextmanager
async def door(
    registry: str, *, wanted: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Door]:
    """Open a door in front of the registry at this URL, and shut it at the end."""
    opened = Door(urlsplit(registry).netloc, wanted, tls)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.shut()
