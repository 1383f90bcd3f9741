"""Which letters are meant, and those letters over all topics that are looked at."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import chain

from services.ops.dlq.letter import Letter, Place
from services.ops.dlq.reader import Reader, Spans
from services.ops.dlq.route import Source
from services.ops.dlq.settings import DlqSettings
from services.ops.dlq.topics import DeadLetterTopic


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


class Selected:
    """Reads what is selected, topic by topic and partition by partition. `hidden` counts what was redriven and not shown."""

    def __init__(
        self, settings: DlqSettings, reader: Reader, topics: Sequence[DeadLetterTopic], only: Place | None
    ) -> None:
        self.hidden = 0
        self._reader = reader
        self._topics = [topic for topic in topics if only is None or topic.name == only.topic]
        self._only = only
        self._with_redriven = settings.all_letters or (settings.action == "show" and only is not None)
        self._selection = selection(settings, only)

    async def spans(self) -> Spans:
        """What each partition that may hold letters holds now."""
        partitions = chain.from_iterable(topic.all_partitions for topic in self._topics)
        return await self._reader.spans(
            at for at in partitions if self._only is None or at.partition == self._only.partition
        )

    async def letters(self) -> AsyncIterator[tuple[Letter, Source]]:
        """The letters, and the topic that they are of. Their number is not bounded here."""
        sources = {topic.name: topic.source for topic in self._topics}
        offset = self._only.offset if self._only is not None else None
        for at, span in (await self.spans()).items():
            async for letter in self._reader.letters(at, span, offset):
                if not self._selection.takes(letter):
                    continue
                if letter.redriven and not self._with_redriven:
                    self.hidden += 1
                else:
                    yield letter, sources[at.topic]


def selection(settings: DlqSettings, only: Place | None) -> Selection:
    """What the settings ask of a letter."""
    return Selection(
        exception=settings.exception,
        stage=settings.stage,
        message_contains=settings.message_contains,
        key=None if settings.key is None else settings.key.encode(errors="surrogateescape"),
        group=settings.group,
        since=settings.since,
        until=settings.until,
        at=only,
    )
