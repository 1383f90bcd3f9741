"""Batches as they lie in the log, where librdkafka had no record for an offset, or came to a stand.

It steps over some damage without a word, and its own check of checksums (check.crcs) ends the process at the first that is wrong
(librdkafka 2.16). So the bytes are fetched, and Kafka's checksum of each batch is compared here.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import LeaderNotAvailableError, NoError, OffsetOutOfRangeError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.util import calc_crc32c

from services.ops.audit.asking import ask
from services.ops.audit.findings import At
from tandem.ledger import Span
from tandem.settings import KafkaSettings

# The head of a batch (record batch, magic 2): base offset, length behind it, leader epoch, magic, CRC-32C of all that follows;
# attributes, last offset delta.
_HEAD = struct.Struct(">qiibIhi")
_LENGTH_FROM, _CHECKED_FROM, _SHORTEST = 12, 21, 61
_MAGIC = 2
_FETCH_BYTES = 4 * 1024 * 1024
_WAIT_MS = 500


class Batch(NamedTuple):
    """Where a batch lies in the log; `sound`: its checksum is that of its bytes."""

    first: int
    end: int
    sound: bool


def find_damage(
    settings: KafkaSettings, at: At, spans: Iterable[Span], stopped: Callable[[], bool]
) -> list[Span]:
    """The offsets of damaged batches within spans of a partition. Raises what `ask` raises."""

    async def look(admin: AIOKafkaAdminClient) -> list[Span]:
        return [
            Span(each.first, each.end - 1)
            for span in spans
            for each in await _within(admin, at, span)
            if not each.sound
        ]

    return ask(settings, stopped, look)


async def _within(admin: AIOKafkaAdminClient, at: At, span: Span) -> list[Batch]:
    found: list[Batch] = []
    offset = span.first
    while offset <= span.last:
        batches = [batch for batch in parse(await _fetch(admin, at, offset)) if batch.end > offset]
        if not batches:
            break
        found += [batch for batch in batches if batch.first <= span.last]
        offset = batches[-1].end
    return found


async def _fetch(admin: AIOKafkaAdminClient, at: At, offset: int) -> bytes:
    """The log's bytes from the batch on that holds an offset; none at its end, or where they were removed."""
    client = admin._client  # noqa: SLF001 -- there is no public way to fetch bytes
    await client.add_topic(at.topic)
    leader = client.cluster.leader_for_partition(TopicPartition(*at))
    if leader is None or leader < 0:
        raise LeaderNotAvailableError(at.topic)
    request = FetchRequest(_WAIT_MS, 1, _FETCH_BYTES, 0, [(at.topic, [(at.partition, offset, _FETCH_BYTES)])])
    answer = await client.send(leader, request)
    ((_, ((_, code, *_, content),)),) = answer.topics
    error = for_code(code)
    if error not in {NoError, OffsetOutOfRangeError}:
        raise error(at.topic)
    return bytes(content or b"")


def parse(content: bytes) -> Iterator[Batch]:
    """The batches in the bytes of a log; the last one may be cut, and is left out then."""
    at = 0
    while len(content) - at >= _SHORTEST:
        base, length, _, magic, checksum, _, delta = _HEAD.unpack_from(content, at)
        end = at + _LENGTH_FROM + length
        if magic != _MAGIC or end - at < _SHORTEST or end > len(content):
            return
        sound = calc_crc32c(content[at + _CHECKED_FROM : end]) == checksum
        yield Batch(base, base + max(0, delta) + 1, sound)
        at = end
