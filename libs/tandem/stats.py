"""What the two services count, and what they say of it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

from tandem.records import Outcome, Settled


def _average(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


class Rate:
    """Events a second since it was last asked."""

    def __init__(self, now: float) -> None:
        self._then = now
        self._count = 0

    def since(self, count: int, now: float) -> float:
        elapsed, added = now - self._then, count - self._count
        self._then, self._count = now, count
        return _average(added, elapsed)


class Range(NamedTuple):
    """Sequences that follow each other and share an outcome."""

    outcome: Outcome
    topic: str
    partition: int
    first: int
    last: int

    @classmethod
    def of(cls, settled: Settled) -> Self:
        last = settled.first_sequence + len(settled.records) - 1
        return cls(settled.outcome, settled.topic, settled.partition, settled.first_sequence, last)

    def __str__(self) -> str:
        numbers = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.outcome} {self.topic}/{self.partition} {numbers}"


@dataclass(slots=True)
class ProducerStats:
    """Counts fates, and keeps the batches that were not acknowledged."""

    started: float
    fates: Counter[Outcome] = field(default_factory=Counter)
    encode_errors: int = 0
    last_message: datetime | None = None
    undelivered: list[Range] = field(default_factory=list)
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.rate = Rate(self.started)

    def settle(self, settled: Settled, at: datetime) -> None:
        self.fates[settled.outcome] += len(settled.records)
        if settled.outcome is Outcome.ACKED:
            self.last_message = at
        else:
            self._remember(Range.of(settled))

    def snapshot(self, now: float, in_flight: int) -> dict[str, Any]:
        """Everything, with the rate since the last snapshot in acknowledged messages a second."""
        return {
            "produced": self.fates[Outcome.ACKED],
            "errors": self.fates[Outcome.FAILED] + self.fates[Outcome.UNKNOWN] + self.encode_errors,
            "in_flight": in_flight,
            "rate": self.rate.since(self.fates[Outcome.ACKED], now),
            "runtime": round(now - self.started, 1),
            "last_message": self.last_message and self.last_message.isoformat(timespec="milliseconds"),
        }

    def final(self, now: float) -> dict[str, Any]:
        """Everything at the end, with the rate over the whole run."""
        return self.snapshot(now, in_flight=0) | {
            "rate": _average(self.fates[Outcome.ACKED], now - self.started)
        }

    def undelivered_text(self) -> str:
        """How many were not acknowledged, and which: ranges of sequences by partition."""
        ranges = ", ".join(map(str, self.undelivered))
        count = self.fates[Outcome.FAILED] + self.fates[Outcome.UNKNOWN]
        return f"{count} sent and not acknowledged: {ranges}"

    def _remember(self, new: Range) -> None:
        """Keep ranges, not batches: a long outage must not fill the memory."""
        for position, known in enumerate(self.undelivered):
            if (known.outcome, known.topic, known.partition, known.last + 1) == new[:4]:
                self.undelivered[position] = known._replace(last=new.last)
                return
        self.undelivered.append(new)


@dataclass(slots=True)
class ConsumerStats:
    """Counts what became of consumed records."""

    started: float
    consumed: int = 0
    handled: int = 0
    dead_lettered: int = 0
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.rate = Rate(self.started)

    @property
    def resolved(self) -> int:
        return self.handled + self.dead_lettered

    def snapshot(self, now: float) -> dict[str, Any]:
        """Everything, with the rate since the last snapshot in resolved records a second."""
        return {
            "consumed": self.consumed,
            "handled": self.handled,
            "dead_lettered": self.dead_lettered,
            "rate": self.rate.since(self.resolved, now),
            "runtime": round(now - self.started, 1),
        }

    def final(self, now: float) -> dict[str, Any]:
        """Everything at the end, with the rate over the whole run."""
        return self.snapshot(now) | {"rate": _average(self.resolved, now - self.started)}
