"""RETRY_KEEP_ORDER against a simple model: retry topics as lists, and records that fail, wait, follow and end."""

from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.consumer.waiting_keys import Family, WaitingKeys


class Waiting(NamedTuple):
    """A record on a level: 0 is its own topic, n the n-th retry topic."""

    offset: int
    key: bytes


LEVELS = 3


class KeptOrder(RuleBasedStateMachine):
    """RETRY_KEEP_ORDER as the resolver applies it: whatever fails and however long it waits, a key's records keep their order."""

    @initialize()
    def begin(self) -> None:
        self.family = Family("orders", 0)
        self.waiting = WaitingKeys()
        self.logs: list[list[Waiting]] = [[] for _ in range(LEVELS + 1)]
        self.count = 0
        self.ended: dict[bytes, list[int]] = {}
        self.under_way: dict[int, int | None] = {}  # by level: the next one

    @rule(keys=st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=4))
    def write(self, keys: list[bytes]) -> None:
        for key in keys:
            self.logs[0].append(Waiting(self.count, key))
            self.count += 1

    @precondition(lambda self: any(self.logs))
    @rule(data=st.data(), fails=st.booleans())
    def begin_one(self, data: st.DataObject, fails: bool) -> None:  # noqa: FBT001 -- drawn
        """The first of a level is decided on, while other levels are at work too."""
        level = data.draw(st.sampled_from([level for level, log in enumerate(self.logs) if log]))
        if level in self.under_way:
            return
        key = self.logs[level][0].key
        behind = self.waiting.behind(self.family, key, level)
        further = behind if behind is not None else level + 1 if fails and level < LEVELS else None
        assert further is None or level < further <= LEVELS
        self.under_way[level] = further

    @precondition(lambda self: bool(getattr(self, "under_way", None)))
    @rule(data=st.data())
    def end_one(self, data: st.DataObject) -> None:
        """It is written to its next level, or it has ended; only then its place is free."""
        level = data.draw(st.sampled_from(sorted(self.under_way)))
        further = self.under_way.pop(level)
        record = self.logs[level].pop(0)
        if further is None:
            self.ended.setdefault(record.key, []).append(record.offset)
        else:
            self.logs[further].append(record)
        if level:
            self.waiting.leave(self.family, record.key, level)
        if further is not None:
            self.waiting.enter(self.family, record.key, further)

    @precondition(lambda self: not self.under_way)
    @rule()
    def start_anew(self) -> None:
        """What waits is read back from the log."""
        self.waiting.forget(self.family)
        for level in range(1, LEVELS + 1):
            for record in self.logs[level]:
                self.waiting.enter(self.family, record.key, level)

    @invariant()
    def every_key_keeps_its_order(self) -> None:
        for offsets in getattr(self, "ended", {}).values():
            assert offsets == sorted(offsets)

    @invariant()
    def who_waits_is_known(self) -> None:
        if not hasattr(self, "logs"):
            return
        for key in (b"a", b"b", b"c"):
            levels = [
                level for level in range(1, LEVELS + 1) if any(key == each.key for each in self.logs[level])
            ]
            assert self.waiting.behind(self.family, key, 0) == min(levels, default=None)


TestKeptOrder = KeptOrder.TestCase
