"""A registry's client against a real registry: ids and schemas, what is refused, and what is waited for."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from confluent_kafka.schema_registry import AsyncSchemaRegistryClient, ConfigCompatibilityLevel, ServerConfig
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tandem.errors import SchemaNotFoundError, SettingsError, StopRequested, UnavailableError
from tandem.formats.schema import Schema
from tandem.registry import SchemaRegistry, open_registry
from tandem.settings import ProducerSettings
from tests.integration.doors import Door, door

LONG = 20.0


def avro(**fields: str) -> Schema:
    declared = [{"name": name, "type": kind} for name, kind in fields.items()]
    return Schema("AVRO", json.dumps({"type": "record", "name": "Thing", "fields": declared}))


def protobuf(kind: str) -> Schema:
    return Schema("PROTOBUF", f'syntax = "proto3";\n\nmessage Thing {{\n  {kind} id = 1;\n}}\n')


def json_schema(*names: str) -> Schema:
    properties = {name: {"type": "string"} for name in names}
    declared = {"type": "object", "properties": properties, "required": names, "additionalProperties": False}
    return Schema("JSON", json.dumps(declared))


def unique() -> Schema:
    """A schema that no other test has registered: with an id of its own."""
    return avro(**{f"f{uuid.uuid4().hex}": "string"})


def settings(url: str | None, **others: object) -> ProducerSettings:
    return ProducerSettings.model_validate({"schema_registry_url": url, **others})


@pytest.fixture
def subject() -> str:
    return f"test-{uuid.uuid4().hex[:12]}-value"


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def client(registry: str, stop: asyncio.Event) -> AsyncIterator[SchemaRegistry]:
    async with open_registry(settings(registry), stop) as opened:
        yield opened


@pytest.fixture
async def entrance(registry: str) -> AsyncIterator[Door]:
    """A way to the registry that can be shut."""
    async with door(registry) as opened:
        yield opened


def path_of(registry: str) -> str:
    return urlsplit(registry).path


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 -- log lines set no event
            await asyncio.sleep(0.01)


def told(lines: list[EventDict], event: str) -> list[str]:
    return [line["cause"] for line in lines if line["event"] == event]


@pytest.mark.parametrize("schema", [avro(id="string"), protobuf("string"), json_schema("id")])
async def test_a_schema_of_each_type_is_registered_once_and_found_by_its_id(
    client: SchemaRegistry, registry: str, subject: str, schema: Schema
) -> None:
    """Another client finds it, also one that must not register."""
    schema_id = await client.id_for(subject, schema)

    async with open_registry(
        settings(registry, schema_registry_auto_register=False), asyncio.Event()
    ) as other:
        assert await other.id_for(subject, schema) == schema_id
        found = await other.schema(schema_id)
    assert found.type == schema.type
    assert "".join(found.text.split()) == "".join(
        schema.text.split()
    )  # Avro comes back in its canonical form


async def test_what_is_known_is_not_asked_for_again(entrance: Door, registry: str, subject: str) -> None:
    async with open_registry(settings(entrance.url(path_of(registry))), asyncio.Event()) as client:
        schema_id = await client.id_for(subject, avro(id="string"))
        await client.schema(schema_id)
        asked = len(entrance.requests)

        assert await client.id_for(subject, avro(id="string")) == schema_id
        await asyncio.gather(*[client.schema(schema_id) for _ in range(10)])

        assert len(entrance.requests) == asked


async def test_many_that_need_a_schema_ask_once(
    client: SchemaRegistry, entrance: Door, registry: str, subject: str
) -> None:
    schema_id = await client.id_for(subject, avro(id="string"))
    async with open_registry(settings(entrance.url(path_of(registry))), asyncio.Event()) as another:
        asked = len(entrance.requests)
        await asyncio.gather(*[another.schema(schema_id) for _ in range(10)])
        assert len(entrance.requests) == asked + 1


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        (avro(id="string"), avro(id="string", n="int"), 'added fields.n.type: "int"'),
        (protobuf("string"), protobuf("int64"), "changed Thing.id: string = 1 to int64 = 1"),
        (json_schema("id"), json_schema("id", "n"), "added required n"),
    ],
)
async def test_an_incompatible_schema_is_refused_and_the_difference_named(
    client: SchemaRegistry, registry: str, subject: str, old: Schema, new: Schema, difference: str
) -> None:
    """Nothing is registered."""
    await client.id_for(subject, old)

    with pytest.raises(SettingsError, match=f"not compatible .* under {subject}: .*{difference}"):
        await client.id_for(subject, new)

    async with open_registry(
        settings(registry, schema_registry_auto_register=False), asyncio.Event()
    ) as other:
        with pytest.raises(SettingsError, match="does not have our schema"):
            await other.id_for(subject, new)


async def test_a_compatible_schema_becomes_the_next_version(client: SchemaRegistry, subject: str) -> None:
    first = await client.id_for(subject, avro(id="string", n="int"))
    second = await client.id_for(subject, avro(id="string"))
    assert second != first


async def test_a_version_before_the_latest_may_be_the_one_in_the_way(
    client: SchemaRegistry, registry: str, subject: str
) -> None:
    """Where the subject's level asks for all of them."""
    await client.id_for(subject, avro(id="string"))
    await client.id_for(subject, avro())
    async with AsyncSchemaRegistryClient({"url": registry}) as owner:
        await owner.set_config(subject, ServerConfig(ConfigCompatibilityLevel.BACKWARD_TRANSITIVE))
    field = {"name": "id", "type": "int", "default": 0}
    third = Schema("AVRO", json.dumps({"type": "record", "name": "Thing", "fields": [field]}))

    with pytest.raises(SettingsError, match="not compatible"):
        await client.id_for(subject, third)


async def test_without_leave_to_register_a_missing_schema_is_told_with_the_remedy(
    registry: str, subject: str
) -> None:
    async with open_registry(
        settings(registry, schema_registry_auto_register=False), asyncio.Event()
    ) as client:
        with pytest.raises(
            SettingsError,
            match=rf"does not have our schema under {subject}.*AUTO_REGISTER=true.*/subjects/{subject}/versions",
        ):
            await client.id_for(subject, avro(id="string"))


async def test_a_format_that_needs_a_registry_names_both_remedies(stop: asyncio.Event) -> None:
    with pytest.raises(SettingsError, match=r"SCHEMA_REGISTRY_URL is not set.*EVENT_FORMAT=json"):
        async with open_registry(settings(None), stop):
            pass


async def test_a_registry_that_is_down_at_the_start_is_waited_for(
    entrance: Door, registry: str, stop: asyncio.Event, subject: str
) -> None:
    """Ready is told only when it answers, and what comes before is a warning with the cause."""
    await entrance.shut()

    async def use() -> int:
        async with open_registry(settings(entrance.url(path_of(registry))), stop) as client:
            return await client.id_for(subject, avro(id="string"))

    with capture_logs() as lines:
        using = asyncio.create_task(use(), name="use")
        await until(lambda: len(told(lines, "registry_unavailable")) >= 2)
        assert "registry_ready" not in [line["event"] for line in lines]
        await entrance.open()
        assert await asyncio.wait_for(using, LONG) > 0

    assert told(lines, "registry_unavailable")[0].startswith("Nothing listens at http://127.0.0.1:")
    assert "registry_ready" in [line["event"] for line in lines]


async def test_patience_ends_with_the_connect_timeout(entrance: Door, stop: asyncio.Event) -> None:
    await entrance.shut()
    with pytest.raises(UnavailableError, match=r"Nothing listens at .*make registry"):
        async with open_registry(settings(entrance.url("/"), connect_timeout="300ms"), stop):
            pass


async def test_a_stop_ends_the_wait_at_the_start(entrance: Door, stop: asyncio.Event) -> None:
    await entrance.shut()

    async def use() -> None:
        async with open_registry(settings(entrance.url("/")), stop):
            pass

    with capture_logs() as lines:
        using = asyncio.create_task(use(), name="use")
        await until(lambda: told(lines, "registry_unavailable"))
        stop.set()
        with pytest.raises(StopRequested):
            await asyncio.wait_for(using, LONG)


async def test_a_registry_that_goes_away_is_needed_for_new_schemas_only(
    client: SchemaRegistry, entrance: Door, registry: str, subject: str, stop: asyncio.Event
) -> None:
    """What is known stays known, an id that is not waits until the registry is back."""
    known, unknown = unique(), unique()
    ids = [await client.id_for(f"{subject}-{n}", schema) for n, schema in enumerate((known, unknown))]
    async with open_registry(settings(entrance.url(path_of(registry))), stop) as another:
        await another.id_for(f"{subject}-0", known)
        await another.schema(ids[0])
        await entrance.shut()

        assert (await another.schema(ids[0])).type == "AVRO"
        assert await another.id_for(f"{subject}-0", known) == ids[0]
        with capture_logs() as lines:
            waiting = asyncio.create_task(another.schema(ids[1]), name="wait for the schema")
            await until(lambda: told(lines, "schema_unknown"))
            await entrance.open()
            assert "".join(unknown.text.split()) == (await asyncio.wait_for(waiting, LONG)).text
    assert told(lines, "schema_unknown")[0].startswith("Nothing listens at http://127.0.0.1:")


async def test_an_id_that_the_registry_does_not_know_is_told_at_once_and_learnt_later(
    client: SchemaRegistry, subject: str
) -> None:
    last = await client.id_for(f"{subject}-1", unique())
    with pytest.raises(SchemaNotFoundError, match=f"does not know the schema {last + 1}"):
        await client.schema(last + 1)
    added = unique()
    assert await client.id_for(f"{subject}-2", added) == last + 1
    async with asyncio.timeout(LONG):
        while True:
            with suppress(SchemaNotFoundError):  # for a second it is not asked again
                assert (await client.schema(last + 1)).text == "".join(added.text.split())
                break
            await asyncio.sleep(0.1)


async def test_a_stop_ends_the_wait_for_a_registry_that_is_down(
    entrance: Door, registry: str, stop: asyncio.Event
) -> None:
    async with open_registry(settings(entrance.url(path_of(registry))), stop) as client:
        await entrance.shut()
        with capture_logs() as lines:
            waiting = asyncio.create_task(client.schema(2**31 - 1), name="wait for the schema")
            await until(lambda: told(lines, "schema_unknown"))
            stop.set()
            with pytest.raises(StopRequested):
                await asyncio.wait_for(waiting, LONG)


@pytest.mark.parametrize("path", ["", "/apis", "/apis/ccompat", "/apis/registry/v3", "/nowhere"])
async def test_another_web_server_is_no_registry(registry: str, stop: asyncio.Event, path: str) -> None:
    with pytest.raises(SettingsError, match=r"There is no schema registry at .*whole address, such as"):
        async with open_registry(settings(registry.removesuffix(path_of(registry)) + path), stop):
            pass


async def test_a_second_address_serves_when_the_first_is_down(
    registry: str, stop: asyncio.Event, subject: str
) -> None:
    async with open_registry(settings(f"http://127.0.0.1:1, {registry}"), stop) as client:
        assert await client.id_for(subject, avro(id="string"))


async def test_a_registry_that_never_answers_is_given_up(
    stop: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request has its end."""
    monkeypatch.setattr("tandem.registry.registry.REQUEST_TIMEOUT", 0.2)
    released = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnavailableError, match="does not answer in time"):
            async with open_registry(settings(f"http://127.0.0.1:{port}", connect_timeout="100ms"), stop):
                pass
        released.set()
