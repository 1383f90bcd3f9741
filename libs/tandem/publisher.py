"""The ledger's way to its topic: one edition at a time, beside the events and never in their way."""

import asyncio
import time
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from tandem import kafka
from tandem.delivery import Delivery
from tandem.errors import SettingsError
from tandem.kafka.rights import Right
from tandem.kafka.topics import Topic, ensure_topics
from tandem.ledger import LaneLedger, Ledger
from tandem.records import Outcome, Record
from tandem.settings import ProducerSettings
from tandem.signals import unless_stopped

_SHARE, _SHORTEST = 0.1, 1.0
_CUT_SHORT = 1.0

log = structlog.get_logger()


def closing_seconds(drain_seconds: float) -> float:
    """How much of the drain is kept for the last edition: a tenth, or a second, but not more than half."""
    return min(drain_seconds / 2, max(_SHORTEST, drain_seconds * _SHARE))


class LedgerPublisher:
    """Publishes a run's ledger: at the start, every LEDGER_INTERVAL in which something changed, and closed at the end.

    An async context manager, to be entered before the run's first event and left after the last one's fate. Entering
    waits until the first edition is acknowledged, and raises SettingsError where the topic can't be written. It has a
    client of its own: what goes wrong here costs no event anything.
    """

    def __init__(self, settings: ProducerSettings, topic: Topic, ledger: Ledger, stop: asyncio.Event) -> None:
        self._settings = settings
        self._topic = topic
        self._ledger = ledger
        self._stop = stop
        self._delivery = Delivery(partial(kafka.open_producer, settings), stop=stop, drain_seconds=0)
        self._told: tuple[LaneLedger, ...] = ()
        self._publishing: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._ensure_topic()
        await self._delivery.__aenter__()
        try:
            await unless_stopped(self._stop, self._publish(closed=False))
        except BaseException as error:
            await self._delivery.__aexit__(type(error), error, None)
            raise
        self._publishing = asyncio.create_task(self._publish_regularly(), name="publish the ledger")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = closing_seconds(self._settings.drain_seconds)
        if isinstance(error, asyncio.CancelledError):
            seconds = min(seconds, _CUT_SHORT)
        self._publishing.cancel()
        try:
            async with asyncio.timeout(seconds):
                await self._publish(closed=True)
        except TimeoutError:
            log.warning("ledger_not_closed", topic=self._topic.name, reason="Kafka did not take it in time")
        finally:
            await self._delivery.__aexit__(None, None, None)
            await asyncio.wait((self._publishing,))

    async def _ensure_topic(self) -> None:
        try:
            await ensure_topics(self._settings, {Right.WRITE: [self._topic]}, self._stop)
        except SettingsError as problem:
            raise SettingsError(
                problem.cause, f"{problem.remedy}; or do without a ledger: LEDGER_TOPIC=none"
            ) from problem

    async def _publish_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ledger_interval)
            if tuple(self._ledger.lanes.values()) != self._told:
                await self._publish(closed=False)

    async def _publish(self, *, closed: bool) -> None:
        """Send what the ledger says now, and wait for its fate."""
        interval_ms = int(self._settings.ledger_interval * 1000)
        edition = self._ledger.edition(time.time_ns() // 1_000_000, interval_ms, closed=closed)
        fate = await self._delivery.send(
            Record(self._topic.name, edition.run.encode(), edition.encode(), partition=0)
        )
        if fate.outcome is Outcome.ACKED:
            self._told = edition.lanes
        else:
            log.warning("ledger_not_published", topic=self._topic.name, closed=closed, reason=fate.error)
