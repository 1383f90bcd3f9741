"""What we write, others read; what others write, we read: confluent-kafka's serializers, and kcat."""

import asyncio
import importlib.util
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from confluent_kafka.schema_registry import AsyncSchemaRegistryClient
from confluent_kafka.schema_registry.avro import AsyncAvroDeserializer, AsyncAvroSerializer
from confluent_kafka.schema_registry.json_schema import AsyncJSONDeserializer, AsyncJSONSerializer
from confluent_kafka.schema_registry.protobuf import AsyncProtobufDeserializer, AsyncProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from msgspec import to_builtins
from msgspec.structs import asdict

from services.producer.generators import GENERATORS
from tandem.encoding import codecs_for, decode_event, registry_for
from tandem.formats.generated import FOLDER
from tandem.formats.schema import Format
from tandem.producer import EventProducer
from tandem.schemas import STREAMS
from tandem.schemas.bank import Transaction
from tandem.settings import ProducerSettings
from tests.integration.cluster_client import ClusterClient

COUNT = 20
FRAMED = [Format.AVRO, Format.PROTOBUF, Format.JSONSCHEMA]
MakeSettings = Callable[[Format], ProducerSettings]

# The same fields behind another message, as a stranger may have written it.
STRANGERS_PROTO = """
syntax = "proto3";
package stranger;
import "google/protobuf/timestamp.proto";
message Refund { string id = 1; }
message Transaction {
  int64 account = 1;
  double amount = 2;
  google.protobuf.Timestamp timestamp = 3;
  string transaction_id = 4;
  string type = 5;
  string added_later = 9;
}
"""


@pytest.fixture
def settings(bootstrap_servers: str, registry: str, topic: str) -> MakeSettings:
    """Settings of a producer of transactions in a format."""

    def make(event_format: Format) -> ProducerSettings:
        return ProducerSettings(
            stream="bank",
            event_format=event_format,
            kafka_bootstrap_servers=bootstrap_servers,
            kafka_topic=topic,
            schema_registry_url=registry,
        )

    return make


@pytest.fixture
async def client(registry: str) -> AsyncIterator[AsyncSchemaRegistryClient]:
    async with AsyncSchemaRegistryClient({"url": registry}) as opened:
        yield opened


def transactions(settings: ProducerSettings) -> list[Transaction]:
    events: Sequence[Any] = GENERATORS["bank"](settings, Random(4)).take(COUNT, time.time_ns() // 1_000_000)
    return list(events)


async def produce(settings: ProducerSettings) -> list[Transaction]:
    events = transactions(settings)
    async with EventProducer(settings) as producer:
        assert await producer.put(events) == []
    return events


def message_class(proto: str, folder: Path) -> type[Message]:
    """What protoc, and nothing of ours, makes of the message Transaction in this file."""
    name = f"{folder.name.replace('-', '_')}_schema"
    (folder / f"{name}.proto").write_text(proto)
    line = ["-m", "grpc_tools.protoc", f"-I{folder}", f"--python_out={folder}", f"{name}.proto"]
    subprocess.run([sys.executable, *line], check=True)
    spec = importlib.util.spec_from_file_location(f"{name}_pb2", folder / f"{name}_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: type[Message] = module.Transaction
    return made


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> type[Message]:
    proto = (FOLDER / "bank" / "Transaction.proto").read_text()
    return message_class(proto, tmp_path_factory.mktemp("ours"))


def as_message(transaction: Transaction, kind: type[Message]) -> Message:
    message = kind(**{**asdict(transaction), "timestamp": None})
    message.timestamp.FromDatetime(transaction.timestamp)  # type: ignore[attr-defined]  # a class made at run time
    return message


def from_message(message: Any) -> dict[str, Any]:
    values = MessageToDict(message, preserving_proto_field_name=True)
    return {**values, "account": message.account, "timestamp": message.timestamp.ToDatetime(UTC)}


@pytest.mark.parametrize("event_format", FRAMED)
async def test_confluents_deserializers_read_what_we_write(
    event_format: Format,
    settings: MakeSettings,
    client: AsyncSchemaRegistryClient,
    cluster: ClusterClient,
    topic: str,
    ours: type[Message],
) -> None:
    events = await produce(settings(event_format))
    context = SerializationContext(topic, MessageField.VALUE)
    deserializers: dict[Format, Any] = {
        Format.AVRO: lambda: AsyncAvroDeserializer(client),
        # Apicurio's answer to the form in which this client asks for a schema (format=serialized) is broken, so it goes
        # by the class alone; the message's index is read all the same.
        Format.PROTOBUF: lambda: AsyncProtobufDeserializer(ours, {"use.deprecated.format": False}),
        Format.JSONSCHEMA: lambda: AsyncJSONDeserializer(None, schema_registry_client=client),
    }
    deserialize = await deserializers[event_format]()

    read = [await deserialize(record.value, context) for record in await cluster.read(topic)]

    if event_format is Format.PROTOBUF:
        read = [from_message(message) for message in read]
    expected = [
        to_builtins(event) if event_format is Format.JSONSCHEMA else asdict(event) for event in events
    ]
    assert sorted(map(repr, map(sorted_items, read))) == sorted(map(repr, map(sorted_items, expected)))


def sorted_items(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(values.items())


async def read_by_us(settings: ProducerSettings, values: Sequence[bytes]) -> list[Any]:
    stream = STREAMS["bank"]
    async with registry_for(settings, [stream], asyncio.Event()) as registry:
        decoder = codecs_for(settings, stream, registry).decoder(Transaction)
        return [await decode_event(decoder, value) for value in values]


@pytest.mark.parametrize("event_format", FRAMED)
async def test_we_read_what_confluents_serializers_write(
    event_format: Format,
    settings: MakeSettings,
    client: AsyncSchemaRegistryClient,
    topic: str,
    ours: type[Message],
) -> None:
    """They use the subject that we would use, and our schema there is the same as theirs.

    Not so in Protobuf: they register a descriptor, and Apicurio takes that and our text for two versions.
    """
    events = transactions(settings(event_format))
    context = SerializationContext(topic, MessageField.VALUE)
    folder = FOLDER / "bank"
    serializers: dict[Format, Any] = {
        Format.AVRO: lambda: AsyncAvroSerializer(client, (folder / "Transaction.avsc").read_text()),
        Format.PROTOBUF: lambda: AsyncProtobufSerializer(ours, client, {"use.deprecated.format": False}),
        Format.JSONSCHEMA: lambda: AsyncJSONSerializer((folder / "Transaction.json").read_text(), client),
    }
    serialize = await serializers[event_format]()
    preparations: dict[Format, Any] = {
        Format.AVRO: asdict,
        Format.PROTOBUF: partial(as_message, kind=ours),
        Format.JSONSCHEMA: to_builtins,
    }

    values = [await serialize(preparations[event_format](event), context) for event in events]

    assert await read_by_us(settings(event_format), values) == events
    assert f"{topic}-value" in await client.get_subjects()
    if event_format is not Format.PROTOBUF:
        assert await schema_id_of_ours(settings(event_format), topic) == values[0][:5]


async def schema_id_of_ours(settings: ProducerSettings, topic: str) -> bytes:
    stream = STREAMS["bank"]
    async with registry_for(settings, [stream], asyncio.Event()) as registry:
        encoder = await codecs_for(settings, stream, registry).encoder(Transaction, topic)
        return encoder.encode(transactions(settings)[0])[:5]


async def test_we_find_a_message_that_is_not_the_first_of_its_file(
    settings: MakeSettings, client: AsyncSchemaRegistryClient, topic: str, tmp_path: Path
) -> None:
    """Nor is every field of it known to us."""
    theirs = message_class(STRANGERS_PROTO, tmp_path)
    serialize: Any = await AsyncProtobufSerializer(theirs, client, {"use.deprecated.format": False})
    events = transactions(settings(Format.PROTOBUF))
    context = SerializationContext(topic, MessageField.VALUE)

    values = [await serialize(as_message(event, theirs), context) for event in events]

    assert values[0][5:7] == b"\x02\x02"  # one index, and it is 1
    assert await read_by_us(settings(Format.PROTOBUF), values) == events


needs_kcat = pytest.mark.skipif(
    shutil.which("kcat") is None, reason="kcat is not installed (Debian: apt-get install kcat)"
)


@needs_kcat
@pytest.mark.parametrize("event_format", [Format.JSON, Format.JSONSCHEMA])
async def test_kcat_reads_our_json(
    event_format: Format, settings: MakeSettings, bootstrap_servers: str, topic: str
) -> None:
    """Key, headers and event; where there is a schema, a zero and the schema's id as numbers in front."""
    events = await produce(settings(event_format))
    taken_apart = ("-s", "value=>bIs") if event_format is Format.JSONSCHEMA else ()
    head = "0[1-9][0-9]*" if taken_apart else ""

    lines = (await kcat(bootstrap_servers, topic, "%k\t%h\t%s\n", *taken_apart)).decode().splitlines()

    headers = r"ce_id=[0-9a-f]+/\d/\d+,tandem_crc32=[0-9a-f]{8}"
    found = [re.fullmatch(rf"([0-9]+)\t{headers}\t{head}(\{{.*)", line) for line in lines]
    assert None not in found, lines
    read = sorted((match[1], match[2]) for match in found if match)
    assert read == sorted((str(event.account), msgspec.json.encode(event).decode()) for event in events)


@needs_kcat
@pytest.mark.parametrize("event_format", [Format.AVRO, Format.PROTOBUF])
async def test_kcat_reads_our_bytes(
    event_format: Format, settings: MakeSettings, bootstrap_servers: str, topic: str
) -> None:
    """Debian's is built without Avro, so it is left to us to take them apart."""
    events = await produce(settings(event_format))

    values = sized(await kcat(bootstrap_servers, topic, "%R%s"))

    read = await read_by_us(settings(event_format), values)
    assert sorted(map(repr, read)) == sorted(map(repr, events))


def sized(output: bytes) -> list[bytes]:
    """Values that have their length in four bytes in front."""
    values = []
    while output:
        end = 4 + int.from_bytes(output[:4], "big")
        values.append(output[4:end])
        output = output[end:]
    return values


async def kcat(bootstrap_servers: str, topic: str, form: str, *options: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *("kcat", "-C", "-q", "-e", "-b", bootstrap_servers, "-t", topic, "-f", form, *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors
    return output
