"""What a foreign Avro schema may ask of its reader.

fastavro loops and recurses as the schema and the bytes tell it: with some schemas a few bytes would hold up the process
for ever, fill its memory, or overflow its stack, which no `except` catches.
"""

from typing import Any

from tandem.errors import CodecError

_MOST_TYPES = 10_000  # with names written out
_MOST_VALUES_PER_BYTE = 100


def require_bounded(schema: object) -> None:
    """Raise CodecError for a parsed schema with which the size of a value does not bound the work of reading it."""
    _Walk().surplus(schema)


class _Walk:
    """Once through a schema, with what its names stand for."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._open: set[str] = set()
        self._types = 0

    def surplus(self, kind: Any) -> int:  # noqa: ANN401 -- JSON
        """How many more values one of this kind may hold, itself included, than its bytes allow.

        Not above zero: any number of them is bounded by their bytes. Raises CodecError as `require_bounded` does.
        """
        self._types += 1
        if self._types > _MOST_TYPES:
            raise CodecError(f"the writer's schema has more than {_MOST_TYPES} types, with names written out")
        match kind:
            case "null":  # also where that is the name of something: fastavro takes it so
                return _surplus(values=1, size=0)
            case str() if kind in self._named:
                return self._of_named(self._named[kind])
            case str():
                return _surplus(values=1, size=1)
            case list():  # behind the branch's number
                return _surplus(values=1, size=1) + max(map(self.surplus, kind), default=0)
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
                    return _surplus(values=1, size=1)
                case "fixed":
                    return _surplus(values=1, size=int(kind["size"]))
                case _:
                    return 1 + sum([self.surplus(field["type"]) for field in kind["fields"]])
        finally:
            self._open.remove(name)

    def _of_unnamed(self, kind: dict[str, Any]) -> int:
        match kind["type"]:
            case "array":
                return self._of_any_number(self.surplus(kind["items"]))
            case "map":
                return self._of_any_number(_surplus(values=1, size=1) + self.surplus(kind["values"]))
            case inner:
                return self.surplus(inner)

    def _of_any_number(self, surplus: int) -> int:
        if surplus > 0:
            raise CodecError("the writer's schema has a list of values that take no bytes, or hardly any")
        return _surplus(values=1, size=1)


def _surplus(values: int, size: int) -> int:
    return values - size * _MOST_VALUES_PER_BYTE
