"""What becomes of a record whose handler does not simply return."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from msgspec import Struct

from services.consumer.handler import Source
from services.consumer.resolver import Resolver
from tandem.codec import Codecs
from tandem.errors import CodecError
from tandem.formats.schema import Format
from tandem.schemas.orders import Order
from tandem.stats import ConsumerStats

GOOD = b'{"orderId":"order_1","customerId":"customer_1","amount":12.5,"timestamp":0,"category":"Books"}'


Handle = Callable[[Order], Iterable[Struct] | Awaitable[None] | None]


class Handling:
    """A handler that does what the test says."""

    def __init__(self, handle: Handle) -> None:
        self._handle: Callable[[Any], Any] = handle

    def handle(self, event: Order, _: Source) -> Any:
        return self._handle(event)

    def report(self) -> tuple[str, dict[str, Any]]:
        return "nothing", {}


class Letters:
    """Remembers what was set aside."""

    def __init__(self) -> None:
        self.put_aside: list[tuple[int, str, str]] = []

    async def put(self, record: ConsumerRecord[bytes, bytes], stage: str, error: Exception) -> None:
        self.put_aside.append((record.offset, stage, str(error)))


class Sent:
    """Remembers what followed."""

    def __init__(self) -> None:
        self.events: list[Struct] = []

    def encode(self, _: ConsumerRecord[bytes, bytes], events: Sequence[Struct]) -> Sequence[Struct]:
        if any(not isinstance(event, Order) for event in events):
            raise CodecError("no event of the stream orders")
        return events

    async def send(self, events: Sequence[Struct]) -> None:
        self.events += events


async def resolve(
    handle: Handle, value: bytes = GOOD, sent: Sent | None = None
) -> tuple[Letters, ConsumerStats]:
    letters, stats = Letters(), ConsumerStats(started=0.0)
    decoder = Codecs(Format.JSON, None).decoder(Order)
    resolver = Resolver(decoder, Handling(handle), sent or Sent(), letters, stats)  # type: ignore[arg-type]  # what they use of it
    await resolver.resolve(ConsumerRecord("orders", 0, 7, 0, 0, b"k", value, None, 1, len(value), ()))
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
    assert letters.put_aside == [(7, "handle", "no event of the stream orders")]
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
