"""Events to bytes and back. Every failure, whatever the bytes, is a CodecError."""

from typing import Any, Protocol

import msgspec
from msgspec import Struct

from tandem.errors import CodecError


class Codec(Protocol):
    """One format of one event type."""

    def encode(self, event: Struct) -> bytes: ...

    def decode(self, value: bytes | None) -> Any:  # noqa: ANN401 -- the event type of the stream
        ...


class JsonCodec:
    """Plain JSON: UTF-8, field names as the schema renames them, unknown fields refused."""

    def __init__(self, event: type[Struct]) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(event)

    def encode(self, event: Struct) -> bytes:
        """Raises CodecError when a field holds what JSON can't say."""
        try:
            return self._encoder.encode(event)
        except Exception as error:
            raise CodecError(f"{type(error).__name__}: {error}") from error

    def decode(self, value: bytes | None) -> Any:  # noqa: ANN401 -- the event type of the stream
        """Raises CodecError that names the first field at fault, and never anything else.

        Everything is caught because untrusted bytes reach more than the parser's own errors (RecursionError,
        UnicodeDecodeError, ValueError from a schema's check), and each of them must end as a dead letter.
        """
        if value is None:
            raise CodecError("no value (a tombstone)")
        try:
            return self._decoder.decode(value)
        except Exception as error:
            raise CodecError(f"{type(error).__name__}: {error}") from error
