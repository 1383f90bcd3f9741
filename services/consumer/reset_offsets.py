"""Where a group starts: moves what it has committed, or commits a first place, before it is joined.

The same as `kafka-consumer-groups.sh --reset-offsets`, and like it only while nobody is in the group: so it holds for
all of the group's consumers, and a later rebalance can't repeat it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, LeaderNotAvailableError

from services.consumer.membership import commits_client
from tandem import kafka
from tandem.durations import growing_delays
from tandem.errors import SettingsError, UnavailableError
from tandem.settings import ConsumerSettings

_SESSION_MARGIN = 3.0  # until the coordinator has noticed
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 8.0

log = structlog.get_logger()


async def reset_offsets(
    settings: ConsumerSettings, topics: Sequence[str], group: str, stop: asyncio.Event
) -> None:
    """Commit the offsets that `settings.offset` names, for all partitions of the topics.

    A member that was killed stays in the group until its session times out, so a group that is in use is asked again
    for that long. Raises SettingsError when it still is.
    """
    make = partial(commits_client, settings, group)
    move = partial(_move, settings=settings, topics=topics, group=group)
    longest = settings.connect_timeout + settings.session_timeout
    try:
        async with asyncio.timeout(longest):
            await kafka.using(settings, make, stop, move)
    except TimeoutError:
        raise UnavailableError(
            f"The offsets of group {group} could not be moved within {longest:g} s",
            "Look into the broker's log",
        ) from None


async def commit_starts(
    settings: ConsumerSettings, starts: Mapping[str, str], group: str, stop: asyncio.Event
) -> None:
    """Commit where a group begins in each topic, `beginning` or `end`, in the partitions where it has committed nothing.

    Else a start at the end would be decided anew after a crash before the first commit, and what came meanwhile skipped; and what
    waits in a retry topic is never to be skipped. Others that are in the group already have done so.
    """
    if starts:
        make = partial(commits_client, settings, group)
        await kafka.using(settings, make, stop, partial(_commit_starts, starts=starts))


async def _commit_starts(client: AIOKafkaConsumer, starts: Mapping[str, str]) -> None:
    partitions = await _partitions(client, list(starts))
    client.assign(partitions)
    offsets: dict[TopicPartition, int] = {}
    for at in partitions:
        if await client.committed(at) is None:
            offsets |= await _offsets(client, [at], starts[at.topic])
    if offsets:
        with suppress(CommitFailedError):
            await client.commit(offsets)


async def _move(
    client: AIOKafkaConsumer, settings: ConsumerSettings, topics: Sequence[str], group: str
) -> None:
    partitions = await _partitions(client, topics)
    client.assign(partitions)
    start = "beginning" if settings.from_beginning else settings.offset
    offsets = await _offsets(client, partitions, start)
    await _commit(client, offsets, settings, group)
    log.info(
        "group_moved",
        group=group,
        offsets={f"{at.topic}/{at.partition}": offset for at, offset in offsets.items()},
    )


async def _partitions(client: AIOKafkaConsumer, topics: Sequence[str]) -> list[TopicPartition]:
    await client._client.set_topics(topics)  # noqa: SLF001 -- without it the consumer knows no topic before it joins
    found = {topic: client.partitions_for_topic(topic) for topic in topics}
    if missing := [topic for topic, numbers in found.items() if not numbers]:
        raise LeaderNotAvailableError(", ".join(missing))
    return [
        TopicPartition(topic, number) for topic, numbers in found.items() for number in sorted(numbers or ())
    ]


async def _offsets(
    client: AIOKafkaConsumer, partitions: list[TopicPartition], start: str | int | None
) -> dict[TopicPartition, int]:
    if start == "beginning":
        return dict(await client.beginning_offsets(partitions))
    ends = dict(await client.end_offsets(partitions))
    if start == "end":
        return ends
    found = await client.offsets_for_times(dict.fromkeys(partitions, start))
    # No record so late: the partition starts at its end.
    return {at: ends[at] if there is None else there.offset for at, there in found.items()}


async def _commit(
    client: AIOKafkaConsumer,
    offsets: dict[TopicPartition, int],
    settings: ConsumerSettings,
    group: str,
) -> None:
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.session_timeout + _SESSION_MARGIN
    remedy = "Stop its consumers first, or choose another GROUP_ID"
    for delay in growing_delays(_FIRST_DELAY, _LONGEST_DELAY):
        try:
            await client.commit(offsets)
        except CommitFailedError:
            if clock() > deadline:
                raise SettingsError(f"Group {group} is in use, its offsets can't be moved", remedy) from None
            log.warning(
                "group_in_use", group=group, waiting=f"up to {deadline - clock():.0f}s", remedy=remedy
            )
        else:
            return
        await asyncio.sleep(delay)
