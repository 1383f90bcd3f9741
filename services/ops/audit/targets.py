"""Which topics and groups are looked at: what the streams declare, as far as the cluster has it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.consumer.dead_letters import dead_letter_topic
from services.consumer.handlers import ROLES
from services.ops.audit.asking import ask
from services.ops.audit.findings import At
from services.ops.audit.settings import AuditSettings
from tandem.errors import SettingsError
from tandem.kafka.topics import Topic, existing_topics, ledger_topic, stream_topics
from tandem.schemas import STREAMS

_POLICY = "cleanup.policy"


@dataclass(frozen=True, slots=True)
class Target:
    """A topic with events, and those beside it. `partitions` 0: it is not there."""

    topic: str
    partitions: int
    compacted: bool = False
    letters: tuple[str, int] | None = None  # a topic, and how many partitions it has
    retries: tuple[tuple[str, int], ...] = ()

    @property
    def own(self) -> list[At]:
        """Its partitions."""
        return partitions(self.topic, self.partitions)

    @property
    def beside(self) -> list[At]:
        """Those of the topics beside it."""
        others = [*self.retries, *([] if self.letters is None else [self.letters])]
        return [at for topic, count in others for at in partitions(topic, count)]


@dataclass(frozen=True, slots=True)
class Targets:
    """All that an audit looks at. `groups_named`: somebody asked for these groups, so each of them must be there."""

    topics: Sequence[Target]
    ledger: tuple[str, int] | None
    groups: Sequence[str]
    groups_named: bool

    @property
    def sources(self) -> list[At]:
        """The partitions with events."""
        return [at for target in self.topics for at in target.own]

    @property
    def others(self) -> list[At]:
        """The partitions beside them."""
        return [at for target in self.topics for at in target.beside]


def partitions(topic: str, count: int) -> list[At]:
    return [At(topic, number) for number in range(count)]


def declared(settings: AuditSettings) -> list[str]:
    """The topics that are asked for. Raises SettingsError when KAFKA_TOPIC renames one of several."""
    if settings.kafka_topic is not None and settings.stream is None:
        return [settings.kafka_topic]
    names = STREAMS if settings.stream is None else [settings.stream]
    return [topic.name for name in names for topic in stream_topics(settings, STREAMS[name]).values()]


def groups_of(settings: AuditSettings) -> list[str]:
    """The groups that are asked for, or else those of the roles of the stream."""
    if settings.log_only:
        return []
    roles = {name: role for name, role in ROLES.items() if settings.stream in {None, role.stream}}
    return list(dict.fromkeys(settings.group or (role.group or name for name, role in roles.items())))


def find_targets(settings: AuditSettings, stopped: Callable[[], bool]) -> Targets:
    """Look which of them the cluster has. Raises what `ask` raises."""
    wanted = declared(settings)

    async def look(admin: AIOKafkaAdminClient) -> Targets:
        there = {name: len(each["partitions"]) for name, each in (await existing_topics(admin)).items()}
        compacted = await _compacted(admin, [name for name in wanted if name in there])
        topics = [_target(name, there, compacted=name in compacted) for name in wanted]
        ledger = ledger_topic(settings)
        found = None if ledger is None or ledger.name not in there else (ledger.name, there[ledger.name])
        return Targets(topics, found, groups_of(settings), groups_named=bool(settings.group))

    return ask(settings, stopped, look)


def require_some(targets: Targets, known: Iterable[str]) -> None:
    """Raise SettingsError when none of the topics is there, and none is `known` to have been."""
    names = [target.topic for target in targets.topics]
    if not any(target.partitions for target in targets.topics) and not set(names) & set(known):
        raise SettingsError(
            f"There is nothing to audit: {', '.join(names)} {'does' if len(names) == 1 else 'do'} not exist",
            "Set STREAM, KAFKA_TOPIC or TOPIC_PREFIX to what the services have",
        )


def _target(name: str, there: Mapping[str, int], *, compacted: bool) -> Target:
    letters = dead_letter_topic(Topic(name)).name
    retries = sorted(topic for topic in there if topic.startswith(f"{name}-retry-"))
    return Target(
        name,
        there.get(name, 0),
        compacted,
        (letters, there[letters]) if letters in there else None,
        tuple((topic, there[topic]) for topic in retries),
    )


async def _compacted(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> set[str]:
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic, {_POLICY: ""}) for topic in topics]
    found = set()
    for response in await admin.describe_configs(asked) if asked else ():
        for code, _, _, name, entries in response.resources:
            policy: dict[str, Any] = {key: value for key, value, *_ in entries}
            if not code and "compact" in str(policy.get(_POLICY)):
                found.add(name)
    return found
