"""The consumer with a role that does what the events say: `python -m tests.integration.scripted_role`, with ROLE=scripted.

The order's id is `<plan>:<anything>`, where the plan is `ok`, `fail` (always), `fail2` (twice), `reject`, `slow` (for a second),
`hang`, `kill fetch`, which ends that task of aiokafka's, or `cancel once`, which ends the one that it runs in.
"""

import asyncio
import sys
from collections import Counter
from typing import Any

import structlog

from services.consumer.handler import RejectedError, Role, Source
from services.consumer.handlers import ROLES
from services.consumer.service import serve
from tandem.runner import main
from tandem.schemas.orders import Order
from tandem.settings import ConsumerSettings

log = structlog.get_logger()


class Scripted:
    """Tells of every try as `tried`, and how it ended."""

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()

    async def handle(self, order: Order, source: Source) -> None:
        self._tries[order.order_id] += 1
        tries = self._tries[order.order_id]
        plan = order.order_id.partition(":")[0]
        log.info("tried", order=order.order_id, tries=tries, plan=plan, offset=source.offset)
        match plan:
            case "fail":
                raise ConnectionError(f"no connection for {order.order_id}")
            case "fail2" if tries <= 2:
                raise ConnectionError("not yet")
            case "reject":
                raise RejectedError("not wanted")
            case "slow":
                await asyncio.sleep(1)
            case "hang":
                await asyncio.Event().wait()
            case "kill fetch":
                _end_task("_fetch_requests_routine")
            case "cancel once" if tries == 1:
                await _end_itself()
        log.info("done", order=order.order_id, offset=source.offset, topic=source.topic)

    def report(self) -> tuple[str, dict[str, Any]]:
        return "scripted_report", {"orders": len(self._tries)}


async def _end_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


def _end_task(routine: str) -> None:
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == routine:
            task.cancel()


ROLES["scripted"] = Role("orders", lambda _: Scripted())

if __name__ == "__main__":
    sys.exit(main(ConsumerSettings, serve))
