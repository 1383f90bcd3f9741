"""The consumer beside the producer: a child process that gets what this one sends, from now on and nothing before."""

import asyncio
import secrets
from collections import defaultdict
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
    """Compares what Kafka has acknowledged with what the consumer has resolved, record by record.

    Within a partition they are resolved in any order: one that is tried again lets those of other keys pass.
    """

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self._open: defaultdict[_Partition, set[int]] = defaultdict(set)  # acknowledged, not resolved
        self._early: defaultdict[_Partition, set[int]] = defaultdict(set)  # resolved before we knew them
        self._news = asyncio.Event()

    def settled(self, settled: Settled) -> None:
        """Take note of a batch."""
        if settled.outcome is not Outcome.ACKED or settled.first_offset is None:
            return
        at, first = (settled.topic, settled.partition), settled.first_offset
        offsets = set(range(first, first + len(settled.records)))
        self._open[at] |= offsets - self._early[at]
        # What lies before is not ours: acknowledgements of a partition come in its order.
        self._early[at] = {offset for offset in self._early[at] - offsets if offset > first}

    def show(self, service: str, line: Line) -> None:
        """Show a line of the consumer, and take note of what it tells."""
        relay(service, line)
        match line:
            case {"event": "consumer_started", "topics": list(topics)}:
                self._topics = set(topics)
            case {
                "event": "handled" | "dead_lettered" | "retry_deferred",
                "topic": topic,
                "partition": partition,
                "offset": offset,
            }:
                self._resolve((topic, partition), offset)

    def _resolve(self, at: _Partition, offset: int) -> None:
        if offset in self._open[at]:
            self._open[at].remove(offset)
        else:
            self._early[at].add(offset)
        self._news.set()

    def missing(self) -> list[str]:
        """Where something is still to be resolved, of the topics that the consumer reads."""
        return [
            f"{topic}/{partition} at offset {min(offsets)}"
            for (topic, partition), offsets in self._open.items()
            if topic in self._topics and offsets
        ]

    async def complete(self) -> None:
        """Wait until nothing is missing."""
        while any(offsets for (topic, _), offsets in self._open.items() if topic in self._topics):
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def consumer_beside(settings: ProducerSettings, arrivals: Arrivals) -> AsyncIterator[Child]:
    """Run the consumer in a group of its own that begins at the end of the log, and tell `arrivals` what it does."""
    variables = {
        "GROUP_ID": f"{settings.mode}-{secrets.token_hex(6)}",
        "OFFSET": "end",
        "FROM_BEGINNING": "false",
        "ADMIN_PORT": "none",  # the one that is named is ours
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
