from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.durations import Duration
from tandem.paces import Burst, Bursting, Pace, Ramp, Rate

RATES = st.floats(0.01, 1e5)
TIMES = st.floats(0.001, 1e5)


def durations(low: float, high: float) -> st.SearchStrategy[Duration]:
    return st.floats(low, high).map(Duration)


STEADY = st.builds(Rate, RATES)
RAMPS = st.builds(Ramp, RATES, RATES, durations(0.01, 1e4))
BURSTS = st.builds(Burst, st.floats(1, 100), durations(0.01, 10), durations(10.01, 1000))
PACES: st.SearchStrategy[Pace] = st.one_of(STEADY, RAMPS, st.builds(Bursting, STEADY, BURSTS))


@pytest.mark.parametrize("text", ["100/s", "0.5/s", "1000000/s"])
def test_a_rate_reads_back_what_it_writes(text: str) -> None:
    assert str(Rate.parse(text)) == text


def test_a_rate_needs_no_unit() -> None:
    assert Rate.parse("100") == Rate.parse(" 100/S ") == Rate(100.0)


@pytest.mark.parametrize("text", ["", "fast", "-1", "100/m", "1e3", "nan", "inf", "٣"])
def test_anything_else_is_refused_as_a_rate_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="takes messages a second, for example 100 or 100/s"):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["0", "0.00001", "1000001/s"])
def test_a_rate_has_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=r"takes from 0.0001 to 1e\+06 messages a second"):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["1-100/60s", "100-0.5/500ms"])
def test_a_ramp_reads_back_what_it_writes(text: str) -> None:
    assert str(Ramp.parse(text)) == text


@pytest.mark.parametrize("text", ["", "1-100", "100/60s", "1-100/60", "0-100/60s", "1--2/60s", "1-100/0s"])
def test_anything_else_is_refused_as_a_ramp_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"takes .*for example 1-100/60s: from 1 to 100"):
        Ramp.parse(text)


@pytest.mark.parametrize("text", ["20x5s/60s", "1.5x500ms/3600s"])
def test_a_burst_reads_back_what_it_writes(text: str) -> None:
    assert str(Burst.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "20", "20x5s", "5s/60s", "0x5s/60s", "0.5x5s/60s", "20x60s/60s", "2x5/60s"]
)
def test_anything_else_is_refused_as_a_burst_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"takes .*for example 20x5s/60s: 20 times the pace"):
        Burst.parse(text)


def test_a_ramp_climbs_evenly_and_then_stays() -> None:
    ramp = Ramp.parse("1-100/60s")
    assert ramp.count(0) == 0
    assert ramp.count(30) == pytest.approx((1 + 50.5) / 2 * 30)
    assert ramp.count(60) == pytest.approx(50.5 * 60)
    assert ramp.count(70) == pytest.approx(50.5 * 60 + 1000)


def test_a_burst_multiplies_the_pace_at_the_start_of_every_period() -> None:
    pace = Bursting(Rate(2.0), Burst.parse("20x5s/60s"))
    assert pace.count(5) == 200
    assert pace.count(60) == 200 + 55 * 2
    assert pace.count(65) - pace.count(60) == 200


@given(PACES, TIMES)
def test_when_is_the_inverse_of_count(pace: Pace, elapsed: float) -> None:
    assert pace.when(pace.count(elapsed)) == pytest.approx(elapsed, rel=1e-6)


@given(PACES, TIMES, TIMES)
def test_what_is_due_never_goes_back(pace: Pace, one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    assert pace.count(earlier) <= pace.count(later)


@given(RAMPS, TIMES)
def test_the_count_of_a_ramp_is_the_integral_of_its_rate(ramp: Ramp, elapsed: float) -> None:
    def rate(at: float) -> float:
        return ramp.first + (ramp.last - ramp.first) * min(1.0, at / ramp.within)

    bends = [0.0, min(elapsed, ramp.within), elapsed]
    area = sum((rate(a) + rate(b)) / 2 * (b - a) for a, b in pairwise(bends))
    assert ramp.count(elapsed) == pytest.approx(area)


@given(STEADY, BURSTS, st.integers(0, 1000))
def test_the_count_over_whole_periods_is_the_integral_of_the_pace(
    rate: Rate, burst: Burst, periods: int
) -> None:
    a_period = rate.per_second * (burst.period + (burst.times - 1) * burst.length)
    # Just before or after a border the burst of the next period makes the difference.
    slack = rate.per_second * burst.times * burst.period * periods * 1e-9
    assert Bursting(rate, burst).count(burst.period * periods) == pytest.approx(a_period * periods, abs=slack)
