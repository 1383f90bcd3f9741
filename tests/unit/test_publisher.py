import pytest

from tandem.publisher import closing_seconds


@pytest.mark.parametrize(("drain", "kept"), [(25, 2.5), (10, 1), (3, 1), (2, 1), (1, 0.5), (0.1, 0.05)])
def test_the_last_edition_gets_a_small_part_of_the_drain(drain: float, kept: float) -> None:
    assert closing_seconds(drain) == pytest.approx(kept)
