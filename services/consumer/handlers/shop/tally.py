"""Sums over orders, of events that may come again, in another order, or (from a compacted topic) not all of them."""

from collections.abc import Callable, Iterable
from functools import cache

from services.consumer.recent import Recent
from tandem.schemas.shop import EventType, ShopEvent, ShopOrder

Seen = frozenset[EventType]
Key = str | tuple[str, str]
Share = Callable[[ShopOrder, Seen], Iterable[tuple[Key, int]]]

_MOST_ORDERS = 200_000
_MOST_TOTALS = 50_000


class OrderTally:
    """Totals to which each order adds its `share`: what follows from the set of events that were seen of it.

    A set does not change when something is put in twice or in another order, so neither do the totals. Bounded: of
    more than 200,000 orders it forgets those without news for longest (what they added stays; an event that comes
    later still would count them anew), of more than 50,000 totals those that did not change for longest.
    """

    def __init__(self, share: Share) -> None:
        self._share = share
        self._seen: Recent[str, Seen] = Recent(_MOST_ORDERS)
        self._totals: Recent[Key, int] = Recent(_MOST_TOTALS)

    def add(self, event: ShopEvent) -> bool:
        """Take an event into account; say whether it is the first one of its order."""
        order = event.order
        before = self._seen.get(order.order_id)
        after = _with(before or frozenset(), event.event_type)
        self._seen[order.order_id] = after
        if after != before:
            self._put(self._share(order, after), 1)
            self._put(self._share(order, before) if before else (), -1)
        return before is None

    def total(self, key: Key) -> int:
        return self._totals.get(key, 0)

    def by(self, kind: str, most: int | None = None) -> dict[str, int]:
        """The totals of one kind that are not zero, from the highest on."""
        found = [(key[1], total) for key, total in self._totals.items() if key[0] == kind and total]
        return dict(sorted(found, key=lambda pair: (-pair[1], pair[0]))[:most])

    def money(self, kind: str, most: int) -> dict[str, str]:
        """The totals of one kind that are cents, as `by` has them, with two decimals."""
        return {name: euros(cents) for name, cents in self.by(kind, most).items()}

    def _put(self, share: Iterable[tuple[Key, int]], sign: int) -> None:
        for key, amount in share:
            self._totals[key] = self.total(key) + sign * amount


@cache
def _with(seen: Seen, event_type: EventType) -> Seen:
    """The set with one more; orders share the few sets that there are."""
    return seen | {event_type}


def paid(seen: Seen) -> bool:
    """Whether the order's money is the shop's: of a topic that was compacted, only the refund may be left."""
    return "PaymentCompleted" in seen and "PaymentRefunded" not in seen


def euros(cents: int) -> str:
    return f"{cents / 100:.2f}"
