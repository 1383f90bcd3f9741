"""The connections of the admin port: few, short, and with one request each, so that no client can hold a service up."""

import asyncio

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

_MOST = 64
_LONGEST_SECONDS = 10.0  # for a request and its answer


class Connections:
    """Makes the protocol of each connection, and ends those that take too long, or the oldest when there are too many."""

    def __init__(self, server: web.Server, most: int = _MOST, seconds: float = _LONGEST_SECONDS) -> None:
        self._server = server
        self._most = most
        self._seconds = seconds
        self._ends: dict[RequestHandler, asyncio.TimerHandle] = {}

    def accept(self) -> RequestHandler:
        """The protocol of a new connection."""
        while len(self._ends) >= self._most:
            self._end(next(iter(self._ends)))
        handler = self._server()
        loop = asyncio.get_running_loop()
        self._ends[handler] = loop.call_later(self._seconds, self._end, handler)
        return handler

    def close(self) -> None:
        """End all."""
        for handler in list(self._ends):
            self._end(handler)

    def _end(self, handler: RequestHandler) -> None:
        self._ends.pop(handler).cancel()
        if handler.transport is not None:
            handler.transport.abort()
