"""Transactions on the accounts 1000 to 5000, up to 1000 each way; now and then a stolen card."""

from datetime import UTC, datetime
from random import Random
from typing import get_args

from tandem.schemas.bank import Transaction, TransactionType

_TYPES: tuple[TransactionType, ...] = get_args(TransactionType)
_THEFT = 0.01  # chance, with each transaction, that the next card is stolen
_SHARE = 0.5  # of the transactions that are the thief's, as long as there is one


class TransactionGenerator:
    """Money comes in by deposits and goes out by withdrawals, transfers and payments, evenly over the accounts.

    After every hundredth transaction or so a thief tries a card: 8 to 15 payments below 50 from one account, in
    between the transactions of others.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._stolen = 0  # the account
        self._payments = 0  # that the thief still makes

    def take(self, count: int, now_ms: int) -> list[Transaction]:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return [self._next(now) for _ in range(count)]

    def _next(self, now: datetime) -> Transaction:
        if self._payments and self._random.random() < _SHARE:
            self._payments -= 1
            return self._transaction(now, self._stolen, "payment", 50_00)
        if not self._payments and self._random.random() < _THEFT:
            self._stolen, self._payments = self._account(), self._random.randint(8, 15)
        return self._transaction(now, self._account(), self._random.choice(_TYPES), 1000_00)

    def _account(self) -> int:
        return self._random.randint(1000, 5000)

    def _transaction(
        self, now: datetime, account: int, kind: TransactionType, most_cents: int
    ) -> Transaction:
        amount = self._random.randint(1, most_cents) / 100
        return Transaction(
            account=account,
            amount=amount if kind == "deposit" else -amount,
            timestamp=now,
            transaction_id=f"TXN-{self._random.getrandbits(48):012X}",
            type=kind,
        )
