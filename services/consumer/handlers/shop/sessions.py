"""Sessions: the times at which someone orders, up to five minutes apart, make one."""

from bisect import bisect_left, bisect_right

from services.consumer.recent import Recent

_GAP = 300.0
_MOST_USERS = 50_000
_MOST_SESSIONS = 100


class Sessions:
    """Counts them by user, in whatever order the times come: one between two sessions makes one of them.

    Bounded: it knows the last 100 sessions of each user and the 50,000 users who ordered last; the others stay counted.
    """

    def __init__(self) -> None:
        self.count = 0
        self._of: Recent[str, list[tuple[float, float]]] = Recent(_MOST_USERS)

    def add(self, user: str, at: float) -> None:
        """Take note of an order at this time (seconds)."""
        before = self._of.get(user, [])
        after = merged(before, at)
        self.count += len(after) - len(before)
        self._of[user] = after[-_MOST_SESSIONS:]


def merged(sessions: list[tuple[float, float]], at: float) -> list[tuple[float, float]]:
    """Sessions, from first to last time, in order and more than the gap apart, with one more time in them."""
    first = bisect_left(sessions, at - _GAP, key=lambda session: session[1])
    end = bisect_right(sessions, at + _GAP, key=lambda session: session[0])
    near = sessions[first:end]
    grown = (min([at, *(start for start, _ in near)]), max([at, *(last for _, last in near)]))
    return [*sessions[:first], grown, *sessions[end:]]
