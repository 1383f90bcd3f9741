"""What the admin port decides from what it sees."""

import asyncio
import time
from typing import Any

import pytest

from services.consumer.standing import Standing
from services.consumer.view import stuck
from services.producer.view import Acknowledgements, overdue, unready, waits_for
from tandem.admin.probe import ask
from tandem.admin.pulse import Pulse
from tandem.errors import SettingsError
from tandem.settings import ConsumerSettings, ProducerSettings
from tandem.settings.source import read_settings
from tandem.stats import Activity, Phase

NOW = 5000.0


def activity(phase: Phase = Phase.RUNNING, **known: Any) -> Activity:
    nobody: Any = None  # nothing is asked of the producer itself
    return Activity(nobody, phase, **known)


@pytest.mark.parametrize(
    "calm",
    [
        activity(due=NOW + 3600),
        activity(due=NOW - 9),
        activity(due=NOW - 3600, putting=True),
        activity(),
        activity(Phase.CONNECTING),
        activity(Phase.DRAINING, due=NOW - 3600),
    ],
    ids=["a pause of an hour", "a busy moment", "back-pressure", "no pace", "no broker yet", "a drain"],
)
def test_a_producer_that_waits_for_something_lives(calm: Activity) -> None:
    assert overdue(calm, NOW) is None


def test_a_producer_whose_event_was_due_long_ago_and_that_waits_for_nothing_is_stuck() -> None:
    assert overdue(activity(due=NOW - 11), NOW) == "the next event has been due for 11 s"


def test_a_producer_is_ready_between_its_start_and_its_drain_while_it_has_a_broker() -> None:
    assert unready(Phase.RUNNING, connected=True, silent=0) == ()
    assert unready(Phase.CONNECTING, connected=False, silent=0) == ("connecting",)
    assert unready(Phase.DRAINING, connected=True, silent=0) == ("draining",)
    assert unready(Phase.RUNNING, connected=False, silent=0) == ("no broker is connected",)
    assert unready(Phase.RUNNING, connected=True, silent=11) == ("Kafka has acknowledged nothing for 11 s",)


def test_silence_counts_from_when_something_is_in_flight_and_ends_with_what_is_settled() -> None:
    acks = Acknowledgements(0.0)
    acks.tick(settled=0, in_flight=0, now=3600.0)
    acks.tick(settled=0, in_flight=1, now=3601.0)
    acks.tick(settled=0, in_flight=5, now=3612.0)
    assert acks.silent(3612.0) == 12.0
    acks.tick(settled=1, in_flight=5, now=3613.0)
    assert acks.silent(3613.5) == 0.5


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (
            {"phase": Phase.CONNECTING},
            "the broker, the topics and, where the format has schemas, the registry",
        ),
        ({"phase": Phase.DRAINING}, "acknowledgements"),
        ({"due": NOW + 1.25}, "the next event, due in 1.2 s"),
        ({"due": NOW, "putting": True}, "room: as much as there may be is in flight"),
        ({}, None),
    ],
)
def test_a_producer_says_what_it_waits_for(known: dict[str, Any], words: str | None) -> None:
    assert waits_for(activity(**known), NOW) == words


def test_a_consumer_whose_fetch_loop_does_not_come_round_is_stuck() -> None:
    assert stuck(129.0, last_poll=100.0, waited_until=0.0) == ()
    assert stuck(142.0, last_poll=100.0, waited_until=0.0) == ("nothing was fetched or asked for in 42 s",)


def test_a_consumer_that_waited_for_its_group_is_not_stuck_when_that_is_over() -> None:
    """A rebalance takes as long as the slowest member, and the fetch loop waits for it."""
    assert stuck(71.0, last_poll=10.0, waited_until=70.0) == ()
    assert stuck(101.0, last_poll=10.0, waited_until=70.0) == ("nothing was fetched or asked for in 31 s",)


def test_lag_is_what_is_not_resolved_and_not_known_before_the_end_is() -> None:
    assert Standing("orders", 0, position=90, resolved=70, end=100).lag == 30
    assert Standing("orders", 0, position=90, resolved=90).lag is None
    assert Standing("orders", 0, end=100).lag is None
    assert Standing("orders", 0, position=100, resolved=100, end=99).lag == 0, (
        "the end is known from the last fetch"
    )


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, None),
        ({"in_hand": 1}, "its handler"),
        ({"in_hand": 5000, "full": True}, "its handler: as much as there may be is in hand"),
        ({"in_hand": 3, "next_try": NOW + 4}, "a record that is tried again in 4.0 s"),
        ({"in_hand": 1, "preparing": True}, "what has to be known before its first record"),
    ],
)
def test_a_partition_says_what_it_waits_for(known: dict[str, Any], words: str | None) -> None:
    assert Standing("orders", 0, **known).waits_for(NOW) == words


async def test_the_pulse_tells_how_long_the_loop_was_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.admin.pulse._STEP", 0.01)
    seen = asyncio.Event()
    pulse = Pulse(lambda _: seen.set())
    beating = asyncio.create_task(pulse.run())
    await seen.wait()
    time.sleep(0.2)  # noqa: ASYNC251 -- what it is there to notice
    seen.clear()
    await seen.wait()
    beating.cancel()
    assert 0.1 < pulse.lag < 5


@pytest.mark.parametrize(
    ("given", "port"),
    [("8000", 8000), ("0", 0), ("auto", "auto"), ("none", "none"), ("NONE", "none"), ("", "none")],
)
def test_the_admin_port_is_a_number_or_a_word(
    given: str, port: int | str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADMIN_PORT", given)
    assert read_settings(ConsumerSettings, []).admin_port == port


def test_the_admin_port_of_an_env_file_may_be_empty_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADMIN_PORT", raising=False)
    (tmp_path / ".env").write_text("ADMIN_PORT=\n")
    assert read_settings(ProducerSettings, []).admin_port == "none"
    monkeypatch.setenv("ADMIN_PORT", "8000")
    assert read_settings(ProducerSettings, []).admin_port == 8000
    assert read_settings(ProducerSettings, ["--admin-port", "9000"]).admin_port == 9000


@pytest.mark.parametrize("wrong", ["65536", "-1", "http", "80.5", "٨٠٠٠"])
def test_another_admin_port_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ADMIN_PORT", wrong)
    with pytest.raises(SettingsError, match="takes a port, 0 for any free one, auto, or none"):
        read_settings(ProducerSettings, [])


@pytest.mark.parametrize("port", ["", "none", "auto", "0", "٨٠٠٠", "9" * 24])
def test_a_probe_without_a_port_to_ask_says_so(port: str) -> None:
    assert ask("127.0.0.1", port, "/livez") == (
        f"ADMIN_PORT={port} is no port to ask; set it to a number for a health check"
    )
