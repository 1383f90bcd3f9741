"""Dead letters as a consumer writes them, for the tests of `tandem dlq`."""

from typing import Any

from aiokafka import ConsumerRecord

from services.ops.dlq.letter import Letter, letter

TIME = 1767225600000  # 2026-01-01
TOLD = {
    "topic": b"orders",
    "partition": b"2",
    "offset": b"40",
    "group": b"order-processor",
    "attempts": b"1",
    "stage": b"decode",
    "exception": b"CodecError",
    "message": b"not json",
    "first.failed.at": b"2026-01-02T00:00:00.000+00:00",
}


def record(*headers: tuple[str, bytes | None], **fields: Any) -> ConsumerRecord[bytes, bytes]:
    values = {"offset": 7, "key": b"k\xff", "value": b"not json"} | fields
    return ConsumerRecord(
        "orders-dlt", 1, values["offset"], TIME, 0, values["key"], values["value"], None, 2, 8, headers
    )


def failed(*brought: tuple[str, bytes | None], **told: bytes | None) -> Letter:
    """A letter as a consumer writes it, with headers that its record brought along; None leaves one out."""
    names = {name.replace("_", "."): value for name, value in told.items()}
    own = [(f"__dlq.errors.{name}", value) for name, value in (TOLD | names).items() if value is not None]
    return letter(record(*brought, *own, ("kafka_dlt-original-topic", b"orders")))
