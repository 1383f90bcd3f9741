"""One look at everything: ledgers, commits and ends are taken, the log is read, and all of it is compared.

The order makes that right for a system at work. An acknowledged record is in the log before its ledger says so, and a resolved
one before it is committed. So the ledgers are read first, then the commits, and then it is asked where the partitions end: what
ledgers and commits speak of lies before those ends. What is written meanwhile is beyond what the ledgers tell, and counts as in
flight. At last the ledgers are read on: a run that began meanwhile has one from before its first record, and one that lives may
have gone on.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from services.ops.audit.commits import Commits, fetch_commits
from services.ops.audit.compare import Result, Word, compare, remarks
from services.ops.audit.findings import At, Doubt
from services.ops.audit.group_check import find_gap, missed
from services.ops.audit.ledgers import Ledgers
from services.ops.audit.picture import Bounds, Cluster
from services.ops.audit.reading import LogStartMovedError, NotReadError, Reader
from services.ops.audit.settings import AuditSettings
from services.ops.audit.targets import Target, Targets, require_some
from services.ops.audit.view import View
from tandem.ledger import Edition, Span

_TRIES = 3


class Auditor:
    """Looks as often as it is told, each time at what is new; `stopped` is asked whether to give up."""

    def __init__(self, settings: AuditSettings, targets: Targets, stopped: Callable[[], bool]) -> None:
        self._settings = settings
        self._targets = targets
        self._stopped = stopped
        self._cluster = Cluster(settings, settings.timeout, stopped)
        self._reader = Reader(settings, settings.timeout, stopped, self._note_damage)
        self._ledgers = Ledgers({target.topic for target in targets.topics})
        self._ledgers_read: dict[At, int] = {}
        self._views: dict[At, View] = {}
        self._compacted = {target.topic for target in targets.topics if target.compacted}
        self._sources = [
            at for target in targets.topics for at in _partitions(target.topic, target.partitions)
        ]
        self._others = [at for target in targets.topics for at in _beside(target)]

    def close(self) -> None:
        self._reader.close()

    def look(self) -> Result:
        """Look once. Raises SettingsError when there is nothing to audit, and what Cluster raises."""
        before = self._read_ledgers()
        require_some(self._targets, self._ledgers.known_topics())
        commits = self._commits()
        for at, bounds in self._bounds().items():
            self._read(
                at, bounds, {mark for each in commits.values() if at in each for mark in each[at].marks}
            )
        word = Word(before, self._read_ledgers())
        now_ms = time.time_ns() // 1_000_000
        result = compare(self._targets.topics, self._views, word, commits, now_ms, self._settings.run)
        self._look_through(result)
        result.findings.remarks += remarks(result, word, now_ms)
        self._remark(result, commits)
        return result

    def _read_ledgers(self) -> Mapping[str, Edition]:
        """Read the ledgers from where they were left; an interval of a transaction there is no concern of ours."""
        if self._targets.ledger is not None:
            for at, bounds in self._cluster.bounds(_partitions(*self._targets.ledger)).items():
                begin = max(bounds.log_start, self._ledgers_read.get(at, 0))
                try:
                    for messages in self._reader.batches(at, begin, bounds.stable):
                        self._ledgers.add(messages)
                except (NotReadError, LogStartMovedError) as error:
                    self._ledgers.problem = str(error) or "it was removed while it was read"
                self._ledgers_read[at] = bounds.stable
        return dict(self._ledgers.editions)

    def _commits(self) -> Commits:
        asked = fetch_commits(self._settings, self._targets.groups, self._stopped)
        mine = {*self._sources, *self._others}
        found = {
            group: {at: commit for at, commit in committed.items() if at in mine}
            for group, committed in asked.items()
        }
        return {group: committed for group, committed in found.items() if committed}

    def _bounds(self) -> dict[At, Bounds]:
        since = self._settings.since
        since_ms = None if since is None else int((time.time() - since) * 1000)
        begun = bool(self._views)  # then only the ends are of interest
        return self._cluster.bounds(self._sources, None if begun else since_ms) | self._cluster.bounds(
            self._others
        )

    def _read(self, at: At, bounds: Bounds, marks: set[int]) -> None:
        """Read a partition on. Where something is removed before it was read, begin anew at the new start."""
        for _ in range(_TRIES):
            view = self._views.setdefault(at, self._new_view(at, bounds))
            try:
                view.read_on(self._reader, bounds, marks)
                view.problem = None
            except NotReadError as error:
                view.problem = str(error)
            except LogStartMovedError:
                bounds = self._cluster.bounds([at])[at]
                self._views[at] = self._new_view(at, bounds)
                self._views[at].problem = "its records are removed faster than they can be read"
            else:
                return

    def _new_view(self, at: At, bounds: Bounds) -> View:
        return View.of(at, bounds, set_aside=at in self._others, compacted=at.topic in self._compacted)

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

    def _remark(self, result: Result, commits: Commits) -> None:
        findings = result.findings
        if self._targets.ledger is None:
            findings.remarks.append(
                "there is no ledger topic: whether a record was acknowledged can't be told"
            )
        findings.remarks += filter(None, [self._ledgers.remark()])
        if self._ledgers.problem is not None:
            findings.doubts.append(Doubt("the ledgers", self._ledgers.problem))
        for group in self._targets.groups if self._targets.groups_named else ():
            if group not in commits:
                findings.doubts.append(
                    Doubt(f"group {group}", "it has committed nothing on these topics", None, group)
                )
        if not commits and not self._targets.groups_named and self._targets.groups:
            findings.remarks.append(
                "no group has committed anything on these topics: only the log was checked"
            )
        findings.remarks += [
            f"topic {target.topic} does not exist" for target in self._targets.topics if not target.partitions
        ]


def _partitions(topic: str, count: int) -> list[At]:
    return [At(topic, number) for number in range(count)]


def _beside(target: Target) -> list[At]:
    others = [*target.retries, *([] if target.letters is None else [target.letters])]
    return [at for topic, count in others for at in _partitions(topic, count)]
