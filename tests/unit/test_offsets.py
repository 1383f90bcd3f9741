from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.consumer.offsets import CommitPolicy, Mark, Offsets
from tandem.account import Checkpoint, Resolution, read


def place(offsets: Offsets) -> tuple[int, int] | None:
    """Where to commit now, and how many records are resolved before it."""
    mark = offsets.committable()
    return None if mark is None else (mark.offset, mark.checkpoints[-1].resolved)


def test_nothing_may_be_committed_before_the_first_record_is_resolved() -> None:
    offsets = Offsets()
    offsets.fetch([7, 8])
    offsets.resolve(8)
    assert offsets.committable() is None


def test_only_the_unbroken_run_from_the_front_may_be_committed() -> None:
    offsets = Offsets()
    offsets.fetch([0, 1, 2, 3])
    for offset in (0, 1, 3):
        offsets.resolve(offset)
    assert place(offsets) == (2, 2)


def test_a_gap_in_the_log_is_not_a_gap_in_the_run() -> None:
    """Compaction and transaction markers leave offsets out."""
    offsets = Offsets()
    offsets.fetch([3, 9, 40])
    for offset in (3, 9, 40):
        offsets.resolve(offset)
    assert place(offsets) == (41, 3)


def test_what_is_committed_is_not_committed_again() -> None:
    offsets = Offsets()
    offsets.fetch([0])
    offsets.resolve(0)
    mark = offsets.committable()
    assert mark is not None
    offsets.commit(mark)
    assert offsets.committable() is None


def test_what_is_resolved_while_a_commit_is_under_way_waits_for_the_next_one() -> None:
    offsets = Offsets()
    offsets.fetch([0, 1])
    offsets.resolve(0)
    mark = offsets.committable()
    assert mark is not None
    offsets.resolve(1)
    offsets.commit(mark)
    assert offsets.uncommitted == 1
    assert place(offsets) == (2, 2)


class OffsetsModel(RuleBasedStateMachine):
    """Whatever the order of resolving: every record before the committable offset is resolved, the next one is not."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Offsets()
        self.fetched: list[int] = []
        self.resolved: set[int] = set()
        self.under_way: Mark | None = None
        self.committed: Mark | None = None

    @rule(steps=st.lists(st.integers(1, 3), min_size=1, max_size=5))
    def fetch(self, steps: list[int]) -> None:
        new = []
        for step in steps:
            new.append((self.fetched[-1] if self.fetched else -1) + step)
            self.fetched.append(new[-1])
        self.offsets.fetch(new)

    @precondition(lambda self: set(self.fetched) - self.resolved)
    @rule(data=st.data())
    def resolve(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(set(self.fetched) - self.resolved)))
        self.resolved.add(offset)
        self.offsets.resolve(offset)

    @precondition(lambda self: self.under_way is None)
    @rule()
    def begin_a_commit(self) -> None:
        self.under_way = self.offsets.committable()
        if self.under_way is not None and self.committed is not None:
            assert self.under_way.offset > self.committed.offset, "never backwards"

    @precondition(lambda self: self.under_way is not None)
    @rule()
    def end_a_commit(self) -> None:
        assert self.under_way is not None
        self.offsets.commit(self.under_way)
        self.committed, self.under_way = self.under_way, None

    @invariant()
    def the_run_is_unbroken(self) -> None:
        run = []
        for offset in self.fetched:
            if offset not in self.resolved:
                break
            run.append(offset)
        assert self.offsets.in_hand == len(self.fetched) - len(run)
        assert self.offsets.open == len(self.fetched) - len(self.resolved)
        committed = 0 if self.committed is None else self.committed.checkpoints[-1].resolved
        assert self.offsets.uncommitted == len(run) - committed
        assert place(self.offsets) == ((run[-1] + 1, len(run)) if self.offsets.uncommitted else None)


TestOffsetsModel = OffsetsModel.TestCase


def test_a_commit_is_due_after_enough_records_or_enough_time() -> None:
    policy = CommitPolicy(records=100, seconds=5)
    assert policy.due(100, since=0, now=0)
    assert policy.due(1, since=0, now=5)
    assert not policy.due(99, since=0, now=4.9)
    assert not policy.due(0, since=0, now=1000), "there is nothing to commit"


def test_an_account_goes_on_where_the_last_commit_left_it() -> None:
    first, second = Offsets(), Offsets()
    first.fetch([0, 1])
    first.resolve(0, identity=7)
    first.resolve(1, 8, Resolution.DEAD_LETTERED)
    mark = first.committable()
    assert mark is not None
    second.fetch([2])
    second.begin(read(mark.metadata, mark.offset))
    assert second.uncommitted == 0
    second.resolve(2, 9, Resolution.DEFERRED)
    again = second.committable()
    assert again is not None
    assert again.checkpoints[-1] == Checkpoint(3, resolved=3, dead=1, deferred=1, digest=24)
    assert again.checkpoints[0] == Checkpoint(0)


def test_what_the_log_has_lost_is_in_the_account() -> None:
    offsets = Offsets()
    offsets.fetch([100])
    offsets.begin([Checkpoint(40, resolved=40)], expired=60)
    offsets.resolve(100)
    mark = offsets.committable()
    assert mark is not None
    assert mark.checkpoints[-1] == Checkpoint(101, resolved=41, expired=60)
