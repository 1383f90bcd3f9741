"""The streams: kinds of traffic that both services know. One module each, one line each in STREAMS."""

from tandem.schemas import bank, orders, sales, shoes, shop
from tandem.schemas.stream import Stream

STREAMS: dict[str, Stream] = {
    "orders": orders.STREAM,
    "bank": bank.STREAM,
    "sales": sales.STREAM,
    "shoes": shoes.STREAM,
    "shop": shop.STREAM,
}

__all__ = ["STREAMS", "Stream"]
