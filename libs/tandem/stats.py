"""What the two services count, and what they say of it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from tandem.headers import Fault
from tandem.records import Outcome, Settled

_LABELS = frozenset(Fault)


def average(count: int, seconds: float) -> float:
    """So many a second, to one decimal; 0 where no time has passed."""
    return round(count / seconds, 1) if seconds > 0 else 0.0


class Rate:
    """Events a second since it was last asked."""

    def __init__(self, now: float) -> None:
        self._then = now
        self._count = 0

    def since(self, count: int, now: float) -> float:
        elapsed, added = now - self._then, count - self._count
        self._then, self._count = now, count
        return average(added, elapsed)


class Range(NamedTuple):
    """Sequences that follow each other and share an outcome. `run` is empty where there is only one."""

    run: str
    outcome: Outcome
    topic: str
    partition: int
    first: int
    last: int

    @classmethod
    def of(cls, settled: Settled, run: str) -> Self:
        last = settled.first_sequence + len(settled.records) - 1
        return cls(run, settled.outcome, settled.topic, settled.partition, settled.first_sequence, last)

    def __str__(self) -> str:
        numbers = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        of_run = f" of run {self.run}" if self.run else ""
        return f"{self.outcome} {self.topic}/{self.partition} {numbers}{of_run}"


@dataclass(slots=True)
class ProducerStats:
    """Counts fates and injected faults, and keeps the batches that were not acknowledged."""

    started: float
    first_put: float | None = None
    last_acked: float | None = None
    faults: Counter[Fault] = field(default_factory=Counter)
    fates: Counter[Outcome] = field(default_factory=Counter)
    encode_errors: int = 0
    last_message: datetime | None = None
    undelivered: list[Range] = field(default_factory=list)
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.rate = Rate(self.started)

    def begin(self, now: float) -> None:
        """The first event is about to be sent; later calls say nothing new."""
        self.first_put = now if self.first_put is None else self.first_put

    def settle(self, settled: Settled, now: float, at: datetime, run: str = "") -> None:
        self.fates[settled.outcome] += len(settled.records)
        if settled.outcome is Outcome.ACKED:
            self.last_acked, self.last_message = now, at
        else:
            self._remember(Range.of(settled, run))

    def snapshot(self, now: float, in_flight: int) -> dict[str, Any]:
        """Everything, with the rate since the last snapshot in acknowledged messages a second."""
        return {
            "produced": self.fates[Outcome.ACKED],
            "errors": self.fates[Outcome.FAILED] + self.fates[Outcome.UNKNOWN] + self.encode_errors,
            "in_flight": in_flight,
            "rate": self.rate.since(self.fates[Outcome.ACKED], now),
            "runtime": round(now - self.started, 1),
            "last_message": self.last_message and self.last_message.isoformat(timespec="milliseconds"),
        } | ({"faults": {fault.value: count for fault, count in self.faults.items()}} if self.faults else {})

    def speed(self) -> dict[str, Any]:
        """How many were acknowledged, in how many seconds from the first event to the last acknowledgement, how fast."""
        count = self.fates[Outcome.ACKED]
        seconds = self.last_acked - self.first_put if self.last_acked and self.first_put else 0.0
        return {"acknowledged": count, "seconds": round(seconds, 3), "rate": average(count, seconds)}

    def final(self, now: float) -> dict[str, Any]:
        """Everything at the end, with the rate over the whole run."""
        return self.snapshot(now, in_flight=0) | {
            "rate": average(self.fates[Outcome.ACKED], now - self.started)
        }

    def undelivered_text(self) -> str:
        """How many were not acknowledged, and which: ranges of sequences by partition."""
        ranges = ", ".join(map(str, self.undelivered))
        count = self.fates[Outcome.FAILED] + self.fates[Outcome.UNKNOWN]
        return f"{count} sent and not acknowledged: {ranges}"

    def _remember(self, new: Range) -> None:
        """Keep ranges, not batches: a long outage must not fill the memory."""
        for position, known in enumerate(self.undelivered):
            if (known.run, known.outcome, known.topic, known.partition, known.last + 1) == new[:5]:
                self.undelivered[position] = known._replace(last=new.last)
                return
        self.undelivered.append(new)


@dataclass(slots=True)
class ConsumerStats:
    """Counts what became of consumed records, and of those with an injected fault by its label."""

    started: float
    consumed: int = 0
    handled: int = 0
    dead_lettered: int = 0
    faults: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.rate = Rate(self.started)

    @property
    def resolved(self) -> int:
        return self.handled + self.dead_lettered

    def score(self, label: bytes, outcome: Literal["handled", "dead_lettered"]) -> None:
        """Count what became of a record with a fault. Labels that are not ours count as one: anyone can write a header."""
        text = label.decode(errors="replace")
        self.faults[text if text in _LABELS else "other"][outcome] += 1

    def snapshot(self, now: float) -> dict[str, Any]:
        """Everything, with the rate since the last snapshot in resolved records a second."""
        return {
            "consumed": self.consumed,
            "handled": self.handled,
            "dead_lettered": self.dead_lettered,
            "rate": self.rate.since(self.resolved, now),
            "runtime": round(now - self.started, 1),
        } | ({"faults": self._scores()} if self.faults else {})

    def _scores(self) -> dict[str, dict[str, int]]:
        return {
            label: {"handled": counts["handled"], "dead_lettered": counts["dead_lettered"]}
            for label, counts in self.faults.items()
        }

    def final(self, now: float) -> dict[str, Any]:
        """Everything at the end, with the rate over the whole run."""
        return self.snapshot(now) | {"rate": average(self.resolved, now - self.started)}
