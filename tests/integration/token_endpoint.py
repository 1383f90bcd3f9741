"""A token endpoint whose mood a test sets: OAuth 2 client credentials over HTTPS."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

CLIENT_SECRET = "client-c4nary"


class TokenEndpoint:
    """Gives tokens of `user` that live for `life` seconds, or answers what is set."""

    def __init__(self) -> None:
        self.url = ""
        self.user = "oauth"
        self.life = 3600.0
        self.answer: tuple[int, str] | None = None
        self.hangs = False
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked += 1
            if self.hangs:
                await reader.read()
            status, body = self.answer or self._token(head)
            text = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            writer.write(text.encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _token(self, head: str) -> tuple[int, str]:
        sent = base64.b64decode(head.partition("Basic ")[2].split()[0]).decode()
        if sent != f"client:{CLIENT_SECRET}":
            # Some tell what they got.
            return 401, json.dumps({"error": "invalid_client", "error_description": f"{sent} is wrong"})
        now = time.time()
        claims = {"sub": self.user, "iat": now, "exp": now + self.life}
        token = f"{_base64({'alg': 'none'})}.{_base64(claims)}."
        return 200, json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": self.life})


def _base64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@asynccontextmanager
async def token_endpoint(certificate: Path) -> AsyncIterator[TokenEndpoint]:
    """Serve until the end of the block, on a free port of 127.0.0.1."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    endpoint = TokenEndpoint()
    async with await asyncio.start_server(endpoint.serve, "127.0.0.1", 0, ssl=tls) as server:
        endpoint.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
        yield endpoint
