"""The consumer: start → loop → drain → stop."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Self

import structlog

from services.consumer.assignment import Begin, Prepare
from services.consumer.consumer import Consumer, shares
from services.consumer.dead_letters import DeadLetters, dead_letter_topic
from services.consumer.handler import Handler, Role
from services.consumer.handlers import ROLES, choose_role
from services.consumer.handling import Handling
from services.consumer.key_order import KeyOrder
from services.consumer.membership import group_client
from services.consumer.origin import Place
from services.consumer.outputs import Outputs
from services.consumer.partition import Partition
from services.consumer.recovery import Recovery
from services.consumer.reset_offsets import commit_starts, reset_offsets
from services.consumer.resolver import Resolver
from services.consumer.restore import must_agree, restorer
from services.consumer.retry import RetryPolicy, places
from services.consumer.retry_topics import RetryTopics, retry_topics
from services.consumer.stranded import tell_stranded
from services.consumer.view import ConsumerView
from services.consumer.waiting_keys import WaitingKeys
from services.consumer.watch import StalledError
from tandem import kafka
from tandem.admin.server import admin_server
from tandem.codec import Decoder
from tandem.delivery import Delivery
from tandem.encoding import EventEncoder, codecs_for, registry_for
from tandem.errors import ExitStatus, SettingsError
from tandem.kafka.rights import Right
from tandem.kafka.topics import Topic, ensure_topics, stream_topics
from tandem.schemas import STREAMS
from tandem.schemas.stream import Stream
from tandem.settings import ConsumerSettings
from tandem.signals import unless_stopped
from tandem.stats import ConsumerStats

_ADMIN_PORT = 8091  # unless settings say otherwise
_RESTART_PAUSE = 1.0
_MOST_PATIENCE = 10  # times STALL_TIMEOUT, while nothing helps

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """What this process does: a role, in a group, on topics. `places` has their retry topics, too."""

    name: str
    role: Role
    group: str
    topics: tuple[Topic, ...]
    places: Mapping[str, Place]

    @classmethod
    def of(cls, settings: ConsumerSettings) -> Self:
        """Raises SettingsError where the settings contradict the role."""
        name = choose_role(settings)
        role = ROLES[name]
        known = stream_topics(settings, STREAMS[role.stream])
        topics = tuple(known[each] for each in role.topics or known)
        if role.restores is not None and settings.retry_delays:
            raise SettingsError(
                f"ROLE={name} handles each partition in order, and RETRY_DELAYS would let records pass others",
                "Leave RETRY_DELAYS out",
            )
        way = places([topic.name for topic in topics], settings.retry_delays)
        return cls(name, role, settings.group_id or role.group or name, topics, way)

    @property
    def stream(self) -> Stream:
        """The stream of the events that it handles."""
        return STREAMS[self.role.stream]


async def serve(settings: ConsumerSettings, stop: asyncio.Event) -> ExitStatus:
    """Consume until `stop` is set, then finish what is in hand, commit and leave the group."""
    job = Job.of(settings)
    clock = asyncio.get_running_loop().time
    stats = ConsumerStats(clock())
    handler = job.role.create(settings)
    view = ConsumerView(job.group, stats, stop)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(admin_server(settings, _ADMIN_PORT, view))
        stack.callback(lambda: log.info("consumer_stopped", **stats.final(clock())))
        opening = registry_for(settings, [job.stream, *job.role.emits], stop)
        registry = await stack.enter_async_context(opening)
        await _prepare_topics(settings, job, stop)
        decoder = codecs_for(settings, job.stream, registry).decoder(job.stream.event)
        encoder = await EventEncoder.open(settings, job.role.emits, registry, stop)
        # Compressed, because what came compressed may be larger than any limit without.
        compressed = partial(kafka.open_producer, settings, compression="gzip")
        delivery = await stack.enter_async_context(Delivery(compressed, stop=stop, drain_seconds=1.0))
        waiting = WaitingKeys() if settings.retry_keep_order else None
        handling = Handling(decoder, handler, Outputs(job.name, encoder, delivery), settings.handler_timeout)
        recovery = _recovery(settings, job, delivery, waiting)
        resolver = Resolver(job.places, job.group, handling, recovery, stats, waiting)
        begin = partial(
            Partition,
            resolve=resolver.resolve,
            concurrency=settings.concurrency,
            ordered=job.role.restores is not None,
        )
        prepare = await _preparation(settings, job, handler, decoder, waiting, stop)
        await _consume(
            settings, job, view.observing(partial(Consumer, settings, handler, stats)), prepare, begin, stop
        )
    return ExitStatus.DONE


async def _prepare_topics(settings: ConsumerSettings, job: Job, stop: asyncio.Event) -> None:
    waits = retry_topics(job.topics, settings.retry_delays)
    letters = [dead_letter_topic(topic) for topic in job.topics]
    await ensure_topics(settings, {Right.READ: job.topics, Right.WRITE: [*waits, *letters]}, stop)
    if settings.from_beginning or settings.offset is not None:
        await reset_offsets(settings, [topic.name for topic in job.topics], job.group, stop)
    elif settings.auto_offset_reset != "earliest":
        starts = {each.name: "beginning" for each in waits}
        if settings.auto_offset_reset == "latest":
            starts |= {each.name: "end" for each in job.topics}
        await commit_starts(settings, starts, job.group, stop)
    await tell_stranded(settings, job.topics, list(job.places), job.group, stop)
    if settings.retry_keep_order:
        for topic in job.topics:
            family = [topic.name, *(each for each, at in job.places.items() if at.source == topic.name)]
            await must_agree(settings, family, "RETRY_KEEP_ORDER keeps it by partition", stop)


def _recovery(
    settings: ConsumerSettings, job: Job, delivery: Delivery, waiting: WaitingKeys | None
) -> Recovery:
    return Recovery(
        RetryPolicy.of(settings),
        RetryTopics(delivery, job.group, settings.retry_delays, waiting),
        DeadLetters(delivery, job.group, stacktrace=settings.dead_letter_stacktrace),
    )


async def _preparation(
    settings: ConsumerSettings,
    job: Job,
    handler: Handler,
    decoder: Decoder,
    waiting: WaitingKeys | None,
    stop: asyncio.Event,
) -> Prepare:
    """What has to be known before the first record of a partition is handled: nothing, for most roles."""
    if waiting is not None:
        return KeyOrder(settings, job.group, job.places, waiting, stop).restore
    return await restorer(settings, job.role, handler, decoder, stop)


async def _consume(
    settings: ConsumerSettings,
    job: Job,
    make: Callable[..., Consumer],
    prepare: Prepare,
    begin: Begin,
    stop: asyncio.Event,
) -> None:
    """Join the group and consume; with a new client when one does not get on."""
    patience: float = settings.stall_timeout
    while True:
        client = await kafka.connect(settings, partial(group_client, settings, job.group), stop)
        log.info("consumer_started", role=job.name, topics=list(job.places), group=job.group)
        consumer = make(client, announces=job.role.announces, patience=patience)
        stalled = None
        try:
            await consumer.run(list(job.places), prepare, begin, stop)
        except* StalledError as group:
            stalled = _first(group)
        finally:
            await kafka.close(client, shares(settings.drain_seconds)[2])
        if stalled is None:
            return
        log.error("consumer_restarted", reason=str(stalled))
        await unless_stopped(stop, asyncio.sleep(_RESTART_PAUSE))
        # What did not help may not help the next time.
        longest = settings.stall_timeout * _MOST_PATIENCE
        patience = settings.stall_timeout if stalled.ever_got_on else min(patience * 2, longest)


def _first(group: ExceptionGroup[StalledError]) -> StalledError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
