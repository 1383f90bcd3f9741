"""What differs between two schemas, in words: for a registry that says no and not why. Imports no registry."""

import json
import re
from collections.abc import Iterator, Mapping

_PROTO_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PROTO_FIELD = re.compile(r"(.*\S)\s+(\w+)\s*=\s*(.+)", re.DOTALL)


def differences(old: str, new: str) -> list[str]:
    """Return one line for each thing that is in one text only or differs: `changed a.type: "string" to "long"`.

    Texts in JSON (Avro, JSON Schema) are compared by path, others by statement, as in Protobuf. Order and layout
    count for nothing.
    """
    before, after = _facts(old), _facts(new)
    names = [*before, *(name for name in after if name not in before)]
    return [
        _difference(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def _difference(name: str, before: str | None, after: str | None) -> str:
    if before is not None and after is not None:
        return f"changed {name}: {before} to {after}"
    what = f"{name}: {before or after}" if before or after else name
    return f"added {what}" if before is None else f"removed {what}"


def _facts(text: str) -> Mapping[str, str]:
    try:
        return dict(_in_json(json.loads(text), ""))
    except ValueError:
        return dict(_in_protobuf(text))


def _in_json(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Each leaf by its path; what has a name goes by it, not by its place."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _in_json(inner, f"{path}.{key}" if path else str(key))
    elif (
        isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value)
    ):
        for item in value:
            yield from _in_json(
                {key: inner for key, inner in item.items() if key != "name"}, f"{path}.{item['name']}"
            )
    elif isinstance(value, list) and path.endswith("required"):
        yield from ((f"{path} {item}", "") for item in value)
    else:
        yield path, json.dumps(value)


def _in_protobuf(text: str) -> Iterator[tuple[str, str]]:
    """Each field by its message and name; any other statement by itself."""
    scope: list[str] = []
    for statement, end in re.findall(r"([^;{}]*)([;{}])", _PROTO_COMMENT.sub("", text)):
        words = " ".join(statement.split())
        field = _PROTO_FIELD.fullmatch(words)
        if end == "{":
            scope.append(words.split(" ")[-1])
        elif end == "}":
            del scope[-1:]
        elif field and scope:
            yield ".".join([*scope, field[2]]), f"{field[1]} = {field[3]}"
        elif words:
            yield ".".join([*scope, words]), ""
