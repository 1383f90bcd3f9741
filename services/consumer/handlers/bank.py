"""Role `transaction-monitor`: each transaction, totals, and a flag for the large ones."""

from collections import Counter
from typing import Any

import structlog

from services.consumer.handler import Source
from services.consumer.recent import Recent
from tandem.schemas.bank import Transaction

_MOST_ACCOUNTS = 1_000_000

log = structlog.get_logger()


class TransactionMonitor:
    """Keeps counts and sums by type, and which accounts were active (of the last million); sums in cents, which don't round."""

    def __init__(self, large_amount: float) -> None:
        self._large_amount = large_amount
        self._counts: Counter[str] = Counter()
        self._cents: Counter[str] = Counter()
        self._accounts: Recent[int, None] = Recent(_MOST_ACCOUNTS)
        self._large = 0

    def handle(self, transaction: Transaction, _: Source) -> None:
        self._counts[transaction.type] += 1
        self._cents[transaction.type] += round(transaction.amount * 100)
        self._accounts[transaction.account] = None
        line = {
            "transaction": transaction.transaction_id,
            "account": transaction.account,
            "type": transaction.type,
            "amount": f"{transaction.amount:+.2f}",
        }
        log.info("transaction", **line)
        if abs(transaction.amount) > self._large_amount:
            self._large += 1
            log.warning("large_transaction", **line, above=f"{self._large_amount:.2f}")

    def report(self) -> tuple[str, dict[str, Any]]:
        return "transactions_report", {
            "transactions": self._counts.total(),
            "amount": f"{self._cents.total() / 100:+.2f}",
            "deposits": f"{self._cents['deposit'] / 100:+.2f}",
            "withdrawals": f"{self._cents['withdrawal'] / 100:+.2f}",
            "by_type": dict(sorted(self._counts.items())),
            "active_accounts": len(self._accounts),
            "large": self._large,
        }
