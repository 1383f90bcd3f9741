from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.pacing import Timer
from services.producer.pacing import timer as timer_of
from tandem.durations import Interval
from tandem.paces import Burst, Bursting, Pace, Ramp, Rate

PLENTY = 10_000_000
PACES: list[Pace] = [
    Rate(300_000.0),
    Rate(1.0),
    Ramp.parse("1-1000/60s"),
    Ramp.parse("1000-1/20s"),
    Bursting(Rate(10.0), Burst.parse("20x5s/60s")),
]


def timer(interval: str, start: float = 0.0, burst: Burst | None = None) -> Timer:
    return timer_of(Interval.parse(interval), None, burst, Random(1), start)


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


@pytest.mark.parametrize("pace", PACES, ids=str)
@given(waits=st.lists(st.floats(0.001, 0.9), max_size=100))
def test_however_it_is_asked_it_makes_what_its_pace_says(pace: Pace, waits: list[float]) -> None:
    """The count over a time is the integral of the rate, give or take the one event on its way."""
    clock, now, made = Timer(pace, start=1000.0), 1000.0, 0
    for wait in waits:
        now += wait
        count, missed = clock.due(now, PLENTY)
        made += count
        assert missed == 0
    if waits:
        assert abs(made - pace.count(now - 1000.0)) <= 1.01


@pytest.mark.parametrize("pace", PACES, ids=str)
def test_an_event_is_due_when_it_says_so(pace: Pace) -> None:
    clock = Timer(pace, start=1e6)
    for _ in range(5000):
        assert clock.due(clock.next_due, PLENTY)[0] >= 1


def test_at_a_random_interval_bursts_multiply_what_is_due() -> None:
    plain, bursts = timer("20ms-40ms"), timer("20ms-40ms", burst=Burst.parse("10x1s/10s"))
    counts = [sum(each.due(step / 10, 1000)[0] for step in range(101)) for each in (plain, bursts)]
    assert counts[1] / counts[0] == pytest.approx(1.9, rel=0.05)


def test_what_a_stall_missed_of_a_burst_is_counted_as_well() -> None:
    clock = Timer(Bursting(Rate(10.0), Burst.parse("20x5s/60s")), start=0.0)
    made, missed = clock.due(60.0, PLENTY)
    assert (made, missed) == (11, 1000 + 540)


def test_a_pace_takes_the_place_of_the_interval() -> None:
    clock = timer_of(Interval.parse("2s-4s"), Rate(100.0), None, Random(1), start=0.0)
    assert clock.due(0.995, PLENTY) == (100, 0)
