"""The cluster: clients that are safe and patient, the cause of what fails, topics and rights."""

from tandem.kafka.clients import (
    client_arguments,
    close,
    connect,
    connected,
    look_for_broker,
    open_producer,
    using,
    using_admin,
)

__all__ = [
    "client_arguments",
    "close",
    "connect",
    "connected",
    "look_for_broker",
    "open_producer",
    "using",
    "using_admin",
]
