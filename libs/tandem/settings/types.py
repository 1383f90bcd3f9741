"""The types that settings take: how each is read, and what it says of a bad value."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr
from pydantic_settings import CliSuppress, NoDecode

from tandem.durations import Duration, Interval
from tandem.schemas import STREAMS


def _parsed(kind: type[Duration | Interval]) -> PlainValidator:
    return PlainValidator(lambda value: value if isinstance(value, kind) else kind.parse(str(value)))


def _one_of(what: str, names: Sequence[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"is no {what}; there are: {', '.join(names)}")
        return value

    return AfterValidator(check)


def _servers(text: str) -> str:
    for server in text.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536) or "/" in host:
            raise ValueError("takes host:port, several separated by commas, for example localhost:9092")
    return text


def _topic(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError("takes letters, digits, '.', '_' and '-', at most 249 of them")
    return text


def _start(text: str) -> str | int:
    if text in {"beginning", "end"}:
        return text
    if text.startswith("s@") and text[2:].isdecimal() and len(text) < 18:
        return int(text[2:])
    raise ValueError("takes beginning, end, or s@<epoch milliseconds>, for example s@1767225600000")


Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)

Time = Annotated[Duration, _parsed(Duration)]
Pace = Annotated[Interval, NoDecode, _parsed(Interval)]
StreamName = Annotated[str, _one_of("stream", list(STREAMS))]
Start = Annotated[str | int, PlainValidator(_start)]
Secret = CliSuppress[SecretStr | None]  # a flag that help doesn't name: others see a command line
Servers = Annotated[str, AfterValidator(_servers)]
TopicName = Annotated[str, AfterValidator(_topic)]
