"""The consumer with a role for tests: `python -m tests.faults.role`, with ROLE=watched.

It appends to the file FAULTS_HANDLED what it does with each event, as a line `<time> <topic> <partition> <offset> <outcome>`, so
that tries, redelivery and pauses can be counted, also after a kill -9. Orders whose number is a multiple of FAULTS_POISON always
fail; those of FAULTS_SLOW take FAULTS_SECONDS each time; those of FAULTS_BLOCK hold up the whole process for so long, once. FAULTS_LOOP=asyncio runs it without uvloop.
"""

import asyncio
import os
import sys
import time
from typing import Any

from services.consumer.handler import Role, Source
from services.consumer.handlers import ROLES
from services.consumer.service import serve
from tandem.runner import main
from tandem.schemas.orders import Order
from tandem.settings import ConsumerSettings
from tests.faults.loops import choose_loop


class Watched:
    """Handles orders, as slowly and as badly as it is told."""

    def __init__(self) -> None:
        self._file = os.open(os.environ["FAULTS_HANDLED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._poison = _number("POISON")
        self._slow = _number("SLOW")
        self._block = _number("BLOCK")
        self._seconds = _number("SECONDS")
        self._blocked: set[Source] = set()
        self._handled = 0

    async def handle(self, order: Order, source: Source) -> None:
        number = int(order.order_id.rpartition("_")[2])
        if self._poison and number % self._poison == 0:
            self._note(source, "failed")
            raise ConnectionError(f"{order.order_id} is poison")
        if self._slow and number % self._slow == 0:
            await asyncio.sleep(self._seconds)
        if self._block and number % self._block == 0 and source not in self._blocked:
            self._blocked.add(source)
            time.sleep(self._seconds)  # noqa: ASYNC251 -- as a careless handler does
        self._handled += 1
        self._note(source, "handled")

    def report(self) -> tuple[str, dict[str, Any]]:
        return "watched_report", {"handled": self._handled}

    def _note(self, source: Source, outcome: str) -> None:
        line = f"{time.time():.3f} {source.topic} {source.partition} {source.offset} {outcome}\n"
        os.write(self._file, line.encode())


def _number(name: str) -> float:
    return float(os.environ.get(f"FAULTS_{name}", "0"))


ROLES["watched"] = Role("orders", lambda _: Watched())

if __name__ == "__main__":
    choose_loop()
    sys.exit(main(ConsumerSettings, serve))
