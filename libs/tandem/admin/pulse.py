"""How late the event loop is: what a callback waits for that blocks it."""

import asyncio
from collections import deque
from collections.abc import Callable

_STEP = 1.0
_REMEMBERED = 15  # steps: the usual time between two scrapes


class Pulse:
    """Wakes every second and notes how late that was. `tick` is called each time, with the time."""

    def __init__(self, tick: Callable[[float], None]) -> None:
        self._tick = tick
        self._late: deque[float] = deque([0.0], maxlen=_REMEMBERED)

    @property
    def lag(self) -> float:
        """The worst of the last 15 seconds."""
        return max(self._late)

    async def run(self) -> None:
        """Watch without end."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _STEP
            await asyncio.sleep(_STEP)
            self._late.append(max(0.0, clock() - due))
            self._tick(clock())
