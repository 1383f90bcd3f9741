"""The file of records that were not acknowledged: one JSON object a line, in the order in which they were given up.

    {"topic": "orders", "partition": 2, "timestampMs": 1767225600000, "key": "Y3VzdG9tZXJfMDAy", "value": "e30=",
     "headers": [["ce_id", "OGE3ZWMwZjBhNzI0LzIvMTc="]], "outcome": "unknown", "error": "not acknowledged before the end"}

Keys, values and the headers' values are base64 (RFC 4648); key and value may be null.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Literal

import msgspec
import structlog
from msgspec import Meta

from tandem.errors import SettingsError
from tandem.log import escape
from tandem.records import Outcome, Record, Settled

NotAcked = Literal["failed", "unknown"]

log = structlog.get_logger()


class Unacked(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A line: a record as it was sent, and what is known of it."""

    topic: str
    partition: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    timestamp_ms: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    outcome: NotAcked
    error: str | None = None

    @classmethod
    def of(cls, settled: Settled) -> "Iterator[Unacked]":
        """The lines of a batch that was not acknowledged."""
        outcome: NotAcked = "failed" if settled.outcome is Outcome.FAILED else "unknown"
        for record in settled.sent:
            yield cls(
                record.topic,
                settled.partition,
                record.timestamp_ms or 0,
                record.key,
                record.value,
                tuple(record.headers),
                outcome,
                settled.error,
            )

    @property
    def record(self) -> Record:
        return Record(
            self.topic,
            self.key,
            self.value,
            self.headers,
            timestamp_ms=self.timestamp_ms,
            partition=self.partition,
        )

    def encode(self) -> bytes:
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Unacked":
        """Read a line. Raises msgspec.DecodeError or ValueError for what is none."""
        if not line.endswith(b"\n"):
            raise ValueError("it is cut off")
        return msgspec.json.decode(line, type=cls)


class UnackedFile:
    """Appends what was not acknowledged, whole lines at a time; there is no file while there is none.

    Several processes may append to one file, and `tandem resend` may take lines out meanwhile.
    """

    def __init__(self, path: Path) -> None:
        """Raises SettingsError when nothing can be written there."""
        self._path = real(path)
        reason = _why_not(self._path)
        if reason:
            raise SettingsError(
                f"UNACKED_FILE: can't write {escape(str(path))}: {reason}",
                "Name a file in a folder that is there and that this user may write to",
            )

    def append(self, settled: Settled) -> None:
        """Write a batch's records down. Where that fails, an error line says so, and the service lives."""
        try:
            with locked(self._path) as file:
                _append(file, b"".join(line.encode() for line in Unacked.of(settled)))
        except OSError as error:
            last = settled.first_sequence + len(settled.records) - 1
            log.error(
                "unacked_not_written",
                path=str(self._path),
                reason=error.strerror,
                records=f"{settled.outcome} {settled.topic}/{settled.partition} {settled.first_sequence}-{last}",
            )


def real(path: Path) -> Path:
    """The file behind links: it is that which is locked, removed and replaced, whatever name it was given by."""
    return Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for links that lead nowhere


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[int]:
    """Open a file to read and to append, created for its owner alone if it is not there, and hold others off meanwhile.

    Without `wait`, raises BlockingIOError when another one holds it.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_at(file, path):
                yield file
                return
        finally:
            os.close(file)


def _why_not(path: Path) -> str | None:
    """Why a file can't be written, found by trying."""
    try:
        there = path.exists()
        if there and not path.is_file():
            return "It is no file"
        with locked(path) as file:
            if not there and os.fstat(file).st_size == 0:
                path.unlink()
    except OSError as error:
        return error.strerror
    return None


def _is_at(file: int, path: Path) -> bool:
    """Whether the path still means this file: another may have replaced or removed it before it was locked."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _append(file: int, lines: bytes) -> None:
    """Write all or nothing. A line that somebody's crash has cut off before stays one of its own."""
    size = os.fstat(file).st_size
    begin = b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""
    try:
        rest = memoryview(begin + lines)
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        os.ftruncate(file, size)
        raise


def sent_beside(path: Path) -> Path:
    """Where the lines go that are acknowledged in the end."""
    return path.with_name(f"{path.name}.sent")


def take_out(path: Path, outcomes: Mapping[int, Outcome]) -> None:
    """Move the lines that are acked by now, by their numbers from 1, to `sent_beside`; the others stay.

    A line whose second fate is not known says `unknown`, whatever it was. The lines moved are on the disk in their new
    place before they leave the old one.
    """
    left = path.with_name(f"{path.name}.left")
    with locked(path):
        with (
            path.open("rb") as lines,
            _opened(sent_beside(path), os.O_APPEND) as acked,
            _opened(left, os.O_TRUNC) as rest,
        ):
            for number, line in enumerate(lines, 1):
                match outcomes.get(number):
                    case Outcome.ACKED:
                        acked.write(line)
                    case Outcome.UNKNOWN:
                        rest.write(msgspec.structs.replace(Unacked.decode(line), outcome="unknown").encode())
                    case _:
                        rest.write(line)
            for file in (acked, rest):
                file.flush()
                os.fsync(file.fileno())
        if left.stat().st_size:
            left.replace(path)
        else:
            path.unlink()
            left.unlink()


def _opened(path: Path, flags: int) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600), "wb")
