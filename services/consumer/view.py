"""What the admin port shows of the consumer. Whether it is well is decided by pure functions."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from prometheus_client.core import Metric

from services.consumer.consumer import Consumer
from services.consumer.standing import Standing, standing
from tandem import kafka
from tandem.account import Resolution
from tandem.admin.metrics import counter, gauge
from tandem.admin.routes import Reasons
from tandem.stats import ConsumerStats, Phase

_STUCK_SECONDS = 30.0
_LAG = "Records from the first that is not resolved to the end of the partition"


class ConsumerView:
    """Looks at the membership of this process in its group, whichever client has it now."""

    def __init__(self, group: str, stats: ConsumerStats, stop: asyncio.Event) -> None:
        self._group = group
        self._stats = stats
        self._stop = stop
        self._consumer: Consumer | None = None
        self._waited_until = 0.0  # for the group, or a broker

    def observing(self, make: Callable[..., Consumer]) -> Callable[..., Consumer]:
        """The same as `make`, and it looks at what that has made last."""

        def made(client: AIOKafkaConsumer, *, announces: bool, patience: float) -> Consumer:
            self._consumer = make(client, announces=announces, patience=patience)
            return self._consumer

        return made

    def tick(self, now: float) -> None:
        if self.phase is not Phase.RUNNING:
            self._waited_until = now

    def liveness(self, now: float) -> Reasons:
        if self._consumer is None or self.phase is not Phase.RUNNING:
            return ()  # each of their waits has a limit, or is for others: the members of a group wait for the slowest
        return stuck(now, self._consumer.last_poll, self._waited_until)

    def readiness(self, now: float) -> Reasons:  # noqa: ARG002 -- it is now that counts
        phase = self.phase
        if phase is not Phase.RUNNING or self._consumer is None:
            return (phase,)
        return cut_off(self._consumer.client)

    @property
    def phase(self) -> Phase:
        """How far it has come."""
        if self._stop.is_set():
            return Phase.DRAINING
        if self._consumer is None or self._consumer.held is None:
            return Phase.CONNECTING
        return Phase.RUNNING if _joined(self._consumer.client) else Phase.JOINING

    def standings(self) -> Sequence[Standing]:
        """The partitions of the assignment."""
        consumer = self._consumer
        if consumer is None or consumer.held is None or not _joined(consumer.client):
            return ()
        held = consumer.held.partitions
        return [standing(consumer.client, at, held.get(at)) for at in sorted(consumer.client.assignment())]

    def status(self, now: float) -> dict[str, Any]:
        stats = self._stats
        return {
            "service": "consumer",
            "group": self._group,
            "phase": self.phase.value,
            "uptime": round(now - stats.started, 1),
            "counts": {
                "consumed": stats.consumed,
                **{how.name.lower(): count for how, count in self._resolved().items()},
                "retried": stats.retried,
                "rebalances": self._rebalances,
            },
            "partitions": [_shown(each, now) for each in self.standings()],
        }

    def metrics(self, now: float) -> Iterable[Metric]:
        stats, group, standings = self._stats, self._group, self.standings()
        resolved = [((group, how.name.lower()), count) for how, count in self._resolved().items()]
        lags = [
            ((group, each.topic, str(each.partition)), each.lag) for each in standings if each.lag is not None
        ]
        in_hand = sum(each.in_hand for each in standings)
        yield counter(
            "messaging_client_consumed_messages", "Messages fetched", [((group,), stats.consumed)], ["group"]
        )
        yield counter(
            "tandem_resolved_messages", "Messages by what became of them", resolved, ["group", "resolution"]
        )
        yield counter("tandem_retries", "Tries that failed and are repeated in place", stats.retried)
        yield counter("tandem_rebalances", "Times that the group gave partitions", self._rebalances)
        yield gauge(
            "tandem_in_flight_messages",
            "Messages fetched that are not yet part of the unbroken run of resolved ones",
            in_hand,
        )
        yield gauge("tandem_assigned_partitions", "Partitions of the assignment", len(standings))
        yield gauge("kafka_consumergroup_group_lag", _LAG, lags, ["group", "topic", "partition"])
        if self._consumer is not None and self._consumer.held is not None:
            ago = now - self._consumer.last_poll
            yield gauge("tandem_last_poll_seconds_ago", "Since the loop that fetches last came round", ago)

    @property
    def _rebalances(self) -> int:
        held = None if self._consumer is None else self._consumer.held
        return self._stats.rebalances + (0 if held is None else held.rebalances)

    def _resolved(self) -> dict[Resolution, int]:
        stats = self._stats
        return {
            Resolution.HANDLED: stats.handled,
            Resolution.DEAD_LETTERED: stats.dead_lettered,
            Resolution.DEFERRED: stats.deferred,
            Resolution.NOT_OURS: stats.not_ours,
        }


def stuck(now: float, last_poll: float, waited_until: float) -> Reasons:
    """Say so when the loop that fetches has not come round for long: each of its passes takes about a second.

    But those that wait for the group: it did until `waited_until`.
    """
    silent = now - max(last_poll, waited_until)
    return (f"nothing was fetched or asked for in {silent:.0f} s",) if silent > _STUCK_SECONDS else ()


def cut_off(client: AIOKafkaConsumer) -> Reasons:
    """Why a member of a group gets nothing from it, as far as the client knows."""
    if not kafka.connected(client):
        return ("no broker is connected",)
    if client._coordinator.coordinator_id is None:  # noqa: SLF001 -- there is no public way
        return ("the group's coordinator does not answer",)
    return ()


def _joined(client: AIOKafkaConsumer) -> bool:
    """Whether the group has taken it in, and no rebalance is under way. There is no public way to know."""
    settled = not client._subscription.reassignment_in_progress  # noqa: SLF001
    return settled and client._coordinator.generation >= 0  # noqa: SLF001


def _shown(each: Standing, now: float) -> dict[str, Any]:
    return {
        "topic": each.topic,
        "partition": each.partition,
        "position": each.position,
        "committed": each.committed,
        "end": each.end,
        "lag": each.lag,
        "in_hand": each.in_hand,
        "waits_for": each.waits_for(now),
    }
