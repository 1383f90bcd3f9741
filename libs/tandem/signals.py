"""Being asked to stop: how a signal becomes an event, and how a wait ends early because of it.

asyncio runs a handler set by `add_signal_handler` in the loop, where it may touch tasks, and restores the default
action when it is removed. The only file that imports `signal`.
"""

import asyncio
import signal
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tandem.errors import StopRequested

Result = TypeVar("Result")

# Hang-up too: its default action would end the process without a drain when a terminal closes.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(asyncio.Event):
    """Set by the first signal. `signal_number` is that of the second one, which asks to end without a drain."""

    signal_number: int | None = None


@contextmanager
def stop_on_signals(stop: Stop, task: asyncio.Task[object]) -> Iterator[None]:
    """Let the first signal set `stop`, the second cancel `task`, and a third end the process at once.

    The previous handlers are restored on exit.
    """
    loop = asyncio.get_running_loop()
    # One that is ignored stays so: nohup and shells' background jobs ask for that.
    before = {
        number: signal.getsignal(number) for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN
    }

    def on_signal(number: signal.Signals) -> None:
        if not stop.is_set():
            stop.set()
            return
        stop.signal_number = number
        for each in before:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        task.cancel()

    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


async def unless_stopped(stop: asyncio.Event, work: Awaitable[Result]) -> Result:
    """Await `work`, or cancel it and raise StopRequested as soon as `stop` is set."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.create_task(stop.wait(), name="wait for stop")
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise StopRequested
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            if not task.cancelled():
                task.exception()  # it lost the race: what it raised does not matter any more
