"""The admin port of a service: opened before anything else, closed after all."""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from aiohttp import web

from tandem.admin.connections import Connections
from tandem.admin.pulse import Pulse
from tandem.admin.routes import Observed, routes
from tandem.errors import SettingsError
from tandem.log import escape
from tandem.settings import ServiceSettings

_LONGEST_LINE = 2048  # of a request, in bytes; headers too
_MOST_HEADERS = 64
_CLOSE_SECONDS = 1.0

log = structlog.get_logger()


@asynccontextmanager
async def admin_server(settings: ServiceSettings, usual_port: int, observed: Observed) -> AsyncIterator[None]:
    """Let people and programs look at `observed`, unless ADMIN_PORT says that there is no such port.

    Raises SettingsError when the port that the settings name can't be had; the usual one is only a wish.
    """
    if settings.admin_port == "none":
        yield
        return
    listening = await _listen(settings, usual_port)
    pulse = Pulse(observed.tick)
    beating = asyncio.create_task(pulse.run(), name="admin pulse")
    runner = web.AppRunner(
        _application(observed, pulse),
        access_log=None,
        logger=_silent(),
        handler_cancellation=True,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        max_headers=_MOST_HEADERS,
        lingering_time=0.0,
    )
    try:
        await runner.setup()
        assert runner.server is not None  # noqa: S101 -- setup() has made it
        connections = Connections(runner.server)
        server = await asyncio.get_running_loop().create_server(connections.accept, sock=listening)
        host, port = listening.getsockname()[:2]
        log.info("admin_listening", host=host, port=port)
        try:
            yield
        finally:
            server.close()
            connections.close()
    finally:
        beating.cancel()
        listening.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await runner.cleanup()


def _application(observed: Observed, pulse: Pulse) -> web.Application:
    application = web.Application(middlewares=[_one_request], client_max_size=1024)
    application.add_routes(routes(observed, pulse))
    application.on_response_prepare.append(_plain)
    return application


@web.middleware
async def _one_request(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer, and hang up: a client that comes often costs less than one that stays."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.force_close()
        raise
    except Exception as error:
        log.exception("admin_failed", path=request.path, error=repr(error))
        response = web.Response(status=500, text="see the service's log\n")
    response.force_close()
    return response


async def _plain(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    response.headers["Cache-Control"] = "no-store"


def _silent() -> logging.Logger:
    """For what aiohttp says of malformed requests: anybody could fill the log with them."""
    logger = logging.getLogger("tandem.admin")
    logger.disabled = True
    return logger


async def _listen(settings: ServiceSettings, usual_port: int) -> socket.socket:
    host, named = settings.admin_host, settings.admin_port
    port = named if isinstance(named, int) else usual_port
    try:
        return await _bind(host, port)
    except (OSError, UnicodeError) as error:
        if named == "auto" and getattr(error, "errno", None) in {errno.EADDRINUSE, errno.EACCES}:
            return await _bind(host, 0)
        raise SettingsError(
            f"The admin port can't listen on {escape(host)}:{port}: {getattr(error, 'strerror', None) or error}",
            "Choose an ADMIN_HOST of this machine and another ADMIN_PORT: 0 for any free one, none for no such port",
        ) from error


async def _bind(host: str, port: int) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, *_, address = found[0]
    return socket.create_server((address[0], port), family=family)
