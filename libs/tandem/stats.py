"""What the two services count, and what they say of it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tandem.account import Resolution
from tandem.headers import Fault
from tandem.ledger import LaneLedger, Ledger, Span
from tandem.producer import EventProducer
from tandem.records import Outcome, Settled

_LABELS = frozenset(Fault)
_MOST_RANGES = 40  # on one line


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


class Phase(StrEnum):
    """How far a service has come."""

    CONNECTING = "connecting"
    JOINING = "joining"
    RUNNING = "running"
    DRAINING = "draining"


@dataclass(slots=True)
class Activity:
    """What one producer is about. `due`: when its next event is; `putting`: it has made some, and waits until there is room for them."""

    events: EventProducer
    phase: Phase = Phase.CONNECTING
    due: float | None = None
    putting: bool = False


@dataclass(slots=True)
class ProducerStats:
    """Counts fates and injected faults; the ledgers of the runs know which records they are."""

    started: float
    ledgers: list[Ledger] = field(default_factory=list)
    activities: list[Activity] = field(default_factory=list)
    first_put: float | None = None
    last_acked: float | None = None
    faults: Counter[Fault] = field(default_factory=Counter)
    fates: Counter[Outcome] = field(default_factory=Counter)
    encode_errors: int = 0
    last_message: datetime | None = None
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.rate = Rate(self.started)

    def begin(self, now: float) -> None:
        """The first event is about to be sent; later calls say nothing new."""
        self.first_put = now if self.first_put is None else self.first_put

    def settle(self, settled: Settled, now: float, at: datetime) -> None:
        self.fates[settled.outcome] += len(settled.records)
        if settled.outcome is Outcome.ACKED:
            self.last_acked, self.last_message = now, at

    def snapshot(self, now: float, in_flight: int) -> dict[str, Any]:
        """Everything, with the rate since the last snapshot in acknowledged messages a second."""
        return {
            "produced": self.fates[Outcome.ACKED],
            "errors": self.undelivered + self.encode_errors,
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

    @property
    def undelivered(self) -> int:
        """How many were sent and not acknowledged."""
        return self.fates[Outcome.FAILED] + self.fates[Outcome.UNKNOWN]

    def undelivered_text(self) -> str:
        """How many were not acknowledged, and which: ranges of sequences by partition; of very many only the first."""
        ranges = [
            _range(outcome, lane, span, ledger.run if len(self.ledgers) > 1 else "")
            for ledger in self.ledgers
            for lane in ledger.undelivered().values()
            for outcome, spans in ((Outcome.FAILED, lane.failed), (Outcome.UNKNOWN, lane.unknown))
            for span in spans
        ]
        more = len(ranges) - _MOST_RANGES
        listed = ", ".join(ranges[:_MOST_RANGES]) + (f" and {more} more ranges" if more > 0 else "")
        return f"{self.undelivered} sent and not acknowledged: {listed}"


def _range(outcome: Outcome, lane: LaneLedger, span: Span, run: str) -> str:
    numbers = f"{span.first}" if span.first == span.last else f"{span.first}-{span.last}"
    return f"{outcome} {lane.topic}/{lane.partition} {numbers}" + (f" of run {run}" if run else "")


@dataclass(slots=True)
class ConsumerStats:
    """Counts what became of consumed records, and of those with an injected fault by its label."""

    started: float
    consumed: int = 0
    handled: int = 0
    dead_lettered: int = 0
    retried: int = 0  # tries that failed and are repeated in place
    deferred: int = 0
    not_ours: int = 0  # meant for another group
    rebalances: int = 0
    faults: defaultdict[str, Counter[Resolution]] = field(default_factory=lambda: defaultdict(Counter))
    rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.rate = Rate(self.started)

    @property
    def resolved(self) -> int:
        """Records that need no more of this consumer."""
        return self.handled + self.dead_lettered + self.deferred + self.not_ours

    def count(self, how: Resolution) -> None:
        """Count what became of a record."""
        match how:
            case Resolution.HANDLED:
                self.handled += 1
            case Resolution.DEAD_LETTERED:
                self.dead_lettered += 1
            case Resolution.DEFERRED:
                self.deferred += 1
            case Resolution.NOT_OURS:
                self.not_ours += 1

    def score(self, label: bytes, how: Resolution) -> None:
        """Count what became of a record with a fault. Labels that are not ours count as one: anyone can write a header."""
        text = label.decode(errors="replace")
        self.faults[text if text in _LABELS else "other"][how] += 1

    def snapshot(self, now: float) -> dict[str, Any]:
        """Everything, with the rate since the last snapshot in resolved records a second."""
        return {
            "consumed": self.consumed,
            "handled": self.handled,
            "retried": self.retried,
            "deferred": self.deferred,
            "dead_lettered": self.dead_lettered,
            **({"not_ours": self.not_ours} if self.not_ours else {}),
            "rate": self.rate.since(self.resolved, now),
            "runtime": round(now - self.started, 1),
        } | ({"faults": self._scores()} if self.faults else {})

    def _scores(self) -> dict[str, dict[str, int]]:
        return {
            label: {
                "handled": counts[Resolution.HANDLED],
                "dead_lettered": counts[Resolution.DEAD_LETTERED],
            }
            for label, counts in self.faults.items()
        }

    def final(self, now: float) -> dict[str, Any]:
        """Everything at the end, with the rate over the whole run."""
        return self.snapshot(now) | {"rate": average(self.resolved, now - self.started)}
