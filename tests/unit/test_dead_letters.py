from aiokafka import ConsumerRecord

from services.consumer.dead_letters import dead_letter
from services.consumer.origin import Origin
from services.consumer.set_aside import Failure
from tandem.errors import CodecError
from tandem.records import Record

TIMESTAMP = 1767225600000


def record(*headers: tuple[str, bytes]) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("orders", 2, 40, TIMESTAMP, 0, b"k\xff", b"not json", None, 2, 8, headers)


def set_aside(
    brought: ConsumerRecord[bytes, bytes],
    stage: str,
    error: Exception,
    partitions: int,
    *,
    stacktrace: bool = False,
) -> Record:
    origin = Origin("orders", "orders", 2, 40, TIMESTAMP)
    failure = Failure(stage, error, attempts=1, first_ms=TIMESTAMP)
    return dead_letter(brought, origin, "group", failure, partitions, stacktrace=stacktrace)


def test_a_record_is_set_aside_byte_for_byte() -> None:
    letter = set_aside(record(("ce_id", b"run/2/40")), "decode", CodecError("bad"), partitions=3)
    assert letter.topic == "orders-dlt"
    assert (letter.key, letter.value, letter.timestamp_ms, letter.partition) == (
        b"k\xff",
        b"not json",
        TIMESTAMP,
        2,
    )
    assert letter.headers[0] == ("ce_id", b"run/2/40")


def test_headers_tell_where_and_why_it_failed() -> None:
    headers = dict(set_aside(record(), "decode", CodecError("bad"), partitions=3).headers)
    assert headers == {
        "__dlq.errors.topic": b"orders",
        "__dlq.errors.partition": b"2",
        "__dlq.errors.offset": b"40",
        "__dlq.errors.group": b"group",
        "__dlq.errors.attempts": b"1",
        "__dlq.errors.stage": b"decode",
        "__dlq.errors.exception": b"CodecError",
        "__dlq.errors.message": b"bad",
        "__dlq.errors.first.failed.at": b"2026-01-01T00:00:00.000+00:00",
        "kafka_dlt-original-topic": b"orders",
    }


def test_headers_of_an_earlier_failure_are_replaced_not_piled_up() -> None:
    brought = record(
        ("__dlq.errors.message", b"forged"), ("kafka_dlt-original-topic", b"secrets"), ("kept", b"1")
    )
    names = [name for name, _ in set_aside(brought, "handle", ValueError("bad"), partitions=3).headers]
    assert len(names) == len(set(names))
    assert "kept" in names


def test_the_reason_is_cut_to_a_bounded_length() -> None:
    letter = set_aside(record(), "decode", CodecError("\udcff" + "ä" * 100_000), partitions=3)
    message = dict(letter.headers)["__dlq.errors.message"]
    assert 990 < len(message) <= 1000
    assert message.decode().strip("ä") == "?", "it is cut between characters"


def test_fewer_dead_letter_partitions_are_enough() -> None:
    assert set_aside(record(), "decode", CodecError("bad"), partitions=1).partition == 0


def test_a_letter_of_a_redriven_record_tells_how_often_that_was() -> None:
    """It is not for one group alone any more, and no copy: a letter is the original."""
    brought = record(("tandem_group", b"group"), ("tandem_copy", b"redrive"))
    origin = Origin("orders", "orders", 2, 40, TIMESTAMP, replays=2)
    failure = Failure("handle", ValueError("bad"), attempts=4, first_ms=TIMESTAMP)
    headers = dict(dead_letter(brought, origin, "group", failure, partitions=3).headers)
    assert headers["__dlq.errors.replay.count"] == b"2"
    assert not {"tandem_group", "tandem_copy"} & set(headers)


def test_a_stack_trace_comes_along_where_it_is_wanted() -> None:
    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise ValueError("x" * 10_000)

    try:
        fail(100)
    except ValueError as error:
        letter = set_aside(record(), "handle", error, 3, stacktrace=True)
    trace = dict(letter.headers)["__dlq.errors.stacktrace"]
    assert len(trace) == 4000
    assert "__dlq.errors.stacktrace" not in dict(set_aside(record(), "handle", ValueError(), 3).headers)
