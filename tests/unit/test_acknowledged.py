"""What the consumer writes, and Kafka refuses."""

import asyncio
from typing import cast

import pytest

from services.consumer import acknowledged as module
from services.consumer.acknowledged import acknowledged
from tandem.delivery import Delivery
from tandem.records import Fate, Outcome, Record

BAD, GOOD = (Record("orders-dlt", key, b"", ()) for key in (b"bad", b"good"))


class Batches:
    """What is sent in the same moment travels in one batch, which Kafka takes as a whole or not at all."""

    def __init__(self) -> None:
        self._batch: list[Record] = []

    async def send(self, record: Record) -> Fate:
        batch = self._batch
        batch.append(record)
        await asyncio.sleep(0.001)
        if self._batch is batch:
            self._batch = []
        refused = any(each is BAD for each in batch)
        return Fate(Outcome.FAILED if refused else Outcome.ACKED, record, 0, 0, None, None)


async def test_one_that_is_refused_for_ever_does_not_hold_up_what_was_sent_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.02)
    delivery = cast("Delivery", Batches())
    bad, good = (
        asyncio.create_task(acknowledged(delivery, each, "not_written"), name=str(each.key))
        for each in (BAD, GOOD)
    )
    await asyncio.wait((good,), timeout=2)
    assert good.done()
    assert not bad.done()
    bad.cancel()
