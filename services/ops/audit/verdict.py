"""From what was found to one word and an exit status. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.ops.audit.compare import Result
from services.ops.audit.findings import LOSSES, At, Finding, Findings, Kind
from tandem.errors import ExitStatus
from tandem.ledger import Span

_WORDS = {
    ExitStatus.DONE: "clean",
    ExitStatus.LOSS: "loss",
    ExitStatus.DUPLICATES: "duplicates",
    ExitStatus.INCONCLUSIVE: "inconclusive",
}

Key = tuple[Kind, At, str | None, str | None, Span | None]


def status_of(findings: Findings) -> ExitStatus:
    """A loss weighs more than records that are there, and those more than what could not be checked."""
    kinds = {each.kind for each in findings.wrong}
    if kinds & LOSSES:
        return ExitStatus.LOSS
    if kinds:
        return ExitStatus.DUPLICATES
    return ExitStatus.INCONCLUSIVE if findings.doubts else ExitStatus.DONE


def word_for(status: ExitStatus) -> str:
    return _WORDS[status]


def counts(findings: Findings) -> Mapping[Kind, int]:
    """How many records each is true of; only those that are true of some."""
    found = {kind: findings.count(kind) for kind in Kind}
    return {kind: count for kind, count in found.items() if count}


def summary(result: Result) -> str:
    """The verdict in a line."""
    findings, status = result.findings, status_of(result.findings)
    wrong = ", ".join(f"{count} {kind}" for kind, count in counts(findings).items())
    unsure = f"{len(findings.doubts)} not checked" if findings.doubts else ""
    looked = ", ".join(
        f"{count} {what}{'' if count == 1 else 's'}"
        for what, count in (
            ("record", sum(row.records for row in result.logs)),
            ("run", len({row.run for row in result.runs})),
            ("group", len({row.group for row in result.groups})),
        )
    )
    found = "; ".join(filter(None, (wrong, unsure, looked)))
    return f"verdict: {word_for(status)} (status {status:d}): {found}"


@dataclass(slots=True)
class Memory:
    """What several looks have found: each thing once, as the last look tells it."""

    _found: dict[Key, Finding] = field(default_factory=dict)

    def news(self, findings: Findings) -> list[Finding]:
        """Take the findings of one more look; return those that no look before had."""
        found = {_key(each): each for each in findings.wrong}
        fresh = [each for key, each in found.items() if key not in self._found]
        self._found |= found
        return fresh

    def all(self) -> list[Finding]:
        return list(self._found.values())


def _key(finding: Finding) -> Key:
    """The same for the same records, also when more of them have followed."""
    first = finding.sequences or finding.offsets
    begin = None if first is None else Span(first.first, first.first)
    return finding.kind, finding.at, finding.run, finding.group, begin
