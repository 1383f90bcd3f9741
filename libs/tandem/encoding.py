"""From an event to the records that carry it: its topics, its key and its bytes, as its stream declares them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from msgspec import Struct

from tandem.codec import Codecs, Decoder, Encoder, Registry, UnknownSchemaError
from tandem.errors import CodecError
from tandem.formats.schema import Format
from tandem.headers import Headers
from tandem.kafka.rights import Right
from tandem.kafka.topics import Topic, ensure_topics, stream_topics
from tandem.records import Record
from tandem.schemas.stream import Stream
from tandem.settings import ServiceSettings


@asynccontextmanager
async def registry_for(
    settings: ServiceSettings, streams: Iterable[Stream], stop: asyncio.Event
) -> AsyncIterator[Registry | None]:
    """Reach the schema registry, if the format of one of the streams needs one."""
    if all(format_of(settings, stream) is Format.JSON for stream in streams):
        yield None
        return
    from tandem.registry import open_registry  # noqa: PLC0415 -- 15 MB that plain JSON has no use for

    async with open_registry(settings, stop) as registry:
        yield registry


def format_of(settings: ServiceSettings, stream: Stream) -> Format:
    """EVENT_FORMAT, or else the stream's own."""
    return settings.event_format or stream.format


def codecs_for(settings: ServiceSettings, stream: Stream, registry: Registry | None) -> Codecs:
    """The codecs of a stream's format."""
    return Codecs(format_of(settings, stream), registry, settings.unknown_fields)


async def decode_event(decoder: Decoder, value: bytes | None) -> Any:  # noqa: ANN401 -- the event type of the stream
    """Decode; a schema that is not known yet is learnt first, as long as the registry can't be reached.

    Raises CodecError when the bytes are no event, SchemaNotFoundError when the registry does not know their schema.
    """
    while True:
        try:
            return decoder.decode(value)
        except UnknownSchemaError as unknown:
            await decoder.learn(unknown.schema_id)


@dataclass(frozen=True, slots=True)
class _Destinations:
    """Where the events of one stream go: by the topic's declared name, its real one and the encoder for it."""

    stream: Stream
    by_name: Mapping[str, tuple[str, Encoder]]


class EventEncoder:
    """Makes the records of the events of one or several streams."""

    def __init__(self, known: Iterable[_Destinations]) -> None:
        self._known = {each.stream.event: each for each in known}

    @classmethod
    async def open(
        cls,
        settings: ServiceSettings,
        streams: Iterable[Stream],
        registry: Registry | None,
        stop: asyncio.Event,
    ) -> Self:
        """Make sure that the topics are there and, in a format with schemas, the schemas are registered.

        Raises SettingsError when a topic can't be created or a schema is not compatible.
        """
        return cls([await _destinations(settings, stream, registry, stop) for stream in streams])

    @property
    def topics(self) -> list[str]:
        """The topics that records may go to."""
        return [topic for each in self._known.values() for topic, _ in each.by_name.values()]

    def records(self, event: Struct, headers: Headers = ()) -> list[Record]:
        """One record for each topic of the event. Raises CodecError when it can't be encoded or is of no known stream."""
        found = self._known.get(type(event))
        if found is None:
            known = ", ".join(each.stream.name for each in self._known.values())
            raise CodecError(f"{type(event).__name__} is no event of the stream {known}")
        key = found.stream.key(event)
        values: dict[Encoder, bytes] = {}  # topics with the same bytes share an encoder
        records = []
        for name in found.stream.topics_of(event):
            topic, encoder = found.by_name[name]
            if encoder not in values:
                values[encoder] = encoder.encode(event)
            records.append(Record(topic, key, values[encoder], headers))
        return records


async def _destinations(
    settings: ServiceSettings, stream: Stream, registry: Registry | None, stop: asyncio.Event
) -> _Destinations:
    topics: Mapping[str, Topic] = stream_topics(settings, stream)
    await ensure_topics(settings, {Right.WRITE: list(topics.values())}, stop)
    codecs = codecs_for(settings, stream, registry)
    encoders = {name: await codecs.encoder(stream.event, topic.name) for name, topic in topics.items()}
    return _Destinations(stream, {name: (topics[name].name, encoder) for name, encoder in encoders.items()})
