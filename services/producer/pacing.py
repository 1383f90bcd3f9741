"""When the next event is due. Pure: time comes in as an argument."""

from random import Random

from tandem.durations import Interval
from tandem.paces import Burst, Bursting, Pace, Rate

_CATCH_UP_SECONDS = 1.0
_ROUNDING = 1e-8  # seconds: what comes when it said it would is not too early by a rounding error


class Timer:
    """Events at a pace, on a grid that doesn't drift: lateness of one event does not move the next.

    The first event is due at `start`. After a stall the events of the last second are caught up; those missed before
    are missed, because a live stream has no use for a burst of old ones. With `jitter` the steps of the grid are drawn
    anew each time, with the pace as their mean.
    """

    def __init__(self, pace: Pace, start: float, jitter: "Jitter | None" = None) -> None:
        self._pace = pace
        self._start = start
        self._jitter = jitter
        self._next = 0.0  # where on the grid, in events

    @property
    def next_due(self) -> float:
        """When the next event is due."""
        return self._start + self._pace.when(self._next)

    def due(self, now: float, most: int) -> tuple[int, int]:
        """How many events are due at `now`, at most `most`, and how many were missed; both count as done with."""
        missed = max(0, int(self._reached(now - _CATCH_UP_SECONDS) - self._next))
        self._next += missed
        return self._take(self._reached(now + _ROUNDING), most), missed

    def _reached(self, now: float) -> float:
        return self._pace.count(max(0.0, now - self._start))

    def _take(self, reached: float, most: int) -> int:
        if self._jitter is None:
            count = min(most, int(reached - self._next) + 1) if reached >= self._next else 0
            self._next += count
            return count
        count = 0
        while self._next <= reached and count < most:
            self._next += self._jitter.step()
            count += 1
        return count


class Jitter:
    """Steps of a random length, drawn from an interval; in units of its mean."""

    def __init__(self, interval: Interval, random: Random) -> None:
        self._interval = interval
        self._random = random

    def step(self) -> float:
        return self._interval.draw(self._random) / self._interval.mean


def timer(interval: Interval, pace: Pace | None, burst: Burst | None, random: Random, start: float) -> Timer:
    """The timer that settings ask for: `pace` if there is one, else the interval; with bursts on top, if any."""
    jitter = Jitter(interval, random) if pace is None and interval.low < interval.high else None
    pace = pace or Rate(1 / interval.mean)
    return Timer(pace if burst is None else Bursting(pace, burst), start, jitter)
