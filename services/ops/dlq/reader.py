"""Reads dead-letter topics: as far as they went when it began, in bounded memory, a partition at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError

from services.ops.dlq.letter import Letter, Place, letter, marked, unreadable
from tandem import kafka
from tandem.errors import UnavailableError
from tandem.kafka.diagnosis import diagnose
from tandem.settings import KafkaSettings
from tandem.signals import unless_stopped

_POLL_MS = 1000
_MOST_RECORDS = 500
_WIDTH = 4096  # offsets in one piece

Spans = dict[TopicPartition, range]
Raw: TypeAlias = ConsumerRecord[bytes, bytes]


class OffsetSet:
    """A set of offsets: a bit each, in pieces that are only there where something is set.

    A million neighbours take a fifth of a megabyte, where a set of numbers takes sixty.
    """

    def __init__(self) -> None:
        self._pieces: dict[int, int] = {}

    def add(self, offset: int) -> None:
        piece, bit = divmod(offset, _WIDTH)
        self._pieces[piece] = self._pieces.get(piece, 0) | 1 << bit

    def __contains__(self, offset: int) -> bool:
        piece, bit = divmod(offset, _WIDTH)
        return bool(self._pieces.get(piece, 0) >> bit & 1)


@asynccontextmanager
async def open_reader(settings: KafkaSettings, stop: asyncio.Event) -> AsyncIterator["Reader"]:
    """Connect. Raises what `kafka.connect` raises, also later; Kafka's errors are explained."""
    make = partial(
        AIOKafkaConsumer,
        **kafka.client_arguments(settings),
        auto_offset_reset="earliest",  # the beginning may be purged by another meanwhile
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    client = await kafka.connect(settings, make, stop)
    try:
        yield Reader(client, settings.connect_timeout, stop)
    except KafkaError as error:
        raise await diagnose(settings, error) from error
    finally:
        await kafka.close(client)


class Reader:
    """What lies in dead-letter topics. Waits at most `patience` seconds for a partition to give something."""

    def __init__(self, client: AIOKafkaConsumer, patience: float, stop: asyncio.Event) -> None:
        self._client = client
        self._patience = patience
        self._stop = stop

    async def spans(self, partitions: Iterable[TopicPartition]) -> Spans:
        """The offsets that each partition holds now: so that a reading ends, whatever comes meanwhile."""
        asked = list(partitions)
        begins = await unless_stopped(self._stop, self._client.beginning_offsets(asked))
        ends = await unless_stopped(self._stop, self._client.end_offsets(asked))
        return {at: range(begins[at], ends[at]) for at in asked}

    async def redriven(self, at: TopicPartition, span: range) -> OffsetSet:
        """The letters that marks within a span of a partition say are redriven."""
        found = OffsetSet()
        async for record in self.records(at, span):
            if not isinstance(record, Letter) and (offset := marked(record)) is not None:
                found.add(offset)
        return found

    async def letters(
        self, at: TopicPartition, span: range, only: int | None = None
    ) -> AsyncIterator[Letter]:
        """The letters of a span, or the one at the offset `only`; marks are not among them, but heeded."""
        begin = span.start if only is None else max(span.start, only)  # a mark is behind its letter
        redriven = await self.redriven(at, range(begin, span.stop))
        async for record in self.records(at, range(begin, span.stop if only is None else only + 1)):
            if isinstance(record, Letter):
                yield record
            elif marked(record) is None:
                yield letter(record, redriven=record.offset in redriven)

    async def records(self, at: TopicPartition, span: range) -> AsyncIterator[Raw | Letter]:
        """The records of a span; as a flawed letter where one can't be read.

        What is in the same batch behind one whose header names are no text can't be read either.
        """
        self._client.assign([at])
        self._client.seek(at, span.start)
        position, most = span.start, _MOST_RECORDS
        while position < span.stop:
            try:
                batch, position = await unless_stopped(self._stop, self._poll(at, position, most))
            except (UnicodeDecodeError, CorruptRecordException) as error:
                if most > 1:  # the records before it first
                    most //= 2
                    continue
                yield unreadable(Place(at.topic, at.partition, position), _flaw(error))
                position += 1
                self._client.seek(at, position)
            else:
                most = min(most * 2, _MOST_RECORDS)
                for record in batch:
                    if record.offset < span.stop:
                        yield record

    async def _poll(self, at: TopicPartition, position: int, most: int) -> tuple[list[Any], int]:
        """The next records, and where the reading is then. There may be none: of a transaction that was taken back."""
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    found = await self._client.getmany(at, timeout_ms=_POLL_MS, max_records=most)
                    reached = await self._client.position(at)
                    if reached > position:
                        return found.get(at, []), reached
        except TimeoutError:
            raise UnavailableError(
                f"Kafka gives nothing of {at.topic}/{at.partition} from offset {position} on",
                "Look into the broker's log: the partition may have no leader",
            ) from None


def _flaw(error: Exception) -> str:
    return (
        "it can't be read: the name of a header is not UTF-8"
        if isinstance(error, UnicodeDecodeError)
        else "it can't be read: its bytes are damaged"
    )
