"""What becomes of a record that failed: again in place, then by way of the retry topics, or to the dead letters."""

import asyncio
from random import Random

import structlog

from services.consumer.backlog import Message
from services.consumer.dead_letters import DeadLetters
from services.consumer.handling import FailedError
from services.consumer.origin import Origin
from services.consumer.partition import Again
from services.consumer.retry import Failures, RetryPolicy
from services.consumer.retry_topics import RetryTopics
from services.consumer.set_aside import Failure, error_text
from tandem.account import Resolution
from tandem.errors import SchemaNotFoundError

log = structlog.get_logger()


class Recovery:
    """Applies the retry policy. What it writes is acknowledged before the record counts as resolved."""

    def __init__(self, policy: RetryPolicy, retry_topics: RetryTopics, dead_letters: DeadLetters) -> None:
        self._policy = policy
        self._retry_topics = retry_topics
        self._dead_letters = dead_letters
        self._random = Random()
        self._clock = asyncio.get_running_loop().time

    async def recover(
        self, record: Message, origin: Origin, level: int, failed: FailedError, before: Failures | None
    ) -> Resolution | Again:
        """Decide on a record that failed on this level: 0 is its own topic, n the n-th retry topic."""
        now = self._clock()
        failures = (before or Failures.before(origin, now)).more()
        failure = Failure(failed.stage, failed.reason, failures.attempts, failures.first_ms)
        if isinstance(failed.reason, SchemaNotFoundError):
            heals, delay = False, self._policy.schema_delay(failures, now, self._random)
        else:
            heals = failed.stage == "handle" and self._policy.may_heal(failed.reason)
            # In a retry topic a record is tried once: others wait behind it there.
            delay = self._policy.delay(failures, now, self._random) if heals and level == 0 else None
        if delay is not None:
            _tell(record, failure, delay)
            return Again(now + delay, failures)
        if heals and level < len(self._policy.delays):
            return await self._defer(record, origin, failure, level + 1)
        await self._dead_letters.put(record, origin, failure)
        return Resolution.DEAD_LETTERED

    async def follow(self, record: Message, origin: Origin, level: int) -> Resolution:
        """Let a record wait on a level, behind an earlier one of its key."""
        reason = KeyWaitsError("an earlier record of its key waits there")
        first_ms = Failures.before(origin, self._clock()).first_ms
        failure = Failure("order", reason, origin.attempts, first_ms)
        return await self._defer(record, origin, failure, level)

    async def _defer(self, record: Message, origin: Origin, failure: Failure, level: int) -> Resolution:
        await self._retry_topics.put(record, origin, failure, level)
        return Resolution.DEFERRED


class KeyWaitsError(Exception):
    """Never raised: the reason in the headers of a record that keeps the order of its key."""


def _tell(record: Message, failure: Failure, delay: float) -> None:
    log.info(
        "retry_scheduled",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        attempts=failure.attempts,
        reason=error_text(failure.error),
        retry_in=f"{delay:.3f}s",
    )
