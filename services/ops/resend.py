"""`tandem resend`: sends what a producer's UNACKED_FILE holds, with the ids of the first time.

What is acknowledged goes from FILE to FILE.sent, which is written first: after a crash a record may be sent twice, but
none is lost.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from errno import EINVAL
from functools import partial
from math import inf
from pathlib import Path
from typing import Annotated, Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import AfterValidator, Field
from pydantic_settings import CliPositionalArg, SettingsConfigDict

from services.ops.topics import table
from tandem import kafka, log
from tandem.delivery import Delivery
from tandem.errors import ExitStatus, SettingsError, StopRequested, TandemError, UndeliveredError
from tandem.headers import COPY, Copy
from tandem.kafka.rights import Right, require_rights
from tandem.kafka.topics import existing_topics
from tandem.log import escape
from tandem.output import say
from tandem.records import Outcome, Record, Settled
from tandem.schemas import STREAMS
from tandem.settings import TopicSettings
from tandem.signals import unless_stopped
from tandem.unacked import NotAcked, Unacked, locked, real, sent_beside, take_out

_MOST_PROBLEMS = 5

Kind = tuple[str, str]  # topic and outcome


class ResendSettings(TopicSettings):
    """Send the records of an UNACKED_FILE once more: status 0 when all are acknowledged, 5 when not."""

    model_config = SettingsConfigDict(cli_prog_name="tandem resend")

    file: CliPositionalArg[Annotated[Path, AfterValidator(real)]] = Field(
        description="What UNACKED_FILE named; what was sent goes to FILE.sent"
    )
    only: NotAcked | None = Field(None, description="failed: surely not in the log; unknown: perhaps in it")
    dry_run: bool = Field(default=False, description="Count by topic and outcome, and send nothing")
    drain_seconds: float = Field(
        25, gt=0, le=3600, allow_inf_nan=False, description="Time to finish in after the first signal"
    )


@dataclass(slots=True)
class Contents:
    """What the first `size` bytes of a file hold."""

    size: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    highest: dict[str, int] = field(default_factory=dict)  # partition of each topic
    malformed: int = 0
    problems: list[str] = field(default_factory=list)  # the first few

    def note(self, number: int, line: bytes) -> None:
        """Take note of a line."""
        self.size += len(line)
        try:
            record = Unacked.decode(line)
        except (ValueError, msgspec.DecodeError) as error:
            self.malformed += 1
            if self.malformed <= _MOST_PROBLEMS:
                self.problems.append(f"line {number}: {error}")
        else:
            self.counts[record.topic, record.outcome] += 1
            self.highest[record.topic] = max(record.partition, self.highest.get(record.topic, 0))


async def serve(settings: ResendSettings, stop: asyncio.Event) -> ExitStatus:
    """Check the file as a whole, send what is wanted of it, and tell what became of it.

    Raises SettingsError for a file that no producer has written, or for other topics than the streams'; UndeliveredError
    when a record was not acknowledged.
    """
    log.configure(settings.log_level, settings.log_format, sys.stderr)
    with nullcontext() if settings.dry_run else _alone(settings.file):
        await _serve(settings, stop)
    return ExitStatus.DONE


async def _serve(settings: ResendSettings, stop: asyncio.Event) -> None:
    where = escape(str(settings.file))
    contents = await asyncio.to_thread(read, settings.file)
    require_known(contents, destinations(settings), where)
    wanted = {at: count for at, count in contents.counts.items() if settings.only in {None, at[1]}}
    if settings.dry_run or not wanted:
        say(table(_rows(wanted)) if wanted else "nothing to send\n")
        return
    topics = {topic: contents.highest[topic] for topic, _ in wanted}
    await kafka.using_admin(settings, stop, partial(_require_topics, topics))
    resending = Resending(settings, contents.size)
    await resending.run(stop)
    say(table(_rows(wanted, resending.acked)))
    if left := sum(wanted.values()) - resending.acked.total():
        raise UndeliveredError(
            f"{left} of {sum(wanted.values())} were not acknowledged and stay in {where}",
            "Look into the lines above, and run it again",
        )


def destinations(settings: TopicSettings) -> set[str]:
    """The topics that events may go to. A file says only which of them."""
    if settings.kafka_topic is not None:
        return {settings.kafka_topic}
    return {f"{settings.topic_prefix}{topic.name}" for stream in STREAMS.values() for topic in stream.topics}


def read(path: Path) -> Contents:
    """Look at every line of a file. Raises SettingsError when it can't be read."""
    contents = Contents()
    try:
        if path.exists() and not path.is_file():
            raise OSError(EINVAL, "It is no file")  # noqa: TRY301 -- a pipe may never begin, and a device never end
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                contents.note(number, line)
    except OSError as error:
        raise SettingsError(
            f"Can't read {escape(str(path))}: {error.strerror}",
            "Name what UNACKED_FILE named. There is no such file while all is acknowledged; FILE.sent has what was resent",
        ) from error
    return contents


def require_known(contents: Contents, allowed: set[str], where: str) -> None:
    """Raise SettingsError that names malformed lines, or topics that are not among those allowed."""
    if contents.problems:
        raise SettingsError(
            f"{where} has {contents.malformed} lines that are no unacknowledged records: {escape('; '.join(contents.problems))}",
            "Nothing was sent. Mend or remove them",
        )
    strangers = sorted({topic for topic, _ in contents.counts} - allowed)
    if strangers:
        named = ", ".join(map(escape, strangers[:_MOST_PROBLEMS]))
        raise SettingsError(
            f"{where} has records for topics that are not the streams': {named}",
            "Nothing was sent. Set KAFKA_TOPIC or TOPIC_PREFIX as the producer had it",
        )


async def _require_topics(highest: Mapping[str, int], admin: AIOKafkaAdminClient) -> None:
    """Raise SettingsError when a topic is not there, is smaller than it was, or may not be written."""
    there = await existing_topics(admin)
    for topic, partition in highest.items():
        count = len(there[topic]["partitions"]) if topic in there else 0
        if partition >= count:
            raise SettingsError(
                f"{topic} has {count} partitions, and there is a record for partition {partition}",
                "Create it as it was (`tandem topics create`), then run this again",
            )
    await require_rights(admin, dict.fromkeys(highest, Right.WRITE))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let nobody else send the same file meanwhile: whoever does holds FILE.sent."""
    sent = sent_beside(path)
    try:
        with locked(sent, wait=False) as file:
            try:
                yield
            finally:
                if os.fstat(file).st_size == 0:
                    sent.unlink()
    except BlockingIOError:
        raise SettingsError(
            f"Another `tandem resend` is at work on {escape(str(path))}", "Wait for its end"
        ) from None
    except OSError as error:
        raise TandemError(
            f"Can't write beside {escape(str(path))}: {error.strerror}",
            "The file is as it was: what was sent would be sent again",
        ) from error


class Resending:
    """Sends lines of a file, and knows by their numbers what became of them."""

    def __init__(self, settings: ResendSettings, size: int) -> None:
        self.acked: Counter[Kind] = Counter()
        self.outcomes: dict[int, Outcome] = {}
        self._settings = settings
        self._size = size
        self._under_way: dict[int, tuple[int, Kind]] = {}  # by the record's identity

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is wanted until it is acknowledged, or `stop` is set; then put the file in order."""
        open_client = partial(kafka.open_producer, self._settings)
        seconds = self._settings.drain_seconds
        try:
            async with Delivery(open_client, self._settle, stop=stop, drain_seconds=seconds) as delivery:
                with suppress(StopRequested):
                    await unless_stopped(stop, delivery.put(self._records()))
                    await unless_stopped(stop, delivery.flush(inf))
        finally:  # however it ends: what is acknowledged must not be sent again
            if self.outcomes:
                take_out(self._settings.file, self.outcomes)

    def _records(self) -> Iterator[Record]:
        """What a producer adds to the file meanwhile is left for the next time."""
        for number, line in enumerate(_lines(self._settings.file, self._size), 1):
            unacked = Unacked.decode(line)
            if self._settings.only in {None, unacked.outcome}:
                record = copy_of(unacked)
                self._under_way[id(record)] = number, (unacked.topic, unacked.outcome)
                yield record

    def _settle(self, settled: Settled) -> None:
        for record in settled.records:
            number, kind = self._under_way.pop(id(record))
            self.outcomes[number] = settled.outcome
            self.acked[kind] += settled.outcome is Outcome.ACKED


def copy_of(unacked: Unacked) -> Record:
    """The record as it was, with a header that says that it may be in the log a second time."""
    return unacked.record._replace(headers=[*unacked.headers, (COPY, Copy.RESEND.encode())])


def _lines(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as lines:
        for line in lines:
            size -= len(line)
            if size < 0:
                return
            yield line


def _rows(wanted: Mapping[Kind, int], acked: Mapping[Kind, int] | None = None) -> list[dict[str, Any]]:
    return [
        {"topic": kind[0], "outcome": kind[1], "records": count}
        | ({} if acked is None else {"acknowledged": acked.get(kind, 0)})
        for kind, count in sorted(wanted.items())
    ]
