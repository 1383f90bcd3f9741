"""What a run's producer says became of its records, against what the log shows of them. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from services.ops.audit.findings import At, Doubt, Finding, Findings, Kind
from services.ops.audit.spans import Spans, size, without
from services.ops.audit.trail import MOST_NAMED, Trail
from tandem.ledger import Edition, LaneLedger, Span

_SILENT_INTERVALS = 3


class State(StrEnum):
    """How a run stands."""

    CLOSED = "closed"  # it has ended, and said so
    LIVE = "live"
    SILENT = "silent"  # not closed, nothing published for long: idle, or dead
    CRASHED = "crashed"  # the same, and the log holds more than it told of
    NO_LEDGER = "no ledger"


@dataclass(frozen=True, slots=True)
class LogPart:
    """What of a partition could be read: all from `start` to `end`.

    `log_start`: where the log begins, which may be before `start`. `compacted`: any record may be missing. `hidden_from`: the offset from which on an open transaction hides what is there.
    `unreadable`: how many offsets of it can't be read.
    """

    at: At
    log_start: int
    start: int
    end: int
    compacted: bool = False
    hidden_from: int | None = None
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in one partition, in figures. `unknown` and `missing_unknown`: fate unknown, in the log or not; `removed`: by retention."""

    run: str
    at: At
    state: State
    seen: int
    settled: int = 0
    unknown: int = 0
    missing_unknown: int = 0
    in_flight: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class RunCheck:
    """What came of checking one run in one partition."""

    row: RunRow
    findings: Findings = field(default_factory=Findings)


def state_of(edition: Edition | None, now_ms: int, *, beyond: bool) -> State:
    """How a run stands, by its last edition; `beyond`: the log holds more than that tells of."""
    if edition is None:
        return State.NO_LEDGER
    if edition.closed:
        return State.CLOSED
    # It says so each interval when something has changed. So one that says nothing has changed nothing, or is dead.
    if now_ms - edition.at_ms <= _SILENT_INTERVALS * edition.interval_ms:
        return State.LIVE
    return State.CRASHED if beyond else State.SILENT


def check_run(
    run: str, part: LogPart, trail: Trail | None, lane: LaneLedger | None, state: State
) -> RunCheck:
    """Compare a run's trail in a partition with its ledger's word on it: no trail, nothing in the log; no lane, no word."""
    seen = Spans() if trail is None else trail.seen()
    total, findings = size(seen), Findings()
    if trail is not None:
        findings.wrong += trail.duplicated.findings(Kind.DUPLICATED, part.at, run)
        findings.wrong += trail.reordered.findings(Kind.REORDERED, part.at, run)
    if trail is not None and trail.scattered:
        findings.doubts.append(Doubt(f"run {run}", "its ids have more gaps than can be remembered", part.at))
        return RunCheck(RunRow(run, part.at, state, total), findings)
    if state is State.NO_LEDGER:
        findings.doubts.append(_without_ledger(run, part, seen))
        return RunCheck(RunRow(run, part.at, state, total), findings)
    lane = lane or LaneLedger(*part.at)
    last = max((span.last for span in seen), default=-1)
    beyond = list(seen.within(lane.settled, last))
    findings.wrong += _phantoms(run, part.at, seen, lane, beyond if state is State.CLOSED else [])
    begin = _first_expected(part, seen, lane)
    _tell_missing(findings, run, part, begin, list(_missing(seen, lane, begin)), last)
    open_end = 0 if state is State.CLOSED else size(beyond)
    there = sum(seen.count(*span) for span in lane.unknown)
    unknown = size(span for span in lane.unknown if span.last >= begin)
    row = RunRow(
        run,
        part.at,
        state,
        total,
        lane.settled,
        unknown=there + (open_end if state is State.CRASHED else 0),
        missing_unknown=max(0, unknown - there),
        in_flight=0 if state is State.CRASHED else open_end,
        removed=begin,
    )
    return RunCheck(row, findings)


def _without_ledger(run: str, part: LogPart, seen: Spans) -> Doubt:
    spans = list(seen)
    first = 0 if part.start == 0 else spans[0].first
    gaps = size(seen.gaps(first, spans[-1].last))
    missing = f", and {gaps} of its sequences are not in the log" if gaps else ""
    return Doubt(f"run {run}", f"it has no ledger that can be read{missing}", part.at)


def _phantoms(run: str, at: At, seen: Spans, lane: LaneLedger, beyond: Iterable[Span]) -> Iterator[Finding]:
    for failed in lane.failed:
        for span in seen.within(*failed):
            yield Finding(Kind.PHANTOM, at, size([span]), run, span, detail="its fate was failed")
    for span in beyond:
        yield Finding(
            Kind.PHANTOM, at, size([span]), run, span, detail="the closed ledger knows of no such record"
        )


def _first_expected(part: LogPart, seen: Spans, lane: LaneLedger) -> int:
    """The first sequence that must be there: those before it, retention may have removed."""
    if part.start == 0 or (lane.first_offset is not None and lane.first_offset >= part.start):
        return 0
    first = next((span.first for span in seen), None)
    if first is not None:
        return first
    # Nothing of it is in the log. Its last acknowledged record should be, if it was written at the log's start or behind it.
    if lane.last_offset is not None and lane.last_offset >= part.start:
        return _last_acked(lane)
    return lane.settled


def _last_acked(lane: LaneLedger) -> int:
    acked = list(_acked(lane, 0))
    return acked[-1].last if acked else lane.settled


def _acked(lane: LaneLedger, begin: int) -> Iterator[Span]:
    settled = [Span(begin, lane.settled - 1)] if begin < lane.settled else []
    return without(settled, sorted((*lane.failed, *lane.unknown)))


def _missing(seen: Spans, lane: LaneLedger, begin: int) -> Iterator[Span]:
    return without(_acked(lane, begin), seen)


def _tell_missing(
    findings: Findings, run: str, part: LogPart, begin: int, missing: list[Span], last: int
) -> None:
    """Say of acknowledged records that are not there that they are lost, or why that can't be told."""
    at_least = "at least this one" if last < 0 < begin else ""
    unsure = [span for span in missing if _may_be_there(part, span, last)]
    lost = [span for span in missing if not _may_be_there(part, span, last)]
    if unsure:
        first = f"{run}/{part.at.partition}/{unsure[0].first}"
        reason = (
            f"{size(unsure)} acknowledged records are not to be seen, from {first} on: {_why_unsure(part)}"
        )
        findings.doubts.append(Doubt(f"run {run}", reason, part.at))
    for span in lost[:MOST_NAMED]:
        findings.wrong.append(Finding(Kind.LOST, part.at, size([span]), run, span, detail=at_least))
    if rest := size(lost[MOST_NAMED:]):
        findings.wrong.append(Finding(Kind.LOST, part.at, rest, run, detail="too many to name"))


def _may_be_there(part: LogPart, span: Span, last: int) -> bool:
    hidden = part.hidden_from is not None and span.first > last
    return part.compacted or part.unreadable > 0 or hidden


def _why_unsure(part: LogPart) -> str:
    if part.compacted:
        return "compaction may have removed them"
    if part.unreadable:
        return "they may be among what can't be read"
    return f"an open transaction hides what is behind offset {part.hidden_from}"
