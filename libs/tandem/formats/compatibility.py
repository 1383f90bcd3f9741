"""What must not happen to an event's model once events are out there: neither version could read the other."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_LINE = re.compile(r"message (?P<message>\w+) \{|(?P<kind>(?:\w+ )?[\w.]+) (?P<name>\w+) = (?P<number>\d+);")


class _Place(NamedTuple):
    """Where Protobuf finds a field."""

    message: str
    number: int


def broken(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What a new version breaks, given both versions' .proto and .json texts by suffix; nothing when it may go ahead."""
    return [*_moved(old[".proto"], new[".proto"]), *_required(old[".json"], new[".json"])]


def _moved(old: str, new: str) -> Iterator[str]:
    now = dict(_fields(new))
    for (message, number), was in _fields(old):
        if (found := now.get(_Place(message, number))) != was:
            yield (
                f"{message}, field {number}: was `{was}`, is `{found or 'gone'}`; let fields keep place, name and type,"
                " and put new ones at the end"
            )


def _fields(text: str) -> Iterator[tuple[_Place, str]]:
    """Each field as generated, without `optional`, which makes no difference in bytes."""
    path: list[str] = []
    for line in text.splitlines():
        if line.strip() == "}":
            path.pop()
        elif (match := _LINE.fullmatch(line.strip())) and match["message"]:
            path.append(match["message"])
        elif match:
            field = f"{match['kind'].removeprefix('optional ')} {match['name']}"
            yield _Place(path[-1], int(match["number"])), field


def _required(old: str, new: str) -> Iterator[str]:
    before = dict(_structs(json.loads(old)))
    for name, required in _structs(json.loads(new)):
        for field in sorted(required - before.get(name, required)):
            yield f"{name}.{field}: older events don't have it; give it a default"


def _structs(schema: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """The required fields of each struct."""
    for struct in (schema, *schema.get("definitions", {}).values()):
        yield struct["title"], set(struct.get("required", ()))
