"""The streams: kinds of traffic that both services know. One module each, one line each in STREAMS."""

from tandem.schemas import bank, orders
from tandem.schemas.stream import Stream

STREAMS: dict[str, Stream] = {
    "orders": orders.STREAM,
    "bank": bank.STREAM,
}

__all__ = ["STREAMS", "Stream"]
