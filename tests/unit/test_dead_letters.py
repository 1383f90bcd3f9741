from aiokafka import ConsumerRecord

from services.consumer.dead_letters import dead_letter
from tandem.errors import CodecError

TIMESTAMP = 1767225600000


def record(*headers: tuple[str, bytes]) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("orders", 2, 40, TIMESTAMP, 0, b"k\xff", b"not json", None, 2, 8, headers)


def test_a_record_is_set_aside_byte_for_byte() -> None:
    letter = dead_letter(record(("ce_id", b"run/2/40")), "group", "decode", CodecError("bad"), partitions=3)
    assert letter.topic == "orders-dlt"
    assert (letter.key, letter.value, letter.timestamp_ms, letter.partition) == (
        b"k\xff",
        b"not json",
        TIMESTAMP,
        2,
    )
    assert letter.headers[0] == ("ce_id", b"run/2/40")


def test_headers_tell_where_and_why_it_failed() -> None:
    headers = dict(dead_letter(record(), "group", "decode", CodecError("bad"), partitions=3).headers)
    assert headers == {
        "__dlq.errors.topic": b"orders",
        "__dlq.errors.partition": b"2",
        "__dlq.errors.offset": b"40",
        "__dlq.errors.group": b"group",
        "__dlq.errors.stage": b"decode",
        "__dlq.errors.exception": b"CodecError",
        "__dlq.errors.message": b"bad",
        "kafka_dlt-original-topic": b"orders",
    }


def test_headers_of_an_earlier_failure_are_replaced_not_piled_up() -> None:
    brought = record(
        ("__dlq.errors.message", b"forged"), ("kafka_dlt-original-topic", b"secrets"), ("kept", b"1")
    )
    names = [
        name for name, _ in dead_letter(brought, "group", "handle", ValueError("bad"), partitions=3).headers
    ]
    assert len(names) == len(set(names))
    assert "kept" in names


def test_the_reason_is_cut_to_a_bounded_length() -> None:
    letter = dead_letter(record(), "group", "decode", CodecError("\udcff" + "ä" * 100_000), partitions=3)
    message = dict(letter.headers)["__dlq.errors.message"]
    assert 990 < len(message) <= 1000
    assert message.decode().strip("ä") == "?", "it is cut between characters"


def test_fewer_dead_letter_partitions_are_enough() -> None:
    assert dead_letter(record(), "group", "decode", CodecError("bad"), partitions=1).partition == 0
