"""A shop's own asyncio program that tells Kafka of each sale.

Its tills put their sales into a queue, as they always have. What Kafka adds is `onSalesEvent`, and the `async with`
around the program: entering connects, leaving waits until everything sent has its fate.

    make broker                                     # a Kafka to send to, in a terminal of its own
    .venv/bin/python examples/on_sales_event.py     # where it is and how to get in: settings, as the services take
"""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

from tandem.errors import CodecError, TandemError
from tandem.producer import EventProducer
from tandem.records import Fate
from tandem.schemas.sales import SalesRecord
from tandem.settings import ProducerSettings
from tandem.settings.source import read_settings

Sale = dict[str, Any]


async def onSalesEvent(producer: EventProducer, sale: Sale) -> Fate:
    """Send one sale and return its fate: acked, with its place in the log; failed; or unknown.

    The key is the sale's id. Raises CodecError for a sale that is none, and then nothing is sent.
    """
    return await producer.send(SalesRecord(**sale, date=datetime.now(UTC)))


async def report(producer: EventProducer, sale: Sale) -> None:
    """Send a sale and say what became of it."""
    try:
        fate = await onSalesEvent(producer, sale)
    except CodecError as error:
        print(f"{sale['id']} is no sale: {error}")
    else:
        print(f"{sale['id']} {fate.outcome}: {fate.record.topic}/{fate.partition} offset {fate.offset}")


async def till(name: str, queue: asyncio.Queue[Sale | None]) -> None:
    """Sell something now and then."""
    for number, (product, price) in enumerate([("Laptop", 1199.0), ("Mouse", 29.9), ("Refund", -5.0)], 1):
        await asyncio.sleep(0.2)
        sale = {"id": f"{name}_{number:03}", "customer": f"CUST{number:03}", "product": product}
        await queue.put(sale | {"quantity": 1, "amount": price})
    await queue.put(None)


async def main() -> None:
    """Sell until the last till closes. A sale does not wait for the one before it to be acknowledged."""
    tills = ["PRODUCER", "SECOND"]
    queue: asyncio.Queue[Sale | None] = asyncio.Queue(maxsize=100)
    settings = read_settings(ProducerSettings, ["--stream", "sales"])
    async with EventProducer(settings) as producer, asyncio.TaskGroup() as tasks:
        for name in tills:
            tasks.create_task(till(name, queue), name=name)
        for _ in tills:
            while (sale := await queue.get()) is not None:
                tasks.create_task(report(producer, sale), name=sale["id"])


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (
        TandemError
    ) as error:  # no broker, a wrong password, a topic that may not be created: cause and remedy
        sys.exit(f"error: {error}")
