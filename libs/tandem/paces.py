"""Paces as people write them: a rate (`100/s`), a ramp (`1-100/60s`), and bursts on top of a pace (`20x5s/60s`).

Pure. A pace says how many events are due some time after the start, as a fraction of one where the next is on its way,
and the inverse: after what time so many are due. Both in closed form, so nothing adds up over a long run.
"""

import re
from dataclasses import dataclass
from math import sqrt
from typing import Protocol, Self

from tandem.durations import Duration

_NUMBER = r"([0-9]{1,7}(?:\.[0-9]{1,9})?)"
_RATE = re.compile(rf"{_NUMBER}(?:/s)?")
_RAMP = re.compile(rf"{_NUMBER}-{_NUMBER}/([^/]+)")
_BURST = re.compile(rf"{_NUMBER}x([^/]+)/([^/]+)")

_SLOWEST, _FASTEST = 1e-4, 1e6  # messages a second


class Pace(Protocol):
    """When events are due. Both functions grow, and undo each other."""

    def count(self, elapsed: float) -> float:
        """How many events are due within `elapsed` seconds."""

    def when(self, count: float) -> float:
        """After how many seconds `count` events are due."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Always the same number of messages a second."""

    per_second: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `100` or `100/s`. Raises ValueError for anything else, and for what is out of bounds."""
        match = _RATE.fullmatch(text.strip().lower())
        if match is None:
            raise ValueError("takes messages a second, for example 100 or 100/s")
        return cls(_per_second(match[1]))

    def count(self, elapsed: float) -> float:
        return elapsed * self.per_second

    def when(self, count: float) -> float:
        return count / self.per_second

    def __str__(self) -> str:
        return f"{self.per_second:.12g}/s"


@dataclass(frozen=True, slots=True)
class Ramp:
    """From one rate to another, evenly, within a time; then the second one for good."""

    first: float
    last: float
    within: Duration

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1-100/60s`. Raises ValueError for anything else, and for what is out of bounds."""
        match = _RAMP.fullmatch(text.strip().lower())
        example = "for example 1-100/60s: from 1 to 100 messages a second within 60 s"
        if match is None:
            raise ValueError(f"takes two rates and a time, {example}")
        try:
            return cls(_per_second(match[1]), _per_second(match[2]), Duration.parse(match[3]))
        except ValueError as error:
            raise ValueError(f"{error}; {example}") from None

    def count(self, elapsed: float) -> float:
        if elapsed >= self.within:
            return self._climb + (elapsed - self.within) * self.last
        return elapsed * (self.first + self._slope * elapsed / 2)

    def when(self, count: float) -> float:
        if count >= self._climb:
            return self.within + (count - self._climb) / self.last
        # The root of count(): in this form it holds for a slope of zero, too.
        return 2 * count / (self.first + sqrt(self.first**2 + 2 * self._slope * count))

    @property
    def _slope(self) -> float:
        return (self.last - self.first) / self.within

    @property
    def _climb(self) -> float:
        """How many events are due while the rate changes."""
        return (self.first + self.last) / 2 * self.within

    def __str__(self) -> str:
        return f"{self.first:.12g}-{self.last:.12g}/{self.within}"


@dataclass(frozen=True, slots=True)
class Burst:
    """Bursts: `times` the pace for `length` at the start of every `period`."""

    times: float
    length: Duration
    period: Duration

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `20x5s/60s`. Raises ValueError for anything else, and for a burst that has no end."""
        match = _BURST.fullmatch(text.strip().lower())
        example = "for example 20x5s/60s: 20 times the pace for 5 s in every 60 s"
        if match is None:
            raise ValueError(f"takes a factor, a length and a period, {example}")
        try:
            burst = cls(float(match[1]), Duration.parse(match[2]), Duration.parse(match[3]))
        except ValueError as error:
            raise ValueError(f"{error}; {example}") from None
        if burst.times < 1 or burst.length >= burst.period:
            raise ValueError(f"takes a factor of at least 1, and a length below the period, {example}")
        return burst

    def stretch(self, elapsed: float) -> float:
        """How much time at the plain pace `elapsed` seconds amount to."""
        periods, rest = divmod(elapsed, self.period)
        return periods * self._amount + rest + (self.times - 1) * min(rest, self.length)

    def shrink(self, amount: float) -> float:
        """The inverse of `stretch`."""
        periods, rest = divmod(amount, self._amount)
        return periods * self.period + max(rest / self.times, rest - (self.times - 1) * self.length)

    @property
    def _amount(self) -> float:
        """What one period amounts to."""
        return self.period + (self.times - 1) * self.length

    def __str__(self) -> str:
        return f"{self.times:.12g}x{self.length}/{self.period}"


@dataclass(frozen=True, slots=True)
class Bursting:
    """A pace with bursts on top."""

    pace: Pace
    burst: Burst

    def count(self, elapsed: float) -> float:
        return self.pace.count(self.burst.stretch(elapsed))

    def when(self, count: float) -> float:
        return self.burst.shrink(self.pace.when(count))


def _per_second(text: str) -> float:
    rate = float(text)
    if not _SLOWEST <= rate <= _FASTEST:
        raise ValueError(f"takes from {_SLOWEST:g} to {_FASTEST:g} messages a second")
    return rate
