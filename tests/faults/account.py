"""The account of a trial: what `tandem audit` says, and what an independent look at the log says."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from tandem.headers import DEAD_LETTER, EVENT_ID, find
from tests.faults.watch import Place

_SECONDS = 60.0
VERDICTS = ("lost", "phantom", "duplicated", "missed", "reordered", "corrupt", "expired")


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit says, in figures: records by verdict, those whose fate is unknown, and what it could not check."""

    counts: Mapping[str, int]
    unknown: int
    doubts: Sequence[str]

    @property
    def figures(self) -> dict[str, Any]:
        """For a row of the table."""
        return {**self.counts, "unknown": self.unknown}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        return cls(
            {name: said["counts"].get(name.upper(), 0) for name in VERDICTS},
            sum(run["unknown"] + run["missing_unknown"] for run in said["runs"]),
            [f"{doubt['about']}: {doubt['reason']}" for doubt in said["not_checked"]],
        )


async def audit(folder: Path, group: str, **settings: object) -> Audit:
    """Run `tandem audit` as a process of its own, and return what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.ops", "audit", "--json", "--stream", "orders", "--group", group),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **{name.upper(): str(value) for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_SECONDS):
        output, errors = await process.communicate()
    (folder / "audit.json").write_bytes(output + errors)
    assert output, errors.decode()
    return Audit.of(orjson.loads(output))


async def ids(servers: str, topic: str) -> dict[Place, str]:
    """The id of each record in a topic, by its place; `?` where it has none."""
    messages = await asyncio.to_thread(lambda: list(_read(servers, topic)))
    return {
        Place(topic, message.partition(), message.offset()): _header(message, EVENT_ID)
        for message in messages
    }


async def dead_letters(servers: str, topic: str) -> Counter[Place]:
    """Where the dead letters of a topic came from."""
    messages = await asyncio.to_thread(lambda: list(_read(servers, f"{topic}-dlt")))
    return Counter(
        Place(
            _header(message, f"{DEAD_LETTER}topic"),
            int(_header(message, f"{DEAD_LETTER}partition")),
            int(_header(message, f"{DEAD_LETTER}offset")),
        )
        for message in messages
    )


def _read(servers: str, topic: str) -> Iterator[Any]:
    """Everything that a topic holds, by librdkafka."""
    settings = {"bootstrap.servers": servers, "group.id": "onlooker", "enable.auto.commit": False}
    consumer = Consumer(settings | {"enable.partition.eof": True, "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        left = len(partitions)
        while left:
            for message in consumer.consume(10_000, timeout=1):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left -= 1
                else:
                    raise AssertionError(error)
    finally:
        consumer.close()


def _header(message: Any, name: str) -> str:
    return (find(message.headers() or (), name) or b"?").decode()


def duplicates(log: Mapping[Place, str]) -> int:
    """How many records of a log have an id that another one has, too, beyond the first."""
    known = Counter(each for each in log.values() if each != "?")
    return known.total() - len(known)
