"""Commits against a simple model: a log, a broker that keeps the last commit, and consumers that come and go."""

from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.consumer.offsets import Mark, Offsets
from tandem.account import Checkpoint, Resolution, read

_METADATA_LIMIT = 4096  # offset.metadata.max.bytes


class Resolved(NamedTuple):
    """A record as an account has counted it; `how` None: that many offsets were gone before they were read."""

    offset: int
    identity: int
    how: Resolution | None
    expired: int = 0


class Consumers(RuleBasedStateMachine):
    """One partition and one group. What is committed must be resolved, each record of it once, and never goes backwards."""

    @initialize(first=st.sampled_from([0, 5, 2**40]))
    def begin(self, first: int) -> None:
        self.log: list[tuple[int, int]] = []  # offsets and identities
        self.end = self.start = first  # of the log
        self.committed: int | None = None
        self.metadata = ""
        self.kept: list[Resolved] = []  # what the account of the last commit covers
        self.join()

    def join(self) -> None:
        """Somebody, here or elsewhere, goes on from the last commit."""
        self.offsets = Offsets()
        self.position = self.start if self.committed is None else max(self.committed, self.start)
        self.fetched: list[tuple[int, int]] = []
        self.resolved: dict[int, Resolution] = {}
        self.account: list[Resolved] = []
        self.under_way: tuple[Mark, list[Resolved]] | None = None

    @rule(records=st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 50]), st.integers(0, 2**64 - 1)), min_size=1, max_size=8))
    def write(self, records: list[tuple[int, int]]) -> None:
        for step, identity in records:
            self.log.append((self.end + step - 1, identity))
            self.end += step

    @rule(count=st.integers(1, 6))
    def fetch(self, count: int) -> None:
        new = [record for record in self.log if record[0] >= self.position][:count]
        if not new:
            return
        self.offsets.fetch(offset for offset, _ in new)
        if not self.fetched:
            self.go_on(new[0][0])
        self.fetched += new
        self.position = new[-1][0] + 1

    def go_on(self, first: int) -> None:
        """Take up the account that came with the last commit, as `committed.py` does."""
        if self.committed is None:
            self.offsets.begin(())
            return
        expired = max(0, min(first, self.start) - self.committed)
        found = read(self.metadata, self.committed)
        if not found:
            self.kept = []
        self.offsets.begin(found or (Checkpoint(self.committed),), expired)
        gone = [Resolved(self.committed, 0, None, expired)] if expired else []
        self.account = [*self.kept, *gone]

    @precondition(lambda self: len(self.resolved) < len(self.fetched))
    @rule(data=st.data(), how=st.sampled_from(Resolution))
    def resolve(self, data: st.DataObject, how: Resolution) -> None:
        open_ = [record for record in self.fetched if record[0] not in self.resolved]
        offset, identity = data.draw(st.sampled_from(open_))
        self.resolved[offset] = how
        self.offsets.resolve(offset, identity, how)

    @precondition(lambda self: self.under_way is None)
    @rule()
    def begin_a_commit(self) -> None:
        mark = self.offsets.committable()
        if mark is None:
            return
        covered = [*self.account, *self.prefix()]
        assert mark.offset > (self.committed if self.committed is not None else -1), "never backwards"
        assert all(offset in self.resolved for offset, _ in self.fetched if offset < mark.offset)
        assert len(mark.metadata) <= _METADATA_LIMIT
        assert read(mark.metadata, mark.offset) == mark.checkpoints
        for checkpoint in mark.checkpoints:
            assert checkpoint == self.sum_before(checkpoint.offset, covered)
        self.under_way = mark, covered

    @precondition(lambda self: self.under_way is not None)
    @rule(fate=st.sampled_from(["acknowledged", "answer lost", "lost"]))
    def end_a_commit(self, fate: str) -> None:
        assert self.under_way is not None
        (mark, covered), self.under_way = self.under_way, None
        if fate != "lost":
            self.committed, self.metadata, self.kept = mark.offset, mark.metadata, covered
        if fate == "acknowledged":
            self.offsets.commit(mark)

    @rule()
    def rebalance_or_crash(self) -> None:
        self.join()

    @precondition(lambda self: self.committed is not None)
    @rule(metadata=st.sampled_from(["", "another tool", "tandem/1 0:0:0:0:0:0", "tandem/1 zz", "x" * 4096]))
    def another_tool_commits(self, metadata: str) -> None:
        """The same place, without our account."""
        self.metadata = metadata
        self.join()

    @rule(count=st.integers(1, 10))
    def retention_removes(self, count: int) -> None:
        """The oldest records, also such that nobody has read; whoever has fetched them keeps them."""
        self.start = self.log[count][0] if count < len(self.log) else self.end
        self.log = [record for record in self.log if record[0] >= self.start]
        self.position = max(self.position, self.start)

    def prefix(self) -> list[Resolved]:
        """The records of this consumer up to the first that is not resolved."""
        run: list[Resolved] = []
        for offset, identity in self.fetched:
            if offset not in self.resolved:
                break
            run.append(Resolved(offset, identity, self.resolved[offset]))
        return run

    def sum_before(self, end: int, account: list[Resolved]) -> Checkpoint:
        parts = [part for part in account if part.offset < end]
        counted = [part for part in parts if part.how is not None]
        return Checkpoint(
            end,
            len(counted),
            sum(part.how is Resolution.DEAD_LETTERED for part in counted),
            sum(part.how is Resolution.DEFERRED for part in counted),
            sum(part.expired for part in parts),
            sum(part.identity for part in counted) % 2**64,
        )

    @invariant()
    def what_is_in_hand_is_known(self) -> None:
        run = self.prefix()
        assert self.offsets.in_hand == len(self.fetched) - len(run)
        assert self.offsets.open == len(self.fetched) - len(self.resolved)
        if len(run) < len(self.fetched):
            assert self.offsets.next == self.fetched[len(run)][0]
        assert (self.offsets.committable() is None) == (self.offsets.uncommitted == 0)


TestConsumers = Consumers.TestCase
