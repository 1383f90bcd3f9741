"""The producer's ledger, as others read it: any bytes are an edition that makes sense, or a ValueError."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.ledger import Edition, LaneLedger, Ledger, Span
from tandem.records import Outcome, Record, Settled

RUN = "0123456789ab"


def settled(outcome: Outcome, first: int, count: int, offset: int | None = None) -> Settled:
    return Settled(outcome, "orders", 0, (Record("orders", None, None),) * count, first, offset)


def lane(*batches: Settled) -> LaneLedger:
    ledger = Ledger(RUN, "orders")
    for batch in batches:
        ledger.settle(batch)
    return ledger.lanes["orders", 0]


BATCHES = st.lists(
    st.tuples(st.sampled_from(Outcome), st.integers(1, 9), st.none() | st.integers(0, 10**9)), max_size=30
)


@given(BATCHES, st.booleans())
def test_what_is_published_can_be_read(batches: list[tuple[Outcome, int, int | None]], closed: bool) -> None:  # noqa: FBT001 -- hypothesis gives it
    ledger, first = Ledger(RUN, "orders"), 0
    for outcome, count, offset in batches:
        ledger.settle(settled(outcome, first, count, offset))
        first += count
    edition = ledger.edition(1_767_225_600_000, 5000, closed=closed)
    assert Edition.decode(edition.encode()) == edition
    assert sum(each.settled for each in edition.lanes) == first


@given(st.binary() | st.text().map(str.encode))
def test_any_other_bytes_are_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- any of them
        Edition.decode(value)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"settled": -1},
        {"settled": 2**63},
        {"partition": -1},
        {"failed": [[5, 4]]},
        {"failed": [[8, 10]]},
        {"failed": [[1, 3]], "unknown": [[3, 4]]},
        {"unknown": [[-3, -1]]},
        {"unknown": [[0, 1], [1, 2]]},
    ],
)
def test_what_contradicts_itself_is_no_ledger(spoilt: dict[str, object]) -> None:
    good = {"topic": "orders", "partition": 0, "settled": 10, "failed": [[1, 2]], "unknown": [[4, 4]]}
    edition = {"run": RUN, "stream": "orders", "atMs": 1, "intervalMs": 1, "closed": True}
    assert Edition.decode(msgspec.json.encode(edition | {"lanes": [good]})).lanes[0].failed == (Span(1, 2),)
    with pytest.raises(ValueError, match="contradict"):
        Edition.decode(msgspec.json.encode(edition | {"lanes": [good | spoilt]}))


def test_deep_nesting_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="recursion"):
        Edition.decode(b'{"more":' + b"[" * 100_000)


def test_it_tells_the_places_of_the_first_and_of_the_last_acknowledged_record() -> None:
    told = lane(settled(Outcome.ACKED, 0, 3, 100), settled(Outcome.ACKED, 3, 2, 110))
    assert (told.first_offset, told.last_offset) == (100, 111)
    later = lane(settled(Outcome.UNKNOWN, 0, 3), settled(Outcome.ACKED, 3, 2, 110))
    assert (later.first_offset, later.last_offset) == (None, 111)
    silent = lane(settled(Outcome.ACKED, 0, 3, 100), settled(Outcome.ACKED, 3, 2))
    assert (silent.first_offset, silent.last_offset) == (100, 102)
