"""How many of which kind. Pure, and in bounded memory whatever the letters say."""

from dataclasses import dataclass
from typing import Any

from services.ops.dlq.letter import moment

_MOST_KINDS = 1000
_LONGEST_NAME = 100
_OTHER = "(others)"


@dataclass(slots=True)
class _Count:
    count: int
    first_ms: int
    last_ms: int


class Histogram:
    """Counts things by kind, with the first and the last time.

    `columns` name what makes a kind. There are at most 1000 kinds, all further things count as one kind more.
    """

    def __init__(self, *columns: str) -> None:
        self._columns = columns
        self._counts: dict[tuple[str, ...], _Count] = {}

    def add(self, *kind: str, at_ms: int) -> None:
        """Count one thing of a kind: a text for each column."""
        kind = tuple(name[:_LONGEST_NAME] for name in kind)
        if kind not in self._counts and len(self._counts) >= _MOST_KINDS:
            kind = (_OTHER,) * len(self._columns)
        found = self._counts.setdefault(kind, _Count(0, at_ms, at_ms))
        found.count += 1
        found.first_ms = min(found.first_ms, at_ms)
        found.last_ms = max(found.last_ms, at_ms)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each kind, the most frequent first."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1].count, item[0]))
        return [
            dict(zip(self._columns, kind, strict=True))
            | {"count": found.count, "first": moment(found.first_ms), "last": moment(found.last_ms)}
            for kind, found in ordered
        ]
