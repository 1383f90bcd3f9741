"""The records of a topic with events, as the log holds them: whose they are, in which order, and whether they are whole. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from xxhash import xxh3_64_intdigest

from services.ops.audit.findings import At, Finding, Kind
from services.ops.audit.sums import Message
from services.ops.audit.trail import Oddities, Trail
from tandem.account import identity
from tandem.headers import CHECKSUM, COPY, EVENT_ID, Copy, checksum

_MOST_RUNS = 100_000  # with a trail; somebody else's ids may look like ours
_MOST_REMEMBERED = 50_000
_KINDS = {kind.encode(): str(kind) for kind in Copy}
_DERIVED = re.compile(rb".+/[a-z-]{1,64}/[0-9]{1,9}", re.DOTALL)


class Records:
    """What was seen in one partition.

    `trails` are by run. `copies` counts resends and redrives by what their header says: they are no run's own records.
    `repeated` counts derived ids that came before, among the last 50,000. `untracked` are those of runs beyond the 100,000th,
    `unchecked` those with an id and without a checksum.
    """

    def __init__(self, at: At) -> None:
        self.at = at
        self.copies: Counter[str] = Counter()
        self.derived = self.repeated = self.foreign = self.untracked = self.unchecked = 0
        self._corrupt = Oddities()
        self._unreadable = Oddities()
        self._trails: dict[bytes, Trail] = {}
        self._run = re.compile(rb"[0-9a-f]{12}/%d" % at.partition)
        self._remembered: dict[int, None] = {}

    @property
    def trails(self) -> dict[str, Trail]:
        return {prefix[:12].decode(): trail for prefix, trail in self._trails.items()}

    def fold(self, messages: Sequence[Message]) -> int:  # noqa: C901 -- a call for each of ten million records costs seconds
        """Look at records, in the order of the log, and return the sum of their identities."""
        trails, place, digest = self._trails.get, self.at, 0
        for message in messages:
            try:
                headers = dict(message.headers() or ())
            except SystemError:  # the name of a header is not UTF-8
                self._unreadable.add(message.offset(), message.offset())
                continue
            name, told = headers.get(EVENT_ID), headers.get(CHECKSUM)
            if told is None:
                self.unchecked += name is not None
            elif told != checksum(message.key(), message.value()):
                self._corrupt.add(message.offset(), message.offset())
            if not name:
                self.foreign += 1
                digest += identity(None, *place, message.offset())
                continue
            digest += (known := xxh3_64_intdigest(name))
            if COPY in headers:
                self.copies[_KINDS.get(headers[COPY], "other")] += 1
                continue
            run, _, digits = name.rpartition(b"/")
            trail = trails(run)
            if trail is None:
                trail = self._begin(run, name, known)
                if trail is None:
                    continue
            if digits == trail.expected:
                trail.next = following = trail.next + 1
                trail.expected = b"%d" % following
            elif not trail.jump(digits, message.offset()):
                self.foreign += 1
        return digest

    def _begin(self, run: bytes, name: bytes, known: int) -> Trail | None:
        """The trail of a run that was not seen before; None where the id is of another kind."""
        if self._run.fullmatch(run) is None:
            self._other(name, known)
            return None
        if len(self._trails) >= _MOST_RUNS:
            self.untracked += 1
            return None
        trail = self._trails[run] = Trail()
        return trail

    def _other(self, name: bytes, known: int) -> None:
        if _DERIVED.fullmatch(name) is None:
            self.foreign += 1
            return
        self.derived += 1
        if known in self._remembered:
            self.repeated += 1
            return
        self._remembered[known] = None
        if len(self._remembered) > _MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def damaged(self) -> Iterator[Finding]:
        """The records that are not what was sent."""
        yield from self._corrupt.findings(Kind.CORRUPT, self.at, detail="key or value has another checksum")
        yield from self._unreadable.findings(Kind.CORRUPT, self.at, detail="a header's name is not UTF-8")
