"""A mend of aiokafka's connection: under uvloop, writing to one that was reset a moment ago raises a RuntimeError.

aiokafka expects an OSError there. The other error would end its tasks, and so the client.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


def _send_or_close(self: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as aiokafka's
    try:
        return _send(self, *arguments, **options)
    except RuntimeError as error:
        self.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error


def mend() -> None:
    """Let every connection of this process say that it is broken. Once is enough."""
    AIOKafkaConnection.send = _send_or_close
