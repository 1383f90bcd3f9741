"""How letters look: for people, where nothing in them paints a terminal, and as JSON. Pure."""

from base64 import b64encode
from typing import Any

from services.ops.dlq.letter import Letter, moment
from tandem.log import escape

_LONGEST_TEXT = 4096  # characters of a value
_LONGEST_HEX = 256  # bytes of a value that is no text
_LONGEST_COLUMN = 60
_WIDTHS = (28, 24, 7, 20, 20)

HEADING = ("letter", "failed", "stage", "exception", "group", "message")


def line(letter: Letter) -> str:
    """One line of columns, under those of HEADING."""
    failed = "-" if letter.flaw else moment(letter.failed_at_ms)
    told = [letter.told(name) for name in HEADING[2:-1]]
    message = letter.flaw or letter.told("message")
    return columns(str(letter.place), failed, *told, message)


def columns(*cells: str) -> str:
    """A line for people; only the last cell may be long."""
    *first, last = map(escape, cells)
    cut = [cell[:_LONGEST_COLUMN].ljust(width) for cell, width in zip(first, _WIDTHS, strict=True)]
    return "  ".join([*cut, last[: 2 * _LONGEST_COLUMN]]).rstrip() + "\n"


def page(letter: Letter) -> str:
    """All of a letter, line by line; of a value at most the beginning."""
    if letter.flaw is not None:
        return f"{letter.place}\n  {letter.flaw}\n"
    rows = [
        ("time", moment(letter.timestamp_ms)),
        ("key", _text(letter.key)),
        *((f"header {escape(name)}", _text(value)) for name, value in letter.headers),
        ("value", f"{len(letter.value)} bytes" if letter.value is not None else "none"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{letter.place}{'  redriven' if letter.redriven else ''}"]
    lines += [f"  {name:{width}}  {text}" for name, text in rows]
    lines += [f"    {_text(letter.value)}"] if letter.value else []
    return "\n".join([*lines, "", ""])


def as_json(letter: Letter) -> dict[str, Any]:
    """All of a letter, exactly: what was bytes is Base64, what tells of the failure is text too."""
    return {
        "letter": str(letter.place),
        "topic": letter.place.topic,
        "partition": letter.place.partition,
        "offset": letter.place.offset,
        "timestamp": letter.timestamp_ms,
        "failed_at": moment(letter.failed_at_ms),
        "redriven": letter.redriven,
        "flaw": letter.flaw,
        "failure": dict(letter.failure),
        "key": _base64(letter.key),
        "value": _base64(letter.value),
        "headers": [[name, _base64(value)] for name, value in letter.headers],
        "size": letter.size,
    }


def _text(data: bytes | None) -> str:
    """The bytes as text if they are some, else in hexadecimal digits; cut off where they are many."""
    if data is None:
        return "none"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"0x{data[:_LONGEST_HEX].hex()}{_rest(len(data), _LONGEST_HEX, 'bytes')}"
    return f"{escape(text[:_LONGEST_TEXT])}{_rest(len(text), _LONGEST_TEXT, 'characters')}"


def _rest(length: int, shown: int, unit: str) -> str:
    return f"… {length - shown} {unit} more" if length > shown else ""


def _base64(data: bytes | None) -> str | None:
    return None if data is None else b64encode(data).decode()
