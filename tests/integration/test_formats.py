"""Every stream in every format, over a real broker and a real registry."""

import asyncio
import time
from collections import Counter
from random import Random

import pytest
from msgspec import Struct

from services.producer.generators import GENERATORS
from tandem.codec import Codecs
from tandem.encoding import codecs_for, decode_event, registry_for
from tandem.formats.schema import Format
from tandem.producer import EventProducer
from tandem.schemas import STREAMS
from tandem.settings import ProducerSettings
from tests.integration.cluster_client import ClusterClient

COUNT = 50


async def decoded(cluster: ClusterClient, codecs: Codecs, topic: str, event: type[Struct]) -> Counter[str]:
    """The events of a topic, read by a codec that has written none of them."""
    decoder = codecs.decoder(event)
    return Counter([repr(await decode_event(decoder, record.value)) for record in await cluster.read(topic)])


@pytest.mark.parametrize("event_format", list(Format))
@pytest.mark.parametrize("stream", list(STREAMS))
async def test_every_stream_survives_every_format(
    stream: str,
    event_format: Format,
    bootstrap_servers: str,
    registry: str,
    topic: str,
    cluster: ClusterClient,
) -> None:
    settings = ProducerSettings(
        stream=stream,
        event_format=event_format,
        kafka_bootstrap_servers=bootstrap_servers,
        schema_registry_url=registry,
        topic_prefix=f"{topic}-",
    )
    events = GENERATORS[stream](settings, Random(4)).take(COUNT, time.time_ns() // 1_000_000)
    async with EventProducer(settings) as producer:
        assert await producer.put(events) == []
    declared = STREAMS[stream]
    async with registry_for(settings, [declared], asyncio.Event()) as reached:
        codecs = codecs_for(settings, declared, reached)
        for name in producer.topics:
            original = name.removeprefix(f"{topic}-")
            expected = Counter(repr(event) for event in events if original in declared.topics_of(event))
            assert await decoded(cluster, codecs, name, declared.event) == expected
