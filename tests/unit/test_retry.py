"""Which error, which delay, how often."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.consumer.handler import RejectedError
from services.consumer.origin import Place
from services.consumer.retry import Failures, RetryPolicy, places
from tandem.durations import Duration
from tandem.settings import ConsumerSettings

POLICY = RetryPolicy(attempts=5, backoff=0.1, longest=1.0, deadline=3.0, hopeless=frozenset({"LookupError"}))


def failures(here: int, since: float = 0.0) -> Failures:
    return Failures(attempts=here, here=here, since=since, first_ms=0)


@given(st.integers(1, 10_000), st.floats(0, 100), st.integers())
def test_a_delay_is_drawn_between_nothing_and_a_back_off_that_grows(here: int, now: float, seed: int) -> None:
    delay = POLICY.delay(failures(here), now, Random(seed))
    if here >= POLICY.attempts or now > POLICY.deadline:
        assert delay is None
    elif delay is not None:
        assert 0 <= delay <= min(1.0, 0.1 * 2 ** (here - 1))
        assert now + delay <= POLICY.deadline


def test_the_jitter_is_full() -> None:
    """What failed together does not come back together."""
    delays = [POLICY.delay(failures(3), 0.0, Random(seed)) or 0 for seed in range(200)]
    assert min(delays) < 0.02
    assert max(delays) > 0.38


def test_an_endless_retry_does_not_overflow() -> None:
    endless = replace(POLICY, attempts=1_000_000, deadline=1e9)
    assert 0 <= (endless.delay(failures(999_999), 0.0, Random(1)) or 0) <= 1.0


def test_an_error_is_hopeless_by_its_name_or_that_of_a_base() -> None:
    assert not POLICY.may_heal(KeyError("x"))
    assert POLICY.may_heal(OSError("x"))


def test_a_handler_can_say_that_no_try_heals() -> None:
    assert not RetryPolicy.of(ConsumerSettings(retry_never="none")).may_heal(RejectedError("closed"))


def test_every_topic_has_its_place_on_the_way() -> None:
    assert places(["orders"], [Duration(0.5), Duration(300)]) == {
        "orders": Place("orders", 0, 0.0),
        "orders-retry-500ms": Place("orders", 1, 0.5),
        "orders-retry-300s": Place("orders", 2, 300.0),
    }
