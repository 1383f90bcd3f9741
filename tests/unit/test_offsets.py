from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.consumer.offsets import CommitPolicy, Mark, Offsets


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
    assert offsets.committable() == Mark(2, resolved=2)


def test_a_gap_in_the_log_is_not_a_gap_in_the_run() -> None:
    """Compaction and transaction markers leave offsets out."""
    offsets = Offsets()
    offsets.fetch([3, 9, 40])
    for offset in (3, 9, 40):
        offsets.resolve(offset)
    assert offsets.committable() == Mark(41, resolved=3)


def test_what_is_committed_is_not_committed_again() -> None:
    offsets = Offsets()
    offsets.fetch([0])
    offsets.resolve(0)
    offsets.commit(Mark(1, resolved=1))
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
    assert offsets.committable() == Mark(2, resolved=2)


class OffsetsModel(RuleBasedStateMachine):
    """Whatever the order of resolving: every record before the committable offset is resolved, the next one is not."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Offsets()
        self.fetched: list[int] = []
        self.resolved: set[int] = set()
        self.under_way: Mark | None = None
        self.committed = Mark(-1, 0)

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
        assert self.under_way is None or self.under_way.offset > self.committed.offset, "never backwards"

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
        expected = run[-1] + 1 if run else next(iter(self.fetched), None)
        assert self.offsets.next == expected
        assert self.offsets.in_hand == len(self.fetched) - len(run)
        assert self.offsets.uncommitted == len(run) - self.committed.resolved
        mark = self.offsets.committable()
        assert mark == (
            Mark(expected, len(run)) if expected is not None and self.offsets.uncommitted else None
        )


TestOffsetsModel = OffsetsModel.TestCase


def test_a_commit_is_due_after_enough_records_or_enough_time() -> None:
    policy = CommitPolicy(records=100, seconds=5)
    assert policy.due(100, since=0, now=0)
    assert policy.due(1, since=0, now=5)
    assert not policy.due(99, since=0, now=4.9)
    assert not policy.due(0, since=0, now=1000), "there is nothing to commit"
