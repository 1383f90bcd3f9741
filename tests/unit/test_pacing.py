from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.producer.pacing import IntervalTimer
from tandem.durations import Interval


def timer(interval: str, start: float = 0.0) -> IntervalTimer:
    return IntervalTimer(Interval.parse(interval), Random(1), start)


def test_the_first_event_is_due_at_once() -> None:
    assert timer("1s", start=100.0).due(100.0, most=10) == (1, 0)


def test_nothing_is_due_before_its_time() -> None:
    clock = timer("1s")
    clock.due(0.0, most=10)
    assert clock.due(0.999, most=10) == (0, 0)
    assert clock.due(1.0, most=10) == (1, 0)


@given(st.integers(0))
def test_lateness_does_not_add_up(seed: int) -> None:
    """Over 1,000 ticks of 10 ms, each served up to 9 ms late, the grid moves by less than one tick."""
    clock, random = timer("10ms"), Random(seed)
    for _ in range(1000):
        assert clock.due(clock.next_due + random.uniform(0, 0.009), most=10) == (1, 0)
    assert abs(clock.next_due - 1000 * 0.010) < 0.010


def test_a_short_stall_is_caught_up() -> None:
    clock = timer("100ms")
    assert clock.due(0.95, most=100) == (10, 0)


def test_what_a_long_stall_missed_is_counted_and_not_made_up_for() -> None:
    """After an hour of outage the last second is made up for, not 36,000 events at once, and the grid stays."""
    clock = timer("100ms")
    made, missed = clock.due(3600.0, most=1_000_000)
    assert made <= 12
    assert made + missed == 36_001
    assert abs(clock.next_due / 0.1 - round(clock.next_due / 0.1)) < 1e-6


def test_no_more_is_due_than_there_is_room_for() -> None:
    clock = timer("1ms")
    assert clock.due(0.4995, most=7) == (7, 0)
    assert clock.due(0.4995, most=1000) == (493, 0)


def test_a_random_interval_keeps_its_mean() -> None:
    clock = timer("20ms-40ms")
    assert sum(clock.due(step / 10, most=1000)[0] for step in range(601)) in range(1950, 2051)
