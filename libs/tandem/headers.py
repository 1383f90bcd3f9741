"""What travels beside a record's value."""

from collections.abc import Sequence

Header = tuple[str, bytes]
Headers = Sequence[Header]

EVENT_ID = "ce_id"  # the CloudEvents id, Kafka binding in binary mode


# The shape of Kafka's own dead-letter headers (KIP-1191), as UTF-8 text, and the one that Spring's tools look for.
DEAD_LETTER = "__dlq.errors."
ORIGINAL_TOPIC = "kafka_dlt-original-topic"


def event_id(run: str, partition: int, sequence: int) -> bytes:
    """`<run>/<partition>/<sequence>`: unique, and gapless per run and partition, which makes the log checkable."""
    return f"{run}/{partition}/{sequence}".encode()
