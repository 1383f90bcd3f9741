"""The rules of the role `fraud-detector`."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from structlog.testing import capture_logs

from services.consumer.handler import Source
from services.consumer.handlers.bank_fraud import FraudDetector
from tandem.schemas.alerts import ALERTS, FraudAlert
from tandem.schemas.bank import Transaction, TransactionType

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def transaction(number: int, *, second: float = 0, amount: float = -1.0, account: int = 7) -> Transaction:
    kind: TransactionType = "deposit" if amount > 0 else "payment"
    return Transaction(account, amount, NOW + timedelta(seconds=second), f"TXN-{number}", kind)


def source(offset: int, partition: int = 0) -> Source:
    return Source("transactions", partition, offset, b"7", 0)


def alerts(detector: FraudDetector, transactions: Iterable[Transaction]) -> list[list[str]]:
    """The ids of the alerts that each transaction gets; it lies at the offset that its id names."""
    return [
        [alert.alert_id for alert in detector.handle(each, source(int(each.transaction_id[4:])))]
        for each in transactions
    ]


def detector(count: int = 3, most_accounts: int = 100) -> FraudDetector:
    return FraudDetector(990, count, 60, most_accounts=most_accounts)


@pytest.mark.parametrize("amount", [990.01, -990.01])
def test_an_amount_above_the_limit_is_an_alert_whichever_way_it_goes(amount: float) -> None:
    (alert,) = detector().handle(transaction(1, amount=amount), source(0))
    assert alert == FraudAlert("TXN-1/size", "size", "7", "an amount above 990.00", 990.01, NOW)


@pytest.mark.parametrize("amount", [990.0, -990.0, 0.01])
def test_an_amount_at_the_limit_is_none(amount: float) -> None:
    assert detector().handle(transaction(1, amount=amount), source(0)) == []


def test_the_fourth_transaction_within_the_window_is_an_alert_when_three_are_allowed() -> None:
    found = alerts(detector(), [transaction(number, second=number) for number in range(5)])
    assert found == [[], [], [], ["TXN-3/velocity"], ["TXN-4/velocity"]]


def test_the_window_begins_after_its_start() -> None:
    times = [0.0, 1.0, 2.0, 60.0, 60.5, 61.1]
    found = alerts(detector(), [transaction(number, second=second) for number, second in enumerate(times)])
    assert found == [[], [], [], [], ["TXN-4/velocity"], ["TXN-5/velocity"]]


def test_accounts_are_judged_by_themselves() -> None:
    found = alerts(detector(), [transaction(number, account=number % 2) for number in range(6)])
    assert not any(found)


def test_one_transaction_may_break_both_rules() -> None:
    found = alerts(detector(), [transaction(number, amount=-999) for number in range(4)])
    assert found[3] == ["TXN-3/size", "TXN-3/velocity"]


def test_what_comes_again_gets_the_same_alerts_and_is_not_counted_again() -> None:
    once = [transaction(number, second=number) for number in range(5)]
    judge = detector()
    assert alerts(judge, once) == alerts(judge, once)
    assert alerts(judge, [transaction(5, second=60.5)]) == [["TXN-5/velocity"]], "1 to 4 are in its window"
    assert alerts(judge, [transaction(6, second=64.5)]) == [[]], "5 alone is"


def test_the_same_transaction_at_another_place_is_the_same_transaction() -> None:
    judge = detector()
    for offset in range(10):
        assert judge.handle(transaction(1), source(offset)) == []


def test_a_late_transaction_is_judged_by_those_of_its_own_time() -> None:
    judge = detector()
    alerts(judge, [transaction(number, second=1000 + number) for number in range(3)])
    assert alerts(judge, [transaction(3, second=0)]) == [[]]


def test_adding_partitions_starts_an_accounts_history_anew() -> None:
    """The offsets of another partition may be lower."""
    judge = detector()
    for number in range(4):
        judge.handle(transaction(number), source(1000 + number, partition=0))
    found = [judge.handle(transaction(number), source(number, partition=5)) for number in range(10, 14)]
    assert [len(each) for each in found] == [0, 0, 0, 1]


def test_what_is_remembered_is_bounded() -> None:
    judge = detector(count=3, most_accounts=10)
    alerts(judge, [transaction(number, account=number % 100) for number in range(5000)])
    assert len(judge._histories) == 10
    alerts(judge, [transaction(number) for number in range(5000, 6000)])
    assert max(map(len, judge._histories.values())) == 6


def test_an_alert_is_a_warning_and_is_counted() -> None:
    judge = detector()
    with capture_logs() as lines:
        judge.handle(transaction(1, amount=-999), source(0))
    (line,) = lines
    assert (line["event"], line["log_level"], line["rule"], line["account"]) == (
        "fraud_alert",
        "warning",
        "size",
        7,
    )
    assert judge.report() == ("fraud_report", {"transactions": 1, "alerts": {"size": 1}, "accounts": 1})


def test_alerts_are_keyed_by_whom_they_are_about() -> None:
    (alert,) = detector().handle(transaction(1, amount=-999), source(0))
    assert ALERTS.key(alert) == b"7"
    assert ALERTS.topics_of(alert) == ("fraud-alerts",)


def test_the_longest_id_that_a_transaction_can_have_makes_an_alert() -> None:
    long = Transaction(10**12 - 1, 1_000_000.0, NOW, "x" * 64, "deposit")
    (alert,) = detector().handle(long, source(0))
    assert msgspec.json.decode(msgspec.json.encode(alert), type=FraudAlert) == alert
