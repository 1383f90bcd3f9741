"""What letters and marks tell `tandem dlq`, how they look, and where they go."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ops.dlq.letter import Place, letter, mark, marked, moment, unreadable
from services.ops.dlq.reader import OffsetSet
from services.ops.dlq.route import Refusal, Route, Source, route
from services.ops.dlq.selection import Selection
from services.ops.dlq.show import as_json, line, page
from tandem.headers import Header
from tandem.kafka.topics import Topic
from tests.unit.letters import TIME, TOLD, failed, record

ORDERS = Source(Topic("orders"), 3)


def test_a_letter_tells_what_failed_and_when() -> None:
    found = failed()
    assert (found.told("stage"), found.told("exception"), found.told("nothing")) == (
        "decode",
        "CodecError",
        "-",
    )
    assert found.failed_at_ms == TIME + 24 * 3600 * 1000


def test_its_own_time_counts_where_none_is_told() -> None:
    for told in (None, b"yesterday", b"\xff", b""):
        assert failed(first_failed_at=told).failed_at_ms == TIME


def test_what_is_no_number_is_none() -> None:
    for told in (b"-1", b"1.5", b"", "٣".encode(), b"9" * 5000, b"1\n"):
        assert failed(partition=told).number("partition") is None


def test_a_time_that_no_calendar_holds_is_shown_as_a_number() -> None:
    assert moment(TIME) == "2026-01-01T00:00:00.000Z"
    assert moment(2**63 - 1) == "s@9223372036854775807"
    assert moment(-(2**63)) == "s@-9223372036854775808"


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.text(), st.sampled_from([f"__dlq.errors.{name}" for name in [*TOLD, "replay.count"]])
            ),
            st.one_of(st.none(), st.binary(), st.sampled_from(list(TOLD.values()))),
        )
    ),
    st.one_of(st.none(), st.binary()),
)
def test_whatever_a_letter_holds_it_is_shown_and_goes_nowhere_else(
    headers: list[tuple[str, bytes | None]], key: bytes | None
) -> None:
    found = letter(record(*headers, key=key))
    assert line(found).count("\n") == 1
    assert all(sign.isprintable() or sign == "\n" for sign in page(found))
    as_json(found)
    Selection(since=1, until=2, message_contains="x").takes(found)
    match route(found, ORDERS, 3):
        case Route(topic, sent, _):
            assert topic.name == sent.topic in {"orders", "orders-parking"}
            assert (sent.key, sent.value) == (found.key, found.value)


def test_a_mark_names_its_letter() -> None:
    written = mark(failed(), "orders/2/99")
    assert (written.topic, written.partition, written.value) == ("orders-dlt", 1, None)
    read = record(*written.headers, offset=8, key=written.key, value=None)
    assert marked(read) == 7
    assert dict(written.headers)["tandem_redriven_to"] == b"orders/2/99"


def test_a_letter_is_no_mark_whatever_its_record_was() -> None:
    written = mark(failed(), "orders/2/99")
    dressed: list[Header] = [*written.headers, ("__dlq.errors.topic", b"orders")]
    assert marked(record(*dressed, offset=8, key=written.key, value=None)) is None


@pytest.mark.parametrize(
    "fields",
    [{"offset": 7}, {"key": b"k"}, {"key": None}, {"value": b""}],
    ids=["behind", "key", "no key", "value"],
)
def test_what_only_looks_like_one_is_none(fields: dict[str, Any]) -> None:
    written = mark(failed(), "orders/2/99")
    as_written = {"offset": 8, "key": written.key, "value": None}
    assert marked(record(*written.headers, **as_written | fields)) is None


@given(st.sets(st.integers(0, 20_000)))
def test_a_set_of_offsets_holds_them_and_no_others(offsets: set[int]) -> None:
    found = OffsetSet()
    for offset in offsets:
        found.add(offset)
    assert {offset for offset in range(20_001) if offset in found} == offsets


def test_a_letter_goes_back_byte_for_byte_for_the_group_that_failed() -> None:
    brought = (("ce_id", b"run/2/40"), ("trace", b"\xff"), ("empty", None))
    found = route(failed(*brought), ORDERS, 3)
    assert isinstance(found, Route)
    assert found.record == (
        "orders",
        b"k\xff",
        b"not json",
        [
            *brought,
            ("__dlq.errors.replay.count", b"1"),
            ("tandem_copy", b"redrive"),
            ("tandem_group", b"order-processor"),
        ],
        TIME,
        2,
    )
    assert not found.parked


def test_headers_of_an_earlier_redrive_are_replaced() -> None:
    brought = (("tandem_copy", b"resend"), ("tandem_group", b"another"))
    found = route(failed(*brought, replay_count=b"2"), ORDERS, 3)
    assert isinstance(found, Route)
    assert found.record.headers == [
        ("__dlq.errors.replay.count", b"3"),
        ("tandem_copy", b"redrive"),
        ("tandem_group", b"order-processor"),
    ]


def test_without_the_partition_that_it_was_in_the_key_decides() -> None:
    found = route(failed(), replace(ORDERS, partitions=2), 3)
    assert isinstance(found, Route)
    assert found.record.partition is None


@pytest.mark.parametrize(("replays", "parked"), [(b"2", False), (b"3", True), (b"4000000000", True)])
def test_what_came_back_too_often_is_parked_as_it_is(replays: bytes, *, parked: bool) -> None:
    found = failed(replay_count=replays)
    to = route(found, ORDERS, 3)
    assert isinstance(to, Route)
    assert to.parked is parked
    if parked:
        assert to.record == ("orders-parking", found.key, found.value, found.headers, TIME, None)
        assert to.topic.name == "orders-parking"
        assert to.topic.configs["retention.ms"] == "-1"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"topic": b"payments"}, "topic is not orders"),
        ({"topic": b"orders\x00"}, "topic is not orders"),
        ({"topic": None}, "topic is not orders"),
        ({"group": None}, "group names no group"),
        ({"group": b""}, "group names no group"),
        ({"group": b"\xff"}, "group names no group"),
        ({"partition": None}, "partition is no number"),
        ({"partition": b"-1"}, "partition is no number"),
        ({"replay_count": b"many"}, "replay.count is no number"),
        ({"replay_count": b"-5"}, "replay.count is no number"),
    ],
)
def test_a_letter_whose_headers_do_not_agree_stays(told: dict[str, bytes], reason: str) -> None:
    found = route(failed(**told), ORDERS, 3)
    assert isinstance(found, Refusal)
    assert found.reason.endswith(reason)


def test_nothing_goes_to_a_topic_that_is_not_there() -> None:
    assert route(failed(), Source(Topic("orders"), 0), 3) == Refusal("the topic orders is not there")


def test_a_letter_that_cannot_be_read_stays() -> None:
    assert route(unreadable(Place("orders-dlt", 1, 7), "why"), ORDERS, 3) == Refusal("why")


def test_a_letter_is_shown_with_all_that_it_holds() -> None:
    text = page(failed(("trace", b"\x1b[31mred"), ("binary", b"\xff\x00"), ("none", None)))
    assert text.startswith("orders-dlt/1/7\n")
    assert "header trace" in text
    assert "\\x1b[31mred" in text
    assert "0xff00" in text
    assert "8 bytes" in text
    assert text.endswith("    not json\n\n")


def test_the_beginning_of_a_large_value_is_enough() -> None:
    large = letter(record(value=b"\xff" * 10_000_000))
    assert len(page(large)) < 1000
    assert "9999744 bytes more" in page(large)


def test_in_json_what_was_bytes_is_base64() -> None:
    found = as_json(failed(("trace", b"\xff"), ("none", None)))
    assert found["letter"] == "orders-dlt/1/7"
    assert (found["key"], found["value"]) == ("a/8=", "bm90IGpzb24=")
    assert found["headers"][:2] == [["trace", "/w=="], ["none", None]]
    assert found["failure"]["exception"] == "CodecError"
