"""Role `fraud-detector` of the stream `bank`: alerts for single large amounts, and for many transactions in a short time."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog

from services.consumer.handler import Source
from services.consumer.recent import Recent
from tandem.schemas.alerts import FraudAlert
from tandem.schemas.bank import Transaction

log = structlog.get_logger()

_MOST_ACCOUNTS = 100_000


class Seen(NamedTuple):
    """What is remembered of a transaction: its place in the account's order, its time."""

    offset: int
    transaction_id: str
    time: datetime


def too_many(seen: Seen, history: Iterable[Seen], count: int, window: timedelta) -> bool:
    """Whether a transaction is beyond the `count` that its account may have in the `window` that ends with it.

    Only what came before it counts, so the answer is the same when it comes again. The window is one of event time: from
    its end, which belongs to it, back to its start, which doesn't.
    """
    before = (
        other
        for other in history
        if other.offset < seen.offset and seen.time - window < other.time <= seen.time
    )
    return sum(1 for _ in before) >= count


class FraudDetector:
    """Judges each transaction by its size and by the account's velocity; an alert is logged, and goes to `fraud-alerts`.

    Of each account it remembers the last transactions, twice as many as are allowed, and of more than `most_accounts`
    it forgets those that were quiet for longest. It knows nothing from before its start.
    """

    def __init__(
        self, amount: float, count: int, window: float, *, most_accounts: int = _MOST_ACCOUNTS
    ) -> None:
        """Alert above `amount`, and above `count` transactions of an account within `window` seconds."""
        self._amount = amount
        self._count = count
        self._window = timedelta(seconds=window)
        # Offsets tell the order in one partition, and adding partitions moves accounts to others.
        self._histories: Recent[tuple[int, int], deque[Seen]] = Recent(most_accounts)
        self._judged = 0
        self._alerts: Counter[str] = Counter()

    def handle(self, transaction: Transaction, source: Source) -> list[FraudAlert]:
        alerts = [_alert(transaction, rule, detail) for rule, detail in self._suspicions(transaction, source)]
        self._judged += 1
        for alert in alerts:
            self._alerts[alert.rule] += 1
            log.warning(
                "fraud_alert",
                rule=alert.rule,
                account=transaction.account,
                transaction=transaction.transaction_id,
                amount=f"{transaction.amount:+.2f}",
                detail=alert.detail,
            )
        return alerts

    def report(self) -> tuple[str, dict[str, Any]]:
        return "fraud_report", {
            "transactions": self._judged,
            "alerts": dict(sorted(self._alerts.items())),
            "accounts": len(self._histories),
        }

    def _suspicions(self, transaction: Transaction, source: Source) -> Iterator[tuple[str, str]]:
        """Each rule that is broken, and how."""
        if abs(transaction.amount) > self._amount:
            yield "size", f"an amount above {self._amount:.2f}"
        seen, history = self._remember(transaction, source)
        if too_many(seen, history, self._count, self._window):
            yield "velocity", f"more than {self._count} transactions within {self._window.total_seconds():g}s"

    def _remember(self, transaction: Transaction, source: Source) -> tuple[Seen, deque[Seen]]:
        """The transaction as it was seen first, and its account's history."""
        place = (source.partition, transaction.account)
        history = self._histories.get(place) or deque(maxlen=2 * self._count)
        self._histories[place] = history
        for seen in history:
            if seen.transaction_id == transaction.transaction_id:
                return seen, history
        seen = Seen(source.offset, transaction.transaction_id, transaction.timestamp)
        if not history or seen.offset > history[-1].offset:
            history.append(seen)
        return seen, history


def _alert(transaction: Transaction, rule: str, detail: str) -> FraudAlert:
    return FraudAlert(
        alert_id=f"{transaction.transaction_id}/{rule}",
        rule=rule,
        subject=str(transaction.account),
        detail=detail,
        amount=abs(transaction.amount),
        timestamp=transaction.timestamp,
    )
