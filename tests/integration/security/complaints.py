"""What a service says when it can't start."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from tandem.errors import TandemError
from tandem.kafka.topics import ensure_topics
from tandem.settings import KafkaSettings
from tests.integration.processes import Process, running
from tests.integration.secured import CANARY

LONGEST = 10.0
_SERVICES = ("producer", "consumer")

Settings = Mapping[str, object]
Someone = Callable[..., Awaitable[dict[str, object]]]


def shown(*processes: Process) -> str:
    """Everything that processes have printed."""
    return " ".join(f"{process.lines} {process.errors}" for process in processes)


async def complaint(service: str, directory: Path, settings: Settings) -> tuple[int, str]:
    """Run a service that can't start; return its status and the line that says why. It shows no secret."""
    begin = time.monotonic()
    given = {"log_level": "debug", "connect_timeout": "2s", **settings}
    async with running(service, directory, **given) as process:
        status = await process.end()
    assert time.monotonic() - begin < LONGEST
    assert CANARY not in shown(process)
    (line,) = (line for line in process.lines if "status" in line)
    return status, f"{line['event']}. {line['remedy']}"


async def both_complain(directory: Path, settings: Settings) -> tuple[int, str]:
    """Start both services and return what both say."""
    one, other = await asyncio.gather(*(complaint(service, directory, settings) for service in _SERVICES))
    assert one == other
    return one


async def refused(given: Mapping[str, object]) -> TandemError:
    """Make topics as a service does at its start, and return why that is not possible."""
    known = {name: value for name, value in given.items() if name != "kafka_topic"}
    settings = KafkaSettings.model_validate(known | {"connect_timeout": "100ms"})
    begin = time.monotonic()
    with pytest.raises(TandemError) as caught:
        await ensure_topics(settings, {}, asyncio.Event())
    assert time.monotonic() - begin < LONGEST
    assert CANARY not in str(caught.value)
    return caught.value
