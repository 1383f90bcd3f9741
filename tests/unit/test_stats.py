from datetime import UTC, datetime

from tandem.records import Outcome, Record, Settled
from tandem.stats import ProducerStats

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def settled(outcome: Outcome, count: int, first: int = 0) -> Settled:
    return Settled(outcome, "orders", 1, (Record("orders", None, b""),) * count, first)


def test_a_snapshot_tells_what_was_asked_for() -> None:
    stats = ProducerStats(started=100.0)
    stats.settle(settled(Outcome.ACKED, 50), NOON)
    assert stats.snapshot(110.0, in_flight=3) == {
        "produced": 50,
        "errors": 0,
        "in_flight": 3,
        "rate": 5.0,
        "runtime": 10.0,
        "last_message": "2026-01-01T12:00:00.000+00:00",
    }


def test_the_rate_is_that_since_the_last_snapshot() -> None:
    stats = ProducerStats(started=0.0)
    stats.settle(settled(Outcome.ACKED, 100), NOON)
    stats.snapshot(10.0, in_flight=0)
    stats.settle(settled(Outcome.ACKED, 7), NOON)
    assert stats.snapshot(11.0, in_flight=0)["rate"] == 7.0


def test_what_was_not_acknowledged_is_an_error_and_is_listed() -> None:
    stats = ProducerStats(started=0.0)
    stats.encode_errors = 1
    stats.settle(settled(Outcome.UNKNOWN, 2, first=5), NOON)
    stats.settle(settled(Outcome.FAILED, 1, first=7), NOON)
    assert stats.snapshot(1.0, in_flight=0)["errors"] == 4
    assert stats.undelivered_text() == "3 sent and not acknowledged: unknown orders/1 5-6, failed orders/1 7"
