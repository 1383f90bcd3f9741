"""What travels beside a record's value."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from zlib import crc32

Header = tuple[str, bytes]
Headers = Sequence[Header]

EVENT_ID = "ce_id"  # the CloudEvents id, Kafka binding in binary mode
CHECKSUM = "tandem_crc32"  # of key and value, as `checksum` writes it
FAULT = "tandem_fault"  # what the producer has done to the record on purpose
COPY = "tandem_copy"  # why a record is in its topic a second time, under the id of the first
GROUP = "tandem_group"  # the only consumer group that a record is for

# The shape of Kafka's own dead-letter headers (KIP-1191), as UTF-8 text, and the one that Spring's tools look for.
DEAD_LETTER = "__dlq.errors."
ORIGINAL_TOPIC = "kafka_dlt-original-topic"


class Fault(StrEnum):
    """What the header FAULT tells."""

    MALFORMED = "malformed"  # bytes that are no event
    DUPLICATE = "duplicate"  # a second record of an event
    LATE = "late"  # an event that happened a while ago


class Copy(StrEnum):
    """What the header COPY tells."""

    RESEND = "resend"  # its first fate was not known, or it was surely not written
    REDRIVE = "redrive"  # it comes back from the dead letters


def find(headers: Iterable[Header], name: str) -> bytes | None:
    """The last header of that name, which is ours where somebody else wrote one before; None when there is none."""
    return dict(headers).get(name)


def event_id(run: str, partition: int, sequence: int) -> bytes:
    """`<run>/<partition>/<sequence>`: unique, and gapless per run and partition, which makes the log checkable."""
    return f"{run}/{partition}/{sequence}".encode()


def checksum(key: bytes | None, value: bytes | None) -> bytes:
    """CRC-32 (ISO 3309, as zlib's) of the key's bytes followed by the value's, as eight hexadecimal digits."""
    return b"%08x" % crc32(value or b"", crc32(key or b""))
