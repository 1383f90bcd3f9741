"""The audit's decisions, without a broker: what is a finding, what a doubt, and what is neither."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ops.audit.findings import At, Findings, Kind
from services.ops.audit.group_check import Commit, GroupCheck, Suspect, check_group, find_gap
from services.ops.audit.records import Records
from services.ops.audit.run_check import LogPart, RunCheck, State, check_run, state_of
from services.ops.audit.set_aside import Family, SetAside, check_set_aside
from services.ops.audit.spans import Spans, size, without
from services.ops.audit.sums import RunningSum
from services.ops.audit.trail import Trail
from tandem.account import Account, Checkpoint, Resolution, identity, write
from tandem.headers import CHECKSUM, COPY, DEAD_LETTER, EVENT_ID, checksum, event_id
from tandem.ledger import Edition, LaneLedger, Span

RUN = "0123456789ab"
AT = At("orders", 0)
NUMBERS = st.integers(0, 60)


@dataclass
class Message:
    """A record as librdkafka gives it."""

    at: int
    names: Sequence[tuple[str, bytes]] = ()
    content: bytes | None = b"v"

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return b"k"

    def value(self) -> bytes | None:
        return self.content

    def headers(self) -> list[tuple[str, bytes]] | None:
        return list(self.names) or None


def ours(offset: int, sequence: int | bytes, *more: tuple[str, bytes]) -> Message:
    digits = b"%d" % sequence if isinstance(sequence, int) else sequence
    name = f"{RUN}/0/".encode() + digits
    return Message(offset, [(EVENT_ID, name), (CHECKSUM, checksum(b"k", b"v")), *more])


def trail(*sequences: int) -> Trail:
    records = Records(AT)
    records.fold([ours(offset, sequence) for offset, sequence in enumerate(sequences)])
    return records.trails[RUN]


def check(
    sequences: Iterable[int],
    lane: LaneLedger,
    state: State = State.CLOSED,
    part: LogPart = LogPart(AT, 0, 0, 100),  # noqa: B008 -- it is frozen
) -> RunCheck:
    seen = list(sequences)
    return check_run(RUN, part, trail(*seen) if seen else None, lane, state)


def told(findings: Findings) -> list[tuple[Kind, int, int]]:
    return [
        (each.kind, each.sequences.first, each.sequences.last)
        for each in findings.wrong
        if each.sequences is not None
    ]


@given(st.lists(st.tuples(NUMBERS, st.integers(0, 4)), max_size=30), NUMBERS, st.integers(0, 20))
def test_spans_are_a_set(added: list[tuple[int, int]], first: int, more: int) -> None:
    spans, model = Spans(), set[int]()
    for begin, length in added:
        new = set(range(begin, begin + length + 1))
        assert spans.add(begin, begin + length) == model.isdisjoint(new)
        model |= new if model.isdisjoint(new) else set()
    assert [number for span in spans for number in range(span.first, span.last + 1)] == sorted(model)
    within = set(range(first, first + more + 1))
    assert spans.count(first, first + more) == len(model & within)
    assert size(spans.gaps(first, first + more)) == len(within - model)
    assert len(spans) == sum(number - 1 not in model for number in model), "what touches is one"


@given(st.sets(NUMBERS), st.sets(NUMBERS))
def test_taking_spans_out_of_spans_is_taking_numbers_out(these: set[int], those: set[int]) -> None:
    def spans(numbers: set[int]) -> Spans:
        made = Spans()
        for number in numbers:
            made.add(number, number)
        return made

    left = list(without(spans(these), spans(those)))
    assert [number for span in left for number in range(span.first, span.last + 1)] == sorted(these - those)


@given(st.lists(st.integers(0, 30), max_size=60))
def test_each_record_of_a_run_is_new_or_late_or_there_twice(sequences: list[int]) -> None:
    if not sequences:
        return
    found, seen = trail(*sequences), set[int]()
    late = again = 0
    for sequence in sequences:
        again += sequence in seen
        late += sequence not in seen and any(sequence < each for each in seen)
        seen.add(sequence)
    assert (found.duplicated.count, found.reordered.count) == (again, late)
    assert size(found.seen()) == len(seen)


def test_ids_that_only_look_like_ours_are_others() -> None:
    records = Records(AT)
    names = (b"007", b"+7", b"7_0", b" 7", b"", b"9" * 30, b"\xff", b"7/payments/0")
    records.fold([ours(offset, name) for offset, name in enumerate(names)])
    records.fold(
        [Message(20, [(EVENT_ID, b"0123456789ab/1/0")]), Message(21), Message(22, [(EVENT_ID, b"")])]
    )
    assert (records.foreign, records.derived, size(records.trails[RUN].seen())) == (10, 1, 0)


def test_copies_leave_no_trail() -> None:
    records = Records(AT)
    records.fold(
        [ours(0, 0), ours(1, 0, (COPY, b"redrive")), ours(2, 1, (COPY, b"resend")), ours(3, 1, (COPY, b"?"))]
    )
    assert dict(records.copies) == {"redrive": 1, "resend": 1, "other": 1}
    assert size(records.trails[RUN].seen()) == 1


def test_a_changed_value_is_corrupt() -> None:
    records = Records(AT)
    spoilt = ours(7, 0)
    spoilt.content = b"w"
    records.fold([spoilt, ours(8, 1)])
    assert [(each.kind, each.offsets) for each in records.damaged()] == [(Kind.CORRUPT, Span(7, 7))]


def test_what_is_acknowledged_and_not_there_is_lost() -> None:
    lane = LaneLedger(*AT, 12, failed=(Span(4, 5),), unknown=(Span(7, 8),))
    found = check([0, 1, 2, 6, 7, 10], lane)
    assert told(found.findings) == [(Kind.LOST, 3, 3), (Kind.LOST, 9, 9), (Kind.LOST, 11, 11)]
    assert (found.row.unknown, found.row.missing_unknown) == (1, 1)


def test_what_failed_and_is_there_is_a_phantom() -> None:
    lane = LaneLedger(*AT, 6, failed=(Span(1, 3),))
    assert told(check(range(6), lane).findings) == [(Kind.PHANTOM, 1, 3)]
    assert told(check([0, 2, 4, 5], lane).findings) == [(Kind.PHANTOM, 2, 2)]


@pytest.mark.parametrize("state", [State.LIVE, State.CRASHED])
def test_what_lies_beyond_the_ledger_is_no_error_while_it_is_open(state: State) -> None:
    found = check(range(10), LaneLedger(*AT, 4), state)
    assert not found.findings.wrong
    assert (found.row.in_flight, found.row.unknown) == ((6, 0) if state is State.LIVE else (0, 6))


def test_what_lies_beyond_a_closed_ledger_is_a_phantom() -> None:
    assert told(check(range(10), LaneLedger(*AT, 4)).findings) == [(Kind.PHANTOM, 4, 9)]


def test_what_retention_removed_is_not_lost() -> None:
    part = LogPart(AT, 50, 50, 100)
    assert told(check([5, 6, 8], LaneLedger(*AT, 9), part=part).findings) == [(Kind.LOST, 7, 7)]
    assert told(check([], LaneLedger(*AT, 9), part=part).findings) == []
    assert told(check([], LaneLedger(*AT, 9, last_offset=49), part=part).findings) == []


def test_what_lay_behind_the_start_of_the_log_is_lost() -> None:
    part = LogPart(AT, 50, 50, 100)
    behind = LaneLedger(*AT, 9, first_offset=50, last_offset=58)
    assert told(check([5, 6, 7, 8], behind, part=part).findings) == [(Kind.LOST, 0, 4)]
    across = LaneLedger(*AT, 9, failed=(Span(8, 8),), first_offset=40, last_offset=55)
    found = check([], across, part=part)
    assert told(found.findings) == [(Kind.LOST, 7, 7)]
    assert found.findings.wrong[0].detail == "at least this one"


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (LogPart(AT, 0, 0, 100, compacted=True), "compaction"),
        (LogPart(AT, 0, 0, 100, unreadable=3), "can't be read"),
        (LogPart(AT, 0, 0, 100, hidden_from=100), "transaction"),
    ],
)
def test_what_can_not_be_seen_is_a_doubt(part: LogPart, why: str) -> None:
    found = check([0, 1], LaneLedger(*AT, 5), part=part)
    assert not found.findings.wrong
    ((doubt),) = found.findings.doubts
    assert why in doubt.reason
    assert "3 acknowledged" in doubt.reason
    assert not check(range(5), LaneLedger(*AT, 5), part=part).findings.doubts


def test_a_run_without_a_ledger_is_a_doubt() -> None:
    ((doubt),) = check([0, 2], LaneLedger(*AT), State.NO_LEDGER).findings.doubts
    assert doubt.reason.endswith("1 of its sequences are not in the log")


def test_an_open_ledger_that_is_silent_for_long_is_of_a_run_that_is_dead_or_idle() -> None:
    edition = Edition(RUN, "orders", 100_000, 5000, closed=False, lanes=())
    assert state_of(edition, 115_000, beyond=True) is State.LIVE
    assert state_of(edition, 115_001, beyond=True) is State.CRASHED
    assert state_of(edition, 115_001, beyond=False) is State.SILENT
    assert state_of(edition, 0, beyond=True) is State.LIVE, "its clock goes fast"
    assert state_of(None, 0, beyond=True) is State.NO_LEDGER


def ids(count: int) -> list[Message]:
    return [Message(offset, [(EVENT_ID, event_id(RUN, 0, offset))]) for offset in range(count)]


def account(upto: int, *, without: Iterable[int] = (), every: int = 10) -> tuple[Checkpoint, ...]:
    """What a group keeps that has resolved the records of `ids`, but for some."""
    kept, known, left_out = Account(Checkpoint(0)), [Checkpoint(0)], set(without)
    for offset in range(upto):
        if offset not in left_out:
            kept.add(offset, identity(event_id(RUN, 0, offset), *AT, offset), Resolution.HANDLED)
        if offset % every == every - 1 or offset == upto - 1:
            known.append(kept.checkpoint()._replace(offset=offset + 1))
    return tuple(known)


def group(commit: Commit | None, count: int = 100, part: LogPart | None = None) -> GroupCheck:
    part = part or LogPart(AT, 0, 0, count)
    sums = RunningSum(part.start, Records(AT).fold)
    sums.mark([*(commit.marks if commit else ()), part.start])
    sums.add(ids(count)[part.start :])
    sums.end(count)
    return check_group("readers", part, commit, sums.known)


@given(st.sets(st.integers(0, 89), max_size=3), st.integers(1, 90))
def test_what_an_account_leaves_out_is_suspect_and_nothing_else(left_out: set[int], upto: int) -> None:
    known = account(upto, without=left_out)
    found = group(Commit(upto, write(known)))
    lacking = {offset for offset in left_out if offset < upto}
    assert sum(each.missing for each in found.suspects) == len(lacking)
    assert all(any(each.first <= offset < each.end for each in found.suspects) for offset in lacking)
    assert not found.findings.wrong
    assert not found.findings.doubts
    assert found.row.lag == 100 - upto


@given(st.integers(0, 95), st.integers(1, 5))
def test_records_missed_one_behind_the_other_are_named(first: int, count: int) -> None:
    gone = range(first, min(first + count, 96))
    known = account(96, without=gone, every=1000)
    ((suspect),) = group(Commit(96, write(known))).suspects
    identities = [(offset, identity(event_id(RUN, 0, offset), *AT, offset)) for offset in range(96)]
    assert find_gap(identities, suspect) == Span(gone[0], gone[-1])


def test_a_gap_that_fits_nowhere_is_not_named() -> None:
    assert find_gap([(0, 1), (1, 2), (2, 4)], Suspect(0, 3, 1, 3, 3)) is None
    assert find_gap([(0, 1), (1, 2), (2, 4)], Suspect(0, 3, 2, 3, 3)) == Span(0, 1)
    assert find_gap([(0, 1), (1, 2), (2, 4)], Suspect(0, 3, 0, 3, 3)) is None
    assert find_gap(iter(()), Suspect(5, 9, 4, 3, 4)) == Span(5, 8), "all of it, whatever the digest"


def test_a_group_without_a_commit_lags_by_all() -> None:
    found = group(None)
    assert (found.row.committed, found.row.lag, found.findings.wrong, found.findings.doubts) == (
        None,
        100,
        [],
        [],
    )


def test_only_what_the_log_still_holds_is_compared() -> None:
    found = group(Commit(80, write(account(80))), part=LogPart(AT, 35, 35, 100))
    assert (found.row.checked, found.row.before, found.row.resolved, found.row.lag) == (
        Span(40, 79),
        5,
        40,
        20,
    )
    assert not found.suspects


def test_what_is_before_the_start_of_the_log_and_not_read_has_expired() -> None:
    ((finding),) = group(Commit(30, write(account(30))), part=LogPart(AT, 35, 35, 100)).findings.wrong
    assert (finding.kind, finding.count, finding.offsets) == (Kind.EXPIRED, 5, Span(30, 34))


def test_reading_only_a_newer_part_lets_nothing_expire() -> None:
    assert not group(Commit(30, write(account(30))), part=LogPart(AT, 0, 35, 100)).findings.wrong


def test_what_the_account_says_has_expired_is_told_for_good() -> None:
    known = (*account(30), Checkpoint(60, 30 + 10, expired=20))
    kinds = [(each.kind, each.count, each.offsets) for each in group(Commit(60, write(known))).findings.wrong]
    assert kinds == [(Kind.EXPIRED, 20, Span(30, 59))]


@pytest.mark.parametrize(
    ("commit", "why"),
    [
        (Commit(200, write(account(80))), "the log ends at 100"),
        (Commit(50, ""), "without an account"),
        (Commit(50, write(account(80))), "moved back from 80 to 50"),
    ],
)
def test_a_commit_that_fits_no_account_is_a_doubt(commit: Commit, why: str) -> None:
    found = group(commit)
    assert not found.findings.wrong
    assert why in found.findings.doubts[0].reason


def test_a_group_that_resolved_more_than_there_is_is_a_doubt() -> None:
    known = (Checkpoint(0), Checkpoint(50, 51))
    ((doubt),) = group(Commit(50, write(known))).findings.doubts
    assert "1 records more than the log holds" in doubt.reason


def letter(offset: int, *, group_id: str = "readers", topic: str = "orders") -> Message:
    own = {"topic": topic, "partition": "0", "offset": str(offset), "group": group_id}
    return Message(offset, [(f"{DEAD_LETTER}{name}", value.encode()) for name, value in own.items()])


def lying(*letters: Message, topic: str = "orders-dlt", removed: int = 0) -> SetAside:
    records = SetAside(At(topic, 0), removed)
    records.fold(letters)
    return records


def resolved(dead: int = 0, deferred: int = 0, topic: str = "orders") -> GroupCheck:
    known = (Checkpoint(0), Checkpoint(50, 50, dead, deferred))
    return group(Commit(50, write(known)), part=LogPart(At(topic, 0), 0, 0, 100))


def test_each_dead_letter_has_to_lie_there_once() -> None:
    row = resolved(dead=2).row
    there = lying(letter(3), letter(3), letter(7))
    assert not check_set_aside(Family("orders", [there]), [row]).wrong
    ((finding),) = check_set_aside(Family("orders", [lying(letter(3), letter(3))]), [row]).wrong
    assert (finding.kind, finding.count, finding.group) == (Kind.MISSED, 1, "readers")
    others = lying(letter(3), letter(4, group_id="others"), letter(70), letter(5, topic="bills"), Message(9))
    assert check_set_aside(Family("orders", [others]), [row]).wrong[0].count == 1
    assert check_set_aside(Family("orders"), [row]).wrong[0].count == 2


def test_dead_letters_that_were_removed_are_not_missed() -> None:
    found = check_set_aside(Family("orders", [lying(removed=2)]), [resolved(dead=2).row])
    assert not found.wrong
    assert "2 records of orders/0" in found.remarks[0]
    assert check_set_aside(Family("orders", [lying(removed=1)]), [resolved(dead=2).row]).wrong


def test_dead_letters_that_came_by_way_of_a_retry_topic_count_too() -> None:
    rows = [resolved(dead=1, deferred=1).row, resolved(dead=1, topic="orders-retry-30s").row]
    retries = [lying(letter(4), topic="orders-retry-30s")]
    both = Family("orders", [lying(letter(3), letter(4))], retries)
    assert not check_set_aside(both, rows).wrong
    ((finding),) = check_set_aside(Family("orders", [lying(letter(3))], retries), rows).wrong
    assert (finding.count, "from a retry topic" in finding.detail) == (1, True)
    ((finding),) = check_set_aside(Family("orders", [lying(letter(3), letter(4))]), rows[:1]).wrong
    assert (finding.count, finding.detail) == (1, "deferred, and in no retry topic")


@given(st.lists(st.integers(0, 99), max_size=5))
def test_sums_are_known_where_they_were_marked(marks: list[int]) -> None:
    sums = RunningSum(0, Records(AT).fold)
    sums.mark(marks)
    messages = ids(100)
    for begin in range(0, 100, 17):
        sums.add(messages[begin : begin + 17])
    sums.end(100)
    assert all(sums.known(mark).records == mark for mark in marks)
    whole, digest = sums.known(100).since(sums.known(0))
    assert (whole, digest) == (
        100,
        sum(identity(event_id(RUN, 0, each), *AT, each) for each in range(100)) % 2**64,
    )
