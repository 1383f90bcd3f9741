"""Sends letters back: each acknowledged, then marked, so that it is not sent again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import structlog
from aiokafka.admin import AIOKafkaAdminClient

from services.ops.dlq.histogram import Histogram
from services.ops.dlq.letter import Letter, mark
from services.ops.dlq.route import Refusal, Route, Source, route
from services.ops.dlq.settings import DlqSettings
from tandem import kafka
from tandem.delivery import Delivery
from tandem.errors import StopRequested, TandemError, UndeliveredError
from tandem.kafka.rights import Right, require_rights
from tandem.kafka.topics import ensure_topics
from tandem.paces import Rate
from tandem.records import Fate, Outcome, Record
from tandem.signals import unless_stopped

_MOST_LETTERS, _MOST_BYTES = 100, 1024 * 1024  # sent in one go: what a crash may send twice
_SMOOTH_SECONDS = 0.1  # what is sent in one go under a rate
_PATIENCE = 25.0  # for an acknowledgement, also after a signal: below a container's 30 s

log = structlog.get_logger()


class Routed(NamedTuple):
    """A letter, and where it goes."""

    letter: Letter
    route: Route


Letters = AsyncIterator[tuple[Letter, Source]]


class Tally:
    """What became of the letters, or would: `redrive`, `park`, `refuse`, `fail`, and `unmarked` for sent but not marked."""

    def __init__(self) -> None:
        self.histogram = Histogram("action", "letters", "to", "exception", "group", "reason")
        self.counts: dict[str, int] = {}
        self.reasons: dict[str, None] = {}  # in order

    def add(self, action: str, letter: Letter, to: str = "-", reason: str = "-") -> None:
        self.counts[action] = self.counts.get(action, 0) + 1
        kind = (action, letter.place.topic, to, letter.told("exception"), letter.told("group"), reason)
        self.histogram.add(*kind, at_ms=letter.failed_at_ms)
        if action == "refuse":
            self.reasons[reason] = None

    def done(self, letter: Letter, to: Route) -> None:
        self.add("park" if to.parked else "redrive", letter, to.topic.name)

    def problem(self) -> TandemError | None:
        """What of it a person has to know, the worst first."""
        failed, unmarked = self.counts.get("fail", 0), self.counts.get("unmarked", 0)
        if failed or unmarked:
            return UndeliveredError(
                f"{failed} letter(s) were not acknowledged and stay, {unmarked} were sent but not marked as redriven",
                "Mend what the lines above name and run it again: what was sent after all goes a second time, with the same ce_id",
            )
        if refused := self.counts.get("refuse", 0):
            return TandemError(
                f"{refused} letter(s) were refused and stay: {'; '.join(self.reasons)}",
                "Look at them with `tandem dlq show`: their headers are not those that a consumer of ours writes",
            )
        return None


async def redrive(settings: DlqSettings, letters: Letters, tally: Tally, stop: asyncio.Event) -> None:
    """Send the letters back until there are no more, `max_letters` are sent, or `stop` is set; count them in `tally`.

    What is under way when `stop` is set is finished, for at most 25 seconds. With `dry_run` nothing is sent.
    """
    batches = _batches(_routed(letters, settings, tally), settings)
    if settings.dry_run:
        async for batch in batches:
            for each in batch:
                tally.done(*each)
        return
    # Compressed as the dead letters are: what came compressed may be larger than any limit without.
    opened = partial(kafka.open_producer, settings, compression="gzip")
    async with Delivery(opened, stop=stop, drain_seconds=1.0) as delivery:
        sender = Sender(settings, delivery, tally, stop)
        try:
            async for batch in batches:
                if not await sender.send(batch):
                    break
        except StopRequested:
            log.warning("redrive_stopped", sent=sender.sent, remedy="Run it again to send the rest")


async def _routed(letters: Letters, settings: DlqSettings, tally: Tally) -> AsyncIterator[Routed]:
    """The letters that can be sent on, at most `max_letters`."""
    left = settings.max_letters
    async for letter, source in letters:
        match route(letter, source, settings.max_replays):
            case Refusal(reason):
                tally.add("refuse", letter, reason=reason)
            case Route() as found:
                yield Routed(letter, found)
                left = None if left is None else left - 1
                if left == 0:
                    return


async def _batches(routed: AsyncIterator[Routed], settings: DlqSettings) -> AsyncIterator[list[Routed]]:
    rate = settings.rate
    most = _MOST_LETTERS if rate is None else _smooth(rate)
    batch: list[Routed] = []
    size = 0
    async for each in routed:
        batch.append(each)
        size += each.letter.size
        if len(batch) >= most or size >= _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _smooth(rate: Rate) -> int:
    return min(max(int(rate.count(_SMOOTH_SECONDS)), 1), _MOST_LETTERS)


class Sender:
    """Sends batches of letters, at a rate, and marks what is acknowledged."""

    def __init__(self, settings: DlqSettings, delivery: Delivery, tally: Tally, stop: asyncio.Event) -> None:
        self._settings = settings
        self._delivery = delivery
        self._tally = tally
        self._stop = stop
        self._clock = asyncio.get_running_loop().time
        self._begin = self._clock()
        self.sent = 0
        self._prepared: set[str] = set()

    async def send(self, batch: Sequence[Routed]) -> bool:
        """Send letters when they are due and mark them; say whether it is worth going on.

        Raises StopRequested before anything is sent when `stop` is set, SettingsError when a right is missing.
        """
        await self._until_due()
        for letter, to in batch:
            await self._prepare(letter.place.topic, to)
        fates = await self._settled([to.record for _, to in batch])
        sent = [
            (each, fate)
            for each, fate in zip(batch, fates, strict=True)
            if self._acked(each, fate, "fail", "letter_not_sent")
        ]
        marks = await self._settled([mark(each.letter, _place(fate)) for each, fate in sent])
        for (each, _), fate in zip(sent, marks, strict=True):
            if self._acked(each, fate, "unmarked", "letter_not_marked"):
                self._tally.done(*each)
        self.sent += len(batch)
        return None not in [*fates, *marks]

    async def _until_due(self) -> None:
        rate = self._settings.rate
        due = self._begin if rate is None else self._begin + rate.when(self.sent)
        await unless_stopped(self._stop, asyncio.sleep(max(due - self._clock(), 0)))

    async def _prepare(self, letters: str, to: Route) -> None:
        """Make sure, once for each topic, that it takes what is sent: a record that is refused later would be in doubt."""
        if to.topic.name in self._prepared:
            return
        if to.parked:
            await ensure_topics(self._settings, {Right.WRITE: [to.topic]}, self._stop)
        needed = {to.topic.name: Right.WRITE, letters: Right.WRITE}

        async def require(admin: AIOKafkaAdminClient) -> None:
            await require_rights(admin, needed)

        await kafka.using_admin(self._settings, self._stop, require)
        self._prepared.add(to.topic.name)

    async def _settled(self, records: Sequence[Record]) -> list[Fate | None]:
        """The fates of records. One that Kafka refuses takes its batch along: so what failed is tried alone."""
        fates = await self._fates(records)
        if len(records) == 1:
            return fates
        return [
            (await self._fates([record]))[0] if fate is not None and fate.outcome is Outcome.FAILED else fate
            for record, fate in zip(records, fates, strict=True)
        ]

    async def _fates(self, records: Sequence[Record]) -> list[Fate | None]:
        """The fates of records, in order; None for what has none in time."""
        sending = [
            asyncio.create_task(self._delivery.send(record), name=f"redrive to {record.topic}")
            for record in records
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*sending)
        return [None if task.cancelled() else task.result() for task in sending]

    def _acked(self, each: Routed, fate: Fate | None, action: str, event: str) -> bool:
        """Whether a record is in the log; if that is not sure, it is told and counted."""
        if fate is not None and fate.outcome is Outcome.ACKED:
            return True
        error = f"not acknowledged within {_PATIENCE:g} s" if fate is None else fate.error
        log.error(event, letter=str(each.letter.place), to=each.route.topic.name, error=error)
        self._tally.add(action, each.letter, each.route.topic.name)
        return False


def _place(fate: Fate | None) -> str:
    """Where a record lies now; Kafka does not always tell the offset."""
    assert fate is not None, "it is acknowledged"  # noqa: S101 -- for the type checker
    offset = "?" if fate.offset is None else fate.offset
    return f"{fate.record.topic}/{fate.partition}/{offset}"
