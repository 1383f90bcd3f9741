"""One look at everything: ledgers, commits and ends are taken, the log is read, and all of it is compared.

The order makes that right for a system at work. An acknowledged record is in the log before its ledger says so, and a resolved
one before it is committed. So the ledgers are read first, then the commits, and then it is asked where the partitions end: what
ledgers and commits speak of lies before those ends. What is written meanwhile is beyond what the ledgers tell, and counts as in
flight. At last the ledgers are read on: a run that began meanwhile has one from before its first record, and one that lives may
have gone on.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from services.ops.audit.commits import Commits, fetch_commits
from services.ops.audit.compare import Result, Word, compare, remarks
from services.ops.audit.findings import At, Doubt, Findings
from services.ops.audit.group_check import find_gap, missed
from services.ops.audit.ledgers import Ledgers
from services.ops.audit.picture import Bounds, Cluster
from services.ops.audit.reading import LogStartMovedError, NotReadError, Reader
from services.ops.audit.settings import AuditSettings
from services.ops.audit.targets import (
    Targets,
    declared,
    find_targets,
    groups_of,
    partitions,
    require_some,
)
from services.ops.audit.view import View
from tandem.ledger import Edition, Span

_TRIES = 3


class Auditor:
    """Looks as often as it is told, each time at what is new; `stopped` is asked whether to give up."""

    def __init__(self, settings: AuditSettings, stopped: Callable[[], bool]) -> None:
        self._settings = settings
        self._stopped = stopped
        self._cluster = Cluster(settings, settings.timeout, stopped)
        self._reader = Reader(settings, settings.timeout, stopped, self._note_damage)
        self._ledgers = Ledgers(declared(settings))
        self._ledgers_read: dict[At, int] = {}
        self._views: dict[At, View] = {}

    def close(self) -> None:
        self._reader.close()

    def look(self) -> Result:
        """Look once. Raises SettingsError when there is nothing to audit, and what Cluster raises."""
        ledgers = find_targets(self._settings, self._stopped).ledger
        before = self._read_ledgers(ledgers)
        commits = fetch_commits(self._settings, groups_of(self._settings), self._stopped)
        targets = find_targets(
            self._settings, self._stopped
        )  # what is set aside was written before a commit, too
        require_some(targets, self._ledgers.known_topics())
        for at, bounds in self._bounds(targets).items():
            marks = {mark for each in commits.values() if at in each for mark in each[at].marks}
            self._read(at, bounds, partial(_new_view, targets, at), marks)
        word = Word(before, self._read_ledgers(ledgers))
        now_ms = time.time_ns() // 1_000_000
        mine = _only(commits, self._views)
        result = compare(targets.topics, self._views, word, mine, now_ms, self._settings.run)
        self._look_through(result)
        result.findings.remarks += remarks(result, word, now_ms)
        self._remark(result.findings, targets, mine)
        return result

    def _read_ledgers(self, topic: tuple[str, int] | None) -> Mapping[str, Edition]:
        """Read the ledgers from where they were left."""
        self._ledgers.problem = None
        for at, bounds in self._cluster.bounds([] if topic is None else partitions(*topic)).items():
            begin = max(bounds.log_start, self._ledgers_read.get(at, 0))
            try:
                for messages in self._reader.batches(at, begin, bounds.stable):
                    self._ledgers.add(messages)
                self._ledgers_read[at] = bounds.stable
            except (NotReadError, LogStartMovedError) as error:
                self._ledgers.problem = str(error) or "they were removed while they were read"
        return dict(self._ledgers.editions)

    def _bounds(self, targets: Targets) -> dict[At, Bounds]:
        since = None if self._views else self._settings.since  # later only the ends are of interest
        since_ms = None if since is None else int((time.time() - since) * 1000)
        return self._cluster.bounds(targets.sources, since_ms) | self._cluster.bounds(targets.others)

    def _read(self, at: At, bounds: Bounds, new: Callable[[Bounds], View], marks: set[int]) -> None:
        """Read a partition on. Where something is removed before it was read, begin anew at the new start."""
        view = self._views.setdefault(at, new(bounds))
        for _ in range(_TRIES):
            try:
                view.read_on(self._reader, bounds, marks)
                view.problem = None
            except NotReadError as error:
                view.problem = str(error)
            except LogStartMovedError:
                bounds = self._cluster.bounds([at])[at]
                view = self._views[at] = new(bounds)
                view.problem = "its records are removed faster than they can be read"
                continue
            return

    def _note_damage(self, at: At, spans: Sequence[Span]) -> None:
        if at in self._views:
            self._views[at].note_damage(spans)

    def _look_through(self, result: Result) -> None:
        """Find the names of what groups have missed, by reading the suspect parts once more."""
        for row, suspect in result.suspects:
            view = self._views[row.at]
            try:
                gap = find_gap(view.identities(self._reader, suspect.first, suspect.end), suspect)
            except (NotReadError, LogStartMovedError):
                gap = None
            result.findings.wrong.append(missed(row.group, row.at, suspect, gap))

    def _remark(self, findings: Findings, targets: Targets, commits: Commits) -> None:
        if targets.ledger is None:
            findings.remarks.append(
                "there is no ledger topic: whether a record was acknowledged can't be told"
            )
        findings.remarks += filter(None, [self._ledgers.remark()])
        if self._ledgers.problem is not None:
            findings.doubts.append(Doubt("the ledgers", self._ledgers.problem))
        absent = [group for group in targets.groups if group not in commits]
        if targets.groups_named:
            reason = "it has committed nothing on these topics"
            findings.doubts += [Doubt(f"group {group}", reason, None, group) for group in absent]
        elif absent and not commits:
            findings.remarks.append(
                "no group has committed anything on these topics: only the log was checked"
            )
        if self._settings.stream is not None or self._settings.kafka_topic is not None:
            missing = [target.topic for target in targets.topics if not target.partitions]
            findings.remarks += [f"topic {topic} does not exist" for topic in missing]


def _new_view(targets: Targets, at: At, bounds: Bounds) -> View:
    compacted = any(target.topic == at.topic and target.compacted for target in targets.topics)
    return View.of(at, bounds, set_aside=at in targets.others, compacted=compacted)


def _only(commits: Commits, views: Mapping[At, View]) -> Commits:
    """What was committed on the partitions that are looked at, by the groups that have."""
    found = {
        group: {at: commit for at, commit in committed.items() if at in views}
        for group, committed in commits.items()
    }
    return {group: committed for group, committed in found.items() if committed}
