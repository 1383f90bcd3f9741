"""Confluent's wire format: a zero byte, the schema's id in four bytes, then what the format wrote.

Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

import struct

from tandem.errors import CodecError

MAGIC = b"\x00"
_HEAD = struct.Struct(">bi")


def head(schema_id: int) -> bytes:
    """The bytes in front of what a format wrote."""
    return _HEAD.pack(0, schema_id)


def split(value: bytes) -> tuple[int, bytes]:
    """The schema's id and what the format wrote. Raises CodecError for bytes that are no frame."""
    if value[:1] != MAGIC or len(value) < _HEAD.size:
        raise CodecError(
            f"no schema id in front ({value[:8]!r}...): this looks like plain JSON or another format; EVENT_FORMAT=json"
            " reads plain JSON"
        )
    _, schema_id = _HEAD.unpack_from(value)
    if schema_id < 0:
        raise CodecError(f"{schema_id} is no schema id")
    return schema_id, value[_HEAD.size :]
