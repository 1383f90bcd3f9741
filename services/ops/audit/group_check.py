"""What a consumer group says it has resolved, against what the log holds. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from services.ops.audit.findings import At, Doubt, Finding, Findings, Kind
from services.ops.audit.run_check import LogPart
from services.ops.audit.sums import Sum
from tandem.account import Checkpoint, parse
from tandem.ledger import Span

_MODULUS = 2**64
_LARGEST_GAP = 1_000_000  # records; its identities are held in memory while it is looked for

SumAt = Callable[[int], Sum]


class Commit(NamedTuple):
    """What a group has committed in one partition."""

    offset: int
    metadata: str

    @property
    def marks(self) -> set[int]:
        """The offsets at which the log has to be compared with it."""
        return {self.offset, *(each.offset for each in parse(self.metadata))}


class Suspect(NamedTuple):
    """A part of a partition that holds `missing` records more than the group resolved there, with this sum of identities."""

    first: int
    end: int
    missing: int
    digest: int
    records: int


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group in one partition, in figures: records, since the oldest checkpoint that the log still covers.

    `resolved` are those before the committed offset; `before` those that the log held before the account began, or before that
    checkpoint. `lag` are those behind the committed offset.
    """

    group: str
    at: At
    committed: int | None
    lag: int
    resolved: int = 0
    dead: int = 0
    deferred: int = 0
    before: int = 0
    checked: Span | None = None  # offsets


@dataclass(frozen=True, slots=True)
class GroupCheck:
    """What came of it; the suspects have to be looked through by `find_gap`, and then told by `missed`."""

    row: GroupRow
    findings: Findings = field(default_factory=Findings)
    suspects: Sequence[Suspect] = ()


def check_group(group: str, part: LogPart, commit: Commit | None, sum_at: SumAt) -> GroupCheck:
    """Compare a group's account with the log: what was resolved and the lag together must be all that the log holds.

    `sum_at` knows the sums at the start, at the end and at the marks of the commit, as far as they are in between.
    """
    everything, _ = sum_at(part.end).since(sum_at(part.start))
    if commit is None:
        return GroupCheck(GroupRow(group, part.at, None, everything))
    findings = Findings()
    findings.wrong += _expired(group, part, commit)
    if commit.offset > part.end:
        reason = f"it has committed {commit.offset}, but the log ends at {part.end}: the topic is not the one that it was"
        findings.doubts.append(Doubt(f"group {group}", reason, part.at, group))
        return GroupCheck(GroupRow(group, part.at, commit.offset, 0), findings)
    committed = sum_at(max(commit.offset, part.start))
    lag, _ = sum_at(part.end).since(committed)
    checkpoints = [each for each in parse(commit.metadata) if part.start <= each.offset <= commit.offset]
    findings.add(_off_the_mark(group, part, commit, sum_at))
    if not checkpoints:
        return GroupCheck(GroupRow(group, part.at, commit.offset, lag), findings)
    oldest, newest = checkpoints[0], checkpoints[-1]
    suspects: list[Suspect] = []
    for before, after in pairwise(checkpoints):
        logged = sum_at(after.offset).since(sum_at(before.offset))
        suspects += _close(findings, group, part, before, after, logged)
    row = GroupRow(
        group,
        part.at,
        commit.offset,
        lag,
        newest.resolved - oldest.resolved,
        newest.dead - oldest.dead,
        newest.deferred - oldest.deferred,
        sum_at(oldest.offset).since(sum_at(part.start))[0],
        Span(oldest.offset, newest.offset - 1),
    )
    return GroupCheck(row, findings, suspects)


def _expired(group: str, part: LogPart, commit: Commit) -> Iterator[Finding]:
    checkpoints = parse(commit.metadata)
    for before, after in pairwise((Checkpoint(0), *checkpoints)):
        if count := after.expired - before.expired:
            offsets = Span(before.offset, after.offset - 1)
            yield Finding(
                Kind.EXPIRED, part.at, count, offsets=offsets, group=group, detail="so its account says"
            )
    if commit.offset < part.log_start:
        offsets = Span(commit.offset, part.log_start - 1)
        detail = "before the log's start, and not read"
        yield Finding(
            Kind.EXPIRED,
            part.at,
            part.log_start - commit.offset,
            offsets=offsets,
            group=group,
            detail=detail,
        )


def _off_the_mark(group: str, part: LogPart, commit: Commit, sum_at: SumAt) -> Findings:
    """A commit whose account is missing, or of another offset."""
    checkpoints = parse(commit.metadata)
    about, findings = f"group {group}", Findings()
    if not checkpoints:
        reason = (
            f"its commit at {commit.offset} comes without an account: it was not made by a consumer of Tandem"
        )
        findings.doubts.append(Doubt(about, reason, part.at, group))
    elif (end := checkpoints[-1].offset) > commit.offset:
        reason = f"it was moved back from {end} to {commit.offset}"
        findings.doubts.append(Doubt(about, reason, part.at, group))
    elif end < commit.offset and commit.offset > part.start:
        first = max(end, part.start)
        count, _ = sum_at(commit.offset).since(sum_at(first))
        offsets, detail = Span(first, commit.offset - 1), "committed beyond the account"
        if count:
            findings.wrong.append(Finding(Kind.MISSED, part.at, count, None, None, offsets, group, detail))
    return findings


def _close(
    findings: Findings,
    group: str,
    part: LogPart,
    before: Checkpoint,
    after: Checkpoint,
    logged: tuple[int, int],
) -> Iterator[Suspect]:
    """Compare one part of the account with the log; what does not close is a doubt, or suspect."""
    count, digest = logged
    missing = count - (after.resolved - before.resolved)
    difference = (digest - after.digest + before.digest) % _MODULUS
    if missing == 0 and difference == 0:
        return
    where = f"between the offsets {before.offset} and {after.offset}"
    if part.compacted or part.unreadable or missing < 0:
        why = "it resolved other records than the log holds"
        if part.compacted:
            why = "compaction may have removed some of what it resolved"
        elif part.unreadable:
            why = "not all of the log can be read"
        elif missing < 0:
            why = f"it resolved {-missing} records more than the log holds"
        findings.doubts.append(Doubt(f"group {group}", f"{where}, {why}", part.at, group))
        return
    yield Suspect(before.offset, after.offset, missing, difference, count)


def find_gap(identities: Iterable[tuple[int, int]], suspect: Suspect) -> Span | None:
    """The offsets of the only records, one behind the other, that can be the missing ones; None when there are no such.

    `identities` are the offset and the identity of each record of the suspect part.
    """
    if suspect.missing == suspect.records:
        return Span(suspect.first, suspect.end - 1)
    if not 0 < suspect.missing <= _LARGEST_GAP:
        return None
    window: deque[tuple[int, int]] = deque()
    digest = 0
    for offset, identity in identities:
        window.append((offset, identity))
        digest += identity
        if len(window) > suspect.missing:
            digest -= window.popleft()[1]
        if len(window) == suspect.missing and digest % _MODULUS == suspect.digest:
            return Span(window[0][0], offset)
    return None


def missed(group: str, at: At, suspect: Suspect, gap: Span | None) -> Finding:
    """What is to be said of a suspect part."""
    if gap is not None:
        return Finding(Kind.MISSED, at, suspect.missing, None, None, gap, group, "not resolved")
    offsets = Span(suspect.first, suspect.end - 1)
    if suspect.missing == 0:
        detail = "as many resolved as there are, but not the same ones"
        return Finding(Kind.MISSED, at, 1, None, None, offsets, group, detail)
    return Finding(Kind.MISSED, at, suspect.missing, None, None, offsets, group, "somewhere among these")
