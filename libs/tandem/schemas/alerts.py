"""Alerts: what the fraud rules of several roles find, keyed by whom it is about. No producer makes them by itself."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from tandem.schemas.stream import EventTopic, Name, Stream


class FraudAlert(Struct, frozen=True, forbid_unknown_fields=True):
    """One suspicion. `alert_id` follows from the event that raised it and the rule: a repetition has the same.

    `subject` is whom it is about (an account, a user), `detail` a sentence for people; `amount`, without a sign, and
    `timestamp` are those of the event.
    """

    alert_id: Annotated[str, Meta(min_length=1, max_length=160)]
    rule: Name
    subject: Annotated[str, Meta(min_length=1, max_length=128)]
    detail: Annotated[str, Meta(max_length=500)]
    amount: Annotated[float, Meta(ge=0, le=1_000_000_000)]
    timestamp: Annotated[datetime, Meta(tz=True)]


def _key(alert: FraudAlert) -> bytes:
    return alert.subject.encode()


ALERTS = Stream("alerts", (EventTopic("fraud-alerts"),), FraudAlert, _key)
