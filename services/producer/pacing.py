"""When the next event is due. Pure: time comes in as an argument."""

from random import Random

from tandem.durations import Interval

_CATCH_UP_SECONDS = 1.0


class IntervalTimer:
    """Events at an interval, on a grid that doesn't drift: lateness of one event does not move the next.

    The first event is due at `start`. After a stall the events of the last second are caught up; those missed before
    are missed, because a live stream has no use for a burst of old ones.
    """

    def __init__(self, interval: Interval, random: Random, start: float) -> None:
        self.next_due = start
        self._interval = interval
        self._mean = (interval.low + interval.high) / 2
        self._random = random

    def due(self, now: float, most: int) -> tuple[int, int]:
        """How many events are due at `now`, at most `most`, and how many were missed; both count as done with."""
        missed = max(0, int((now - _CATCH_UP_SECONDS - self.next_due) / self._mean))
        self.next_due += missed * self._mean
        count = 0
        while self.next_due <= now and count < most:
            self.next_due += self._interval.draw(self._random)
            count += 1
        return count, missed
