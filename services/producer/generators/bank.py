"""Transactions on the accounts 1000 to 5000, up to 1000 each way."""

from datetime import UTC, datetime
from random import Random
from typing import get_args

from tandem.schemas.bank import Transaction, TransactionType

_TYPES: tuple[TransactionType, ...] = get_args(TransactionType)


class TransactionGenerator:
    """Money comes in by deposits and goes out by withdrawals, transfers and payments."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def take(self, count: int, now_ms: int) -> list[Transaction]:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return [self._transaction(now) for _ in range(count)]

    def _transaction(self, now: datetime) -> Transaction:
        kind = self._random.choice(_TYPES)
        amount = self._random.randint(1, 1000_00) / 100
        return Transaction(
            account=self._random.randint(1000, 5000),
            amount=amount if kind == "deposit" else -amount,
            timestamp=now,
            transaction_id=f"TXN-{self._random.getrandbits(48):012X}",
            type=kind,
        )
