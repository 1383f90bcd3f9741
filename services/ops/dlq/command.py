"""`tandem dlq list|show|redrive|purge`: what was asked for, done and printed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson
from aiokafka import TopicPartition

from services.ops.dlq import purge
from services.ops.dlq.histogram import Histogram
from services.ops.dlq.letter import Letter, Place
from services.ops.dlq.reader import Reader, open_reader
from services.ops.dlq.redrive import Tally, redrive
from services.ops.dlq.selection import Selected, selection
from services.ops.dlq.settings import DlqSettings
from services.ops.dlq.show import HEADING, as_json, columns, line, page
from services.ops.dlq.topics import DeadLetterTopic, find_topics, place
from services.ops.topics import table
from tandem import log
from tandem.errors import ExitStatus, UsageError
from tandem.log import escape

Row = Mapping[str, Any]


async def serve(settings: DlqSettings, stop: asyncio.Event) -> ExitStatus:
    """Do what `action` says and print it: the result to standard output, log lines to standard error.

    Raises UndeliveredError when a letter could not be sent, TandemError when one was refused, UsageError for a purge
    without `yes`.
    """
    log.configure(settings.log_level, settings.log_format, sys.stderr)
    try:
        await _serve(settings, stop)
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head`; nothing is to be written at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.DONE


async def _serve(settings: DlqSettings, stop: asyncio.Event) -> None:
    topics = await find_topics(settings, stop)
    only = place(settings, topics)
    async with open_reader(settings, stop) as reader:
        selected = Selected(settings, reader, topics, only)
        match settings.action:
            case "list":
                shown = await (_lines if settings.records else _kinds)(settings, selected)
                _tell_rest(settings, topics, selected, shown)
            case "show":
                shown = await _pages(settings, selected)
                _tell_rest(settings, topics, selected, shown)
            case "redrive":
                await _redrive(settings, topics, selected, stop)
            case "purge":
                await _purge(settings, reader, selected, only, stop)


async def _kinds(settings: DlqSettings, selected: Selected) -> int:
    columns = ("topic", "stage", "exception", "group", *(("redriven",) if settings.all_letters else ()))
    histogram = Histogram(*columns)
    count = 0
    async for letter in _first(settings, selected):
        kind = (letter.place.topic, *map(letter.told, ("stage", "exception", "group")))
        again = ("yes" if letter.redriven else "no",) if settings.all_letters else ()
        histogram.add(*kind, *again, at_ms=letter.failed_at_ms)
        count += 1
    _tell(settings, histogram.rows())
    return count


async def _lines(settings: DlqSettings, selected: Selected) -> int:
    count = 0
    async for letter in _first(settings, selected):
        if count == 0 and not settings.json_output:
            sys.stdout.write(columns(*map(str.upper, HEADING)))
        sys.stdout.write(_json(as_json(letter)) if settings.json_output else line(letter))
        count += 1
    return count


async def _pages(settings: DlqSettings, selected: Selected) -> int:
    count = 0
    async for letter in _first(settings, selected):
        sys.stdout.write(_json(as_json(letter)) if settings.json_output else page(letter))
        count += 1
    return count


async def _first(settings: DlqSettings, selected: Selected) -> AsyncIterator[Letter]:
    left = settings.max_letters
    async for letter, _ in selected.letters():
        yield letter
        left = None if left is None else left - 1
        if left == 0:
            return


def _tell_rest(
    settings: DlqSettings, topics: Sequence[DeadLetterTopic], selected: Selected, shown: int
) -> None:
    """What is not shown, and why; for people only."""
    if settings.json_output:
        return
    if not shown:
        names = ", ".join(topic.name for topic in topics)
        sys.stdout.write(f"no letters in {names}\n" if names else "no dead-letter topics\n")
    if selected.hidden:
        sys.stdout.write(f"{selected.hidden} redriven before; --all shows them too\n")


async def _redrive(
    settings: DlqSettings, topics: Sequence[DeadLetterTopic], selected: Selected, stop: asyncio.Event
) -> None:
    tally = Tally()
    try:
        await redrive(settings, selected.letters(), tally, stop)
    finally:
        rows = tally.histogram.rows()
        _tell(settings, rows)
        _tell_rest(settings, topics, selected, len(rows))
    if problem := tally.problem():
        raise problem


async def _purge(
    settings: DlqSettings, reader: Reader, selected: Selected, only: Place | None, stop: asyncio.Event
) -> None:
    asked = selection(settings, None)
    cuts = {}
    for at, span in (await selected.spans()).items():
        end = span.stop if only is None else only.offset + 1
        cuts[at] = await purge.plan(reader, at, span, asked, end=end, force=settings.force)
    _tell(settings, [cut.row() for cut in cuts.values() if cut.kept or not cut.empty])
    befores: dict[TopicPartition, int] = {at: cut.before for at, cut in cuts.items() if not cut.empty}
    if not befores:
        sys.stderr.write("nothing to remove\n")
    elif not settings.yes:
        raise UsageError("Nothing was removed", "Add --yes to remove what the table says")
    else:
        await purge.remove(settings, befores, stop)


def _tell(settings: DlqSettings, rows: Sequence[Row]) -> None:
    if settings.json_output:
        sys.stdout.writelines(map(_json, rows))
    elif rows:
        sys.stdout.write(table([{name: _printable(value) for name, value in row.items()} for row in rows]))


def _json(row: Row) -> str:
    return orjson.dumps(row).decode() + "\n"


def _printable(value: object) -> object:
    return escape(value) if isinstance(value, str) else value
