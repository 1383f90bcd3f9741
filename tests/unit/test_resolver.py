"""What becomes of a record whose handler does not simply return."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from msgspec import Struct

from services.consumer.backlog import Message
from services.consumer.handler import Source
from services.consumer.handling import Handling
from services.consumer.origin import Origin
from services.consumer.partition import Again
from services.consumer.recovery import Recovery
from services.consumer.resolver import Resolver
from services.consumer.retry import RetryPolicy, places
from services.consumer.set_aside import Failure
from services.consumer.waiting_keys import Family, WaitingKeys
from tandem.account import Resolution
from tandem.codec import Codecs
from tandem.durations import Duration
from tandem.errors import CodecError, StopRequested
from tandem.formats.schema import Format, Schema
from tandem.schemas.orders import Order
from tandem.stats import ConsumerStats

GOOD = b'{"orderId":"order_1","customerId":"customer_1","amount":12.5,"timestamp":0,"category":"Books"}'


Handle = Callable[[Order], Iterable[Struct] | Awaitable[None] | None]


class Does:
    """A handler that does what the test says."""

    def __init__(self, handle: Handle) -> None:
        self._handle: Callable[[Any], Any] = handle

    def handle(self, event: Order, _: Source) -> Any:
        return self._handle(event)

    def report(self) -> tuple[str, dict[str, Any]]:
        return "nothing", {}


class Letters:
    """Remembers what was set aside."""

    def __init__(self, waiting: WaitingKeys | None = None) -> None:
        self.put_aside: list[tuple[int, str, str]] = []
        self.attempts: list[int] = []
        self._waiting = waiting

    async def put(self, message: Message, origin: Origin, failure: Failure, level: int = 0) -> None:
        if level and self._waiting is not None:
            self._waiting.enter(Family(origin.home, message.partition), message.key or b"", level)
        self.put_aside.append((origin.offset, f"{failure.stage}{level or ''}", str(failure.error)))
        self.attempts.append(failure.attempts)


class Sent:
    """Remembers what followed."""

    def __init__(self) -> None:
        self.events: list[Struct] = []

    def encode(self, _: Message, __: Source, events: Sequence[Struct]) -> Sequence[Struct]:
        if any(not isinstance(event, Order) for event in events):
            raise CodecError("no event of the stream orders")
        return events

    async def send(self, events: Sequence[Struct]) -> None:
        self.events += events


ONCE = RetryPolicy(attempts=1, backoff=1, longest=1, deadline=1, hopeless=frozenset())
PLACES = places(["orders"], [Duration(30), Duration(300)])


def record(value: bytes = GOOD, topic: str = "orders", timestamp: int = 0, **headers: str) -> Message:
    pairs = [(name.replace("__", "."), text.encode()) for name, text in headers.items()]
    return ConsumerRecord(topic, 0, 7, timestamp, 0, b"k", value, None, 1, len(value), pairs)


def resolver(
    handle: Handle,
    letters: Letters,
    stats: ConsumerStats,
    sent: Sent | None = None,
    policy: RetryPolicy = ONCE,
    waiting: WaitingKeys | None = None,
) -> Resolver:
    decoder = Codecs(Format.JSON, None).decoder(Order)
    handling = Handling(decoder, Does(handle), sent or Sent(), timeout=0.05)  # type: ignore[arg-type]  # what it uses of it
    recovery = Recovery(policy, letters, letters)  # type: ignore[arg-type]  # what it uses of them
    return Resolver(PLACES, "group", handling, recovery, stats, waiting)


async def resolve(
    handle: Handle, value: bytes = GOOD, sent: Sent | None = None
) -> tuple[Letters, ConsumerStats]:
    letters, stats = Letters(), ConsumerStats(started=0.0)
    await resolver(handle, letters, stats, sent).resolve(record(value))
    return letters, stats


async def test_an_event_is_handled() -> None:
    seen: list[Order] = []
    letters, stats = await resolve(seen.append)
    assert [order.order_id for order in seen] == ["order_1"]
    assert (letters.put_aside, stats.handled) == ([], 1)


async def test_what_follows_from_an_event_is_sent() -> None:
    sent = Sent()
    _, stats = await resolve(lambda order: [order, order], sent=sent)
    assert [type(event) for event in sent.events] == [Order, Order]
    assert stats.handled == 1


async def test_what_follows_but_can_not_be_encoded_sets_its_cause_aside() -> None:
    sent = Sent()
    letters, stats = await resolve(lambda _: [Source("orders", 0, 7, None, 0)], sent=sent)  # type: ignore[list-item]  # no event
    assert letters.put_aside == [(7, "emit", "no event of the stream orders")]
    assert (sent.events, stats.handled) == ([], 0)


async def test_a_handler_that_awaits_is_awaited() -> None:
    done = asyncio.Event()

    async def handle(_: Order) -> None:
        await asyncio.sleep(0)
        done.set()

    _, stats = await resolve(handle)
    assert done.is_set()
    assert stats.handled == 1


async def test_what_a_handler_raises_sets_the_record_aside() -> None:
    def handle(_: Order) -> None:
        raise LookupError("no such customer")

    letters, stats = await resolve(handle)
    assert letters.put_aside == [(7, "handle", "no such customer")]
    assert (stats.handled, stats.dead_lettered) == (0, 1)


async def test_a_cancellation_from_inside_a_handler_does_not_end_the_partition() -> None:
    """It is a failure of that record, not a wish to stop."""

    async def handle(_: Order) -> None:
        helper = asyncio.create_task(asyncio.sleep(60), name="helper")
        helper.cancel()
        await helper

    letters, _ = await resolve(handle)
    assert [(offset, stage) for offset, stage, _ in letters.put_aside] == [(7, "handle")]


@pytest.mark.parametrize("error", [SystemExit(3), type("PanicException", (BaseException,), {})("of Rust")])
async def test_what_is_no_exception_does_not_end_the_consumer(error: BaseException) -> None:
    """A library in Rust panics at a record: it would do so again after each start."""

    async def handle(_: Order) -> None:
        raise error

    letters, _ = await resolve(handle)
    assert letters.put_aside == [(7, "handle", f"the handler raised {error!r}")]


async def test_a_cancellation_from_outside_leaves_the_record_unresolved() -> None:
    started = asyncio.Event()

    async def handle(_: Order) -> None:
        started.set()
        await asyncio.Event().wait()

    resolving = asyncio.create_task(resolve(handle), name="resolve")
    await started.wait()
    resolving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resolving


async def test_what_is_no_event_never_reaches_the_handler() -> None:
    seen: list[Order] = []
    letters, _ = await resolve(seen.append, value=b"not json")
    assert not seen
    assert letters.put_aside[0][:2] == (7, "decode")


async def test_a_stop_while_its_schema_is_not_known_leaves_the_record_unresolved() -> None:
    """It is no flaw of the record's."""

    class NeverTold:
        async def schema(self, _: int) -> Schema:
            raise StopRequested

    decoder = Codecs(Format.AVRO, NeverTold()).decoder(Order)  # type: ignore[arg-type]  # all that a decoder asks of it
    letters, stats = Letters(), ConsumerStats(started=0.0)
    handling = Handling(decoder, Does(lambda _: None), Sent(), timeout=1)  # type: ignore[arg-type]  # as above
    recovery = Recovery(ONCE, letters, letters)  # type: ignore[arg-type]  # as above
    with pytest.raises(StopRequested):
        await Resolver(PLACES, "group", handling, recovery, stats, None).resolve(
            record(b"\x00\x00\x00\x00\x07rest")
        )
    assert (letters.put_aside, stats.resolved) == ([], 0)


FOUR = replace(ONCE, attempts=4, delays=(Duration(30), Duration(300)))


def fail(_: Order) -> None:
    raise ConnectionError("not there")


async def until_given_up(handler: Resolver, message: Message) -> tuple[int, Resolution]:
    """Try as the partition does, but at once. Returns how often, and what came of it."""
    tries, how = 1, await handler.resolve(message)
    while isinstance(how, Again):
        tries, how = tries + 1, await handler.resolve(message, how.failures)
    return tries, how


async def test_what_may_heal_is_tried_as_often_as_the_policy_says_then_deferred() -> None:
    letters, stats = Letters(), ConsumerStats(started=0.0)
    assert await until_given_up(resolver(fail, letters, stats, policy=FOUR), record()) == (
        4,
        Resolution.DEFERRED,
    )
    assert (letters.put_aside, letters.attempts) == ([(7, "handle1", "not there")], [4])
    assert (stats.retried, stats.deferred, stats.resolved) == (3, 1, 1)


async def test_what_no_try_heals_is_tried_once() -> None:
    letters, stats = Letters(), ConsumerStats(started=0.0)
    policy = replace(FOUR, hopeless=frozenset({"OSError"}))
    assert await until_given_up(resolver(fail, letters, stats, policy=policy), record()) == (
        1,
        Resolution.DEAD_LETTERED,
    )


async def test_a_deferred_record_is_tried_once_in_each_retry_topic_and_keeps_its_origin() -> None:
    letters, stats = Letters(), ConsumerStats(started=0.0)
    headers = {
        "__dlq.errors.topic": "orders",
        "__dlq.errors.partition": "0",
        "__dlq.errors.offset": "4711",
        "__dlq.errors.timestamp": "12",
        "__dlq.errors.attempts": "4",
    }
    handler = resolver(fail, letters, stats, policy=FOUR)
    pairs = [(name, text.encode()) for name, text in headers.items()]
    for topic in ("orders-retry-30s", "orders-retry-300s"):
        message = ConsumerRecord(topic, 0, 0, 0, 0, b"k", GOOD, None, 1, 1, pairs)
        assert isinstance(await handler.resolve(message), Resolution)
    assert letters.put_aside == [(4711, "handle2", "not there"), (4711, "handle", "not there")]
    assert letters.attempts == [5, 5]


async def test_a_deferred_record_is_not_tried_before_it_is_due() -> None:
    seen: list[Order] = []
    handler = resolver(seen.append, Letters(), ConsumerStats(started=0.0), policy=FOUR)
    now = asyncio.get_running_loop().time()
    for ahead_ms in (0, 7_200_000):  # a clock that is two hours ahead makes it wait no longer
        message = record(topic="orders-retry-30s", timestamp=time.time_ns() // 1_000_000 + ahead_ms)
        again = await handler.resolve(message)
        assert isinstance(again, Again)
        assert now + 25 < again.at < now + 31
        assert await handler.resolve(message, again.failures) is Resolution.HANDLED
    assert len(seen) == 2


async def test_a_record_for_another_group_is_not_ours() -> None:
    seen: list[Order] = []
    stats = ConsumerStats(started=0.0)
    handler = resolver(seen.append, Letters(), stats)
    assert await handler.resolve(record(tandem_group="other")) is Resolution.NOT_OURS
    assert await handler.resolve(record(tandem_group="group")) is Resolution.HANDLED
    nobody = ConsumerRecord("orders", 0, 7, 0, 0, b"k", GOOD, None, 1, 1, [("tandem_group", None)])
    assert await handler.resolve(nobody) is Resolution.HANDLED, "a header without a value names no group"
    assert (len(seen), stats.resolved) == (2, 3)


async def test_a_handler_that_takes_too_long_has_failed() -> None:
    async def handle(_: Order) -> None:
        await asyncio.Event().wait()

    letters, _ = await resolve(handle)
    assert letters.put_aside == [(7, "handle", "the handler took longer than 0.05 s")]


async def test_later_records_of_a_key_follow_the_one_that_waits() -> None:
    waiting = WaitingKeys()
    letters = Letters(waiting)
    broken = [True]

    def handle(_: Order) -> None:
        if broken:
            raise ConnectionError("not there")

    handler = resolver(
        handle, letters, ConsumerStats(started=0.0), policy=replace(FOUR, attempts=1), waiting=waiting
    )
    assert await handler.resolve(record()) is Resolution.DEFERRED
    broken.clear()
    assert await handler.resolve(record()) is Resolution.DEFERRED, "its key waits"
    assert [stage for _, stage, _ in letters.put_aside] == ["handle1", "order1"]
    for left in (1, None):
        assert await handler.resolve(record(topic="orders-retry-30s")) is Resolution.HANDLED
        assert waiting.behind(Family("orders", 0), b"k", 0) == left
    assert await handler.resolve(record()) is Resolution.HANDLED
