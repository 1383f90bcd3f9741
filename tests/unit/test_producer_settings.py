import pytest

from tandem.errors import SettingsError
from tandem.paces import Burst, Ramp, Rate
from tandem.settings import ProducerSettings
from tandem.settings.source import read_settings

pytestmark = pytest.mark.usefixtures("clean_environment")


def producer(*arguments: str) -> ProducerSettings:
    return read_settings(ProducerSettings, arguments)


def complaint(*arguments: str) -> str:
    with pytest.raises(SettingsError) as caught:
        producer(*arguments)
    return caught.value.cause


def test_without_a_mode_it_is_the_service() -> None:
    assert producer().mode == "continuous"


def test_a_mode_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", "Producer-Only")
    assert producer().mode == "producer-only"


def test_an_unknown_mode_gets_the_list() -> None:
    assert complaint("--mode", "idle").startswith("MODE=idle should be 'continuous', 'auto', 'load'")


@pytest.mark.parametrize("flag", ["--count", "--max-messages"])
def test_the_bound_goes_by_two_names(flag: str) -> None:
    assert producer(flag, "7").max_messages == 7


def test_a_pace_has_three_shapes() -> None:
    assert producer("--rate", "100").rate == Rate.parse("100/s")
    assert producer("--ramp", "1-100/60s").ramp == Ramp.parse("1-100/60s")
    assert producer("--burst", "20x5s/60s").burst == Burst.parse("20x5s/60s")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--rate=0",), "RATE=0 takes from 0.0001"),
        (("--rate=fast",), "RATE=fast takes messages a second, for example 100 or 100/s"),
        (("--ramp=5",), "RAMP=5 takes two rates and a time, for example 1-100/60s"),
        (("--burst=5s",), "BURST=5s takes a factor, a length and a period, for example 20x5s/60s"),
        (("--rate=1", "--message-interval=1s"), "MESSAGE_INTERVAL and RATE each set the pace; keep one"),
        (("--rate=1", "--ramp=1-2/1s"), "RATE and RAMP each set the pace; keep one"),
        (("--ramp=1-2/1s", "--burst=2x1s/2s"), "RAMP and BURST don't go together"),
        (("--fault-late=1.5",), "FAULT_LATE=1.5 should be less than or equal to 1"),
        (("--fault-late=nan",), "FAULT_LATE=nan should be"),
        (("--fault-late=0.6", "--fault-malformed=0.6"), "add up to 1.2, and an event has at most one fault"),
        (("--producers=0",), "PRODUCERS=0 should be greater than 0"),
    ],
)
def test_what_cant_be_is_refused_with_the_remedy(arguments: tuple[str, ...], problem: str) -> None:
    assert problem in complaint(*arguments)


def test_a_burst_goes_with_an_interval_or_a_rate() -> None:
    assert producer("--burst=2x1s/2s", "--message-interval=1s").burst
    assert producer("--burst=2x1s/2s", "--rate=1").burst


def test_faults_may_be_all_there_is() -> None:
    # In floating point these add up to more than one.
    rates = ("--fault-malformed=0.33", "--fault-duplicate=0.56", "--fault-late=0.11")
    assert producer(*rates).fault_late == 0.11
