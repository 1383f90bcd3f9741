"""What a foreign Avro schema may ask of its reader.

fastavro loops and recurses as the schema and the bytes tell it: with some schemas a few bytes would hold up the process
for ever, fill its memory, or overflow its stack, which no `except` catches.
"""

from typing import Any

from tandem.errors import CodecError

_MOST_TYPES = 10_000  # with names written out


def require_bounded(schema: object) -> None:
    """Raise CodecError for a parsed schema with which the size of a value does not bound the work of reading it."""
    _Walk().least_bytes(schema)


class _Walk:
    """Once through a schema, with what its names stand for."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._open: set[str] = set()
        self._types = 0

    def least_bytes(self, kind: Any) -> int:  # noqa: ANN401 -- JSON
        """The fewest bytes that a value takes. Raises CodecError as `require_bounded` does."""
        self._types += 1
        if self._types > _MOST_TYPES:
            raise CodecError(f"the writer's schema has more than {_MOST_TYPES} types, with names written out")
        match kind:
            case str() if kind in self._named:
                return self._of_named(self._named[kind])
            case str():
                return int(kind != "null")
            case list():
                return 1 + min(map(self.least_bytes, kind), default=0)  # behind the branch's number
            case {"name": str(name)}:
                self._named[name] = kind
                return self._of_named(kind)
        return self._of_unnamed(kind)

    def _of_named(self, kind: dict[str, Any]) -> int:
        name = kind["name"]
        if name in self._open:
            raise CodecError(f"the writer's {name} holds itself, which could be endless")
        self._open.add(name)
        try:
            match kind["type"]:
                case "enum":
                    return 1
                case "fixed":
                    return int(kind["size"])
                case _:
                    return sum([self.least_bytes(field["type"]) for field in kind["fields"]])
        finally:
            self._open.remove(name)

    def _of_unnamed(self, kind: dict[str, Any]) -> int:
        match kind["type"]:
            case "array":
                if not self.least_bytes(kind["items"]):
                    raise CodecError("the writer's schema has a list of values that take no bytes")
                return 1
            case "map":
                self.least_bytes(kind["values"])
                return 1
            case inner:
                return self.least_bytes(inner)
