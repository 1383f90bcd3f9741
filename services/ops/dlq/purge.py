"""Removes letters that are done with. Kafka removes nothing but the oldest records of a partition."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import TopicAuthorizationFailedError

from services.ops.dlq.letter import Letter, letter, marked
from services.ops.dlq.reader import OffsetSet, Raw, Reader
from services.ops.dlq.selection import Selection
from tandem import kafka
from tandem.errors import SettingsError
from tandem.settings import KafkaSettings


@dataclass(slots=True)
class Cut:
    """What would go from one partition: all before the offset `before`, up to the first letter that may not go.

    `kept` are the letters from there on. Marks go with the letters before them.
    """

    topic: str
    partition: int
    before: int
    redriven: int = 0
    never_redriven: int = 0
    marks: int = 0
    kept: int = 0

    def add(self, found: Letter | None, offset: int, *, may_go: bool) -> None:
        """Take the next record into account: a letter, or (None) a mark."""
        if found is not None and (self.kept or not may_go):
            self.kept += 1
        elif not self.kept:
            self.redriven += found is not None and found.redriven
            self.never_redriven += found is not None and not found.redriven
            self.marks += found is None
            self.before = offset + 1

    @property
    def empty(self) -> bool:
        return not (self.redriven or self.never_redriven or self.marks)

    def row(self) -> dict[str, Any]:
        return asdict(self)


async def plan(
    reader: Reader, at: TopicPartition, span: range, selection: Selection, *, end: int, force: bool
) -> Cut:
    """See what may go of a partition before the offset `end`: selected letters that were redriven, with `force` all selected."""
    redriven = await reader.redriven(at, span)
    cut = Cut(at.topic, at.partition, span.start)
    async for record in reader.records(at, span):
        found = _letter(record, redriven)
        if found is None:
            offset = record.offset if not isinstance(record, Letter) else record.place.offset
            cut.add(None, offset, may_go=True)
        else:
            may_go = found.place.offset < end and (force or found.redriven) and selection.takes(found)
            cut.add(found, found.place.offset, may_go=may_go)
    return cut


def _letter(record: Raw | Letter, redriven: OffsetSet) -> Letter | None:
    if isinstance(record, Letter):
        return record
    return None if marked(record) is not None else letter(record, redriven=record.offset in redriven)


async def remove(settings: KafkaSettings, befores: Mapping[TopicPartition, int], stop: asyncio.Event) -> None:
    """Remove all records before these offsets. Raises SettingsError when this user may not."""

    async def delete(admin: AIOKafkaAdminClient) -> None:
        try:
            await admin.delete_records({at: RecordsToDelete(before) for at, before in befores.items()})
        except TopicAuthorizationFailedError:
            topics = sorted({at.topic for at in befores})
            raise SettingsError(
                f"This user has no Delete on one of the topics {', '.join(topics)}",
                "Grant it: kafka-acls.sh --bootstrap-server SERVER --add --allow-principal User:NAME --operation Delete"
                f" --topic {topics[0]}",
            ) from None

    await kafka.using_admin(settings, stop, delete)
