"""When a consumer is taken to be stuck: nothing comes, although there is something to fetch."""

from services.consumer.progress import Progress


def test_a_consumer_that_resolves_nothing_although_there_is_lag_is_stuck_after_a_while() -> None:
    progress = Progress(patience=60, resolved=0, now=0)
    assert not progress.stalled(0, lag=5, now=59)
    assert progress.stalled(0, lag=5, now=60)
    assert not progress.ever


def test_what_is_resolved_and_an_end_that_is_reached_begin_the_wait_anew() -> None:
    progress = Progress(patience=60, resolved=0, now=0)
    assert not progress.stalled(1, lag=5, now=50)
    assert not progress.stalled(1, lag=0, now=100)
    assert not progress.stalled(1, lag=5, now=159)
    assert progress.stalled(1, lag=5, now=160)
    assert progress.ever
