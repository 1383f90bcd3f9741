"""The ids of what follows from an event: the same cause makes the same ids."""

from aiokafka import ConsumerRecord

from services.consumer.handler import Source
from services.consumer.outputs import output_id
from tandem.headers import EVENT_ID, Header

FIRST = Source("order-events", 2, 41, b"k", 0)


def cause(*headers: Header) -> ConsumerRecord[bytes, bytes]:
    """A record that has come by way of a retry topic."""
    return ConsumerRecord("order-events-retry-30s", 2, 7, 0, 0, b"k", b"", None, 1, 0, headers)


def test_an_output_is_named_after_its_cause_and_the_role() -> None:
    known = cause((EVENT_ID, b"4bda46d489ca/2/7"))
    assert output_id(known, FIRST, "payments", 1) == b"4bda46d489ca/2/7/payments/1"


def test_a_cause_without_an_id_is_named_by_its_first_place() -> None:
    """A retry topic may hold it twice, at two places: it is the same cause."""
    assert output_id(cause(("other", b"header")), FIRST, "payments", 0) == b"order-events/2/41/payments/0"


def test_an_id_that_would_outgrow_the_outputs_topic_is_not_handed_on() -> None:
    """Anyone can write a header of a megabyte: with ours on top no topic would ever take the output."""
    long = cause((EVENT_ID, b"x" * 1_000_000))
    assert output_id(long, FIRST, "payments", 0) == b"order-events/2/41/payments/0"
