"""The whole shop: a producer and six roles, each a process that can be killed and started again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from signal import SIGTERM
from typing import Any

import msgspec

from services.consumer.handlers import ROLES
from tandem.schemas.shop import STREAM, ShopEvent
from tests.integration.cluster_client import ClusterClient
from tests.integration.processes import Process, running
from tests.shop_invariants import Logged

SHOP_ROLES = tuple(name for name, role in ROLES.items() if role.stream == "shop")
_LOOK_AGAIN = 0.3


class Shop:
    """Holds the processes. Topics and groups are under a prefix of its own."""

    def __init__(
        self,
        stack: AsyncExitStack,
        bootstrap_servers: str,
        prefix: str,
        folder: Path,
        settings: Mapping[str, object],
    ) -> None:
        self.lives: dict[str, list[Process]] = {role: [] for role in SHOP_ROLES}
        self._stack = stack
        self._cluster = ClusterClient(bootstrap_servers)
        self._prefix = prefix
        self._folder = folder
        self._settings = {"kafka_bootstrap_servers": bootstrap_servers, "topic_prefix": prefix, **settings}

    async def start(self, role: str, **more: object) -> Process:
        """Start a process of a role, the first one or another one."""
        settings = {**self._settings, "role": role, "group_id": f"{self._prefix}{role}", **more}
        process = await self._stack.enter_async_context(running("consumer", self._folder, **settings))
        self.lives[role].append(process)
        return process

    async def produce(self, orders: int, interval: str) -> Process:
        settings = {**self._settings, "stream": "shop", "max_messages": orders, "message_interval": interval}
        return await self._stack.enter_async_context(running("producer", self._folder, **settings))

    async def kill(self, role: str, handled: int) -> None:
        """Kill the role's process when it has handled so many records, and start another one."""
        process = self.lives[role][-1]
        await process.until_true(lambda: _handled(process) >= handled)
        await process.kill()
        await self.start(role)

    async def end(self, role: str) -> dict[str, Any]:
        """End a role's process, and return its last report."""
        assert await self.lives[role][-1].end(SIGTERM) == 0
        return next(
            line for line in reversed(self.lives[role][-1].lines) if line["event"].endswith("_report")
        )

    async def idle(self, seconds: float) -> None:
        """Wait until every role has committed all that there is: then nothing is under way, and nothing will come."""
        async with asyncio.timeout(seconds):
            # The ends after the commits: if both agree, nothing was written in between.
            while await self._committed() != await self._ends():  # noqa: ASYNC110 -- Kafka tells nobody
                await asyncio.sleep(_LOOK_AGAIN)

    async def log(self) -> list[Logged]:
        """Everything that the topics of the stream hold."""
        return [
            Logged(topic.name, record.partition, msgspec.json.decode(record.value or b"", type=ShopEvent))
            for topic in STREAM.topics
            for record in await self._cluster.read(f"{self._prefix}{topic.name}")
        ]

    async def dead_letters(self) -> int:
        """How many there are, in all of the shop's topics."""
        counts = [await self._cluster.ends(f"{self._prefix}{topic.name}-dlt") for topic in STREAM.topics]
        return sum(sum(count.values()) for count in counts)

    async def _committed(self) -> dict[tuple[str, str], dict[int, int]]:
        return {
            (role, topic): await self._cluster.committed(f"{self._prefix}{role}", f"{self._prefix}{topic}")
            for role in SHOP_ROLES
            for topic in ROLES[role].topics
        }

    async def _ends(self) -> dict[tuple[str, str], dict[int, int]]:
        ends = {
            topic.name: await self._cluster.ends(f"{self._prefix}{topic.name}") for topic in STREAM.topics
        }
        return {(role, topic): ends[topic] for role in SHOP_ROLES for topic in ROLES[role].topics}


def _handled(process: Process) -> int:
    return max((line["handled"] for line in process.events("consumer_statistics")), default=0)


@asynccontextmanager
async def shop(bootstrap_servers: str, prefix: str, folder: Path, **settings: object) -> AsyncIterator[Shop]:
    """All six roles at work; they are killed at the end."""
    quick = {"session_timeout": "1s", "commit_interval": "100ms", "stats_interval": "100ms"}
    async with AsyncExitStack() as stack:
        made = Shop(stack, bootstrap_servers, prefix, folder, {**quick, **settings})
        for role in SHOP_ROLES:
            await made.start(role)
        yield made
