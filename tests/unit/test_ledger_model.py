"""The producer's ledger against a simple model: lanes whose batches end in any way, and that are abandoned at any time."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise

from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tandem.headers import EVENT_ID, event_id, find
from tandem.lane import Lane
from tandem.ledger import Edition, LaneLedger, Ledger, Span
from tandem.records import Fate, Outcome, Record, Settled

RUN = "0123456789ab"
BATCH_BYTES = 800  # so that a few records fill a batch
LANES = st.sampled_from([("orders", 0), ("orders", 1)])

At = tuple[str, int]


class Producer(RuleBasedStateMachine):
    """Every sequence has one fate or none yet, and the ledger says which, no more and no less; at last all is abandoned."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.ledger = Ledger(RUN, "orders")
        self.lanes: dict[At, Lane] = {}
        self.added: dict[At, list[Record]] = {}
        self.fates: dict[At, list[Outcome]] = {}
        self.waiters: list[tuple[At, int, asyncio.Future[Fate]]] = []
        self.end_of_log: dict[At, int] = {}
        self.places: dict[At, dict[int, int]] = {}  # offsets that Kafka told, by sequence

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.abandon()
            self.the_ledger_says_what_is_so()
            self.who_waits_hears_of_its_own_record()
            assert all(len(self.fates[at]) == len(self.added[at]) for at in self.lanes), "each has its fate"
            assert all(waiter.done() for _, _, waiter in self.waiters)
            self.loop.close()

    def lane(self, at: At) -> Lane:
        if at not in self.lanes:
            self.lanes[at] = Lane(*at, RUN, lambda: BatchBuilder(BATCH_BYTES, 0))
            self.added[at], self.fates[at], self.places[at] = [], [], {}
            self.end_of_log[at] = 100
        return self.lanes[at]

    @rule(at=LANES, sizes=st.lists(st.integers(0, 300), min_size=1, max_size=4), waits=st.booleans())
    def add(self, at: At, sizes: list[int], waits: bool) -> None:  # noqa: FBT001 -- drawn
        for size in sizes:
            waiter: asyncio.Future[Fate] | None = self.loop.create_future() if waits else None
            record = Record(at[0], b"key", b"x" * size)
            if not self.lane(at).add(record, waiter):
                assert not self.lanes[at].room.is_set(), "else whoever waits for room would not wait"
                return
            if waiter is not None:
                self.waiters.append((at, len(self.added[at]), waiter))
            self.added[at].append(record)

    @rule(at=LANES, handed_over=st.booleans())
    def take(self, at: At, handed_over: bool) -> None:  # noqa: FBT001 -- drawn
        lane = self.lane(at)
        if lane.under_way is None and lane.loaded.is_set():
            batch = lane.take()
            assert batch.records
            assert lane.room.is_set()
            batch.handed_over = handed_over

    @rule(at=LANES)
    def refuse(self, at: At) -> None:
        """Kafka has surely not written it: it is made ready for another client."""
        lane = self.lane(at)
        if lane.under_way is not None:
            lane.build_again()
            assert not lane.under_way.handed_over

    @rule(at=LANES, outcome=st.sampled_from(Outcome), gap=st.integers(0, 3), told=st.booleans())
    def settle(self, at: At, outcome: Outcome, gap: int, told: bool) -> None:  # noqa: FBT001 -- drawn
        self.take(at, handed_over=True)
        lane = self.lane(at)
        if lane.under_way is None:
            return
        count = len(lane.under_way.records)
        self.end_of_log[at] += gap + count
        offset = self.end_of_log[at] - count if outcome is Outcome.ACKED and told else None
        self.report(at, lane.settle(outcome, offset, error=None if outcome is Outcome.ACKED else "broken"))

    @rule(at=LANES, outcomes=st.lists(st.sampled_from(Outcome), min_size=1, max_size=6))
    def send_some(self, at: At, outcomes: list[Outcome]) -> None:
        """One batch after the other, without an end of the process in between."""
        for outcome in outcomes:
            self.add(at, sizes=[10], waits=False)
            self.settle(at, outcome, gap=0, told=True)

    def abandon(self) -> None:
        for at, lane in self.lanes.items():
            handed_over = lane.under_way is not None and lane.under_way.handed_over
            for settled in lane.abandon("the end"):
                assert settled.outcome is (Outcome.UNKNOWN if handed_over else Outcome.FAILED)
                handed_over = False
                self.report(at, settled)

    def report(self, at: At, settled: Settled) -> None:
        fates, before = list(settled.fates()), len(self.fates[at])
        assert [fate.sequence for fate in fates] == list(range(before, before + len(fates)))
        assert [fate.record for fate in fates] == self.added[at][before : before + len(fates)]
        for sequence, sent in enumerate(settled.sent, before):
            assert find(sent.headers, EVENT_ID) == event_id(RUN, at[1], sequence)
        assert len(settled.sent) == (0 if settled.outcome is Outcome.ACKED else len(fates))
        self.fates[at] += [fate.outcome for fate in fates]
        self.places[at] |= {fate.sequence: fate.offset for fate in fates if fate.offset is not None}
        self.ledger.settle(settled)

    @invariant()
    def the_ledger_says_what_is_so(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for at, lane in self.ledger.lanes.items():
            fates, places = self.fates[at], self.places[at]
            failed, unknown = list(numbers(lane.failed)), list(numbers(lane.unknown))
            assert lane.settled == len(fates)
            assert failed == [number for number, fate in enumerate(fates) if fate is Outcome.FAILED]
            assert unknown == [number for number, fate in enumerate(fates) if fate is Outcome.UNKNOWN]
            assert lane.first_offset == places.get(0)
            assert lane.last_offset == (places[max(places)] if places else None)
            for spans in (lane.failed, lane.unknown):
                assert all(after.first > before.last + 1 for before, after in pairwise(spans))
            assert lane.is_sound()
        assert set(self.ledger.undelivered()) == {
            at for at, fates in self.fates.items() if set(fates) - {Outcome.ACKED}
        }

    @invariant()
    def an_edition_comes_back_as_it_was(self) -> None:
        if hasattr(self, "ledger"):
            edition = self.ledger.edition(1767225600000, 5000, closed=False)
            assert Edition.decode(edition.encode()) == edition
            assert all(isinstance(lane, LaneLedger) for lane in edition.lanes)

    @invariant()
    def who_waits_hears_of_its_own_record(self) -> None:
        for at, sequence, waiter in getattr(self, "waiters", ()):
            settled = sequence < len(self.fates[at])
            assert waiter.done() == settled
            if settled:
                fate = waiter.result()
                assert (fate.sequence, fate.outcome) == (sequence, self.fates[at][sequence])


def numbers(spans: Iterable[Span]) -> Iterable[int]:
    return (number for span in spans for number in range(span.first, span.last + 1))


TestProducer = Producer.TestCase
