"""The records that consumer groups set aside, in the dead letters and the retry topics, against what their accounts say. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xxhash import xxh3_64_intdigest

from services.ops.audit.findings import At, Finding, Findings, Kind
from services.ops.audit.group_check import GroupRow
from services.ops.audit.spans import Spans, size
from services.ops.audit.sums import Message
from services.ops.audit.trail import Oddities
from tandem.account import identity
from tandem.headers import CHECKSUM, DEAD_LETTER, EVENT_ID, checksum
from tandem.ledger import Span

_TOPIC, _PARTITION, _OFFSET, _GROUP = (
    f"{DEAD_LETTER}{name}" for name in ("topic", "partition", "offset", "group")
)
_MOST_DIGITS = 18

Place = tuple[str, At]  # a group, and a partition that it read


class SetAside:
    """One partition of a topic for what was set aside: where each record comes from.

    `removed`: so many were removed from its beginning. `strange` counts records that don't tell where they are from, such as the
    marks of letters that were sent back.
    """

    def __init__(self, at: At, removed: int = 0) -> None:
        self.at = at
        self.removed = removed
        self.strange = 0
        self.origins: dict[Place, Spans] = defaultdict(Spans)
        self._corrupt = Oddities()

    def fold(self, messages: Sequence[Message]) -> int:
        """Look at records, and return the sum of their identities."""
        digest = 0
        for message in messages:
            try:
                headers = dict(message.headers() or ())
            except SystemError:  # the name of a header is not UTF-8
                self.strange += 1
                continue
            name, told, offset = headers.get(EVENT_ID), headers.get(CHECKSUM), message.offset()
            digest += xxh3_64_intdigest(name) if name else identity(None, *self.at, offset)
            if told is not None and told != checksum(message.key(), message.value()):
                self._corrupt.add(offset, offset)
            self._note(headers)
        return digest

    def _note(self, headers: Mapping[str, bytes | None]) -> None:
        topic, partition, offset, group = (
            headers.get(name) for name in (_TOPIC, _PARTITION, _OFFSET, _GROUP)
        )
        if not topic or group is None or not _is_number(partition) or not _is_number(offset):
            self.strange += 1
            return
        at = At(topic.decode(errors="replace"), int(partition or b""))
        number = int(offset or b"")
        self.origins[group.decode(errors="replace"), at].add(number, number)

    def damaged(self) -> Iterator[Finding]:
        """The records that are not what was sent."""
        yield from self._corrupt.findings(Kind.CORRUPT, self.at, detail="key or value has another checksum")


@dataclass(frozen=True, slots=True)
class Family:
    """A topic that groups read, and the partitions where they set its records aside; they read the retry topics, too."""

    topic: str
    letters: Sequence[SetAside] = ()
    retries: Sequence[SetAside] = ()

    @property
    def names(self) -> frozenset[str]:
        """The topics whose records lie in the topic's dead letters."""
        return frozenset({self.topic, *(each.at.topic for each in self.retries)})


def check_set_aside(family: Family, rows: Iterable[GroupRow]) -> Findings:
    """Look for what the groups count as set aside: each record must lie where it was put, at least once."""
    by_group: dict[str, list[GroupRow]] = defaultdict(list)
    for row in rows:
        if row.at.topic in family.names:
            by_group[row.group].append(row)
    findings = Findings()
    for group, mine in by_group.items():
        findings.add(_check_group(family, group, mine))
    return findings


def _check_group(family: Family, group: str, rows: Sequence[GroupRow]) -> Findings:
    findings = Findings()
    dead = sum(row.dead for row in rows)
    for row in rows:
        if row.at.topic != family.topic or row.checked is None:
            continue
        there = _distinct(family.letters, group, row.at, row.checked)
        _tell(
            findings, family.letters, row, row.dead - there, f"dead-lettered, and not in {family.topic}-dlt"
        )
        dead -= max(0, row.dead - there)
        there = _distinct(family.retries, group, row.at, row.checked)
        _tell(findings, family.retries, row, row.deferred - there, "deferred, and in no retry topic")
    # Those that came by way of a retry topic lie beside the others, and their headers say where they were first.
    everything = Span(0, 10**_MOST_DIGITS)
    places = {
        at for each in family.letters for who, at in each.origins if who == group and at.topic in family.names
    }
    there = sum(_distinct(family.letters, group, at, everything) for at in places)
    whole = GroupRow(group, At(family.topic, 0), None, 0)
    _tell(
        findings,
        family.letters,
        whole,
        dead - there,
        f"dead-lettered from a retry topic, and not in {family.topic}-dlt",
    )
    return findings


def _distinct(where: Iterable[SetAside], group: str, at: At, within: Span) -> int:
    """How many records of a group and a partition lie there, each counted once."""
    both = Spans()
    for each in where:
        spans = each.origins.get((group, at))
        for span in () if spans is None else spans.within(*within):
            for gap in list(both.gaps(*span)):
                both.add(*gap)
    return size(both)


def _tell(findings: Findings, where: Iterable[SetAside], row: GroupRow, lacking: int, what: str) -> None:
    """Say of what was set aside, and is not there, that it is missed, or that it may have been removed since."""
    where = list(where)
    if lacking <= 0:
        return
    if lacking > sum(each.removed for each in where):
        finding = Finding(Kind.MISSED, row.at, lacking, None, None, row.checked, row.group, what)
        findings.wrong.append(finding)
    else:
        topics = ", ".join(sorted({each.at.topic for each in where if each.removed}))
        remark = (
            f"{lacking} records of {row.at} that group {row.group} set aside were removed from {topics} since"
        )
        findings.remarks.append(remark)


def _is_number(text: bytes | None) -> bool:
    return text is not None and text.isdigit() and len(text) <= _MOST_DIGITS
