"""What can be seen of the services from outside: what they handled, when they stood still, how much memory they took."""

import asyncio
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.integration.processes import Process

_MEMORY = re.compile(r"VmHWM:\s+(\d+) kB")
_POLL = 0.2


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


@dataclass
class Handled:
    """What the consumers of a trial noted, in the order in which they did: the file of tests/faults/role.py."""

    path: Path
    handled: Counter[Place] = field(default_factory=Counter)
    failed: Counter[Place] = field(default_factory=Counter)
    times: defaultdict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    _read_to: int = 0

    def read(self) -> None:
        """Take in what is new."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.decode().splitlines():
            time, topic, partition, offset, outcome = line.split(" ")
            place = Place(topic, int(partition), int(offset))
            if outcome == "handled":
                self.handled[place] += 1
                self.times[place[:2]].append(float(time))
            else:
                self.failed[place] += 1

    def forget(self) -> None:
        """Begin anew, because places do."""
        self.read()
        for known in (self.handled, self.failed, self.times):
            known.clear()

    @property
    def redelivered(self) -> int:
        """How often a record was handled that had been handled before."""
        return self.handled.total() - len(self.handled)


def acked_times(producers: Iterable[Process]) -> list[float]:
    """When there was news of acknowledgements, to the nearest STATS_INTERVAL."""
    times = []
    for producer in producers:
        told = [
            (0.0, 0),
            *((_time(line), line["produced"]) for line in producer.events("producer_statistics")),
        ]
        times += [time for (_, before), (time, count) in pairwise(told) if count > before]
    return sorted(times)


def _time(line: dict[str, str]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def longest_silence(times: Sequence[float], begin: float, end: float) -> float:
    """The longest time without an event that begins between `begin` and `end`, and ends with one.

    For what stood still at `begin` that is how long it took to go on; for what a kill stopped a moment later it is how long the
    failover took. 0 where nothing comes after `begin`.
    """
    relevant = [begin, *times[bisect_right(times, begin) :]]
    return max((after - before for before, after in pairwise(relevant) if before < end), default=0.0)


def worst_silence(sources: Collection[Sequence[float]], marks: Sequence[float], now: float) -> float | None:
    """The longest silence of any source after any mark, up to the next one or `now`; None without a mark."""
    spans = [*pairwise([*marks, now])]
    return max((longest_silence(times, *span) for span in spans for times in sources), default=None)


class MemoryWatch:
    """The peak of the resident memory of processes, in MB, by the name of the service. Watches from `async with` on."""

    def __init__(self) -> None:
        self.peaks: Counter[str] = Counter()
        self._watched: list[tuple[str, int]] = []

    def add(self, service: str, pid: int) -> None:
        self._watched.append((service, pid))

    async def run(self) -> None:
        while True:
            for service, pid in self._watched:
                self.peaks[service] = max(self.peaks[service], _peak_mb(pid))
            await asyncio.sleep(_POLL)


def _peak_mb(pid: int) -> int:
    with suppress(OSError):  # it has ended
        if found := _MEMORY.search(Path(f"/proc/{pid}/status").read_text()):
            return round(int(found[1]) / 1024)
    return 0
