import io
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
import structlog

from tandem import log


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ClosedPipe(io.StringIO):
    def write(self, _: str, /) -> int:
        raise BrokenPipeError


def test_off_a_terminal_each_event_is_one_line_of_json() -> None:
    out = io.StringIO()
    log.configure("info", None, out)
    structlog.get_logger().info("order_processed", amount="1.00", key=b"k")
    line = json.loads(out.getvalue())
    assert line | {"event": "order_processed", "level": "info", "amount": "1.00", "key": "k"} == line


def test_on_a_terminal_it_is_for_people() -> None:
    out = Terminal()
    log.configure("info", None, out)
    structlog.get_logger().info("order_processed", amount="1.00")
    assert "\x1b[" in out.getvalue()
    assert "order_processed" in out.getvalue()


def test_lines_below_the_level_are_not_shown() -> None:
    out = io.StringIO()
    log.configure("warn", "json", out)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_hostile_text_stays_one_line_and_paints_nothing(form: str) -> None:
    out = io.StringIO()
    log.configure("info", form, out)
    structlog.get_logger().info(
        "order_processed", key='a\r\n{"event":"forged"}\x1b[31m\u2028\u202ex' + "y" * 10_000
    )
    text = out.getvalue()
    assert text.count("\n") == 1
    assert not set(text) & set("\r\x1b\u2028\u202e")
    assert len(text) < 1000


def test_a_reader_that_went_away_stops_nothing() -> None:
    log.configure("info", "json", ClosedPipe())
    structlog.get_logger().info("order_processed")


def test_the_libraries_debug_lines_are_never_shown() -> None:
    """Those of aiokafka hold passwords."""
    out = io.StringIO()
    log.configure("debug", "json", out)
    logging.getLogger("aiokafka.conn").debug("SaslAuthenticateRequest(%s)", b"user\x00c4nary")
    assert out.getvalue() == ""


def test_a_librarys_warning_that_repeats_is_shown_once() -> None:
    out = io.StringIO()
    log.configure("info", "json", out)
    for node in range(100):
        logging.getLogger("aiokafka").warning("Unable to request metadata from node with id %s", node)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["Unable to request metadata from node with id 0"]


def test_a_reader_that_stops_reading_holds_nothing_up() -> None:
    """A line that no longer fits into the pipe is dropped, not waited for."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "w") as out:
        log.configure("info", "json", out)
        for _ in range(100):
            structlog.get_logger().info("order_processed")
        assert b"order_processed" not in pipe.read1(2**20)


def relayed(form: str, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    log.configure("info", form, out)
    line = {
        "timestamp": "2026-01-01T12:00:00.123456Z",
        "level": "warning",
        "event": "large_order",
        "amount": "401",
    }
    log.relay("consumer", line)
    log.relay("consumer", line | {"level": "debug"})
    return out.getvalue()


def test_a_line_of_another_service_keeps_its_time_and_level_and_gets_its_name() -> None:
    assert json.loads(relayed("json")) == {
        "timestamp": "2026-01-01T12:00:00.123456Z",
        "level": "warning",
        "event": "large_order",
        "amount": "401",
        "service": "consumer",
    }


def test_for_people_its_name_stands_in_front() -> None:
    text = relayed("console")
    assert re.fullmatch(r"\d\d:\d\d:00\.123 consumer +\[warning  \] large_order +amount=401\n", text)
    assert "consumer" in relayed("console", Terminal())


def test_a_complaint_from_before_there_is_a_log_is_an_error_of_now() -> None:
    out = io.StringIO()
    log.configure("info", "json", out)
    log.relay("consumer", {"event": "a\x1b[31mb"})
    line = json.loads(out.getvalue())
    assert (line["level"], line["event"]) == ("error", r"a\x1b[31mb")
    assert line["timestamp"]
