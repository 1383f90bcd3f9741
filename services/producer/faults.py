"""Events that go wrong on purpose, each labelled in the header FAULT: malformed, sent twice, or late.

Pure. What happens is drawn from a source of chance of its own, so the events are the same whatever the rates.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from tandem.headers import FAULT, Fault, Header
from tandem.records import Record
from tandem.settings import ProducerSettings

_EARLIEST_MS, _LATEST_MS = 60 * 1000, 3600 * 1000
# None begins with a zero byte: that is how a message with a schema begins.
_STRANGERS = (
    b"order_00001;customer_002;241.96;Electronics",
    b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    b"Traceback (most recent call last):",
    b"\xff\xfe\x89PNG\r\n\x1a\n",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
)

Encode = Callable[[Struct, Sequence[Header]], list[Record]]


class Faults:
    """Decides which event gets which fault, at most one each. The same seed and rates make the same choice."""

    def __init__(self, rates: Mapping[Fault, float], random: Random) -> None:
        self._rates = {fault: rate for fault, rate in rates.items() if rate > 0}
        self._random = random

    @classmethod
    def of(cls, settings: ProducerSettings, random: Random) -> "Faults":
        rates = {
            Fault.MALFORMED: settings.fault_malformed,
            Fault.DUPLICATE: settings.fault_duplicate,
            Fault.LATE: settings.fault_late,
        }
        return cls(rates, random)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._rates)

    def draw(self) -> Fault | None:
        """The fault of the next event, or None."""
        at = self._random.random()
        for fault, rate in self._rates.items():
            if at < rate:
                return fault
            at -= rate
        return None

    def lateness_ms(self, fault: Fault | None) -> int:
        """How long ago the event happened: a minute to an hour if it is late, else 0."""
        return self._random.randint(_EARLIEST_MS, _LATEST_MS) if fault is Fault.LATE else 0

    def records(self, event: Struct, fault: Fault | None, encode: Encode) -> list[Record]:
        """The event's records with the fault, and the label on those that have it."""
        label = [] if fault is None else [(FAULT, fault.encode())]
        match fault:
            case Fault.MALFORMED:
                return [
                    record._replace(value=malformed(record.value or b"", self._random))
                    for record in encode(event, label)
                ]
            case Fault.DUPLICATE:
                return [*encode(event, ()), *encode(event, label)]
            case _:
                return encode(event, label)


def malformed(value: bytes, random: Random) -> bytes:
    """Bytes that no format reads as an event: cut off, a field of another type, something else altogether, or nothing."""
    return random.choice((_cut_off, _wrong_type, _stranger, _nothing))(value, random)


def _cut_off(value: bytes, _: Random) -> bytes:
    # Just before the end, because Protobuf takes a message that ends between two fields for a whole one.
    return value[:-1]


def _wrong_type(value: bytes, random: Random) -> bytes:
    """In JSON a field becomes a list that holds it; elsewhere the wrong type does not fit into the bytes: cut off."""
    frame = value[:5] if value[:1] == b"\0" else b""  # the schema's id
    fields = _json(value[len(frame) :])
    if not fields:
        return _cut_off(value, random)
    name = random.choice(list(fields))
    return frame + json.dumps(fields | {name: [fields[name]]}).encode()


def _json(text: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _stranger(_: bytes, random: Random) -> bytes:
    return random.choice(_STRANGERS)


def _nothing(_: bytes, __: Random) -> bytes:
    return b""
