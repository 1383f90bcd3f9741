"""Everything that one look has shown, compared. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.ops.audit.findings import At, Doubt, Finding, Findings, Kind
from services.ops.audit.group_check import Commit, GroupRow, Suspect, check_group
from services.ops.audit.records import Records
from services.ops.audit.run_check import LogPart, RunRow, State, check_run, state_of
from services.ops.audit.set_aside import Family, SetAside, check_set_aside
from services.ops.audit.targets import Target
from services.ops.audit.view import View
from tandem.headers import Copy
from tandem.ledger import Edition, LaneLedger

Views = Mapping[At, View]


@dataclass(frozen=True, slots=True)
class LogRow:
    """A partition in figures: its offsets, and its records. `no_record` offsets hold none."""

    at: At
    start: int
    end: int
    records: int
    runs: int
    resent: int
    redriven: int
    derived: int
    repeated: int
    foreign: int
    unchecked: int
    no_record: int


@dataclass(slots=True)
class Result:
    """What came of one look. The suspects are still to be looked through."""

    findings: Findings = field(default_factory=Findings)
    logs: list[LogRow] = field(default_factory=list)
    runs: list[RunRow] = field(default_factory=list)
    groups: list[GroupRow] = field(default_factory=list)
    set_aside: dict[str, int] = field(default_factory=dict)  # records by topic
    suspects: list[tuple[GroupRow, Suspect]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Word:
    """What the producers said before the log was read, and after."""

    before: Mapping[str, Edition]
    after: Mapping[str, Edition]

    def of(self, run: str) -> Edition | None:
        """What the log must agree with: a run that began meanwhile has told of nothing before."""
        if run in self.before or run not in self.after:
            return self.before.get(run)
        began = self.after[run]
        return Edition(run, began.stream, began.at_ms, began.interval_ms, closed=False, lanes=())

    def state(self, run: str, now_ms: int, *, beyond: bool) -> State:
        """How a run stands."""
        edition = self.of(run)
        if edition is not None and not edition.closed and self.after.get(run) != edition:
            return State.LIVE  # it has gone on
        return state_of(edition, now_ms, beyond=beyond)


def compare(
    targets: Sequence[Target],
    views: Views,
    word: Word,
    commits: Mapping[str, Mapping[At, Commit]],
    now_ms: int,
    runs: Collection[str],
) -> Result:
    """Compare the logs with the producers' word and the groups' commits. `runs`: only these, where there are any."""
    result = Result()
    for view in views.values():
        _log(result, view)
    _runs(result, {target.topic for target in targets}, views, word, now_ms, runs)
    for group, committed in commits.items():
        _group(result, group, committed, views)
    for target in targets:
        result.findings.add(check_set_aside(_family(target, views), result.groups))
    return result


def _log(result: Result, view: View) -> None:
    """One partition in figures, and what is damaged or could not be read in it."""
    part, records, doubts = view.part, view.records, result.findings.doubts
    result.findings.wrong += records.damaged()
    for span in view.unreadable:
        count = span.last - span.first + 1
        finding = Finding(Kind.CORRUPT, view.at, count, offsets=span, detail="a damaged batch")
        result.findings.wrong.append(finding)
    if view.problem is not None:
        doubts.append(Doubt(f"partition {view.at}", view.problem, view.at))
    if isinstance(records, SetAside):
        topic = view.at.topic
        result.set_aside[topic] = result.set_aside.get(topic, 0) + view.sums.now.records - records.strange
        return
    if records.untracked:
        reason = f"{records.untracked} records are of more runs than can be remembered"
        doubts.append(Doubt(f"partition {view.at}", reason, view.at))
    result.logs.append(_log_row(part, records, view.sums.now.records))


def _log_row(part: LogPart, records: Records, total: int) -> LogRow:
    return LogRow(
        part.at,
        part.start,
        part.end,
        total,
        len(records.trails),
        records.copies[Copy.RESEND],
        records.copies[Copy.REDRIVE],
        records.derived,
        records.repeated,
        records.foreign,
        records.unchecked,
        part.end - part.start - total,
    )


def _runs(
    result: Result, topics: Collection[str], views: Views, word: Word, now_ms: int, chosen: Collection[str]
) -> None:
    """Every run that left a trail, or says that it did."""
    lanes: dict[tuple[str, At], LaneLedger] = {}
    for run, edition in word.before.items():
        lanes |= {(run, At(lane.topic, lane.partition)): lane for lane in edition.lanes if lane.settled}
    trails = {
        (run, at): trail
        for at, view in views.items()
        if isinstance(view.records, Records) and view.problem is None
        for run, trail in view.records.trails.items()
    }
    places = {each for each in (*lanes, *trails) if each[1].topic in topics}
    beyond = {
        run
        for (run, at), trail in trails.items()
        if trail.next > (lane.settled if (lane := lanes.get((run, at))) else 0)
    }
    for run, at in sorted(places):
        if (chosen and run not in chosen) or (at in views and views[at].problem is not None):
            continue
        part = views[at].part if at in views else LogPart(at, 0, 0, 0)
        state = word.state(run, now_ms, beyond=run in beyond)
        check = check_run(run, part, trails.get((run, at)), lanes.get((run, at)), state)
        result.findings.add(check.findings)
        if check.row.seen or check.row.removed < check.row.settled:
            result.runs.append(check.row)


def _group(result: Result, group: str, committed: Mapping[At, Commit], views: Views) -> None:
    """A group in all partitions of the topics on which it has committed something."""
    topics = {at.topic for at in committed}
    for at, view in views.items():
        if at.topic not in topics or view.problem is not None:
            continue
        check = check_group(group, view.part, committed.get(at), view.sums.known)
        result.groups.append(check.row)
        result.findings.add(check.findings)
        result.suspects += ((check.row, suspect) for suspect in check.suspects)


def _family(target: Target, views: Views) -> Family:
    by_topic: dict[str, list[SetAside]] = defaultdict(list)
    for at, view in views.items():
        if isinstance(view.records, SetAside):
            by_topic[at.topic].append(view.records)
    letters = [] if target.letters is None else by_topic[target.letters[0]]
    return Family(target.topic, letters, [each for topic, _ in target.retries for each in by_topic[topic]])


def remarks(result: Result, word: Word, now_ms: int) -> Iterable[str]:
    """What is worth a word although nothing is wrong."""
    for run in sorted({row.run for row in result.runs if row.state in {State.CRASHED, State.SILENT}}):
        edition = word.of(run)
        if edition is not None:
            seconds = max(0, now_ms - edition.at_ms) // 1000
            rows = [row for row in result.runs if row.run == run]
            crashed = rows[0].state is State.CRASHED
            unknown = sum(row.unknown + row.missing_unknown for row in rows)
            told = f"run {run} never closed its ledger, and last published it {seconds} s ago"
            yield f"{told}: {f'it crashed; the fate of {unknown} records is unknown' if crashed else 'it crashed, or is idle'}"
