"""The letters that are meant, over all topics that are looked at."""

from collections.abc import AsyncIterator, Sequence
from itertools import chain

from services.ops.dlq.letter import Letter, Place
from services.ops.dlq.reader import Reader, Spans
from services.ops.dlq.route import Source
from services.ops.dlq.selection import Selection
from services.ops.dlq.settings import DlqSettings
from services.ops.dlq.topics import DeadLetterTopic


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
