"""Stream `bank`: transactions on accounts, keyed by account."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from tandem.durations import Interval
from tandem.schemas.stream import EventTopic, Name, Stream

TransactionType = Literal["deposit", "withdrawal", "transfer", "payment"]


class Transaction(Struct, frozen=True, forbid_unknown_fields=True):
    """One transaction. `amount` has two decimals: above zero for a deposit, below zero for the other types."""

    account: Annotated[int, Meta(ge=0, lt=10**12)]
    amount: Annotated[float, Meta(ge=-1_000_000, le=1_000_000)]
    timestamp: Annotated[datetime, Meta(tz=True)]
    transaction_id: Name
    type: TransactionType

    def __post_init__(self) -> None:
        if (self.amount > 0) != (self.type == "deposit"):
            raise ValueError(f"amount {self.amount} does not agree with type {self.type}")


def _key(transaction: Transaction) -> bytes:
    return b"%d" % transaction.account


STREAM = Stream("bank", (EventTopic("transactions"),), Transaction, _key, Interval.parse("500ms"))
