"""Commits against a simple model: a log, a broker that keeps the last commit, and consumers that come and go."""

from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.consumer.offsets import Mark, Offsets
from tandem.account import Checkpoint, Resolution, read

_METADATA_LIMIT = 4096  # offset.metadata.max.bytes
RECORDS = st.tuples(
    st.sampled_from([1, 1, 1, 2, 50]), st.integers(0, 2**64 - 1)
)  # steps of the offset, and identities
PICKS = st.integers(0, 20)


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
        self.acknowledged = -1  # up to there

    @rule(
        records=st.lists(RECORDS, max_size=6),
        fetched=st.integers(0, 6),
        before=st.lists(PICKS, max_size=6),
        meanwhile=st.lists(PICKS, max_size=4),
        how=st.sampled_from(Resolution),
        fate=st.sampled_from(["acknowledged", "answer lost", "lost", None]),
    )
    def work(
        self,
        records: list[tuple[int, int]],
        fetched: int,
        before: list[int],
        meanwhile: list[int],
        how: Resolution,
        fate: str | None,
    ) -> None:
        """Some records come, some of those in hand are resolved in any order, also while a commit is under way."""
        self.write(records)
        self.fetch(fetched)
        self.resolve(before, how)
        if fate is None or (mark := self.offsets.committable()) is None:
            return
        covered = self.covered_by(mark)
        self.resolve(meanwhile, how)
        self.end_commit(mark, covered, fate)

    def write(self, records: list[tuple[int, int]]) -> None:
        for step, identity in records:
            self.log.append((self.end + step - 1, identity))
            self.end += step

    def fetch(self, count: int) -> None:
        new = [record for record in self.log if record[0] >= self.position][:count]
        if not new:
            return
        self.offsets.fetch(offset for offset, _ in new)
        if not self.fetched:
            self.go_on(new[0][0])
        self.fetched += new
        self.position = new[-1][0] + 1

    def resolve(self, picks: list[int], how: Resolution) -> None:
        for pick in picks:
            if open_ := [record for record in self.fetched if record[0] not in self.resolved]:
                offset, identity = open_[pick % len(open_)]
                self.resolved[offset] = how
                self.offsets.resolve(offset, identity, how)
                self.what_is_in_hand_is_known()

    def covered_by(self, mark: Mark) -> list[Resolved]:
        """What may be committed now is resolved, each record of it once, beyond what was committed before."""
        covered = [*self.account, *self.prefix()]
        assert mark.offset > self.acknowledged, "else it is not asked for"
        assert mark.offset >= (self.committed or 0), "never backwards"
        assert all(offset in self.resolved for offset, _ in self.fetched if offset < mark.offset)
        assert len(mark.metadata) <= _METADATA_LIMIT
        assert read(mark.metadata, mark.offset) == mark.checkpoints
        for checkpoint in mark.checkpoints:
            assert checkpoint == self.sum_before(checkpoint.offset, covered)
        return covered

    def end_commit(self, mark: Mark, covered: list[Resolved], fate: str) -> None:
        if fate != "lost":
            self.committed, self.metadata, self.kept = mark.offset, mark.metadata, covered
        if fate == "acknowledged":
            self.offsets.commit(mark)
            self.acknowledged = mark.offset

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

    @rule(times=st.integers(1, 12), identity=st.integers(0, 2**64 - 1))
    def go_on_for_a_while(self, times: int, identity: int) -> None:
        """So that the account grows long, and the parts of it that are kept lie further apart."""
        for _ in range(times):
            self.work([(1, identity)], 100, [0] * 100, [], Resolution.HANDLED, "acknowledged")

    @rule(times=st.integers(1, 3))
    def fall_behind_what_retention_leaves(self, times: int) -> None:
        for _ in range(times):
            self.write([(1, 1), (2, 2)])
            self.retention_removes(1)
            self.join()
            self.go_on_for_a_while(1, 3)

    @rule()
    def rebalance_or_crash(self) -> None:
        self.join()

    @precondition(lambda self: self.committed is not None)
    @rule(metadata=st.sampled_from(["", "another tool", "tandem/1 0:0:0:0:0:0", "tandem/1 zz", "x" * 4096]))
    def another_tool_commits(self, metadata: str) -> None:
        """The same place, without our account."""
        self.metadata = metadata
        self.join()

    @rule(left=st.integers(0, 30))
    def retention_removes(self, left: int) -> None:
        """All but some, also what nobody has read; whoever has fetched it keeps it."""
        self.start = self.log[-left][0] if 0 < left <= len(self.log) else self.end if not left else self.start
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
        assert self.offsets.uncommitted == sum(each.offset >= self.acknowledged for each in run)
        assert (self.offsets.committable() is None) == (self.offsets.uncommitted == 0)


TestConsumers = Consumers.TestCase
