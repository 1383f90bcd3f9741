from datetime import UTC, datetime

from tandem.account import Resolution
from tandem.headers import Fault
from tandem.ledger import Ledger
from tandem.records import Outcome, Record, Settled
from tandem.stats import ConsumerStats, ProducerStats

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def settled(outcome: Outcome, count: int, first: int = 0) -> Settled:
    return Settled(outcome, "orders", 1, (Record("orders", None, b""),) * count, first)


def settle(stats: ProducerStats, batch: Settled, run: int = 0) -> None:
    stats.settle(batch, 1.0, NOON)
    stats.ledgers[run].settle(batch)


def test_a_snapshot_tells_what_was_asked_for() -> None:
    stats = ProducerStats(started=100.0)
    stats.settle(settled(Outcome.ACKED, 50), 105.0, NOON)
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
    stats.settle(settled(Outcome.ACKED, 100), 1.0, NOON)
    stats.snapshot(10.0, in_flight=0)
    stats.settle(settled(Outcome.ACKED, 7), 10.5, NOON)
    assert stats.snapshot(11.0, in_flight=0)["rate"] == 7.0


def test_the_speed_is_that_from_the_first_event_to_the_last_acknowledgement() -> None:
    stats = ProducerStats(started=0.0)
    stats.begin(10.0)
    stats.begin(10.5)
    stats.settle(settled(Outcome.ACKED, 30), 11.0, NOON)
    stats.settle(settled(Outcome.ACKED, 20), 12.0, NOON)
    stats.settle(settled(Outcome.FAILED, 1), 13.0, NOON)
    assert stats.speed() == {"acknowledged": 50, "seconds": 2.0, "rate": 25.0}


def test_nothing_sent_has_no_speed() -> None:
    assert ProducerStats(started=0.0).speed() == {"acknowledged": 0, "seconds": 0.0, "rate": 0.0}


def test_injected_faults_are_told_where_there_are_any() -> None:
    stats = ProducerStats(started=0.0)
    assert "faults" not in stats.snapshot(1.0, in_flight=0)
    stats.faults[Fault.LATE] += 2
    assert stats.final(1.0)["faults"] == {"late": 2}


def test_what_was_not_acknowledged_is_an_error_and_is_listed() -> None:
    stats = ProducerStats(started=0.0, ledgers=[Ledger("one", "orders")])
    stats.encode_errors = 1
    settle(stats, settled(Outcome.UNKNOWN, 2, first=5))
    settle(stats, settled(Outcome.FAILED, 1, first=7))
    assert stats.snapshot(1.0, in_flight=0)["errors"] == 4
    assert stats.undelivered_text() == "3 sent and not acknowledged: failed orders/1 7, unknown orders/1 5-6"


def test_of_several_runs_each_has_its_own_list() -> None:
    stats = ProducerStats(started=0.0, ledgers=[Ledger("one", "orders"), Ledger("two", "orders")])
    for run in (0, 1):
        for first in (0, 1):
            settle(stats, settled(Outcome.FAILED, 1, first=first), run)
    assert stats.undelivered_text() == (
        "4 sent and not acknowledged: failed orders/1 0-1 of run one, failed orders/1 0-1 of run two"
    )


def test_of_very_many_only_the_first_are_listed() -> None:
    stats = ProducerStats(started=0.0, ledgers=[Ledger("one", "orders")])
    for first in range(0, 10_000, 2):
        settle(stats, settled(Outcome.UNKNOWN, 1, first=first))
    text = stats.undelivered_text()
    assert text.startswith("5000 sent and not acknowledged: unknown orders/1 0, unknown orders/1 2, ")
    assert text.endswith(" and 4960 more ranges")
    assert len(text) < 1000


def test_a_consumer_is_scored_by_the_labels_of_what_it_resolved() -> None:
    stats = ConsumerStats(started=0.0)
    assert "faults" not in stats.snapshot(1.0)
    stats.score(b"malformed", Resolution.DEAD_LETTERED)
    stats.score(b"malformed", Resolution.DEAD_LETTERED)
    stats.score(b"late", Resolution.HANDLED)
    assert stats.final(1.0)["faults"] == {
        "malformed": {"handled": 0, "dead_lettered": 2},
        "late": {"handled": 1, "dead_lettered": 0},
    }


def test_labels_that_are_not_ours_dont_fill_the_memory() -> None:
    stats = ConsumerStats(started=0.0)
    for number in range(100):
        stats.score(b"\xff%d" % number, Resolution.HANDLED)
    assert stats.snapshot(1.0)["faults"] == {"other": {"handled": 100, "dead_lettered": 0}}
