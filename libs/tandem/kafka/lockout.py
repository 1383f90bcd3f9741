"""A user that is refused mid-run (a password changed, a token revoked) asks seldom, so that nobody locks it out.

aiokafka would connect again several times a second, for ever. And it takes the refusal of a token for consent: what it
sent on such a connection would fail, and its batches with it.
"""

import asyncio
from typing import Any
from weakref import WeakSet

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from tandem.durations import growing_delays

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
_PAUSE = 0.2  # for those in aiokafka that ask again at once

log = structlog.get_logger()


class LockoutGuard:
    """Stands between a client and its connections: after each refusal it lets nobody connect for a while.

    The client goes on with what is connected, and takes the rest for brokers that are not reachable. There is no
    public way to do that. With `prove`, a new connection is handed on only when Kafka answers on it.
    """

    def __init__(self, client: AIOKafkaClient, *, prove: bool) -> None:
        self._client = client
        self._prove = prove
        self._proven: WeakSet[AIOKafkaConnection] = WeakSet()
        self._connect = client._get_conn  # noqa: SLF001
        self._on_close = client._on_connection_closed  # noqa: SLF001
        self._delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
        self._not_before = 0.0
        self._connecting = asyncio.Lock()
        client._get_conn = self.connection  # noqa: SLF001
        client._on_connection_closed = self.on_close  # noqa: SLF001

    async def connection(self, node_id: Any, **options: Any) -> AIOKafkaConnection | None:  # noqa: ANN401 -- as aiokafka's
        """Return a connection, or None where aiokafka's own method does, and while nobody may connect."""
        known = self._client._conns.get((node_id, options.get("group", ConnectionGroup.DEFAULT)))  # noqa: SLF001
        if known in self._proven and known.connected():
            return known
        async with self._connecting:  # or those that wait for their turn would be refused one after the other
            if asyncio.get_running_loop().time() < self._not_before:
                await asyncio.sleep(_PAUSE)
                return None
            connection: AIOKafkaConnection | None = await self._connect(node_id, **options)
            if connection is None or not await self._accepted(connection):
                return None
            self._proven.add(connection)
            self._delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
            return connection

    async def _accepted(self, connection: AIOKafkaConnection) -> bool:
        """Ask for the brokers: Kafka names none to one whom it has not let in."""
        if not self._prove or connection in self._proven:
            return True
        try:
            answer = await connection.send(MetadataRequest([]))
        except (KafkaError, OSError):
            return False
        if not answer.brokers:
            connection.close(reason=CloseReason.AUTH_FAILURE)
        return bool(answer.brokers)

    def on_close(self, connection: AIOKafkaConnection, reason: CloseReason | None) -> None:
        """Take note of a refusal."""
        if reason is CloseReason.AUTH_FAILURE:
            delay = next(self._delays)
            self._not_before = asyncio.get_running_loop().time() + delay
            log.error(
                "user_refused",
                broker=f"{connection.host}:{connection.port}",
                remedy="If the user or its password has changed, restart with the new one",
                retry_in=f"{delay:g}s",
            )
        self._on_close(connection, reason)
