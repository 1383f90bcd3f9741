"""From settings to started aiokafka clients, and to closed ones.

aiokafka bootstraps once, and its stop() may hang (DESIGN.md): both are handled here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any, Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError, RequestTimedOutError

from tandem.durations import growing_delays
from tandem.errors import SettingsError
from tandem.kafka.connection import mend
from tandem.kafka.diagnosis import diagnose, refusal
from tandem.kafka.lockout import LockoutGuard
from tandem.kafka.security import security_arguments
from tandem.settings import KafkaSettings
from tandem.signals import unless_stopped

REQUEST_TIMEOUT = 15.0  # aiokafka's 40 s is also the time it needs to leave a dead leader
BATCH_BYTES = 256 * 1024  # well below message.max.bytes (1 MiB by default), which bounds a batch
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 5.0
_SHORTEST_TRY = 1.0
_CLOSE_TIMEOUT = 5.0
# What these hide is found by connecting.
_CUT_OFF = (KafkaConnectionError, NodeNotReadyError, RequestTimedOutError)

log = structlog.get_logger()

mend()


class Client(Protocol):
    """What aiokafka's producer, consumer and admin client have in common."""

    async def start(self) -> None: ...


AnyClient = TypeVar("AnyClient", bound=Client)
Result = TypeVar("Result")


def client_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """What every aiokafka client takes: brokers and security. Raises SettingsError for a certificate of no use."""
    return {
        "bootstrap_servers": settings.servers,
        "request_timeout_ms": int(REQUEST_TIMEOUT * 1000),
        **security_arguments(settings),
    }


async def connect(settings: KafkaSettings, make: Callable[[], AnyClient], stop: asyncio.Event) -> AnyClient:
    """Return a started client; try again with a growing delay until `settings.connect_timeout` is over.

    Raises SettingsError at once when trying again can't help (wrong password, certificate), UnavailableError after
    the time-out, StopRequested when `stop` is set meanwhile.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.connect_timeout
    delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
    if settings.exposed is not None:
        log.warning("sent_in_the_clear", what=settings.exposed, remedy="Set KAFKA_SECURITY_PROTOCOL=SASL_SSL")
    while True:
        client = make()
        if settings.sasl_mechanism is not None:
            LockoutGuard(_wire(client), prove=settings.sasl_mechanism == "OAUTHBEARER")
        try:
            async with asyncio.timeout(min(REQUEST_TIMEOUT, max(deadline - clock(), _SHORTEST_TRY))):
                await unless_stopped(stop, client.start())
        except (KafkaError, OSError, ValueError) as error:  # ValueError: a wrong server signature in SCRAM
            await close(client)
            problem = await diagnose(settings, error)
        except BaseException:
            await close(client)
            raise
        else:
            return client
        if isinstance(problem, SettingsError) or clock() >= deadline:
            raise problem
        delay = min(next(delays), deadline - clock())
        log.warning(
            "broker_unavailable", cause=problem.cause, remedy=problem.remedy, retry_in=f"{delay:.1f}s"
        )
        await unless_stopped(stop, asyncio.sleep(delay))


async def open_producer(
    settings: KafkaSettings, stop: asyncio.Event, *, compression: str | None = None
) -> AIOKafkaProducer:
    """Return a started producer: idempotent, all replicas acknowledge, and it waits for a broker instead of giving up."""

    def make() -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **client_arguments(settings),
            compression_type=compression,
            enable_idempotence=True,
            acks="all",
            max_batch_size=BATCH_BYTES,
        )
        # An expired batch would be dropped, and the gap it leaves breaks the producer for good.
        producer._message_accumulator._batch_ttl = inf  # noqa: SLF001 -- there is no setting for it
        return producer

    return await connect(settings, make, stop)


async def using(
    settings: KafkaSettings,
    make: Callable[[], AnyClient],
    stop: asyncio.Event,
    work: Callable[[AnyClient], Awaitable[Result]],
) -> Result:
    """Connect, do `work`, close, and return what it returns; all of it again while Kafka's error is a passing one.

    Raises what `connect` raises, and the explanation of Kafka's error when it does not pass within `connect_timeout`.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.connect_timeout
    while True:
        client = await connect(settings, make, stop)
        try:
            return await unless_stopped(stop, work(client))
        except KafkaError as error:
            problem = await diagnose(settings, error) if isinstance(error, _CUT_OFF) else refusal(error)
            if isinstance(problem, SettingsError) or not error.retriable or clock() >= deadline:
                raise problem from error
        finally:
            await close(client)
        log.warning("broker_unavailable", cause=problem.cause, retry_in=f"{_SHORTEST_TRY:g}s")
        await unless_stopped(stop, asyncio.sleep(_SHORTEST_TRY))


async def using_admin(
    settings: KafkaSettings, stop: asyncio.Event, work: Callable[[AIOKafkaAdminClient], Awaitable[Result]]
) -> Result:
    """As `using`, with a client that asks the cluster about itself, or changes it."""
    return await using(settings, lambda: AIOKafkaAdminClient(**client_arguments(settings)), stop, work)


async def close(client: Any, seconds: float | None = _CLOSE_TIMEOUT) -> None:  # noqa: ANN401 -- any aiokafka client
    """Stop a client within about `seconds` (None: no limit), whatever state it is in.

    What a producer has not delivered by then, or when this is cancelled, fails. Its stop() runs as a task of its own,
    because it may end by a CancelledError that nobody asked for, and because it can't be called again once it was cut
    off: it does nothing the second time.
    """
    stop = client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop()
    stopping = asyncio.create_task(stop, name="stop client")
    try:
        await asyncio.wait((stopping,), timeout=seconds)
    finally:
        if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
            stopping.cancel()
            await _take_down(client)


def connected(client: Any) -> bool:  # noqa: ANN401 -- any aiokafka client
    """Whether a broker is connected. There is no public way to know."""
    return any(each.connected() for each in _wire(client)._conns.values())  # noqa: SLF001


def look_for_broker(client: Any) -> None:  # noqa: ANN401 -- any aiokafka client
    """Let a client without a broker try again now: one that has nothing to send would after minutes."""
    asking = asyncio.ensure_future(_wire(client).force_metadata_update())
    asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # of no use to anybody


def _wire(client: Any) -> AIOKafkaClient:  # noqa: ANN401 -- any aiokafka client
    """What connects a client to the brokers."""
    return client.client if isinstance(client, AIOKafkaProducer) else client._client  # noqa: SLF001


async def _take_down(client: Any) -> None:  # noqa: ANN401 -- any aiokafka client
    """End by hand what stop() did not. There is no public way."""
    if isinstance(client, AIOKafkaProducer) and client._sender.sender_task is not None:  # noqa: SLF001
        client._sender.sender_task.cancel()  # noqa: SLF001
    # A task of its own, too: a connection whose end was cancelled once ends by a CancelledError again.
    closing = asyncio.create_task(_wire(client).close(), name="disconnect")
    closing.add_done_callback(lambda done: done.cancelled() or done.exception())  # of no use to anybody
    try:
        await asyncio.wait((closing,), timeout=_CLOSE_TIMEOUT)
    finally:
        closing.cancel()
