"""One broker of the embedded cluster, as a value: its ports, its files, its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from services.ops.java import jvm
from services.ops.ports import HOST, free_ports, require_free

_LOG_LEVELS = {
    "defaultLogLevel": "info",
    "log.org.apache.kafka.common.config.AbstractConfig": "warn",  # all settings, three times over
    "log.org.apache.kafka.common.utils.AppInfoParser": "error",
    "showDateTime": "true",
    "dateTimeFormat": "yyyy-MM-dd HH:mm:ss.SSS",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """Another way into each broker than the plain one, for example with TLS."""

    name: str
    protocol: str
    settings: Mapping[str, str]  # Kafka's, without the prefix listener.name.<name>.
    # The ports that clients are told, broker by broker, where something stands in front of them; none: the brokers' own.
    advertised: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Security:
    """What makes a cluster ask who someone is, and what they may do. Its plain listener stays open to this machine."""

    listeners: Sequence[Listener] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


OPEN = Security()


@dataclass(frozen=True, slots=True)
class Node:
    """A broker that is also a controller. Its files lie side by side in `folder`, the cluster's."""

    id: int
    port: int
    controller_port: int
    folder: Path
    # Of the listeners that a Security adds. Left out of the hash, because a dict has none.
    more_ports: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        return f"Broker {self.id}"

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / f"broker-{self.id}"

    @property
    def log(self) -> Path:
        return self.folder / f"broker-{self.id}.log"

    @property
    def properties(self) -> Path:
        return self.folder / f"broker-{self.id}.properties"

    @property
    def formatted(self) -> bool:
        return (self.data / "meta.properties").exists()


def make_nodes(folder: Path, count: int, port: int, security: Security = OPEN) -> tuple[Node, ...]:
    """Return nodes on the ports from `port` on; 0 means any free ports, as all other listeners always have.

    Raises SettingsError when a port can't be had.
    """
    wanted = range(port, port + count) if port else ()
    for number in wanted:
        require_free(number)
    free = (number for number in free_ports() if number not in wanted)
    clients = wanted or list(islice(free, count))
    names = [listener.name for listener in security.listeners]
    return tuple(
        Node(i + 1, clients[i], next(free), folder, dict(zip(names, free, strict=False)))
        for i in range(count)
    )


def properties(node: Node, cluster: Sequence[Node], security: Security = OPEN) -> str:
    """Write the configuration file of `node`. Its paths are relative: the broker runs in the cluster's folder."""
    ways = {"CLIENT": node.port, **node.more_ports}
    told = {
        listener.name: listener.advertised[node.id - 1]
        for listener in security.listeners
        if listener.advertised
    }
    protocols = "".join(f",{listener.name}:{listener.protocol}" for listener in security.listeners)
    settings = {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "listeners": _addresses({**ways, "CONTROLLER": node.controller_port}),
        "advertised.listeners": _addresses({**ways, **told}),
        "listener.security.protocol.map": f"CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": ",".join(f"{peer.id}@{HOST}:{peer.controller_port}" for peer in cluster),
        "log.dirs": node.data.name,
        "auto.create.topics.enable": "false",
        "num.partitions": 3,
        "unclean.leader.election.enable": "false",
        "group.initial.rebalance.delay.ms": 0,  # a group of one shall not wait 3 s for a second member
        "group.min.session.timeout.ms": 1000,  # tests of dead consumers need not wait 6 s
        # The dead are replaced after 3 s, not 9. A broker that was killed can't come back before.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "log.cleaner.dedupe.buffer.size": 8 * 1024**2,  # by default 128 MiB of heap, taken at the start
        **_replication(len(cluster)),
        **_security_settings(security),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())


def _security_settings(security: Security) -> Mapping[str, str]:
    return dict(security.settings) | {
        f"listener.name.{listener.name.lower()}.{name}": value
        for listener in security.listeners
        for name, value in listener.settings.items()
    }


def _replication(brokers: int) -> Mapping[str, int]:
    in_sync = 2 if brokers > 2 else 1
    settings = {"default.replication.factor": min(brokers, 3), "min.insync.replicas": in_sync}
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        settings |= {f"{topic}.num.partitions": 3, f"{topic}.replication.factor": min(brokers, 3)}
    return settings | {
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def command(java: Path, jars: Sequence[Path], heap: str, main: str, *arguments: str) -> list[str | Path]:
    """Return what starts one of Kafka's main classes."""
    logging = [f"-Dorg.slf4j.simpleLogger.{name}={value}" for name, value in _LOG_LEVELS.items()]
    return [
        *jvm(java, heap),
        *logging,
        "-classpath",
        ":".join(map(str, jars)),
        main,
        *arguments,
    ]
