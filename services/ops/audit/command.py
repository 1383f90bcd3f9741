"""`tandem audit`: look, tell, and end with a status; or look again and again, and tell what is new."""

import asyncio
import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import structlog

from services.ops.audit.auditor import Auditor
from services.ops.audit.compare import Result
from services.ops.audit.findings import Doubt, Findings
from services.ops.audit.junit import as_junit
from services.ops.audit.report import as_object, as_text, finding_object
from services.ops.audit.settings import AuditSettings
from services.ops.audit.verdict import Memory, status_of, word_for
from tandem import log
from tandem.errors import ExitStatus, InconclusiveError, SettingsError, StopRequested, UnavailableError
from tandem.log import escape
from tandem.signals import unless_stopped

logger = structlog.get_logger()


async def serve(settings: AuditSettings, stop: asyncio.Event) -> ExitStatus:
    """Audit and print it: the result to standard output, log lines to standard error.

    Raises SettingsError when there is nothing to audit, UnavailableError when the cluster does not answer, InconclusiveError when
    it was stopped before its end.
    """
    log.configure(settings.log_level, settings.log_format, sys.stderr)
    if settings.junit is not None:
        await asyncio.to_thread(_write, settings.junit, b"")  # or the work would be in vain
    began = time.monotonic()
    try:
        result = await _audit(settings, stop)
    except StopRequested:
        raise InconclusiveError("The audit was stopped before its end", "Let it end") from None
    if settings.junit is not None:
        report = as_junit(result, time.monotonic() - began)
        await asyncio.to_thread(_write, settings.junit, report)
    _print(orjson.dumps(as_object(result)).decode() + "\n" if settings.json_output else as_text(result))
    return status_of(result.findings)


async def _audit(settings: AuditSettings, stop: asyncio.Event) -> Result:
    watch = Watch(settings)
    try:
        return await (watch.follow(stop) if settings.follow else watch.look(stop))
    finally:
        await watch.close()


class Watch:
    """Looks from a thread of its own, because librdkafka waits where it is called."""

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings
        self._enough = Event()
        self._told: dict[str, Any] = {}
        self._auditor = Auditor(settings, self._enough.is_set)

    async def close(self) -> None:
        await asyncio.to_thread(self._auditor.close)

    async def look(self, stop: asyncio.Event) -> Result:
        """Look once. Raises StopRequested when it was stopped before its end."""
        return await unless_stopped(stop, self._look())

    async def follow(self, stop: asyncio.Event) -> Result:
        """Look until `stop` and then once more, and tell what each look has found that the others had not."""
        memory, result = Memory(), await self.look(stop)
        self._tell(memory, result)
        ending = False
        while not ending:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._settings.interval)
            ending = stop.is_set()
            result = await self._look_again(result)
            self._tell(memory, result)
        result.findings.wrong = memory.all()
        return result

    async def _look_again(self, before: Result) -> Result:
        """Look; while the cluster does not answer, what was known before still is, but nothing newer."""
        try:
            return await self._look()
        except UnavailableError as error:
            logger.warning("audit_waits", cause=error.cause, remedy=error.remedy)
            findings = replace(before.findings, doubts=[Doubt("the last look", error.cause)])
            return replace(before, findings=findings)

    async def _look(self) -> Result:
        """Look; when that is cancelled, the thread is waited for: it uses what is closed next."""
        looking = asyncio.create_task(asyncio.to_thread(self._auditor.look), name="look")
        try:
            return await asyncio.shield(looking)
        except asyncio.CancelledError:
            self._enough.set()
            await asyncio.wait((looking,))
            looking.exception()  # of no use to anybody
            raise

    def _tell(self, memory: Memory, result: Result) -> None:
        """A line for each finding that no look had before, and one for the figures, if they are others than last time."""
        for finding in memory.news(result.findings):
            logger.error("audit_found", **finding_object(finding))
        figures = {
            "records": sum(row.records for row in result.logs),
            "in_flight": sum(row.in_flight for row in result.runs),
            "unknown": sum(row.unknown + row.missing_unknown for row in result.runs),
            "lag": sum(row.lag for row in result.groups),
            "verdict": word_for(status_of(Findings(memory.all(), result.findings.doubts))),
        }
        if figures != self._told:
            logger.info("audit_looked", **figures)
            self._told = figures


def _write(path: Path, report: bytes) -> None:
    try:
        path.write_bytes(report)
    except OSError as error:
        raise SettingsError(
            f"--junit: can't write {escape(str(path))}: {error.strerror}",
            "Name a file in a folder that is there",
        ) from error


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head`; nothing is to be written at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
