"""The consumer beside the producer: a child process that gets what this one sends, from now on and nothing before."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from pydantic import SecretStr

from tandem.child import Child, Line, child
from tandem.log import relay
from tandem.records import Outcome, Settled
from tandem.settings import ConsumerSettings, ProducerSettings

_Partition = tuple[str, int]


class Arrivals:
    """Compares what Kafka has acknowledged with what the consumer has resolved.

    The offset of the last record of each partition is enough, because a partition's records are resolved in order.
    """

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self._acknowledged: dict[_Partition, int] = {}
        self._resolved: dict[_Partition, int] = {}
        self._news = asyncio.Event()

    def settled(self, settled: Settled) -> None:
        """Take note of a batch."""
        if settled.outcome is Outcome.ACKED and settled.first_offset is not None:
            last = settled.first_offset + len(settled.records) - 1
            self._acknowledged[settled.topic, settled.partition] = last

    def show(self, service: str, line: Line) -> None:
        """Show a line of the consumer, and take note of what it tells."""
        relay(service, line)
        match line:
            case {"event": "consumer_started", "topics": list(topics)}:
                self._topics = set(topics)
            case {
                "event": "handled" | "dead_lettered",
                "topic": topic,
                "partition": partition,
                "offset": offset,
            }:
                self._resolved[topic, partition] = offset
                self._news.set()

    def missing(self) -> list[str]:
        """Where something is still to be resolved, of the topics that the consumer reads."""
        return [
            f"{topic}/{partition} up to offset {last}"
            for (topic, partition), last in self._acknowledged.items()
            if topic in self._topics and self._resolved.get((topic, partition), -1) < last
        ]

    async def complete(self) -> None:
        """Wait until nothing is missing."""
        while self.missing():
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def consumer_beside(settings: ProducerSettings, arrivals: Arrivals) -> AsyncIterator[Child]:
    """Run the consumer in a group of its own that begins at the end of the log, and tell `arrivals` what it does."""
    variables = {
        "GROUP_ID": f"{settings.mode}-{secrets.token_hex(6)}",
        "OFFSET": "end",
        "FROM_BEGINNING": "false",
        "LOG_LEVEL": "debug",  # which tells of each record; what is shown is up to our own level
    }
    async with child("consumer", shared_variables(settings) | variables, arrivals.show) as consumer:
        yield consumer


def shared_variables(settings: ProducerSettings) -> dict[str, str]:
    """What the consumer must know of our settings, as variables: those given, wherever they were given."""
    given = (settings.model_fields_set | {"stream"}) & ConsumerSettings.model_fields.keys()
    variables: dict[str, str] = {}
    for name in given:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            variables |= {name.upper(): value.get_secret_value(), f"{name.upper()}_FILE": ""}
        elif value is not None:
            variables[name.upper()] = str(value.value if isinstance(value, Enum) else value)
    return variables
