"""Logging: one event a line, for people on a terminal, as JSON elsewhere. Configured once, by the runner.

Nothing that comes out of a record can break a line or paint a terminal: what is not printable is escaped.
"""

import io
import logging
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_LONGEST_VALUE = 256
_OWN_TEXT = {"event", "remedy"}  # ours, and whole: it may list what was not delivered
_CLIENT_QUIET_SECONDS = 10.0
_PATIENCE_MS = 500
_COLORS = {"producer": "\x1b[36m", "consumer": "\x1b[35m"}
_OTHER_COLOR = "\x1b[33m"
_WIDEST_NAME = 19  # of a service or a role: transaction-monitor


def configure(level: str, form: str | None, out: TextIO | None = None) -> None:
    """Send all logging, the standard library's too, to `out` (None: standard output, if it is open).

    `form` is console, json, or None: json off a terminal.
    """
    out = out or sys.stdout or _Nowhere()
    as_json = form == "json" or (form is None and not out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.MaybeTimeStamper(fmt="iso"),  # a child's line has one
        _printable,
        _ordered,
    ]
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
        if as_json
        else [_heading(colored=out.isatty()), _console(out)]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(_Unbreakable(out)),  # type: ignore[arg-type]  # it only writes and flushes
        cache_logger_on_first_use=False,
    )
    _adopt_standard_logging(_LEVELS[level])


def relay(service: str, line: Mapping[str, Any]) -> None:
    """Show a line that another service has logged, as JSON, among our own: under its name and with its time."""
    rest = {key: value for key, value in line.items() if key not in {"event", "level"}}
    level = logging.getLevelNamesMapping().get(str(line.get("level")).upper(), logging.ERROR)
    structlog.get_logger(**rest | {"service": service}).log(level, line["event"])


def _heading(*, colored: bool) -> Processor:
    """What a line for people begins with: the time of day here and, where there are several, the service."""

    def process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        time = datetime.fromisoformat(event["timestamp"]).astimezone()
        event["timestamp"] = f"{time:%H:%M:%S}.{time.microsecond // 1000:03}"
        if service := event.pop("service", None):
            color = f"\x1b[0m{_COLORS.get(service, _OTHER_COLOR)}" if colored else ""
            event["timestamp"] += f" {color}{service:{_WIDEST_NAME}}"
        return event

    return process


def _console(out: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=24, sort_keys=False)


def _json(event: EventDict, **_: Any) -> str:  # noqa: ANN401 -- whatever structlog hands on
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {
        key: value if key == "exception" else _safe(value, cut=key not in _OWN_TEXT)
        for key, value in event.items()
    }


def _safe(value: Any, *, cut: bool) -> Any:  # noqa: ANN401 -- whatever is logged
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return value
    if cut and len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}…"
    return escape(text)


def escape(text: str) -> str:
    """One line that paints no terminal: what is not printable is written as Python writes it."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _ordered(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    return {**first, **event}


class _Nowhere(io.StringIO):
    """Takes the place of a standard output that was closed before the start."""

    def write(self, _: str, /) -> int:
        return 0


class _Unbreakable:
    """A stream whose reader may go away (`| head`) or stop reading: what can't be written is dropped.

    The service goes on, and no line holds it up for longer than a moment.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._stuck = False
        self._poll: select.poll | None = None
        with suppress(OSError, ValueError):  # it is no file
            number = out.fileno()
            self._poll = select.poll()
            self._poll.register(number, select.POLLOUT)

    def write(self, text: str) -> None:
        if not self._takes_more():
            return
        try:
            self._out.write(text)
        except (OSError, ValueError):
            return

    def _takes_more(self) -> bool:
        """Wait a moment for a reader that is behind, but only once until it reads again."""
        if self._poll is not None:
            self._stuck = not self._poll.poll(0 if self._stuck else _PATIENCE_MS)
        return not self._stuck

    def flush(self) -> None:
        try:
            self._out.flush()
        except (OSError, ValueError):
            return


def _adopt_standard_logging(level: int) -> None:
    """Show the libraries' warnings as our own lines.

    Never their debug lines: aiokafka's print passwords, because its connections log every request.
    """
    logging.raiseExceptions = False
    logging.basicConfig(handlers=[_Handler()], level=max(level, logging.WARNING), force=True)
    logging.getLogger("aiokafka").setLevel(max(level, logging.WARNING))


class _Handler(logging.Handler):
    """Turns standard log records into events; a line that repeats is shown once in ten seconds.

    An outage makes aiokafka log hundreds of equal lines a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if _is_noise(record):
            return
        now = time.monotonic()
        line = (record.name, str(record.msg))
        if now - self._shown.get(line, -_CLIENT_QUIET_SECONDS) < _CLIENT_QUIET_SECONDS:
            return
        self._shown[line] = now
        log = structlog.get_logger(library=record.name)
        log.log(record.levelno, "library_message", message=record.getMessage(), exc_info=record.exc_info)


def _is_noise(record: logging.LogRecord) -> bool:
    """What tandem says better itself: why a bootstrap failed, what is sent in the clear, what became of a closed client's futures."""
    error = record.exc_info[1] if record.exc_info else None
    return (
        (record.name == "aiokafka" and record.funcName == "bootstrap")
        or (record.name == "aiokafka.conn" and record.funcName == "_do_sasl_handshake")
        or (record.name == "asyncio" and type(error).__module__ == "aiokafka.errors")
    )
