"""The instruments themselves: the proxy on a socket, and what is made of times and figures."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.ops.ports import HOST
from tests.faults.proxy import Proxy
from tests.faults.report import Row, page, save
from tests.faults.watch import Handled, Place, longest_silence, worst_silence

_PRODUCE, _METADATA = b"\x00\x00", b"\x00\x03"


def frame(content: bytes) -> bytes:
    return len(content).to_bytes(4) + content


class Echo:
    """A broker that answers each request with itself, and knows how many it has got."""

    def __init__(self) -> None:
        self.got = 0

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head))
                self.got += 1
                writer.write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    """A proxy in front of the echo."""
    async with await asyncio.start_server(echo.serve, HOST, 0) as server, Proxy() as proxy:
        proxy.target = server.sockets[0].getsockname()[1]
        yield proxy


async def ask(proxy: Proxy, *requests: bytes) -> list[bytes]:
    """Send requests on a new connection, and return the answers that come before it breaks."""
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    answers: list[bytes] = []
    try:
        async with asyncio.timeout(5):
            for request in requests:
                writer.write(frame(request))
            while len(answers) < len(requests):
                head = await reader.readexactly(4)
                answers.append(await reader.readexactly(int.from_bytes(head)))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()
    return answers


async def test_what_is_asked_is_answered(proxy: Proxy) -> None:
    requests = [_METADATA + b"1", _PRODUCE + b"2"]
    assert await ask(proxy, *requests) == requests


async def test_every_nth_produce_request_arrives_and_its_answer_does_not(proxy: Proxy, echo: Echo) -> None:
    """Answers before it come, also those of other requests; nothing comes behind it."""
    proxy.cut_every = 2
    first, other, second = _PRODUCE + b"1", _METADATA, _PRODUCE + b"2"
    assert await ask(proxy, first, other, second) == [first, other]
    assert echo.got == 3
    assert proxy.cuts == 1


async def test_a_black_hole_gives_back_what_it_has_swallowed(proxy: Proxy, echo: Echo) -> None:
    proxy.swallow()
    asked = asyncio.create_task(ask(proxy, _METADATA))
    await asyncio.wait((asked,), timeout=0.2)
    assert not asked.done()
    assert echo.got == 0
    await proxy.heal()
    assert await asked == [_METADATA]


async def test_who_is_refused_may_come_back(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await ask(proxy, _METADATA)
    await proxy.heal()
    assert await ask(proxy, _METADATA) == [_METADATA]


def test_a_silence_is_counted_from_the_fault_on() -> None:
    """Whatever came before it; and a failover that begins a moment later is found, too."""
    assert longest_silence([1.0, 10.0, 10.5], 8.0, 20.0) == 2.0
    assert longest_silence([8.5, 12.5, 13.0], 8.0, 20.0) == 4.0
    assert longest_silence([1.0, 2.0], 8.0, 20.0) == 0.0


def test_the_worst_silence_is_that_of_one_source_after_one_mark() -> None:
    assert worst_silence([[1.0, 2.0, 6.0], [1.5, 3.0, 6.0]], [1.0, 4.0], 7.0) == 4.0
    assert worst_silence([[1.0]], [], 7.0) is None


def test_a_line_that_is_still_being_written_is_read_later(tmp_path: Path) -> None:
    handled = Handled(tmp_path / "handled")
    handled.read()  # there is none yet
    handled.path.write_text("1.5 orders 0 7 handled\n1.6 orders 0 7 hand")
    handled.read()
    assert handled.handled == {Place("orders", 0, 7): 1}
    with handled.path.open("a") as file:
        file.write("led\n1.7 orders 0 8 failed\n")
    handled.read()
    assert (handled.redelivered, handled.failed) == (1, {Place("orders", 0, 8): 1})


def test_a_row_replaces_the_one_of_the_run_before(tmp_path: Path) -> None:
    """In its place; the others stay."""
    save(tmp_path, "first", Row("First", lost=3))
    save(tmp_path, "second", Row("Second"))
    save(tmp_path, "first", Row("First", lost=0, as_expected=True))
    lines = [line for line in (tmp_path / "faults.md").read_text().splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| First", "| Second"]
    assert "| 0 |" in lines[2]
    assert "**no**" in lines[3]


def test_text_does_not_break_the_table() -> None:
    assert "a\\|b c" in page({"x": Row("x", remarks="a|b\nc")})
