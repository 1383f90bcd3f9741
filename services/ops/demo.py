"""`tandem demo`: the producer and every role of a stream at work, in one merged view.

It brings a broker along if none is there, and a schema registry if the events' format takes one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import structlog
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.consumer.handlers import ROLES, choose_role
from services.ops.cluster import KafkaCluster
from services.ops.ports import HOST, listens
from services.ops.registry_server import REGISTRY_PORT, SchemaRegistryServer, registry_url
from tandem.child import Child, Line, child
from tandem.encoding import format_of
from tandem.errors import ExitStatus, StopRequested, TandemError, UnavailableError
from tandem.formats.schema import Format
from tandem.kafka.lag import lag
from tandem.log import relay
from tandem.schemas import STREAMS
from tandem.settings import ConsumerSettings, KafkaSettings, ProducerSettings, StreamName
from tandem.settings.log import Form, Level
from tandem.settings.source import read_settings
from tandem.signals import unless_stopped

_DATA, _SCHEMAS = Path(".tandem/kafka"), Path(".tandem/registry")
_LOCAL = {"localhost", "127.0.0.1"}
_CATCH_UP_SECONDS = 10.0
_LOOK_AGAIN = 0.2

log = structlog.get_logger()


class DemoSettings(KafkaSettings):
    """Show producer and consumer at work; settings of both may be given in the environment or in .env."""

    model_config = SettingsConfigDict(cli_prog_name="tandem demo")

    stream: StreamName = Field("bank", description=f"What to produce and consume: {', '.join(STREAMS)}")
    demo_seconds: float | None = Field(None, gt=0, description="End after this time (default: at Ctrl+C)")
    # At debug the producer shows each delivery report, which is what people come to see.
    log_level: Level = Field("debug", description="Least severe lines shown")
    log_format: Form | None = Field("console", description="console, or json")


async def serve(settings: DemoSettings, stop: asyncio.Event) -> ExitStatus:
    """Run the producer and the consumers until `stop`, a time-out or the end of one; then drain all and compare counts."""
    needs_registry, admin_port, roles = await asyncio.to_thread(_plan, settings)
    structlog.contextvars.bind_contextvars(service="demo")
    async with AsyncExitStack() as stack:
        broker_ends = await unless_stopped(stop, _ensure_broker(settings, stack))
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "STREAM": settings.stream,
            "ADMIN_PORT": admin_port,
        }
        if needs_registry:
            variables["SCHEMA_REGISTRY_URL"] = await unless_stopped(stop, _ensure_registry(stack))
        consumers = [await stack.enter_async_context(_consumer(role, variables)) for role in roles]
        at_debug = variables | {"LOG_LEVEL": settings.log_level, "MODE": "continuous"}
        producer = await stack.enter_async_context(child("producer", at_debug))
        with suppress(TimeoutError, StopRequested):
            await unless_stopped(stop, _at_work(producer, *consumers))
            async with asyncio.timeout(settings.demo_seconds):
                await unless_stopped(stop, _first_of(broker_ends, producer, *consumers))
        _tell_ends(broker_ends, producer, *consumers)
        status = await producer.stop()
        behind = None if broker_ends.done() else await _catch_up(settings, consumers)
        statuses = [status, *await asyncio.gather(*(consumer.stop() for consumer in consumers))]
        log.info("demo_finished", **_summary(producer, consumers), still_to_consume=behind)
        return next(filter(None, statuses), ExitStatus.DONE)


def _plan(settings: DemoSettings) -> tuple[bool, str, list[str]]:
    """Say whether a registry is to be started, which admin ports there are, and which roles to run: ROLE, or all of the stream.

    The settings of both services are read: what is wrong with them is known before a broker is started.
    """
    read_settings(ProducerSettings, ["--stream", settings.stream])
    consumer = read_settings(ConsumerSettings, ["--stream", settings.stream])
    stream = STREAMS[settings.stream]
    plain = format_of(consumer, stream) is Format.JSON
    chosen = choose_role(consumer)
    everyone = [name for name, role in ROLES.items() if role.stream == stream.name]
    # Several can't have the one that is named.
    admin_port = "none" if consumer.admin_port == "none" else "auto"
    needs_registry = not plain and consumer.schema_registry_url is None
    return needs_registry, admin_port, [chosen] if consumer.role else everyone


def _consumer(role: str, variables: Mapping[str, str]) -> AbstractAsyncContextManager[Child]:
    """A consumer with that role, whose lines go under the role's name."""
    return child("consumer", {**variables, "ROLE": role}, lambda _, line: relay(role, line))


async def _ensure_registry(stack: AsyncExitStack) -> str:
    """Start a registry if none listens, and return the URL of the one to use."""
    if await listens(HOST, REGISTRY_PORT):
        log.info("registry_found", url=registry_url(REGISTRY_PORT))
        return registry_url(REGISTRY_PORT)
    log.info("registry_starting", data=str(_SCHEMAS))
    server = await stack.enter_async_context(SchemaRegistryServer(data=_SCHEMAS))
    log.info("registry_ready", url=server.url)
    return server.url


async def _ensure_broker(settings: DemoSettings, stack: AsyncExitStack) -> asyncio.Future[UnavailableError]:
    """Start a broker if none listens; return what is done when one that we started ends."""
    host, _, port = settings.kafka_bootstrap_servers.split(",")[0].rpartition(":")
    if host in _LOCAL and not await listens(host, int(port)):
        log.info("broker_starting", port=int(port), data=str(_DATA))
        cluster = await stack.enter_async_context(KafkaCluster(data=_DATA, port=int(port)))
        log.info("broker_ready", bootstrap_servers=cluster.bootstrap_servers)
        ends = asyncio.create_task(cluster.failure(), name="watch broker")
        stack.callback(ends.cancel)
        return ends
    log.info("broker_found", bootstrap_servers=settings.kafka_bootstrap_servers)
    return asyncio.get_running_loop().create_future()


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


def _tell_ends(broker_ends: asyncio.Future[UnavailableError], *children: Child) -> None:
    """Say which part ended before it was asked to."""
    if broker_ends.done():
        log.info("broker_ended", cause=broker_ends.result().cause)
    for each in children:
        if not each.alive:
            log.info("service_ended", service=each.name, status=each.watching.result())


async def _catch_up(settings: DemoSettings, consumers: Sequence[Child]) -> int | None:
    """Give the consumers time for what was produced last; return how many records they are behind, if that is known."""
    started = [line for consumer in consumers if (line := consumer.last("consumer_started"))]
    readers = [(line["group"], line["topics"]) for line in started]
    behind: int | None = None
    with suppress(TimeoutError, TandemError):
        async with asyncio.timeout(_CATCH_UP_SECONDS):
            while started and all(consumer.alive for consumer in consumers) and behind != 0:
                behind = await lag(settings, readers, asyncio.Event())
                await asyncio.sleep(_LOOK_AGAIN)
    return behind


def _summary(producer: Child, consumers: Sequence[Child]) -> Line:
    sent = producer.last("producer_stopped")
    got = {
        consumer.last("consumer_started").get("role"): consumer.last("consumer_stopped")
        for consumer in consumers
    }
    return {
        "produced": sent.get("produced"),
        "errors": sent.get("errors"),
        "handled": {role: end.get("handled") for role, end in got.items()},
        "dead_lettered": sum(end.get("dead_lettered", 0) for end in got.values()),
    }
