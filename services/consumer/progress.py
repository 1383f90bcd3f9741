"""Whether a consumer gets on. Pure: time comes in as an argument."""


class Progress:
    """Notices that nothing was resolved for `patience` seconds although there is something to do. Pure."""

    def __init__(self, patience: float, resolved: int, now: float) -> None:
        self.ever = False
        self._patience = patience
        self._resolved = resolved
        self._since = now

    def stalled(self, resolved: int, *, lag: int, now: float) -> bool:
        """Whether it is time for a new client. `lag` is that of partitions of which nothing is in hand."""
        self.ever |= resolved != self._resolved
        if resolved != self._resolved or lag <= 0:
            self._resolved, self._since = resolved, now
        return now - self._since >= self._patience
