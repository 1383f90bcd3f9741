"""The consumer's account: what is written can be read, whatever else stands there is none, and old parts stay checkable."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.account import Account, Checkpoint, Resolution, extend, identity, parse, read, write

NUMBERS = st.integers(0, 2**62)
STEPS = st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 2**64 - 1)), min_size=1, max_size=400)


def grown(steps: list[tuple[int, int]]) -> tuple[Checkpoint, ...]:
    """The checkpoints of a group that has committed after each of these steps."""
    known: tuple[Checkpoint, ...] = (Checkpoint(0),)
    for step, digest in steps:
        last = known[-1]
        known = extend(known, Checkpoint(last.offset + step, last.resolved + step, digest=digest))
    return known


@given(STEPS)
def test_what_is_written_can_be_read(steps: list[tuple[int, int]]) -> None:
    known = grown(steps)
    assert read(write(known), known[-1].offset) == known
    assert parse(write(known)) == known


@given(STEPS)
def test_it_fits_into_the_metadata_that_a_broker_takes(steps: list[tuple[int, int]]) -> None:
    known = grown(steps)
    largest = [Checkpoint(*(2**64 - 1 for _ in each)) for each in known]
    assert len(write(largest)) < 4096


@given(STEPS)
def test_the_beginning_and_the_end_stay(steps: list[tuple[int, int]]) -> None:
    known = grown(steps)
    assert known[0] == Checkpoint(0)
    assert known[-1].offset == sum(step for step, _ in steps)
    assert all(before.offset < after.offset for before, after in pairwise(known))


@given(st.lists(st.integers(1, 100), min_size=300, max_size=3000))
@settings(max_examples=30)
def test_wherever_the_log_begins_a_checkpoint_follows_soon(steps: list[int]) -> None:
    """Of what retention has left, most can be checked: not only what was committed last."""
    known = grown([(step, 0) for step in steps])
    end = known[-1].offset
    for before, after in pairwise(known):
        start = before.offset + 1
        assert after.offset - start <= 0.85 * (end - start) + 200


@given(st.text() | st.text("tandem/1 0123456789abcdef:-+_ x\n"), NUMBERS)
def test_whatever_stands_in_the_metadata_nothing_is_raised(text: str, offset: int) -> None:
    for metadata in (text, f"tandem/1 {text}"):
        found = read(metadata, offset)
        assert not found or (found[-1].offset == offset and write(found).split(" ")[0] == "tandem/1")


def test_what_is_not_ours_is_none() -> None:
    known = write((Checkpoint(5, 5), Checkpoint(9, 9)))
    assert read(known, 9)
    assert not read(known, 8), "of another offset"
    for spoilt in (
        None,
        "",
        "tandem/1",
        "tandem/1 ",
        known.replace("tandem/1", "tandem/2"),
        known + " ",
        known.upper(),
        known.replace("5:5", "-5:5"),
        known.replace("5:5", "5_0:5"),
        known + ":0",
        write((Checkpoint(9, 9), Checkpoint(5, 5))),
        write((Checkpoint(5, 9), Checkpoint(9, 5))),
    ):
        assert not read(spoilt, 9), spoilt


def test_an_account_goes_on_from_a_checkpoint() -> None:
    account = Account(Checkpoint(10, 4, 1, 1, 3, 2**64 - 1))
    account.add(10, 7, Resolution.HANDLED)
    account.add(12, 1, Resolution.DEAD_LETTERED)
    account.add(13, 1, Resolution.DEFERRED)
    account.add(14, 1, Resolution.NOT_OURS)
    assert account.checkpoint() == Checkpoint(15, 8, 2, 2, 3, 9)


def test_a_record_without_an_id_is_known_by_its_place() -> None:
    assert (
        identity(None, "orders", 1, 2) == identity(b"", "orders", 1, 2) == identity(b"orders/1/2", "x", 0, 0)
    )
    assert identity(b"a", "orders", 1, 2) == identity(b"a", "other", 3, 4)
