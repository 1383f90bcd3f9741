from itertools import islice
from random import Random

import pytest

from tandem.durations import Duration, Interval, growing_delays


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("1s", 1), ("2.5s", 2.5), ("5m", 300), ("1h", 3600), (" 10S ", 10)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-1s", "1x", "1", "s", "1 s", "1s2s", "nan", "infs", "1e3s", "٣s"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="for example 500ms, 1s or 5m"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["0.001ms", "577h", "999999999h"])
def test_a_duration_has_bounds(text: str) -> None:
    with pytest.raises(ValueError, match=r"takes from 0.01ms to 576h"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["500ms", "1s", "10s", "2s-4s", "50ms-1.5s", "2073600s"])
def test_an_interval_reads_back_what_it_writes(text: str) -> None:
    assert str(Interval.parse(text)) == text


@pytest.mark.parametrize("text", ["4s-2s", "1s-", "-1s", "1s-2", "0s-1s", "1s-2s-3s"])
def test_an_interval_needs_two_durations_in_order(text: str) -> None:
    with pytest.raises(ValueError, match="takes"):
        Interval.parse(text)


def test_a_random_interval_stays_within_its_bounds() -> None:
    interval = Interval.parse("2s-4s")
    random = Random(1)
    drawn = [interval.draw(random) for _ in range(1000)]
    assert min(drawn) >= 2
    assert max(drawn) <= 4
    assert max(drawn) - min(drawn) > 1.9


def test_delays_double_up_to_the_longest() -> None:
    assert list(islice(growing_delays(0.5, 3.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]
