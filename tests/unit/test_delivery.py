import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.delivery import partition_of
from tandem.headers import event_id


@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_keys_go_where_javas_client_puts_them(key: bytes, murmur2: int) -> None:
    """The hashes are those of Kafka's own UtilsTest.testMurmur2."""
    assert partition_of(key, 12) == (murmur2 & 0x7FFFFFFF) % 12


@given(st.binary(), st.integers(1, 1000))
def test_a_key_always_has_a_partition(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_an_id_names_run_partition_and_sequence() -> None:
    assert event_id("8a7ec0f0a724", 2, 17) == b"8a7ec0f0a724/2/17"
