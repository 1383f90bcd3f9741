"""`tandem topics`: what a cluster has against what the streams want."""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from pydantic import Field
from pydantic_settings import CliPositionalArg, SettingsConfigDict

from services.consumer.dead_letters import dead_letter_topic
from services.consumer.handlers import ROLES
from tandem import kafka, log
from tandem.errors import ExitStatus, SettingsError
from tandem.kafka.rights import Right
from tandem.kafka.topics import Topic, ensure_topics, existing_topics, ledger_topic, settle, stream_topics
from tandem.output import say
from tandem.schemas import STREAMS
from tandem.settings import StreamName, TopicSettings


class TopicsSettings(TopicSettings):
    """Compare a cluster's topics with what the streams want: diff ends with 0 when it has them so, with 1 when not."""

    model_config = SettingsConfigDict(cli_prog_name="tandem topics")

    action: CliPositionalArg[Literal["create", "describe", "diff"]] = Field(
        description="create: those that are missing, nothing else; describe: what is there; diff: what differs"
    )
    stream: StreamName | None = Field(
        None, description=f"Only the topics of {', '.join(STREAMS)} (default: all)"
    )
    json_output: bool = Field(default=False, validation_alias="json", description="Print JSON")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as wanted. `what` is partitions, replication, a config, or the whole topic."""

    topic: str
    what: str
    wanted: str
    found: str


async def serve(settings: TopicsSettings, stop: asyncio.Event) -> ExitStatus:
    """Do what `action` says and print it: the result to standard output, log lines to standard error."""
    log.configure(settings.log_level, settings.log_format, sys.stderr)
    rows = await _rows(settings, stop)
    say(orjson.dumps(rows).decode() + "\n" if settings.json_output else table(rows))
    return ExitStatus.FAILURE if settings.action == "diff" and rows else ExitStatus.DONE


async def _rows(settings: TopicsSettings, stop: asyncio.Event) -> list[dict[str, Any]]:
    wanted, found = await look(settings, wanted_topics(settings), stop)
    match settings.action:
        case "create":
            missing = [topic for topic in wanted if topic.name not in found]
            await ensure_topics(settings, {Right.DESCRIBE: missing}, stop)
            return [{"topic": topic.name, "created": topic in missing} for topic in wanted]
        case "describe":
            return [_description(topic.name, found.get(topic.name)) for topic in wanted]
        case "diff":
            return [asdict(difference) for difference in differences(wanted, found)]


def wanted_topics(settings: TopicsSettings) -> list[Topic]:
    """The topics of the streams, what their roles write to (dead letters of what they read, events they emit), the ledger's.

    Raises SettingsError when KAFKA_TOPIC is set and it is not clear for which stream.
    """
    if settings.kafka_topic is not None and settings.stream is None:
        raise SettingsError(
            f"KAFKA_TOPIC={settings.kafka_topic} is the topic of one stream", "Name the stream, too: --stream"
        )
    names = STREAMS if settings.stream is None else [settings.stream]
    topics = {topic.name: topic for name in names for topic in _topics(settings, name)}
    ledger = ledger_topic(settings)
    return [*topics.values(), *([] if ledger is None else [ledger])]


def _topics(settings: TopicSettings, stream: str) -> Iterator[Topic]:
    own = stream_topics(settings, STREAMS[stream])
    yield from own.values()
    for role in (role for role in ROLES.values() if role.stream == stream):
        for name in role.topics or own:
            yield dead_letter_topic(own[name])
        for emitted in role.emits:
            yield from stream_topics(settings, emitted).values()


def differences(wanted: Iterable[Topic], found: Mapping[str, Topic]) -> list[Difference]:
    """What is not as wanted, topic by topic. Configs that nobody declares are not compared."""
    return [difference for topic in wanted for difference in _differences(topic, found.get(topic.name))]


def _differences(wanted: Topic, found: Topic | None) -> list[Difference]:
    if found is None:
        return [Difference(wanted.name, "topic", "there", "missing")]
    is_so = _properties(found)
    return [
        Difference(wanted.name, what, value, is_so.get(what, "not set"))
        for what, value in _properties(wanted).items()
        if value != is_so.get(what)
    ]


def _properties(topic: Topic) -> dict[str, str]:
    return {
        "partitions": str(topic.partitions),
        "replication": str(topic.replication),
        **dict(sorted(topic.configs.items())),
    }


async def look(
    settings: TopicSettings, wanted: Sequence[Topic], stop: asyncio.Event
) -> tuple[list[Topic], dict[str, Topic]]:
    """What is wanted on a cluster of this size, and those of it that are there, with the same configs.

    Raises what `kafka.using` raises.
    """

    async def ask(admin: AIOKafkaAdminClient) -> tuple[list[Topic], dict[str, Topic]]:
        there = await existing_topics(admin)
        exact = await settle(admin, wanted, there)
        return exact, await _found(admin, exact, there)

    return await kafka.using_admin(settings, stop, ask)


async def _found(
    admin: AIOKafkaAdminClient, wanted: Sequence[Topic], known: Mapping[str, Mapping[str, Any]]
) -> dict[str, Topic]:
    there = [topic for topic in wanted if topic.name in known]
    configs = await _configs(admin, there)
    return {topic.name: _topic(known[topic.name], configs[topic.name]) for topic in there}


def _topic(metadata: Mapping[str, Any], configs: Mapping[str, str]) -> Topic:
    name, partitions = metadata["topic"], metadata["partitions"]
    if metadata["error_code"]:
        raise for_code(metadata["error_code"])({name})
    return Topic(name, len(partitions), min(len(each["replicas"]) for each in partitions), configs)


async def _configs(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    """The configs that are wanted of each topic, as they are; those of the broker where the topic sets none."""
    if not topics:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name, dict(topic.configs)) for topic in topics]
    configs = {}
    for response in await admin.describe_configs(asked):
        for code, _, _, name, entries in response.resources:
            if code:
                raise for_code(code)({name})
            configs[name] = {key: value for key, value, *_ in entries}
    return configs


def _description(name: str, topic: Topic | None) -> dict[str, Any]:
    columns = ("partitions", "replication", "configs")
    return {"topic": name} | {column: getattr(topic, column, None) for column in columns}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lines for people, aligned under the names of the columns."""
    if not rows:
        return "no differences\n"
    cells = [
        [column.upper() for column in rows[0]],
        *([_cell(value) for value in row.values()] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
    return "\n".join([*lines, ""])


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ",".join(f"{name}={text}" for name, text in value.items())
        case _:
            return str(value)
