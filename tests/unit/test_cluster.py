"""The embedded cluster's decisions: configuration, ports, settings, and what is told of a log."""

from pathlib import Path

import pytest

from services.ops.broker import BrokerSettings
from services.ops.java import last_complaint
from services.ops.node import Listener, Node, Security, command, make_nodes, properties
from tandem.errors import SettingsError
from tandem.settings.source import read_settings

THREE = tuple(Node(i, 9091 + i, 20_000 + i, Path("/data")) for i in (1, 2, 3))
BIND_FAILED = """\
2026-01-01 10:00:00.000 [main] INFO kafka.server.BrokerServer - starting
2026-01-01 10:00:00.100 [main] ERROR kafka.server.BrokerServer - Fatal error during broker startup
org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: Address already in use.
\tat kafka.network.Acceptor.openServerSocket(SocketServer.scala:732)
\t... 6 more
2026-01-01 10:00:00.200 [main] INFO kafka.server.BrokerServer - shutting down
"""


def configuration(node: Node, cluster: tuple[Node, ...]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in properties(node, cluster).splitlines())


def test_a_single_broker_keeps_one_copy_of_everything() -> None:
    """Kafka's own topics would otherwise wait for three brokers for ever."""
    single = configuration(THREE[0], THREE[:1])

    assert {value for name, value in single.items() if "replication.factor" in name} == {"1"}
    assert {value for name, value in single.items() if "min.i" in name} == {"1"}


def test_three_brokers_keep_three_copies_of_which_two_are_in_sync() -> None:
    """One broker may be lost without losing a record or a commit."""
    triple = configuration(THREE[1], THREE)

    assert {value for name, value in triple.items() if "replication.factor" in name} == {"3"}
    assert {value for name, value in triple.items() if "min.i" in name} == {"2"}
    assert triple["unclean.leader.election.enable"] == "false"


def test_every_broker_votes_and_listens_on_the_loopback_only() -> None:
    """Nobody else on the network gets at the data, and localhost is not looked up."""
    triple = configuration(THREE[1], THREE)

    assert triple["node.id"] == "2"
    assert triple["listeners"] == "CLIENT://127.0.0.1:9093,CONTROLLER://127.0.0.1:20002"
    assert triple["advertised.listeners"] == "CLIENT://127.0.0.1:9093"
    assert triple["controller.quorum.voters"] == "1@127.0.0.1:20001,2@127.0.0.1:20002,3@127.0.0.1:20003"


def test_topics_are_made_on_purpose_and_with_three_partitions() -> None:
    """A typing error in a topic's name is an error."""
    single = configuration(THREE[0], THREE[:1])

    assert single["auto.create.topics.enable"] == "false"
    assert single["num.partitions"] == "3"


def test_a_folder_with_any_name_will_do() -> None:
    """The configuration holds no absolute path: a comma or a letter beyond ASCII would break it."""
    odd = Node(1, 9092, 20_001, Path("/home/josé/a,b c"))

    assert configuration(odd, (odd,))["log.dirs"] == "broker-1"


def test_free_ports_are_none_that_a_client_is_given_by_the_system() -> None:
    """A client that reconnects to a dead broker on such a port ends up connected to itself."""
    nodes = make_nodes(Path("/data"), 3, 0)

    ports = [node.port for node in nodes] + [node.controller_port for node in nodes]
    assert len(set(ports)) == 6
    assert max(ports) < 32_768


def test_a_listener_that_asks_who_one_is_has_a_port_and_settings_of_its_own() -> None:
    """The plain one stays: brokers talk to each other through it."""
    security = Security(
        (Listener("SASL", "SASL_SSL", {"ssl.keystore.type": "PEM"}),), {"super.users": "User:admin"}
    )
    secured = Node(1, 9092, 20_001, Path("/data"), {"SASL": 20_002})
    settings = dict(line.split("=", 1) for line in properties(secured, (secured,), security).splitlines())

    assert settings["advertised.listeners"] == "CLIENT://127.0.0.1:9092,SASL://127.0.0.1:20002"
    assert settings["listeners"].startswith(settings["advertised.listeners"])
    assert settings["listener.security.protocol.map"] == "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL"
    assert settings["listener.name.sasl.ssl.keystore.type"] == "PEM"
    assert settings["super.users"] == "User:admin"


def test_clients_are_told_the_port_of_what_stands_in_front_of_a_broker() -> None:
    """A proxy: the broker listens on a port of its own, and the others of the cluster go there directly."""
    security = Security((Listener("PROXIED", "PLAINTEXT", {}, advertised=(21_001, 21_002)),))
    second = Node(2, 9093, 20_002, Path("/data"), {"PROXIED": 20_012})
    settings = dict(line.split("=", 1) for line in properties(second, (second,), security).splitlines())

    assert settings["advertised.listeners"] == "CLIENT://127.0.0.1:9093,PROXIED://127.0.0.1:21002"
    assert settings["listeners"].startswith("CLIENT://127.0.0.1:9093,PROXIED://127.0.0.1:20012")
    assert settings["inter.broker.listener.name"] == "CLIENT"


def test_the_heap_reaches_java() -> None:
    """`--heap` bounds the memory of each broker."""
    assert "-Xmx128m" in command(Path("java"), [Path("a.jar")], "128m", "kafka.Kafka")


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (
            BIND_FAILED,
            "org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: Address already in use.",
        ),
        ("Invalid maximum heap size: -Xmx1x\n", "Invalid maximum heap size: -Xmx1x"),
        ("10:00 [main] INFO starting\n10:01 [main] INFO going on\n\n", "10:01 [main] INFO going on"),
        ("", "it printed nothing"),
    ],
)
def test_the_last_error_of_a_log_is_told(output: str, complaint: str) -> None:
    """Neither the stack below it nor what came after it hides it."""
    assert last_complaint(output) == complaint


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--brokers", "2"], "BROKERS=2 takes 1, 3 or 5"),
        (["--heap", "lots"], "HEAP=lots"),
        (["--port", "70000"], "PORT=70000"),
    ],
)
def test_a_bad_flag_is_told_with_what_it_takes(flags: list[str], told: str) -> None:
    """One line, before anything is started."""
    with pytest.raises(SettingsError, match=told):
        read_settings(BrokerSettings, flags)


def test_a_port_meant_for_another_program_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """PORT and FRESH are common names in an environment; ours begin with BROKER_."""
    monkeypatch.setenv("PORT", "8000")
    monkeypatch.setenv("FRESH", "true")
    monkeypatch.setenv("BROKER_HEAP", "512m")

    settings = read_settings(BrokerSettings, [])

    assert (settings.port, settings.fresh, settings.heap) == (9092, False, "512m")
