"""Durations and intervals as people write them (`500ms`, `1s`, `5m`, `2s-4s`), and the delays between tries."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Self

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")

_SHORTEST, _LONGEST = 1e-5, 576 * 3600.0  # Kafka's times are 32-bit milliseconds, just above 24 days

TAKES = "takes a number above zero with a unit (ms, s, m, h), for example 500ms, 1s or 5m"


class Duration(float):
    """A time in seconds, above zero."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a number followed by ms, s, m or h. Raises ValueError for anything else, and for zero."""
        match = _DURATION.fullmatch(text.strip().lower())
        seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
        if seconds == 0:
            raise ValueError(TAKES)
        if not _SHORTEST <= seconds <= _LONGEST:
            raise ValueError("takes from 0.01ms to 576h")
        return cls(seconds)

    def __str__(self) -> str:
        return f"{self * 1000:g}ms" if self < 1 else f"{float(self):.10g}s"


@dataclass(frozen=True, slots=True)
class Interval:
    """The time from one event to the next: fixed, or drawn anew between two bounds."""

    low: Duration
    high: Duration

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1s` or, for a random interval, `2s-4s`.

        Raises ValueError when a bound is no duration or the first is above the second.
        """
        first, dash, second = text.partition("-")
        try:
            low = Duration.parse(first)
            high = Duration.parse(second) if dash else low
        except ValueError as error:
            raise ValueError(f"{error}, or a range such as 2s-4s") from None
        if low > high:
            raise ValueError("takes a range from the shorter to the longer interval, for example 2s-4s")
        return cls(low, high)

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    def draw(self, random: Random) -> float:
        return self.low if self.low == self.high else random.uniform(self.low, self.high)

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def growing_delays(first: float, longest: float) -> Iterator[float]:
    """How long to wait before each next try, in seconds: twice as long each time, up to `longest`, without end."""
    while True:
        yield first
        first = min(first * 2, longest)
