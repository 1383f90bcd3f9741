"""Whether TLS is the cause when a connection fails: by what lies below the error, or by asking the server once more.

In TLS 1.3 a server judges the client's certificate after the client may speak. When it has already spoken, the server's
answer may arrive as a reset, or not at all. Whoever waits before it speaks gets to know.
"""

import asyncio
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2 as httpx

from tandem.errors import SettingsError
from tandem.security.tls import Peer, explain_tls

_PATIENCE = 2.0  # a server that has nothing against us says nothing
# httpx lets some errors of the connection through as they are.
_CUT_OFF = (httpx.RemoteProtocolError, httpx.NetworkError, ConnectionError, ssl.SSLEOFError)


async def explain_https(
    error: Exception, url: str, peer: Peer, context: ssl.SSLContext
) -> SettingsError | None:
    """Say why TLS failed in a request to `url`, or return None when it did not. `context` is the request's own."""
    below = next((each for each in chain(error) if _tells(each)), None)
    parts = urlsplit(url)
    if below is None and isinstance(error, _CUT_OFF) and parts.scheme == "https":
        below = await refusal_by(parts.hostname or "", parts.port or 443, context)
    return explain_tls(peer, below) if isinstance(below, ssl.SSLError) else None


async def refusal_by(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLError | None:
    """Shake hands with a server, send nothing, and return what it refuses us by; None if it does not, within seconds."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                await reader.read(1)
            finally:
                writer.transport.abort()
    except OSError as error:  # TimeoutError and ssl.SSLError are such
        return error if isinstance(error, ssl.SSLError) and _tells(error) else None
    return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what lies below it."""
    inner: BaseException | None = error
    while inner is not None:
        yield inner
        inner = inner.__cause__ or inner.__context__


def _tells(error: BaseException) -> bool:
    """Whether it is an error of TLS that says more than that the server hung up."""
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
