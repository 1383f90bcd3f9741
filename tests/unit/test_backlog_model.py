"""A partition's records that are tried again, against a simple model: in order per key, each once, nothing left behind."""

import asyncio
from random import Random

from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.consumer.backlog import Backlog, Message
from services.consumer.partition import Again, Partition
from services.consumer.retry import Failures, RetryPolicy
from tandem.account import Resolution

KEYS = st.sampled_from([b"a", b"b", b"c", b"", None])
POLICY = RetryPolicy(attempts=4, backoff=0.5, longest=1.5, deadline=3.0, hopeless=frozenset())


def message(offset: int, key: bytes | None) -> Message:
    return ConsumerRecord("orders", 0, offset, 0, 0, key, b"v", None, 1, 1, ())


class Worked(RuleBasedStateMachine):
    """What `Partition` does with a Backlog and a RetryPolicy: several workers, tries that fail, time that goes by."""

    @initialize(workers=st.integers(1, 4), ordered=st.booleans(), seed=st.integers(0, 2**32))
    def begin(self, workers: int, ordered: bool, seed: int) -> None:  # noqa: FBT001 -- drawn
        self.workers = 1 if ordered else workers
        self.ordered = ordered
        self.backlog = Backlog(ordered=ordered, alone=self.workers == 1)
        self.random = Random(seed)
        self.now = 0.0
        self.log: list[Message] = []
        self.resolved: list[int] = []
        self.out: list[Message] = []
        self.waiting: dict[int, float] = {}
        self.failures: dict[int, Failures] = {}

    def order(self, record: Message) -> object:
        """Records that have this in common keep their order."""
        if self.ordered:
            return "all"
        return ("alone", record.offset) if record.key is None else record.key

    def may_go(self) -> list[int]:
        """The records that may be worked on now: the first of each key, unless it is being worked on or waits."""
        first: dict[object, int] = {}
        for record in self.log:
            if record.offset not in self.resolved:
                first.setdefault(self.order(record), record.offset)
        out = {record.offset for record in self.out}
        return [
            offset
            for offset in first.values()
            if offset not in out and self.waiting.get(offset, 0) <= self.now
        ]

    @rule(keys=st.lists(KEYS, min_size=1, max_size=6))
    def fetch(self, keys: list[bytes | None]) -> None:
        new = [message(len(self.log) + at, key) for at, key in enumerate(keys)]
        self.log += new
        self.backlog.add(new)

    @precondition(lambda self: len(self.out) < self.workers)
    @rule()
    def take(self) -> None:
        expected = self.may_go()
        record = self.backlog.take(self.now)
        assert (record is None) == (not expected), "whoever may go goes"
        if record is not None:
            assert record.offset in expected, "in order per key, and nothing twice"
            self.waiting.pop(record.offset, None)
            self.out.append(record)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def resolve(self, data: st.DataObject) -> None:
        record = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.resolved.append(record.offset)
        self.backlog.done(record)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.give_back(self.out.pop(data.draw(st.integers(0, len(self.out) - 1))))

    def give_back(self, record: Message) -> None:
        """It waits for its next try, or there is none."""
        before = self.failures.get(record.offset, Failures(0, 0, self.now, 0))
        failures = self.failures[record.offset] = before.more()
        delay = POLICY.delay(failures, self.now, self.random)
        if delay is None:
            self.resolved.append(record.offset)  # it goes to the dead letters
            self.backlog.done(record)
            return
        assert 0 <= delay <= POLICY.longest
        assert failures.here < POLICY.attempts
        assert self.now + delay <= failures.since + POLICY.deadline
        self.waiting[record.offset] = self.now + delay
        self.backlog.wait(record, self.now + delay)

    @precondition(lambda self: self.waiting)
    @rule()
    def the_next_is_due(self) -> None:
        self.now = max(self.now, min(self.waiting.values()))

    @precondition(lambda self: len(self.out) < self.workers)
    @rule(times=st.integers(1, POLICY.attempts))
    def fail_again_and_again(self, times: int) -> None:
        for _ in range(times):
            self.take()
            if self.out:
                self.give_back(self.out.pop())
            if self.waiting:
                self.the_next_is_due()

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 5.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_next_time_is_known(self) -> None:
        if hasattr(self, "waiting"):
            assert self.backlog.due == min(self.waiting.values(), default=None)

    def teardown(self) -> None:
        """In the end nothing is left behind."""
        if not hasattr(self, "log"):
            return
        for record in self.out:
            self.resolved.append(record.offset)
            self.backlog.done(record)
        self.out.clear()
        self.now += 1000
        while (left := self.backlog.take(self.now)) is not None:
            assert left.offset in self.may_go()
            self.resolved.append(left.offset)
            self.waiting.pop(left.offset, None)
            self.backlog.done(left)
        assert sorted(self.resolved) == list(range(len(self.log)))


TestWorked = Worked.TestCase


@given(
    keys=st.lists(KEYS, min_size=1, max_size=30),
    concurrency=st.integers(1, 5),
    ordered=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_a_partition_works_on_so_many_at_once_in_order_per_key(
    keys: list[bytes | None],
    concurrency: int,
    ordered: bool,  # noqa: FBT001 -- drawn
    seed: int,
) -> None:
    asyncio.run(work(keys, concurrency, Random(seed), ordered=ordered))


async def work(keys: list[bytes | None], concurrency: int, random: Random, *, ordered: bool) -> None:
    under_way: list[Message] = []
    done: list[Message] = []
    most = 1 if ordered else concurrency

    async def resolve(record: Message, before: Failures | None) -> Resolution | Again:
        assert len(under_way) < most
        assert ordered or record.key is None or record.key not in [other.key for other in under_way]
        under_way.append(record)
        for _ in range(random.randrange(4)):
            await asyncio.sleep(0)
        under_way.remove(record)
        now = asyncio.get_running_loop().time()
        if random.random() < 0.3:
            return Again(now + random.choice((0.0, 0.0, 0.001)), (before or Failures(0, 0, now, 0)).more())
        done.append(record)
        if len(done) == len(keys):
            partition.finish()
        return random.choice(list(Resolution))

    partition = Partition(TopicPartition("orders", 0), 1, resolve, concurrency=concurrency, ordered=ordered)
    records = [message(offset, key) for offset, key in enumerate(keys)]
    half = random.randint(0, len(records))
    partition.add(records[:half]) if half else None
    asyncio.get_running_loop().call_soon(
        lambda: partition.add(records[half:]) if half < len(records) else None
    )
    async with asyncio.timeout(20):
        await partition.run()
    assert sorted(record.offset for record in done) == list(range(len(keys)))
    for key in [None] if ordered else {key for key in keys if key is not None}:
        offsets = [record.offset for record in done if ordered or record.key == key]
        assert offsets == sorted(offsets)
    mark = partition.offsets.committable()
    assert mark is not None
    assert mark.offset == len(keys)
    assert mark.checkpoints[-1].resolved == len(keys)
