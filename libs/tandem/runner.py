"""From a command line to an exit status: settings, logging, uvloop, signals. Shared by every command."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
import uvloop

from tandem import log
from tandem.errors import ExitStatus, TandemError
from tandem.settings import LogSettings
from tandem.settings.source import AnySettings, read_settings
from tandem.signals import Stop, stop_on_signals

_STANDARD_ERROR = 2

Serve = Callable[[AnySettings, asyncio.Event], Awaitable[ExitStatus]]


def main(
    settings: type[AnySettings], serve: Serve[AnySettings], arguments: Sequence[str] | None = None
) -> int:
    """Run `serve` with the settings read, until it returns, and return the exit status."""
    try:
        values = read_settings(settings, arguments)
    except TandemError as error:
        if sys.stderr is not None:  # it is when it was closed before the start
            sys.stderr.write(f"error: {error}\n")
        return error.status
    return run(values, serve)


def run(settings: AnySettings, serve: Serve[AnySettings]) -> int:
    """Run `serve` under signal handling: the first signal asks it to stop, the second cancels it.

    A TandemError becomes one log line and its exit status; 128 + the signal's number tells a drain cut short.
    """
    if isinstance(settings, LogSettings):
        log.configure(settings.log_level, settings.log_format)
    _occupy_standard_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervise(settings, serve))


def _occupy_standard_descriptors() -> None:
    """Put the null device where a standard stream was closed before the start.

    Else a socket gets its number: what is printed goes to Kafka, and uvloop aborts when it is closed.
    """
    descriptor = 0
    while descriptor <= _STANDARD_ERROR:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    nowhere = Path(os.devnull)  # Python has made no stream for those
    sys.stdout = sys.stdout or nowhere.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or nowhere.open("w", encoding="utf-8")


async def _supervise(settings: AnySettings, serve: Serve[AnySettings]) -> int:
    stop = Stop()
    work = asyncio.ensure_future(serve(settings, stop))
    with stop_on_signals(stop, work):
        await asyncio.wait((work,))
    if work.cancelled() and stop.signal_number is not None:
        return 128 + stop.signal_number
    try:
        return work.result()
    except (TandemError, BaseExceptionGroup) as error:
        if (known := _first(error)) is None:
            raise
        return _end(known)


def _first(error: BaseException) -> TandemError | None:
    """Find the error meant for people: a task group wraps what went wrong in one of its tasks."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_first, error.exceptions)), None)
    return error if isinstance(error, TandemError) else None


def _end(error: TandemError) -> int:
    if error.status is not ExitStatus.DONE:
        structlog.get_logger().error(error.cause, remedy=error.remedy, status=int(error.status))
    return error.status
