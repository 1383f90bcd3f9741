"""Ports of this machine: which are free, and which somebody listens on."""

import asyncio
import socket
from collections.abc import Iterator
from random import sample

from tandem.errors import SettingsError

# Not localhost: where that is ::1 first, librdkafka logs an error for each connection that is refused there.
HOST = "127.0.0.1"

# Below the ports that systems give to connecting sockets (32768 or 49152 and above): a client that keeps trying to
# reach a dead broker on such a port connects to itself one day, and then the broker can't have its port back.
_FREE_PORTS = range(20_000, 32_000)


def free_ports() -> Iterator[int]:
    """Ports that can be had, in random order; none that the system gives to clients."""
    return (port for port in sample(_FREE_PORTS, len(_FREE_PORTS)) if not _port_problem(port))


def require_free(port: int) -> None:
    """Raise SettingsError when the port can't be had."""
    if problem := _port_problem(port):
        raise SettingsError(
            f"Port {port} can't be used: {problem}",
            "Stop what listens there, or choose another one with --port",
        )


def _port_problem(port: int) -> str | None:
    with socket.socket() as probe:
        # As Java does: without it, the connections of the broker before this one would hold the port for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.strerror
    return None


async def listens(host: str, port: int) -> bool:
    """Say whether anything takes connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
