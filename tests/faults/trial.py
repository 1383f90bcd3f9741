"""One fault, from the services under load to the row in the table."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from random import Random
from signal import SIGTERM
from typing import Any, NoReturn, TypeVar

import orjson
import pytest

from tests.faults.account import VERDICTS, audit, dead_letters, duplicates, ids
from tests.faults.others import write_among
from tests.faults.report import Row
from tests.faults.rig import Rig
from tests.faults.watch import Handled, MemoryWatch, Place, acked_times, worst_silence
from tests.integration.processes import Process, running

RATE = 500
Number = TypeVar("Number", int, float)

_POLL, _SLOW_POLL = 0.1, 0.5
_DRAIN_SECONDS = 120.0


class Trial:
    """Runs services on topics and in a group of its own, and takes down what becomes of them.

    Services that are started here are killed at the end at the latest.
    """

    def __init__(self, rig: Rig, name: str, title: str, seed: int, folder: Path, *, thorough: bool) -> None:
        self.rig = rig
        self.name = name
        self.folder = folder
        self.random = Random(f"{seed} {name}")
        self.row = Row(title, seed=seed, remarks="did not finish")
        self.producers: list[Process] = []
        self.consumers: list[Process] = []
        self.handled = Handled(folder / "handled")
        self.memory = MemoryWatch()
        self._thorough = thorough
        self._marks: list[float] = []
        self._services = AsyncExitStack()
        self._began = time.time()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Trial"]:
        watching = asyncio.create_task(self.memory.run(), name="watch memory")
        try:
            async with self._services:
                yield self
        finally:
            watching.cancel()
            self._keep_lines()

    def _keep_lines(self) -> None:
        """Write down what the services said, for who looks for the cause of a failure."""
        for kind, processes in (("producer", self.producers), ("consumer", self.consumers)):
            for number, process in enumerate(processes, 1):
                text = "".join(f"{orjson.dumps(line).decode()}\n" for line in process.lines)
                (self.folder / f"{kind}-{number}.log").write_text(text + process.errors)

    @property
    def topic(self) -> str:
        return f"{self.name}-orders"

    @property
    def cluster_settings(self) -> dict[str, Any]:
        """What makes two programs mean the same topics."""
        return {"kafka_bootstrap_servers": self.rig.servers, "topic_prefix": f"{self.name}-"}

    def size(self, thorough: Number, quick: Number) -> Number:
        """How often, how much or how long: more of it for the table than among the tests."""
        return thorough if self._thorough else quick

    async def produce(self, service: str = "producer", **settings: Any) -> Process:
        """Start a producer at the usual load."""
        usual = {
            "rate": RATE,
            "customers": 300,
            "stats_interval": "200ms",
            "seed": self.random.randrange(2**31),
        }
        self.producers.append(await self._start(service, "producer", usual | settings))
        return self.producers[-1]

    async def consume(self, service: str = "tests.faults.role", **settings: Any) -> Process:
        """Start a consumer that notes what it handles."""
        usual = {
            "role": "watched",
            "group_id": self.name,
            "faults_handled": self.handled.path,
            "session_timeout": "3s",
            "commit_interval": "200ms",
        }
        self.consumers.append(await self._start(service, "consumer", usual | settings))
        return self.consumers[-1]

    async def _start(self, service: str, kind: str, settings: dict[str, Any]) -> Process:
        given = self.cluster_settings | settings
        process = await self._services.enter_async_context(running(service, self.folder, **given))
        self.memory.add(kind, process.pid)
        return process

    async def pair(self, **settings: Any) -> tuple[Process, Process]:
        """Start a producer and a consumer, and return when both work."""
        pair = await self.produce(**settings), await self.consume(**settings)
        await self.flows()
        return pair

    async def repeated(self) -> int:
        """How many records of the log have an id that another has, too, beyond the first: the audit's figure by another way."""
        return duplicates(await ids(self.rig.cluster.bootstrap_servers, self.topic))

    async def inject(self, values: Sequence[bytes], count: int) -> None:
        """Write so many values, one after the other and over again, among the load: 1 % of it."""
        await write_among(
            self.rig.cluster.bootstrap_servers, self.topic, islice(cycle(values), count), 100 / RATE
        )

    async def dead_letters(self) -> Counter[Place]:
        """How many dead letters there are of each record."""
        return await dead_letters(self.rig.cluster.bootstrap_servers, self.topic)

    async def found_dead(self, count: int) -> None:
        """See that there are so many dead letters, each of another record, and tell it in the row."""
        letters = await self.dead_letters()
        assert set(letters.values()) == {1}, f"twice: {letters - Counter(dict.fromkeys(letters, 1))}"
        assert len(letters) == count
        self.remark(f"{count} dead letters, each once")

    def remark(self, text: str) -> None:
        self.row = replace(self.row, remarks="; ".join(filter(None, (self.row.remarks, text))))

    def skip(self, reason: str) -> NoReturn:
        """End the trial before it begins, and say so in the row."""
        self.row = replace(self.row, remarks=f"not run: {reason}")
        pytest.skip(reason)

    def mark(self) -> None:
        """From now on counts how long nothing is acknowledged, or handled in a partition: a fault ends, or something is killed."""
        self._marks.append(time.time())

    async def flows(self, seconds: float = 60.0) -> None:
        """Wait until records that were acknowledged and handled after now are seen, in every partition."""
        since, deadline = time.time(), time.monotonic() + seconds
        while stuck := self._stuck(since):
            assert time.monotonic() < deadline, f"stuck for {seconds:g} s: {stuck}, {self._last_lines()}"
            await asyncio.sleep(_POLL)

    def _stuck(self, since: float) -> list[str]:
        """What nothing was heard of since then."""
        self.handled.read()
        acked = acked_times(self.producers[-1:])
        last = {"acknowledgements": acked[-1] if acked else 0.0} | {
            f"partition {number}": (self.handled.times[self.topic, number] or [0.0])[-1]
            for number in range(3)
        }
        return [what for what, when in last.items() if when <= since]

    def _last_lines(self) -> list[Any]:
        return [
            line for process in (self.producers[-1:] + self.consumers[-1:]) for line in process.lines[-4:]
        ]

    async def stop_producers(self) -> None:
        """End all that still run with SIGTERM, and see them end well."""
        for producer in self.producers:
            await _stop(producer, "producer_started")

    async def drained(self, seconds: float = _DRAIN_SECONDS, *, but: int | None = None) -> None:
        """Wait until the group has committed everything that is in the log, maybe `but` in one partition."""
        deadline = time.monotonic() + seconds
        while any(
            left for number, left in (await self.rig.lags(self.name, self.topic)).items() if number != but
        ):
            assert time.monotonic() < deadline, (
                f"not committed: {await self.rig.lags(self.name, self.topic)}, {self._last_lines()}"
            )
            await asyncio.sleep(_SLOW_POLL)

    async def conclude(self, remarks: str = "", runs: int = 0, **expected: int) -> None:
        """Stop the producers, wait for the consumers, stop them, audit, fill the row, and compare it with what is expected.

        All verdicts of the audit but UNKNOWN are expected to be 0 unless `expected` names another number.
        """
        await self.rig.in_sync()
        await self.stop_producers()
        await self.drained()
        for consumer in self.consumers:
            await _stop(consumer, "consumer_started")
        await self.judge(remarks, runs, **expected)

    async def judge(self, remarks: str = "", runs: int = 0, **expected: int) -> None:
        """Audit, fill the row, and compare it with what is expected, and with a look of our own."""
        self.handled.read()
        audited = await audit(self.folder, self.name, **self.cluster_settings)
        self.row = replace(
            self.row,
            **audited.figures,
            runs=runs or max(1, len(self._marks)),
            acked_after=worst_silence([acked_times(self.producers)], self._marks, time.time()),
            handled_after=worst_silence(self.handled.times.values(), self._marks, time.time()),
            memory=" / ".join(f"{self.memory.peaks[kind]}" for kind in ("producer", "consumer")),
            remarks="; ".join(filter(None, [remarks, *audited.doubts[:1]])),
        )
        seen = await self._look()
        self.row = replace(
            self.row, again=self.handled.redelivered, seconds=round(time.time() - self._began, 1)
        )
        wanted = dict.fromkeys(VERDICTS, 0) | expected
        assert audited.counts == wanted, f"not as expected: {_differences(audited.counts, wanted)}"
        assert seen.items() <= audited.counts.items(), (
            f"the audit is wrong: {_differences(seen, audited.counts)}"
        )
        self.row = replace(self.row, as_expected=True)

    async def _look(self) -> dict[str, int]:
        """Two of the audit's figures by another way: ids that are there twice, and what the handler has not seen."""
        log = await ids(self.rig.cluster.bootstrap_servers, self.topic)
        known = {*self.handled.handled, *await self.dead_letters()}
        committed = await self.rig.client.committed(self.name, self.topic)
        missed = [
            place for place in log if place not in known and place.offset < committed.get(place.partition, 0)
        ]
        self.row = replace(self.row, sent=len(log))
        return {"duplicated": duplicates(log), "missed": len(missed)}


async def _stop(process: Process, started: str) -> None:
    """End a process with SIGTERM, but not before it listens for it, and see it end well."""
    if not process.ended:
        await process.until(started)
        status = await process.end(SIGTERM)
        assert status == 0, f"status {status}: {process.lines[-3:]} {process.errors}"


def _differences(found: Mapping[str, int], wanted: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count} {name} instead of {wanted[name]}" for name, count in found.items() if count != wanted[name]
    )
