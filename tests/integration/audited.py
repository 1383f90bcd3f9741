"""A log, its ledger and a group's commits as the services leave them, to be spoilt by hand before an audit reads them."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer

from tandem.account import Account, Checkpoint, Resolution, extend, identity, write
from tandem.headers import CHECKSUM, DEAD_LETTER, EVENT_ID, checksum, event_id, find
from tandem.ledger import Edition, LaneLedger
from tests.integration.cluster_client import ClusterClient

RUN = "0123456789ab"
PARTITIONS = 2
PER_PARTITION = 500
_COMMIT_EVERY = 50
_SECONDS = 20.0
_LONGEST = 60.0

Header = tuple[str, str | bytes | None]


class Event(NamedTuple):
    """A record as a producer of ours writes it."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def marked(self, *headers: tuple[str, bytes]) -> "Event":
        return self._replace(headers=(*self.headers, *headers))


def event(run: str, partition: int, sequence: int) -> Event:
    key, value = b"customer_%d" % sequence, b'{"orderId": "order_%d"}' % sequence
    identified = (EVENT_ID, event_id(run, partition, sequence))
    return Event(key, value, (identified, (CHECKSUM, checksum(key, value))))


class Answer(NamedTuple):
    """How an audit ended and what it printed."""

    status: int
    out: str
    errors: str

    @property
    def told(self) -> Any:
        return json.loads(self.out)

    @property
    def found(self) -> list[tuple[Any, ...]]:
        """Kind, partition, ids and offsets of each finding."""
        return [
            (
                each["kind"],
                each["partition"],
                each["count"],
                each["ids"],
                each["first_offset"],
                each["last_offset"],
            )
            for each in self.told["findings"]
        ]


@dataclass
class Stage:
    """A topic and all that belongs to it. A test changes what is to be written, has it written, and audits."""

    servers: str
    topic: str
    folder: Path
    logs: list[list[Event]] = field(default_factory=list)
    lanes: list[LaneLedger] = field(default_factory=list)
    closed: bool = True
    age_seconds: float = 60.0
    dead: set[tuple[int, int]] = field(default_factory=set)  # partition and offset
    deferred: set[tuple[int, int]] = field(default_factory=set)
    missed: set[tuple[int, int]] = field(default_factory=set)  # what the account leaves out
    committed: dict[int, int] = field(default_factory=dict)  # else the whole log
    letters: list[Event] = field(default_factory=list)
    waiting: list[Event] = field(default_factory=list)
    ledger_key: bytes = RUN.encode()
    configs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.logs = [
            [event(RUN, number, each) for each in range(PER_PARTITION)] for number in range(PARTITIONS)
        ]
        self.lanes = [LaneLedger(self.topic, number, PER_PARTITION) for number in range(PARTITIONS)]

    @property
    def ledger(self) -> str:
        return f"{self.topic}-ledger"

    def set_aside(self, partition: int, offset: int, how: Resolution = Resolution.DEAD_LETTERED) -> Event:
        """Set a record aside as the consumer does, and return what it writes."""
        spoilt = self.logs[partition][offset]
        places, written = (
            (self.dead, self.letters) if how is Resolution.DEAD_LETTERED else (self.deferred, self.waiting)
        )
        own = {"topic": self.topic, "partition": partition, "offset": offset, "group": self.topic}
        letter = spoilt.marked(
            *((f"{DEAD_LETTER}{name}", str(value).encode()) for name, value in own.items())
        )
        places.add((partition, offset))
        written.append(letter)
        return letter

    async def write(self, commits: bool = True) -> None:  # noqa: FBT001, FBT002 -- a test's
        """Write the topics, the ledger and the commits."""
        client = ClusterClient(self.servers)
        await client.create_topic(self.topic, PARTITIONS, **self.configs)
        await client.create_topic(f"{self.topic}-dlt", 1)
        await client.create_topic(f"{self.topic}-retry-30s", 1)
        await client.create_topic(self.ledger, 1, cleanup_policy="compact")
        await asyncio.to_thread(self._write)
        if commits:
            await self.commit({number: self.metadata(number) for number in range(PARTITIONS)})

    def _write(self) -> None:
        for number, log in enumerate(self.logs):
            self.send(self.topic, number, log)
        self.send(f"{self.topic}-dlt", 0, self.letters)
        self.send(f"{self.topic}-retry-30s", 0, self.waiting)
        self.send(self.ledger, 0, [Event(self.ledger_key, self.edition().encode(), ())])

    def edition(self, lanes: Sequence[LaneLedger] | None = None) -> Edition:
        at_ms = int((time.time() - self.age_seconds) * 1000)
        known = tuple(self.lanes if lanes is None else lanes)
        return Edition(RUN, "orders", at_ms, 5000, closed=self.closed, lanes=known)

    def checkpoints(self, number: int, end: int | None = None) -> tuple[Checkpoint, ...]:
        """The group's account of a partition, as its commits leave it."""
        log = self.logs[number]
        account = Account(Checkpoint(0))
        known: tuple[Checkpoint, ...] = (Checkpoint(0),)
        for offset, record in enumerate(log[: self.committed.get(number, len(log)) if end is None else end]):
            if (number, offset) not in self.missed:
                name = find(record.headers, EVENT_ID)
                account.add(offset, identity(name, self.topic, number, offset), self._how(number, offset))
            if offset % _COMMIT_EVERY == _COMMIT_EVERY - 1:
                known = extend(known, account.checkpoint()._replace(offset=offset + 1))
        last = account.checkpoint()
        return extend(known, last) if last.offset > known[-1].offset else known

    def metadata(self, number: int) -> tuple[int, str]:
        checkpoints = self.checkpoints(number)
        return checkpoints[-1].offset, write(checkpoints)

    def _how(self, number: int, offset: int) -> Resolution:
        if (number, offset) in self.dead:
            return Resolution.DEAD_LETTERED
        return Resolution.DEFERRED if (number, offset) in self.deferred else Resolution.HANDLED

    def send(self, topic: str, partition: int, events: Collection[Event]) -> None:
        """Write records one behind the other, and wait until they are acknowledged."""
        producer = Producer({"bootstrap.servers": self.servers, "max.in.flight": 1})
        for key, value, headers in events:
            known: list[Header] = list(headers)
            producer.produce(topic, value, key, partition, headers=known)
        assert producer.flush(_SECONDS) == 0

    async def commit(self, commits: dict[int, tuple[int, str]]) -> None:
        """Commit offset and metadata of partitions for the group, which is named as the topic."""
        # Not by librdkafka: its Python client puts a zero behind the metadata.
        client = AIOKafkaConsumer(
            bootstrap_servers=self.servers, group_id=self.topic, enable_auto_commit=False
        )
        offsets = {TopicPartition(self.topic, number): each for number, each in commits.items()}
        async with asyncio.timeout(_SECONDS):
            await client.start()
            try:
                client.assign(list(offsets))
                await client.commit(offsets)
            finally:
                await client.stop()

    async def audit(self, *flags: str) -> Answer:
        """Run the command to its end, as JSON."""
        own = ("--topic", self.topic, "--group", self.topic, "--ledger-topic", self.ledger)
        return await audit(self.folder, self.servers, "--json", *own, *flags)


async def audit(directory: Path, servers: str, *flags: str) -> Answer:
    """Run `tandem audit` to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ops",
        "audit",
        *flags,
        cwd=directory,  # no `.env` there
        env={"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": servers, "LOG_FORMAT": "json"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_LONGEST):
        out, errors = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), errors.decode())
