"""A Compose project of the test's own: brought up, asked, broken, taken down."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from confluent_kafka import KafkaException

from services.ops.ports import free_ports

ROOT = Path(__file__).parents[2]

_LONGEST_COMMAND = 300.0
_LONGEST_WAIT = 60.0
_PAUSE = 0.2

_PORTS = [
    "KAFKA_PORT",
    "KAFKA_1_PORT",
    "KAFKA_2_PORT",
    "KAFKA_3_PORT",
    "REGISTRY_PORT",
    "PRODUCER_ADMIN_PORT",
    "PROMETHEUS_PORT",
]
# What would tell Compose or a service something that the test does not mean.
_OF_OTHERS = ("COMPOSE_", "KAFKA_", "STREAM", "ROLE")


@dataclass(frozen=True)
class Output:
    """What a command left behind."""

    status: int
    text: str


async def run(*command: str, environment: Mapping[str, str] | None = None) -> Output:
    """Run a command in the repository's root, standard error with its output. Bounded."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_LONGEST_COMMAND):
        text, _ = await process.communicate()
    assert process.returncode is not None
    return Output(process.returncode, text.decode())


async def docker(*command: str) -> str:
    """What a `docker` command prints; it has to succeed."""
    output = await run("docker", *command)
    assert output.status == 0, output.text
    return output.text


@dataclass(frozen=True)
class Project:
    """A Compose project with ports, volumes and a name of its own."""

    settings: Mapping[str, str]
    ports: Mapping[str, int]
    name: str = field(default_factory=lambda: f"tandem-test-{uuid.uuid4().hex[:8]}")

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.ports['KAFKA_PORT']}"

    @property
    def _environment(self) -> dict[str, str]:
        mine = {key: value for key, value in os.environ.items() if not key.startswith(_OF_OTHERS)}
        ports = {name: str(port) for name, port in self.ports.items()}
        return mine | ports | {"CONSUMER_ADMIN_PORTS": ""} | dict(self.settings)  # "": any port

    async def up(self, *services: str) -> None:
        """Start services with what they depend on; without names, what `docker compose up` starts."""
        await self.compose("up", "--detach", *services, profiles=())

    async def try_compose(self, *command: str, profiles: Sequence[str] = ("--profile", "*")) -> Output:
        # Without a file of settings: a developer's `.env` is none of the test's business.
        program = ("docker", "compose", "--env-file", os.devnull, "-p", self.name)
        return await run(*program, *profiles, *command, environment=self._environment)

    async def compose(self, *command: str, profiles: Sequence[str] = ("--profile", "*")) -> str:
        output = await self.try_compose(*command, profiles=profiles)
        assert output.status == 0, output.text
        return output.text

    async def containers(self, service: str) -> list[dict[str, Any]]:
        """What Docker knows of a service's containers."""
        ids = (await self.compose("ps", "--all", "--quiet", service)).split()
        return list(json.loads(await docker("inspect", *ids))) if ids else []

    async def container(self, service: str) -> dict[str, Any]:
        (one,) = await self.containers(service)
        return one

    async def lines(self, *services: str) -> list[dict[str, Any]]:
        """The log lines of services so far that are JSON."""
        text = await self.compose("logs", "--no-log-prefix", "--no-color", *services)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    async def events(self, service: str, name: str, **fields: Any) -> list[dict[str, Any]]:
        wanted = {"event": name, **fields}
        return [line for line in await self.lines(service) if wanted.items() <= line.items()]

    async def crash(self, service: str) -> None:
        """Kill -9 what runs in a service's container: from inside, where Docker takes it for a crash, not for a stop."""
        before = (await self.container(service))["RestartCount"]
        await self.try_compose("exec", "-T", service, "sh", "-c", "kill -9 -1")
        await until(lambda: self._started_again(service, before), f"{service} is started again")

    async def _started_again(self, service: str, before: int) -> bool:
        container = await self.container(service)
        return bool(container["RestartCount"] > before and container["State"]["Running"])


async def until(condition: Callable[[], Any], what: str, seconds: float = _LONGEST_WAIT) -> None:
    """Wait until an awaited condition holds. A broker or a coordinator that is not there yet has to come within that time."""
    deadline = monotonic() + seconds
    while not await _holds(condition):
        assert monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(_PAUSE)


async def _holds(condition: Callable[[], Any]) -> bool:
    try:
        return bool(await condition())
    except (KafkaException, TimeoutError):
        return False


@asynccontextmanager
async def composed(image: str, *services: str, **settings: str) -> AsyncIterator[Project]:
    """Bring services up, with what they depend on; at the end nothing is left of them. Tells their logs when it fails.

    The settings are environment variables of whoever calls Compose.
    """
    ports = dict(zip(_PORTS, free_ports(), strict=False))
    project = Project(settings | {"TANDEM_IMAGE": image}, ports)
    try:
        await project.up(*services)
        yield project
    except BaseException:
        print((await project.try_compose("logs", "--tail", "40")).text)  # noqa: T201  # pytest shows it
        raise
    finally:
        await project.try_compose("down", "--volumes", "--timeout", "10")
