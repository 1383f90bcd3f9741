"""`tandem demo`: the pair at work, on an embedded broker if none is there, in one merged view."""

import asyncio
import sys
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from structlog.dev import ConsoleRenderer

from services.consumer.handlers import choose_role
from services.ops.child import Child, Line, child
from services.ops.cluster import KafkaCluster, listens
from services.ops.lag import lag
from tandem.errors import ExitStatus, StopRequested, TandemError, UnavailableError
from tandem.schemas import STREAMS
from tandem.settings import ConsumerSettings, KafkaSettings, ProducerSettings, StreamName
from tandem.settings.source import read_settings
from tandem.signals import unless_stopped

_DATA = Path(".tandem/kafka")
_LOCAL = {"localhost", "127.0.0.1"}
_CATCH_UP_SECONDS = 10.0
_LOOK_AGAIN = 0.2
_COLORS = {"producer": "\x1b[36m", "consumer": "\x1b[35m", "demo": "\x1b[33m"}


class DemoSettings(KafkaSettings):
    """Show producer and consumer at work; settings of both may be given in the environment or in .env."""

    model_config = SettingsConfigDict(cli_prog_name="tandem demo")

    stream: StreamName = Field("bank", description=f"What to produce and consume: {', '.join(STREAMS)}")
    demo_seconds: float | None = Field(None, gt=0, description="End after this time (default: at Ctrl+C)")


async def serve(settings: DemoSettings, stop: asyncio.Event) -> ExitStatus:
    """Run the pair until `stop`, a time-out or the end of one of the two; then drain both and compare their counts."""
    await asyncio.to_thread(_check, settings.stream)
    view = View()
    async with AsyncExitStack() as stack:
        broker_ends = await unless_stopped(stop, _ensure_broker(settings, stack, view))
        variables = {"KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers, "STREAM": settings.stream}
        consumer = await stack.enter_async_context(child("consumer", variables, view.show))
        # At debug the producer shows each delivery report, which is what people come to see.
        level = settings.log_level if "log_level" in settings.model_fields_set else "debug"
        producer = await stack.enter_async_context(
            child("producer", variables | {"LOG_LEVEL": level}, view.show)
        )
        with suppress(TimeoutError, StopRequested):
            await unless_stopped(stop, _at_work(producer, consumer))
            async with asyncio.timeout(settings.demo_seconds):
                await unless_stopped(stop, _first_of(broker_ends, producer, consumer))
        _tell_ends(view, broker_ends, producer, consumer)
        status = await producer.stop()
        behind = None if broker_ends.done() else await _catch_up(settings, consumer)
        status = await consumer.stop() or status
        view.say("demo_finished", **_summary(producer, consumer), still_to_consume=behind)
        # What a killed child ends with is no status of ours.
        return ExitStatus(status) if status in set(ExitStatus) else ExitStatus.FAILURE


async def _ensure_broker(
    settings: DemoSettings, stack: AsyncExitStack, view: "View"
) -> asyncio.Future[UnavailableError]:
    """Start a broker if none listens; return what is done when one that we started ends."""
    host, _, port = settings.kafka_bootstrap_servers.split(",")[0].rpartition(":")
    if host in _LOCAL and not await listens(host, int(port)):
        view.say("broker_starting", port=int(port), data=str(_DATA))
        cluster = await stack.enter_async_context(KafkaCluster(data=_DATA, port=int(port)))
        view.say("broker_ready", bootstrap_servers=cluster.bootstrap_servers)
        ends = asyncio.create_task(cluster.failure(), name="watch broker")
        stack.callback(ends.cancel)
        return ends
    view.say("broker_found", bootstrap_servers=settings.kafka_bootstrap_servers)
    return asyncio.get_running_loop().create_future()


def _check(stream: str) -> None:
    """Read the settings of both services: what is wrong with them is known before a broker is started."""
    read_settings(ProducerSettings, ["--stream", stream])
    choose_role(read_settings(ConsumerSettings, ["--stream", stream]))


async def _at_work(*children: Child) -> None:
    """Wait until all have started, or one has ended."""

    async def all_started() -> None:
        for each in children:
            await each.started.wait()

    started = asyncio.create_task(all_started(), name="wait for start")
    try:
        await _first_of(started, *children)
    finally:
        started.cancel()


async def _first_of(other: asyncio.Future[Any], *children: Child) -> None:
    """Wait until `other` is done, or one of the children has ended."""
    either = [other, *(each.watching for each in children)]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)


def _tell_ends(view: "View", broker_ends: asyncio.Future[UnavailableError], *children: Child) -> None:
    """Say which part ended before it was asked to."""
    if broker_ends.done():
        view.say("broker_ended", cause=broker_ends.result().cause)
    for each in children:
        if not each.alive:
            view.say("service_ended", service=each.name, status=each.watching.result())


async def _catch_up(settings: DemoSettings, consumer: Child) -> int | None:
    """Give the consumer time for what was produced last; return how many records it is behind, if that is known."""
    started = consumer.last("consumer_started")
    behind: int | None = None
    with suppress(TimeoutError, TandemError):
        async with asyncio.timeout(_CATCH_UP_SECONDS):
            while started and consumer.alive and behind != 0:
                behind = await lag(settings, started["group"], started["topic"], asyncio.Event())
                await asyncio.sleep(_LOOK_AGAIN)
    return behind


def _summary(producer: Child, consumer: Child) -> Line:
    sent, got = producer.last("producer_stopped"), consumer.last("consumer_stopped")
    return {name: sent.get(name) for name in ("produced", "errors")} | {
        name: got.get(name) for name in ("handled", "dead_lettered")
    }


class View:
    """Lines of several services as one stream for people: each under the name of the service it is from."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._colored = out.isatty()
        self._renderer = ConsoleRenderer(colors=self._colored, pad_event_to=22, sort_keys=False)

    def say(self, event: str, **values: object) -> None:
        """Show a line of the demo's own."""
        self.show(
            "demo", {"event": event, "level": "info", "timestamp": datetime.now(UTC).isoformat(), **values}
        )

    def show(self, service: str, line: Line) -> None:
        time = str(line.get("timestamp", ""))[11:23]
        rest = {key: value for key, value in line.items() if key != "timestamp"}
        text = self._renderer(None, "", rest)
        label = f"{_COLORS[service]}{service:8}\x1b[0m" if self._colored else f"{service:8}"
        with suppress(OSError):  # the reader went away
            self._out.write(f"{time} {label} {text}\n")
            self._out.flush()
