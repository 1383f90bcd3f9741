"""What `tandem topics` wants, compares and prints."""

from dataclasses import replace
from typing import Any

import pytest

from services.ops.topics import Difference, TopicsSettings, _description, differences, table, wanted_topics
from tandem.errors import SettingsError, UsageError
from tandem.kafka.topics import Topic
from tandem.schemas import STREAMS
from tandem.settings.source import read_settings

ORDERS = Topic("orders", 3, 3, {"min.insync.replicas": "2", "retention.ms": "86400000"})


def settings(*arguments: str) -> TopicsSettings:
    return read_settings(TopicsSettings, ["diff", *arguments])


def names(*arguments: str) -> list[str]:
    return [topic.name for topic in wanted_topics(settings(*arguments))]


def test_a_stream_wants_its_topics_and_those_that_its_roles_write_to() -> None:
    topics = ["transactions", "transactions-dlt", "fraud-alerts"]
    assert names("--stream=bank") == [*topics, "tandem-ledger"]
    assert names("--stream=bank", "--ledger-topic=none") == topics


def test_all_streams_want_each_topic_once() -> None:
    wanted = names()
    assert len(wanted) == len(set(wanted))
    assert {topic.name for stream in STREAMS.values() for topic in stream.topics} < set(wanted)
    assert {"orders-dlt", "fraud-alerts"} < set(wanted)


def test_names_partitions_and_replicas_follow_the_settings() -> None:
    wanted = wanted_topics(
        settings("--stream=orders", "--topic-prefix=team.", "--topic-partitions=12", "--topic-replication=2")
    )
    assert [(topic.name, topic.partitions, topic.replication) for topic in wanted] == [
        ("team.orders", 12, 2),
        ("team.orders-dlt", 12, 2),
        ("team.tandem-ledger", 1, 2),
    ]


def test_the_topic_of_one_stream_may_be_renamed_but_not_its_alerts() -> None:
    topics = names("--stream=bank", "--kafka-topic=moves")
    assert topics == ["moves", "moves-dlt", "fraud-alerts", "tandem-ledger"]


def test_a_renamed_topic_needs_to_be_of_one_stream() -> None:
    with pytest.raises(
        SettingsError, match=r"KAFKA_TOPIC=moves is the topic of one stream\. Name the stream"
    ):
        names("--kafka-topic=moves")


def test_what_shall_be_done_must_be_said() -> None:
    with pytest.raises(UsageError, match=r"^missing: ACTION\. `tandem topics --help` lists every setting$"):
        read_settings(TopicsSettings, [])


@pytest.mark.parametrize(
    ("brokers", "replication", "insync"), [(1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (9, 3, "2")]
)
def test_what_is_left_open_depends_on_the_number_of_brokers(
    brokers: int, replication: int, insync: str
) -> None:
    topic = Topic("orders", configs={"retention.ms": "1"}).on(brokers, {})
    assert topic.replication == replication
    assert topic.configs == {"min.insync.replicas": insync, "retention.ms": "1"}


def test_a_topic_beside_another_gets_as_many_partitions() -> None:
    letters = Topic("orders-dlt", partitions=3, beside="orders")
    assert letters.on(1, {"orders": 12}).partitions == 12
    assert letters.on(1, {}).partitions == 3


def test_what_is_said_is_not_left_open() -> None:
    topic = Topic("orders", replication=4, configs={"min.insync.replicas": "3"}).on(9, {})
    assert (topic.replication, topic.configs) == (4, {"min.insync.replicas": "3"})


def test_a_topic_that_is_as_wanted_has_no_differences() -> None:
    assert differences([ORDERS], {"orders": ORDERS}) == []


def test_a_config_that_nobody_declares_is_no_difference() -> None:
    found = replace(ORDERS, configs={**ORDERS.configs, "segment.bytes": "1048576"})
    assert differences([ORDERS], {"orders": found, "another": found}) == []


def test_a_missing_topic_is_one_difference() -> None:
    assert differences([ORDERS], {}) == [Difference("orders", "topic", "there", "missing")]


def test_each_thing_that_differs_is_named() -> None:
    found = Topic("orders", 6, 1, {"min.insync.replicas": "2"})
    assert differences([ORDERS], {"orders": found}) == [
        Difference("orders", "partitions", "3", "6"),
        Difference("orders", "replication", "3", "1"),
        Difference("orders", "retention.ms", "86400000", "not set"),
    ]


def test_rows_are_printed_under_their_columns() -> None:
    rows: list[dict[str, Any]] = [
        {"topic": "orders", "partitions": 3, "configs": {"a": "1", "b": "2"}},
        {"topic": "js_shoe-dlt", "partitions": None, "configs": None},
    ]
    assert table(rows).splitlines() == [
        "TOPIC        PARTITIONS  CONFIGS",
        "orders       3           a=1,b=2",
        "js_shoe-dlt  -           -",
    ]


def test_a_topic_that_is_missing_is_told_in_the_same_columns() -> None:
    rows = [_description("js_shoe", None), _description("orders", ORDERS)]
    assert [list(row) for row in rows] == [["topic", "partitions", "replication", "configs"]] * 2
