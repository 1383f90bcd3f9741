"""The account that came with a group's last commit."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tandem.account import Checkpoint, read
from tandem.durations import growing_delays
from tandem.kafka.diagnosis import missing_right, refusal

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 5.0

log = structlog.get_logger()


class Start(NamedTuple):
    """How a partition's account begins: as `Offsets.begin` takes it."""

    checkpoints: Sequence[Checkpoint]
    expired: int = 0


async def last_account(client: AIOKafkaConsumer, at: TopicPartition, first: int) -> Start:
    """Ask for it, however long that takes; `first` is the offset of the first record that was fetched.

    A commit without an account begins one. So does a commit beyond that record: then the topic is not the one it was.
    Raises SettingsError when this user may not know.
    """
    delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
    while True:
        try:
            return await _ask(client, at, first)
        except KafkaError as error:
            if missing_right(error):
                raise refusal(error) from error
            delay = next(delays)
            log.warning("commit_not_known", error=repr(error), retry_in=f"{delay:g}s")
            await asyncio.sleep(delay)


async def _ask(client: AIOKafkaConsumer, at: TopicPartition, first: int) -> Start:
    # The client knows the offset alone.
    found = (await client._coordinator.fetch_committed_offsets([at])).get(at)  # noqa: SLF001
    if found is None or found.offset > first:
        return Start(())
    checkpoints = read(found.metadata, found.offset) or (Checkpoint(found.offset),)
    if found.offset == first:
        return Start(checkpoints)
    # Compaction and the marks of transactions leave offsets out, too; but what is before the log's start is lost.
    start = (await client.beginning_offsets([at]))[at]
    expired = max(0, min(first, start) - found.offset)
    if expired:
        log.error(
            "records_expired",
            topic=at.topic,
            partition=at.partition,
            count=expired,
            first=found.offset,
            reason="the log's retention removed them before this group had read them",
        )
    return Start(checkpoints, expired)
