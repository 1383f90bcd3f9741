"""The producers' ledgers, as their topic holds them: the last edition of each run. Pure; what is read may be anybody's."""

from collections.abc import Collection, Sequence

import msgspec

from services.ops.audit.sums import Message
from tandem.ledger import Edition
from tandem.log import escape

_MOST_NAMED = 10
_LONGEST = 64


class Ledgers:
    """Takes the records of the topic in their order. Of the editions, only what they say of `topics` is kept."""

    def __init__(self, topics: Collection[str]) -> None:
        self.editions: dict[str, Edition] = {}
        self._topics = topics
        self._unreadable = 0
        self._reasons: list[str] = []
        self.problem: str | None = None  # why they could not all be read

    def add(self, messages: Sequence[Message]) -> None:
        """Take the next records: an edition replaces the one before, a tombstone removes it."""
        for message in messages:
            run, value = (message.key() or b"").decode(errors="replace"), message.value()
            if value is None:
                self.editions.pop(run, None)
                continue
            try:
                edition = Edition.decode(value)
                if edition.run != run:
                    raise ValueError("its key is another run")  # noqa: TRY301 -- as bad as bytes that are no edition
            except ValueError as error:
                self._complain(run, message.offset(), error)
            else:
                lanes = tuple(lane for lane in edition.lanes if lane.topic in self._topics)
                self.editions[run] = msgspec.structs.replace(edition, lanes=lanes)

    def _complain(self, run: str, offset: int, error: ValueError) -> None:
        self._unreadable += 1
        if len(self._reasons) < _MOST_NAMED:
            self._reasons.append(escape(f"{run[:_LONGEST]} at offset {offset}: {str(error)[:_LONGEST]}"))

    def known_topics(self) -> set[str]:
        """The topics that some ledger knows."""
        return {lane.topic for edition in self.editions.values() for lane in edition.lanes}

    def remark(self) -> str | None:
        """What is to be said of records that are no ledgers."""
        if not self._unreadable:
            return None
        more = "" if self._unreadable == len(self._reasons) else "; …"
        return (
            f"{self._unreadable} records of the ledger topic are no ledgers: {'; '.join(self._reasons)}{more}"
        )
