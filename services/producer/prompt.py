"""The prompt: what it understands, and what it does."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

import structlog

from services.producer.lines import NextLine, lines
from services.producer.producer import Producer
from services.producer.service import at_full_speed
from tandem.errors import StopRequested
from tandem.log import configure
from tandem.records import Outcome
from tandem.settings import ProducerSettings
from tandem.signals import unless_stopped
from tandem.stats import ProducerStats, average

COMMANDS = {
    "send": "make an event, send it, and tell what became of it",
    "batch": "batch <n>: send n events as fast as their delivery allows",
    "stats": "what was sent so far",
    "help": "this list",
    "quit": "deliver what is under way, and end; so do Ctrl+D and Ctrl+C",
}
_LARGEST_BATCH = 1_000_000
_NUMBER = re.compile("[0-9]{1,7}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Command:
    """What a line asks for."""

    name: str
    count: int = 1

    @classmethod
    def parse(cls, line: str) -> Self:
        """Raises ValueError for what is no command."""
        match line.split():
            case ["batch", count] if _NUMBER.fullmatch(count) and 0 < int(count) <= _LARGEST_BATCH:
                return cls("batch", int(count))
            case ["batch", *_]:
                raise ValueError(f"batch takes a number from 1 to {_LARGEST_BATCH}, for example batch 100")
            case [name] if name in COMMANDS:
                return cls(name)
            case _:
                raise ValueError(f"there is no command {line.strip()}; there are: {', '.join(COMMANDS)}")


async def converse(
    settings: ProducerSettings, producer: Producer, stats: ProducerStats, stop: asyncio.Event
) -> None:
    """Do what the lines on standard input ask for, one after the other, until they end or `stop` is set."""
    prompt = Prompt(settings, producer, stats)
    redirect = partial(configure, settings.log_level, settings.log_format)
    async with lines(list(COMMANDS), redirect) as next_line:
        with suppress(StopRequested):
            await unless_stopped(stop, prompt.run(next_line))


class Prompt:
    """Does what commands ask for."""

    def __init__(self, settings: ProducerSettings, producer: Producer, stats: ProducerStats) -> None:
        self._settings = settings
        self._producer = producer
        self._stats = stats
        self._clock = asyncio.get_running_loop().time

    async def run(self, next_line: NextLine) -> None:
        while (line := await next_line()) is not None:
            if not line.strip():
                continue
            try:
                command = Command.parse(line)
            except ValueError as error:
                log.warning("not_understood", reason=str(error))
                continue
            if command.name == "quit":
                return
            await self._do(command)

    async def _do(self, command: Command) -> None:
        match command.name:
            case "send":
                await self._send()
            case "batch":
                await self._batch(command.count)
            case "stats":
                log.info(
                    "producer_statistics", **self._stats.snapshot(self._clock(), self._producer.in_flight)
                )
            case _:
                for name, does in COMMANDS.items():
                    log.info("help", command=name, does=does)

    async def _send(self) -> None:
        for fate in await self._producer.send():
            log.info(
                "sent",
                outcome=fate.outcome,
                topic=fate.record.topic,
                partition=fate.partition,
                offset=fate.offset,
                key=fate.record.key,
                **({"error": fate.error} if fate.error else {}),
            )

    async def _batch(self, count: int) -> None:
        began, before = self._clock(), self._stats.fates[Outcome.ACKED]
        await at_full_speed(self._producer, self._settings.model_copy(update={"max_messages": count}))
        await self._producer.flush()
        seconds, acknowledged = self._clock() - began, self._stats.fates[Outcome.ACKED] - before
        log.info(
            "batch_sent",
            acknowledged=acknowledged,
            seconds=round(seconds, 3),
            rate=average(acknowledged, seconds),
        )
