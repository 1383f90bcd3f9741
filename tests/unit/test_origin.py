"""What is believed of the headers of a record that comes from a retry topic."""

import pytest
from aiokafka import ConsumerRecord

from services.consumer.backlog import Message
from services.consumer.origin import Origin, Place, find_origin, moment_text

RETRY = Place("orders", 1, 30.0)
HEADERS = {
    "__dlq.errors.topic": b"orders",
    "__dlq.errors.partition": b"2",
    "__dlq.errors.offset": b"40",
    "__dlq.errors.timestamp": b"1767225600000",
    "__dlq.errors.attempts": b"4",
    "__dlq.errors.first.failed.at": b"2026-01-01T00:00:00.000+00:00",
    "__dlq.errors.replay.count": b"1",
}


def record() -> Message:
    return ConsumerRecord("orders-retry-30s", 1, 5, 99, 0, b"k", b"v", None, 1, 1, ())


def test_the_headers_tell_where_it_was_first() -> None:
    assert find_origin(record(), HEADERS, RETRY) == Origin(
        "orders", "orders", 2, 40, 1767225600000, attempts=4, first_ms=1767225600000, replays=1
    )


@pytest.mark.parametrize(
    "forged",
    [
        {"__dlq.errors.topic": b"secrets"},
        {"__dlq.errors.partition": b"-1"},
        {"__dlq.errors.offset": "٣".encode()},
        {"__dlq.errors.offset": b"9" * 5000},
        {"__dlq.errors.offset": b"9223372036854775808"},
        {"__dlq.errors.timestamp": b""},
        {"__dlq.errors.attempts": b"\xff"},
    ],
    ids=str,
)
def test_what_is_not_as_we_write_it_is_not_believed(forged: dict[str, bytes]) -> None:
    origin = find_origin(record(), HEADERS | forged, RETRY)
    assert origin == Origin("orders", "orders-retry-30s", 1, 5, 99)


@pytest.mark.parametrize("text", [b"", b"yesterday", b"2026-01-01", b"0001-01-01T00:00:00+23:59", b"\xff"])
def test_a_first_failure_at_no_time_is_left_out(text: bytes) -> None:
    origin = find_origin(record(), HEADERS | {"__dlq.errors.first.failed.at": text}, RETRY)
    assert origin.first_ms is None or moment_text(origin.first_ms)


def test_a_record_in_its_own_topic_is_where_it_was_first() -> None:
    """Only how often it was redriven is believed: a forged number sends it to the parking topic at most."""
    own = ConsumerRecord("orders", 1, 5, 99, 0, b"k", b"v", None, 1, 1, ())
    assert find_origin(own, HEADERS, Place("orders", 0, 0.0)) == Origin(
        "orders", "orders", 1, 5, 99, replays=1
    )
