"""Which error, which delay, how often. Pure: time and chance come in as arguments."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Self

from services.consumer.handler import RejectedError
from services.consumer.origin import Origin, Place
from tandem.durations import Duration
from tandem.settings import ConsumerSettings

RETRY = "-retry-"  # between the name of a topic and the delay


class Failures(NamedTuple):
    """What is known of a record that was tried and is to be tried again.

    `attempts` counts the tries, those of an earlier consumer too; `here` those of this stay in hand, which began to fail at
    `since`, on the clock of the loop. `first_ms` is the time of the first failure in epoch milliseconds.
    """

    attempts: int
    here: int
    since: float
    first_ms: int

    @classmethod
    def before(cls, origin: Origin, now: float) -> Self:
        """None so far, but for those that the record's headers tell of."""
        return cls(origin.attempts, 0, now, origin.first_ms or time.time_ns() // 1_000_000)

    def more(self) -> Self:
        return self._replace(attempts=self.attempts + 1, here=self.here + 1)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again: in place while that is soon, then by way of retry topics, one for each of `delays`.

    In place: `attempts` tries in all, with exponential back-off from `backoff` to `longest` seconds and full jitter, none beyond
    `deadline` seconds after the first failure. For a schema that the registry does not know: without a number, for
    `schema_patience` seconds. `hopeless` are the names of exceptions, or of their bases, that no try heals.
    """

    attempts: int
    backoff: float
    longest: float
    deadline: float
    hopeless: frozenset[str]
    delays: tuple[Duration, ...] = ()
    schema_patience: float = 0.0

    @classmethod
    def of(cls, settings: ConsumerSettings) -> Self:
        return cls(
            settings.retry_attempts,
            settings.retry_backoff,
            settings.retry_max_backoff,
            settings.retry_deadline,
            frozenset({RejectedError.__name__, *settings.retry_never}),
            tuple(settings.retry_delays),
            settings.unknown_schema_timeout,
        )

    def may_heal(self, error: Exception) -> bool:
        """Whether trying again may help against an error."""
        return self.hopeless.isdisjoint(kind.__name__ for kind in type(error).__mro__)

    def delay(self, failures: Failures, now: float, random: Random) -> float | None:
        """Seconds until the next try in place; None when there is none left.

        Full jitter: evenly between nothing and the back-off, so that what failed together does not come back together.
        """
        if failures.here >= self.attempts:
            return None
        return self._backoff(failures, now, self.deadline, random)

    def schema_delay(self, failures: Failures, now: float, random: Random) -> float | None:
        """Seconds until the registry is asked again for a schema that it does not know; None when it has been for too long."""
        return self._backoff(failures, now, self.schema_patience, random)

    def _backoff(self, failures: Failures, now: float, deadline: float, random: Random) -> float | None:
        backoff = min(self.longest, self.backoff * 2.0 ** min(failures.here - 1, 1000))
        delay = random.uniform(0, backoff)
        return delay if now + delay - failures.since <= deadline else None


def retry_topic(topic: str, delay: Duration) -> str:
    """The topic in which records wait for so long before they are tried again."""
    return f"{topic}{RETRY}{delay}"


def places(topics: Sequence[str], delays: Sequence[Duration]) -> dict[str, Place]:
    """The place of each topic that a consumer reads: its own, and their retry topics."""
    return {topic: Place(topic, 0, 0.0) for topic in topics} | {
        retry_topic(topic, delay): Place(topic, level, float(delay))
        for topic in topics
        for level, delay in enumerate(delays, 1)
    }
