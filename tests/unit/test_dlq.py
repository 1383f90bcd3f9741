"""What `tandem dlq` takes, which letters it means, how it counts them, what it may remove."""

from dataclasses import replace

import pytest

from services.ops.dlq import DlqSettings
from services.ops.dlq.histogram import Histogram
from services.ops.dlq.letter import At, Place, moment, unreadable
from services.ops.dlq.purge import Cut
from services.ops.dlq.route import Source
from services.ops.dlq.selection import Selection
from services.ops.dlq.topics import DeadLetterTopic, place, sources
from tandem.errors import SettingsError
from tandem.kafka.topics import Topic
from tandem.settings.source import read_settings
from tests.unit.letters import TIME, failed


def settings(*arguments: str) -> DlqSettings:
    return read_settings(DlqSettings, list(arguments))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (Selection(), True),
        (Selection(exception="CodecError", stage="decode", group="order-processor"), True),
        (Selection(exception="Codec"), False),
        (Selection(stage="handle"), False),
        (Selection(group="another"), False),
        (Selection(message_contains="json"), True),
        (Selection(message_contains="JSON"), False),
        (Selection(key=b"k\xff"), True),
        (Selection(key=b"k"), False),
        (Selection(since=TIME + 86_400_000, until=TIME + 86_400_000), True),
        (Selection(since=TIME + 86_400_001), False),
        (Selection(until=TIME + 86_399_999), False),
        (Selection(at=Place("orders-dlt", 1, 7)), True),
        (Selection(at=Place("orders-dlt", 1, 8)), False),
    ],
)
def test_a_letter_must_be_like_all_that_is_asked(asked: Selection, *, meant: bool) -> None:
    assert asked.takes(failed()) is meant


def test_one_that_cannot_be_read_is_meant_only_where_no_more_than_a_place_is_asked() -> None:
    found = unreadable(Place("orders-dlt", 1, 7), "why")
    assert Selection().takes(found)
    assert Selection(at=found.place).takes(found)
    assert not Selection(until=TIME).takes(found)


def test_a_place_is_named_with_or_without_its_topic() -> None:
    assert At.parse("0/17") == At(None, 0, 17)
    assert At.parse("orders-dlt/0/17") == At("orders-dlt", 0, 17)
    for text in ("", "17", "/0/17", "0/x", "a/b/0/17", "0/-1", "٣/1"):
        with pytest.raises(ValueError, match="takes PARTITION/OFFSET"):
            At.parse(text)


def test_the_most_frequent_kind_comes_first_with_its_times() -> None:
    found = Histogram("stage")
    for stage, at in (("handle", 3000), ("decode", 2000), ("decode", 1000)):
        found.add(stage, at_ms=at)
    assert found.rows() == [
        {"stage": "decode", "count": 2, "first": moment(1000), "last": moment(2000)},
        {"stage": "handle", "count": 1, "first": moment(3000), "last": moment(3000)},
    ]


def test_kinds_without_number_take_no_memory_without_end() -> None:
    found = Histogram("topic", "exception")
    for number in range(5000):
        found.add("orders-dlt", f"{number}{'x' * 1000}", at_ms=number)
    rows = found.rows()
    assert len(rows) == 1001
    assert rows[0] | {"first": "", "last": ""} == {
        "topic": "(others)", "exception": "(others)", "count": 4000, "first": "", "last": ""
    }  # fmt: skip
    assert max(len(row["exception"]) for row in rows) == 100


def test_only_what_lies_before_the_first_letter_that_stays_can_go() -> None:
    cut = Cut("orders-dlt", 1, 5)
    gone, stays = replace(failed(), redriven=True), failed()
    cut.add(gone, 5, may_go=True)
    cut.add(None, 6, may_go=True)
    cut.add(stays, 7, may_go=False)
    cut.add(gone, 8, may_go=True)
    cut.add(None, 9, may_go=True)
    assert cut == Cut("orders-dlt", 1, before=7, redriven=1, never_redriven=0, marks=1, kept=2)


def test_nothing_is_removed_where_the_first_letter_stays() -> None:
    cut = Cut("orders-dlt", 1, 5)
    cut.add(failed(), 5, may_go=False)
    assert cut.empty
    assert cut.before == 5


def test_the_topics_are_those_that_the_roles_read() -> None:
    names = [topic.name for topic in sources(settings("list", "--stream=shop", "--topic-prefix=a."))]
    assert set(names) == {
        f"a.{name}-events{more}" for name, more in
        (("order", ""), ("inventory", ""), ("payment", ""), ("order", "-stream"), ("payment", "-stream"))
    }  # fmt: skip
    assert len(names) == len(set(names))


def test_one_topic_needs_no_stream() -> None:
    assert [topic.name for topic in sources(settings("list", "--kafka-topic=mine"))] == ["mine"]


def test_times_are_iso_or_milliseconds() -> None:
    for text in ("2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", f"s@{TIME}"):
        assert settings("list", f"--since={text}").since == TIME
    with pytest.raises(SettingsError, match="SINCE=soon takes a time such as"):
        settings("list", "--since=soon")


def test_what_narrows_a_command_comes_from_flags_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "KEY",
        "STAGE",
        "GROUP",
        "MAX",
        "MAX_LETTERS",
        "ALL",
        "RATE",
        "YES",
        "FORCE",
        "AT",
        "JSON",
    ):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("STREAM", "bank")
    found = settings("purge")
    assert (found.stream, found.model_fields_set) == ("bank", {"action", "stream"})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("list", "--yes"), "--yes is for purge"),
        (("show", "--dry-run"), "--dry-run is for redrive"),
        (("redrive", "--records"), "--records is for list"),
        (("purge", "--max=3"), "--max and --all are not for purge"),
        (("purge", "--all"), "--max and --all are not for purge"),
        (("list", "--at=5"), "AT=5 takes PARTITION/OFFSET"),
        (("list", "--max=0"), "MAX=0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        settings(*arguments)


def test_a_place_must_be_in_one_topic() -> None:
    topics = [DeadLetterTopic(f"{name}-dlt", 3, Source(Topic(name), 3)) for name in ("a", "b")]
    assert place(settings("show", "--at=b-dlt/2/5"), topics) == Place("b-dlt", 2, 5)
    assert place(settings("show", "--at=2/5"), topics[:1]) == Place("a-dlt", 2, 5)
    assert place(settings("show"), topics) is None
    with pytest.raises(SettingsError, match=r"may be in a-dlt or b-dlt\. Put the topic in front"):
        place(settings("show", "--at=2/5"), topics)
    with pytest.raises(SettingsError, match="3/5 is in no dead-letter topic"):
        place(settings("show", "--at=3/5"), topics)
