"""What the admin port shows of the producer. Whether it is well is decided by pure functions."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from prometheus_client.core import Metric

from tandem.admin.metrics import counter, gauge
from tandem.admin.routes import Reasons
from tandem.headers import Fault
from tandem.records import Outcome
from tandem.settings import ProducerSettings
from tandem.stats import Activity, Phase, ProducerStats

_OVERDUE_SECONDS = 10.0
_OUTAGE_SECONDS = 10.0


class ProducerView:
    """Looks at the producers of this process through their statistics."""

    def __init__(self, settings: ProducerSettings, stats: ProducerStats) -> None:
        self._stream = settings.stream
        self._stats = stats
        self._acks = Acknowledgements(stats.started)

    def tick(self, now: float) -> None:
        self._acks.tick(self._stats.fates.total(), self._in_flight, now)

    def liveness(self, now: float) -> Reasons:
        return tuple(filter(None, (overdue(each, now) for each in self._stats.activities)))

    def readiness(self, now: float) -> Reasons:
        activities = self._stats.activities
        if not activities:
            return (Phase.CONNECTING,)
        silent = self._acks.silent(now) if self._in_flight else 0.0
        reasons = (unready(each.phase, connected=_connected(each), silent=silent) for each in activities)
        return tuple(dict.fromkeys(chain.from_iterable(reasons)))

    def status(self, now: float) -> dict[str, Any]:
        return {
            "service": "producer",
            "stream": self._stream,
            "uptime": round(now - self._stats.started, 1),
            "counts": {
                **{outcome.value: self._stats.fates[outcome] for outcome in Outcome},
                "in_flight": self._in_flight,
                "encode_errors": self._stats.encode_errors,
                "faults": {fault.value: count for fault, count in self._stats.faults.items()},
            },
            "runs": [_run(each, now) for each in self._stats.activities],
        }

    def metrics(self, now: float) -> Iterable[Metric]:  # noqa: ARG002 -- only counts
        stats = self._stats
        sent = [((self._stream, outcome.value), stats.fates[outcome]) for outcome in Outcome]
        faults = [((fault.value,), stats.faults[fault]) for fault in Fault]
        return [
            counter(
                "messaging_client_sent_messages",
                "Messages by what became of them",
                sent,
                ["stream", "outcome"],
            ),
            gauge("tandem_in_flight_messages", "Messages in hand that are not settled", self._in_flight),
            counter("tandem_encode_errors", "Events that could not be encoded", stats.encode_errors),
            counter("tandem_injected_faults", "Events spoiled on purpose", faults, ["fault"]),
        ]

    @property
    def _in_flight(self) -> int:
        return sum(each.events.in_flight for each in self._stats.activities)


class Acknowledgements:
    """Since when Kafka has settled nothing although something is in flight. Pure."""

    def __init__(self, now: float) -> None:
        self._settled = 0
        self._since = now

    def tick(self, settled: int, in_flight: int, now: float) -> None:
        if settled != self._settled or in_flight == 0:
            self._settled, self._since = settled, now

    def silent(self, now: float) -> float:
        """For how many seconds; right to the time between two ticks."""
        return now - self._since


def overdue(activity: Activity, now: float) -> str | None:
    """Say so where the next event was due long ago, and nobody makes it: what waits for room is not late."""
    if activity.phase is not Phase.RUNNING or activity.putting or activity.due is None:
        return None
    late = now - activity.due
    return f"the next event has been due for {late:.0f} s" if late > _OVERDUE_SECONDS else None


def unready(phase: Phase, *, connected: bool, silent: float) -> Reasons:
    """Why a producer can't send now; `silent`: Kafka has settled nothing for so many seconds, and something is in flight."""
    if phase is not Phase.RUNNING:
        return (phase,)
    if not connected:
        return ("no broker is connected",)
    return (f"Kafka has acknowledged nothing for {silent:.0f} s",) if silent > _OUTAGE_SECONDS else ()


def waits_for(activity: Activity, now: float) -> str | None:
    """What a producer waits for, in words."""
    match activity:
        case Activity(phase=Phase.CONNECTING):
            return "the broker, the topics and, where the format has schemas, the registry"
        case Activity(phase=Phase.DRAINING):
            return "acknowledgements"
        case Activity(putting=True):
            return "room: as much as there may be is in flight"
        case Activity(due=float(due)):
            return f"the next event, due in {max(0.0, due - now):.1f} s"
    return None


def _connected(activity: Activity) -> bool:
    return activity.phase is Phase.RUNNING and activity.events.connected


def _run(activity: Activity, now: float) -> dict[str, Any]:
    events = activity.events
    return {
        "run": events.run,
        "phase": activity.phase.value,
        "in_flight": events.in_flight,
        "waits_for": waits_for(activity, now),
        "partitions": [
            {
                "topic": lane.topic,
                "partition": lane.partition,
                "settled": lane.settled,
                "failed": sum(span.last - span.first + 1 for span in lane.failed),
                "unknown": sum(span.last - span.first + 1 for span in lane.unknown),
                "last_offset": lane.last_offset,
            }
            for lane in events.ledger.lanes.values()
        ],
    }
