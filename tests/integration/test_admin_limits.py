"""Clients of the admin port that are slow, many, or speak no HTTP: nobody else notices."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

import pytest
import structlog
from prometheus_client.core import Metric

from tandem.admin.connections import Connections
from tandem.admin.routes import Reasons
from tandem.admin.server import admin_server
from tandem.settings import ProducerSettings
from tests.integration.admin_client import Admin


class Something:
    """A service that is well."""

    def tick(self, now: float) -> None:
        """Nothing."""

    def liveness(self, now: float) -> Reasons:  # noqa: ARG002 -- it always lives
        return ()

    def readiness(self, now: float) -> Reasons:  # noqa: ARG002 -- it is always ready
        return ()

    def status(self, now: float) -> Mapping[str, Any]:  # noqa: ARG002 -- it has none
        raise LookupError("no status")

    def metrics(self, now: float) -> Iterable[Metric]:  # noqa: ARG002 -- it has none
        return ()


@pytest.fixture
async def told() -> AsyncIterator[list[Mapping[str, Any]]]:
    """What is logged."""
    with structlog.testing.capture_logs() as lines:
        yield cast("list[Mapping[str, Any]]", lines)


@pytest.fixture
async def admin(monkeypatch: pytest.MonkeyPatch, told: list[Mapping[str, Any]]) -> AsyncIterator[Admin]:
    """An admin port that has little patience, and takes three connections."""
    monkeypatch.setattr("tandem.admin.server.Connections", partial(Connections, most=3, seconds=0.5))
    async with admin_server(ProducerSettings(admin_port=0), 0, Something()):
        yield Admin(told[0]["port"])


async def said(admin: Admin, request: bytes) -> bytes:
    """What comes back until the port hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
    writer.write(request)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "beginning", [b"", b"GET", b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"POST /livez HTTP/1.1\r\n"]
)
async def test_a_client_that_does_not_finish_its_request_is_hung_up_on(
    admin: Admin, beginning: bytes
) -> None:
    assert await said(admin, beginning) == b""


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /livez HTTP/1.1\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        bytes(range(256)) * 40,
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    ],
    ids=["a long header", "a long path", "many headers", "TLS", "noise", "version", "length"],
)
async def test_what_is_no_request_is_refused_without_a_word_in_the_log(
    admin: Admin, told: list[Mapping[str, Any]], request_: bytes
) -> None:
    answer = await said(admin, request_)
    assert answer == b"" or answer.split(b"\r\n")[0].startswith((b"HTTP/1.0 4", b"HTTP/1.1 4"))
    assert await admin.status("/livez") == 200
    assert len(told) == 1


async def test_of_too_many_clients_the_oldest_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, told: list[Mapping[str, Any]]
) -> None:
    monkeypatch.setattr("tandem.admin.server.Connections", partial(Connections, most=3, seconds=60))
    async with admin_server(ProducerSettings(admin_port=0), 0, Something()):
        admin = Admin(told[0]["port"])
        idle = [await asyncio.open_connection("127.0.0.1", admin.port) for _ in range(50)]
        assert await admin.status("/livez") == 200
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                assert await idle[0][0].read() == b""
        for _, writer in idle:
            writer.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_can_be_changed(admin: Admin, method: str) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/status"):
        assert (await admin.ask(path, method, data=b"x" * 100)).status == 405


async def test_each_answer_is_the_last_of_its_connection_and_kept_by_nobody(admin: Admin) -> None:
    answer = await said(admin, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    assert answer.count(b"HTTP/1.1 200") == 1
    headers = (await admin.ask("/metrics")).headers
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers
    assert (await admin.ask("/elsewhere")).status == 404


async def test_what_goes_wrong_in_an_answer_is_told_in_the_log_alone(
    admin: Admin, told: list[Mapping[str, Any]]
) -> None:
    answer = await admin.ask("/status")
    assert answer.status == 500
    assert "LookupError" not in answer.text
    assert told[-1]["event"] == "admin_failed"


async def test_it_closes_at_once_whoever_is_there(told: list[Mapping[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    async with admin_server(ProducerSettings(admin_port=0), 0, Something()):
        reader, writer = await asyncio.open_connection("127.0.0.1", told[0]["port"])
        writer.write(b"GET /livez HTTP/1.1\r\n")
        asked = loop.time()
    assert loop.time() - asked < 1
    with suppress(ConnectionResetError):  # it was not yet accepted
        assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", told[0]["port"])
