"""Whether a consumer gets on: aiokafka's tasks may die, or stop to fetch, while everything looks well."""

import asyncio
from collections.abc import Iterator

from aiokafka import AIOKafkaConsumer


class StalledError(Exception):
    """Raised when a consumer does not get on, and a new client may help. Ends no program.

    `ever_got_on`: it did for a while.
    """

    def __init__(self, reason: str, *, ever_got_on: bool) -> None:
        super().__init__(reason)
        self.ever_got_on = ever_got_on


class Progress:
    """Notices that nothing was resolved for `patience` seconds although there is something to do. Pure."""

    def __init__(self, patience: float, resolved: int, now: float) -> None:
        self.ever = False
        self._patience = patience
        self._resolved = resolved
        self._since = now

    def stalled(self, resolved: int, *, busy: bool, lag: int, now: float) -> bool:
        """Whether it is time for a new client. `busy`: there are records in hand, so that it is not for want of them."""
        self.ever |= resolved != self._resolved
        if resolved != self._resolved or busy or lag <= 0:
            self._resolved, self._since = resolved, now
        return now - self._since >= self._patience


def dead_tasks(client: AIOKafkaConsumer) -> Iterator[str]:
    """The tasks of a started client that have ended, by what they are for. There is no public way to know."""
    tasks: dict[str, asyncio.Task[None] | None] = {
        "metadata": client._client._sync_task,  # noqa: SLF001
        "group": client._coordinator._coordination_task,  # noqa: SLF001
        "fetch": client._fetcher._fetch_task,  # noqa: SLF001
    }
    return (name for name, task in tasks.items() if task is not None and task.done())
