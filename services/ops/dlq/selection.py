"""Which letters are meant. Pure."""

import re
from dataclasses import dataclass
from typing import Self

from services.ops.dlq.letter import Letter, Place

_AT = re.compile(r"(?:([a-zA-Z0-9._-]{1,249})/)?([0-9]{1,9})/([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class At:
    """One letter, as people name it. `topic` None: the only one looked at."""

    topic: str | None
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PARTITION/OFFSET` or `TOPIC/PARTITION/OFFSET`. Raises ValueError for anything else."""
        match = _AT.fullmatch(text)
        if match is None:
            raise ValueError("takes PARTITION/OFFSET or TOPIC/PARTITION/OFFSET, for example orders-dlt/0/17")
        return cls(match[1], int(match[2]), int(match[3]))


@dataclass(frozen=True, slots=True)
class Selection:
    """What a letter must be like; None: anything. Times are of the first failure, in epoch milliseconds, both included."""

    exception: str | None = None
    stage: str | None = None
    message_contains: str | None = None
    key: bytes | None = None
    group: str | None = None
    since: int | None = None
    until: int | None = None
    at: Place | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is meant. One that can't be read is meant where nothing but a place is asked for."""
        if letter.flaw is not None and self != Selection(at=self.at):
            return False
        told = letter.failure
        return (
            self.at in {None, letter.place}
            and self.exception in {None, told.get("exception")}
            and self.stage in {None, told.get("stage")}
            and self.group in {None, told.get("group")}
            and (self.message_contains is None or self.message_contains in told.get("message", ""))
            and (self.key is None or self.key == letter.key)
            and (self.since is None or letter.failed_at_ms >= self.since)
            and (self.until is None or letter.failed_at_ms <= self.until)
        )
