"""Closing a client that does not want to be closed."""

import asyncio

from tandem import kafka


class Stubborn:
    """Ends each of its ends by a CancelledError that nobody asked for, as aiokafka's consumer may."""

    def __init__(self) -> None:
        self._client = self
        self.asked = 0

    async def stop(self) -> None:
        raise asyncio.CancelledError

    async def close(self) -> None:
        self.asked += 1
        raise asyncio.CancelledError


async def test_a_cancellation_that_nobody_asked_for_does_not_come_through() -> None:
    client = Stubborn()
    await kafka.close(client)
    assert client.asked == 1
