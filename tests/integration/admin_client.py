"""What a service's admin port says, asked as a probe, a scraper or a person does."""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.integration.processes import Process

_LONGEST_WAIT = 45.0
_LOOK_AGAIN = 0.1


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]


class Admin:
    """The admin port of a running service."""

    def __init__(self, port: int) -> None:
        self.port = port

    @classmethod
    async def of(cls, process: Process) -> "Admin":
        return cls((await process.until("admin_listening"))["port"])

    async def ask(self, path: str, method: str = "GET", **request: Any) -> Answer:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session,
            session.request(method, f"http://127.0.0.1:{self.port}{path}", **request) as answer,
        ):
            return Answer(answer.status, await answer.text(), dict(answer.headers))

    async def status(self, path: str) -> int:
        return (await self.ask(path)).status

    async def until(self, path: str, status: int) -> str:
        """Ask until it answers with this status, and return what it says then."""
        async with asyncio.timeout(_LONGEST_WAIT):
            while (answer := await self.ask(path)).status != status:  # noqa: ASYNC110 -- another process changes
                await asyncio.sleep(_LOOK_AGAIN)
        return answer.text
