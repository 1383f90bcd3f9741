"""What travels beside a record's value."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

Header = tuple[str, bytes]
Headers = Sequence[Header]

EVENT_ID = "ce_id"  # the CloudEvents id, Kafka binding in binary mode
FAULT = "tandem_fault"  # what the producer has done to the record on purpose

# The shape of Kafka's own dead-letter headers (KIP-1191), as UTF-8 text, and the one that Spring's tools look for.
DEAD_LETTER = "__dlq.errors."
ORIGINAL_TOPIC = "kafka_dlt-original-topic"


class Fault(StrEnum):
    """What the header FAULT tells."""

    MALFORMED = "malformed"  # bytes that are no event
    DUPLICATE = "duplicate"  # a second record of an event
    LATE = "late"  # an event that happened a while ago


def find(headers: Iterable[Header], name: str) -> bytes | None:
    """The first header of that name; None when there is none, or one without a value."""
    return next((value for each, value in headers if each == name), None)


def event_id(run: str, partition: int, sequence: int) -> bytes:
    """`<run>/<partition>/<sequence>`: unique, and gapless per run and partition, which makes the log checkable."""
    return f"{run}/{partition}/{sequence}".encode()
