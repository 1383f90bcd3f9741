"""One record's way through the consumer: handled and its outputs emitted, or what `recovery` makes of its failure."""

import asyncio
import time
from collections.abc import Mapping

import structlog

from services.consumer.backlog import Message
from services.consumer.handler import Source
from services.consumer.handling import FailedError, Handling
from services.consumer.origin import Place, find_origin
from services.consumer.partition import Again
from services.consumer.recovery import Recovery
from services.consumer.retry import Failures
from services.consumer.waiting_keys import Family, WaitingKeys
from tandem.account import Resolution
from tandem.headers import FAULT, GROUP
from tandem.stats import ConsumerStats

log = structlog.get_logger()

Headers = Mapping[str, bytes]


class Resolver:
    """Resolves the records of a job's topics.

    When `resolve` returns a Resolution, the record is handled and what follows from it acknowledged, or it lies in a retry
    topic or in the dead-letter topic, acknowledged. `waiting` None: the order of a key ends where a record of it is deferred.
    """

    def __init__(
        self,
        places: Mapping[str, Place],
        group: str,
        handling: Handling,
        recovery: Recovery,
        stats: ConsumerStats,
        waiting: WaitingKeys | None,
    ) -> None:
        self._places = places
        self._group = group.encode()
        self._handling = handling
        self._recovery = recovery
        self._stats = stats
        self._waiting = waiting
        self._log = log.bind()  # else it would be bound anew for each line, also for one that is not shown

    async def resolve(self, record: Message, failures: Failures | None = None) -> Resolution | Again:
        """Resolve a record, or say when to try again. `failures`: what came with the last Again."""
        headers = dict(record.headers)
        place = self._places[record.topic]
        if (headers.get(GROUP) or self._group) != self._group:
            how: Resolution | Again = Resolution.NOT_OURS
        elif place.level and failures is None and (again := _not_due(record, headers, place)):
            return again
        else:
            how = await self._try(record, headers, place, failures)
            if (
                self._waiting is not None
                and place.level
                and record.key is not None
                and isinstance(how, Resolution)
            ):
                self._waiting.leave(Family(place.source, record.partition), record.key, place.level)
        self._count(headers, how)
        return how

    async def _try(
        self, record: Message, headers: Headers, place: Place, failures: Failures | None
    ) -> Resolution | Again:
        if self._waiting is not None and (level := self._behind(self._waiting, record, place)) is not None:
            return await self._recovery.follow(record, find_origin(record, headers, place), level)
        try:
            await self._handling.handle(record, _source(record, headers, place))
        except FailedError as failed:
            origin = find_origin(record, headers, place)
            return await self._recovery.recover(record, origin, place.level, failed, failures)
        self._log.debug(
            "handled", topic=record.topic, partition=record.partition, offset=record.offset, key=record.key
        )
        return Resolution.HANDLED

    def _count(self, headers: Headers, how: Resolution | Again) -> None:
        if isinstance(how, Again):
            self._stats.retried += 1
            return
        self._stats.count(how)
        if (label := headers.get(FAULT)) is not None:
            self._stats.score(label, how)

    def _behind(self, waiting: WaitingKeys, record: Message, place: Place) -> int | None:
        """The level on which an earlier record of the same key waits."""
        if record.key is None:
            return None
        return waiting.behind(Family(place.source, record.partition), record.key, place.level)


def _source(record: Message, headers: Headers, place: Place) -> Source:
    """What the handler is told: where the record was first."""
    if place.level:
        return find_origin(record, headers, place).source(record.key)
    return Source(record.topic, record.partition, record.offset, record.key, record.timestamp)


def _not_due(record: Message, headers: Headers, place: Place) -> Again | None:
    """For a record of a retry topic: until when it has to wait, at most for the topic's delay, whatever the clocks say."""
    remaining = min(place.wait, record.timestamp / 1000 + place.wait - time.time())
    if remaining <= 0:
        return None
    at = asyncio.get_running_loop().time() + remaining
    return Again(at, Failures.before(find_origin(record, headers, place), at))
