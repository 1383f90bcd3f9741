"""A record that can't be resolved now, as it is set aside: byte for byte, with headers that tell where and why. Pure."""

import traceback
from dataclasses import dataclass

from services.consumer.backlog import Message
from services.consumer.origin import Origin, moment_text
from tandem.headers import COPY, DEAD_LETTER, GROUP, ORIGINAL_TOPIC, Header

_LONGEST_MESSAGE = 1000  # bytes; an error's text may quote the whole record
_LONGEST_TRACE = 4000
_REPLACED = {ORIGINAL_TOPIC, GROUP, COPY}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record is set aside. `stage` is decode, handle, emit, or order for one that waits behind another of its key.

    `attempts` counts all tries, `first_ms` is the time of the first failure in epoch milliseconds.
    """

    stage: str
    error: Exception
    attempts: int
    first_ms: int


def reason_headers(
    record: Message, origin: Origin, group: str, failure: Failure, *, stacktrace: bool = False
) -> list[Header]:
    """The record's own headers, and behind them ours.

    Headers of the same names that it brought along are replaced: they are from an earlier failure, or forged.
    """
    own: list[Header] = [
        (f"{DEAD_LETTER}topic", origin.topic.encode()),
        (f"{DEAD_LETTER}partition", b"%d" % origin.partition),
        (f"{DEAD_LETTER}offset", b"%d" % origin.offset),
        (f"{DEAD_LETTER}group", group.encode()),
        (f"{DEAD_LETTER}attempts", b"%d" % failure.attempts),
        (f"{DEAD_LETTER}stage", failure.stage.encode()),
        (f"{DEAD_LETTER}exception", type(failure.error).__name__.encode()),
        (f"{DEAD_LETTER}message", error_text(failure.error)),
        (f"{DEAD_LETTER}first.failed.at", moment_text(failure.first_ms)),
        (ORIGINAL_TOPIC, origin.topic.encode()),
    ]
    if origin.replays:
        own.append((f"{DEAD_LETTER}replay.count", b"%d" % origin.replays))
    if stacktrace:
        own.append((f"{DEAD_LETTER}stacktrace", _stack_trace(failure.error)))
    return [*(header for header in record.headers if not _is_ours(header[0])), *own]


def error_text(error: Exception) -> bytes:
    """What an error says, not too long."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 -- an error whose text is an error, too
        text = "(no text)"
    return _cut(text, _LONGEST_MESSAGE)


def _stack_trace(error: Exception) -> bytes:
    """The end of it, where the cause stands."""
    try:
        lines = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 -- as above
        lines = "(no stack trace)"
    return _cut(lines[-_LONGEST_TRACE:], _LONGEST_TRACE)


def _cut(text: str, most: int) -> bytes:
    # A cut may go through a character: what is left of it is dropped.
    return text.encode(errors="replace")[:most].decode(errors="ignore").encode()


def _is_ours(name: str) -> bool:
    return name.startswith(DEAD_LETTER) or name in _REPLACED
