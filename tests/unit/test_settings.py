import stat
from pathlib import Path

import pytest

from services.ops.dlq import DlqSettings
from services.ops.resend import ResendSettings
from tandem.durations import Interval
from tandem.errors import ExitStatus, SettingsError, UsageError
from tandem.schemas import STREAMS
from tandem.settings import ConsumerSettings, ProducerSettings
from tandem.settings.source import read_settings
from tests.setting_names import secret_names, setting_names

SECRET = "c4nary-s3cret"


pytestmark = pytest.mark.usefixtures("clean_environment")


def producer(*arguments: str) -> ProducerSettings:
    return read_settings(ProducerSettings, arguments)


def consumer(*arguments: str) -> ConsumerSettings:
    return read_settings(ConsumerSettings, arguments)


def complaint(*arguments: str, of: type[ProducerSettings | ConsumerSettings] = ProducerSettings) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(of, arguments)
    assert caught.value.status == ExitStatus.SETTINGS == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_any_setting_there_is_a_local_broker_and_the_stream_orders() -> None:
    settings = producer()
    assert settings.kafka_bootstrap_servers == "localhost:9092"
    assert settings.stream == "orders"
    assert settings.stats_interval == 10
    assert settings.drain_seconds == 25


def test_a_flag_wins_over_the_environment_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SEED=1\nMAX_MESSAGES=1\nCUSTOMERS=1\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("SEED", "2")
    monkeypatch.setenv("MAX_MESSAGES", "2")
    settings = producer("--seed", "3")
    assert (settings.seed, settings.max_messages, settings.customers) == (3, 2, 1)


@pytest.mark.parametrize("name", ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS", "CNFL_KAFKA_BROKER"])
def test_the_brokers_go_by_the_names_that_files_already_hold(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "a:1,b:2")
    assert producer().kafka_bootstrap_servers == "a:1,b:2"


@pytest.mark.parametrize(
    "names", [("KAFKA_API_KEY", "KAFKA_API_SECRET"), ("CNFL_KC_API_KEY", "CNFL_KC_API_SECRET")]
)
def test_key_and_secret_go_by_the_names_that_files_already_hold(
    names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(names[0], "key")
    monkeypatch.setenv(names[1], SECRET)
    settings = producer()
    assert settings.kafka_api_key == "key"
    assert settings.kafka_api_secret is not None
    assert settings.kafka_api_secret.get_secret_value() == SECRET


@pytest.mark.parametrize("where", ["environment", ".env"])
@pytest.mark.parametrize("name", ["KAFKA_API_SECRET_FILE", "CNFL_KC_API_SECRET_FILE"])
def test_a_secret_may_be_in_a_file(
    name: str, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    if where == ".env":
        Path(".env").write_text(f"{name}={tmp_path / 'secret'}\n")
    else:
        monkeypatch.setenv(name, str(tmp_path / "secret"))
    settings = producer("--kafka-api-key", "key")
    assert settings.kafka_api_secret is not None
    assert settings.kafka_api_secret.get_secret_value() == SECRET


def test_a_secret_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_API_SECRET_FILE", "/no/such/file")
    assert complaint().startswith(
        "KAFKA_API_SECRET_FILE: can't read /no/such/file: No such file or directory."
    )


def test_a_secret_and_a_secret_file_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_API_SECRET", SECRET)
    monkeypatch.setenv("KAFKA_API_SECRET_FILE", "/run/secrets/kafka")
    message = complaint()
    assert "both set" in message
    assert SECRET not in message


@pytest.mark.parametrize("name", ["KAFKA_API_KEY", "KAFKA_API_SECRET"])
def test_a_key_without_a_secret_is_refused_and_neither_is_shown(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)
    message = complaint()
    assert "a key and a secret go together" in message
    assert SECRET not in message


def test_a_secret_does_not_show_in_what_settings_say_of_themselves() -> None:
    settings = producer("--kafka-api-key", "key", "--kafka-api-secret", SECRET)
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


def test_the_interval_may_be_fixed_or_random() -> None:
    assert producer("--message-interval", "500ms").message_interval == Interval.parse("500ms")
    assert producer("--message-interval", "2s-4s").message_interval == Interval.parse("2s-4s")


@pytest.mark.parametrize("value", ["0", "0s", "-1s", "1x", "4s-2s", "fast"])
def test_a_bad_interval_is_refused_with_an_example(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_flag = complaint(f"--message-interval={value}")
    monkeypatch.setenv("MESSAGE_INTERVAL", value)
    assert complaint() == by_flag
    assert by_flag.startswith(f"MESSAGE_INTERVAL={value} takes")
    assert "for example" in by_flag


def test_an_unknown_stream_gets_the_list_of_known_ones() -> None:
    known = ", ".join(STREAMS)
    assert complaint("--stream", "sails").startswith(f"STREAM=sails is no stream; there are: {known}.")


def test_every_bad_value_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_MESSAGES", "-3")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    message = complaint("--seed", "x")
    assert "MAX_MESSAGES=-3 should be greater than 0" in message
    assert "LOG_LEVEL=loud should be 'debug', 'info', 'warn' or 'error'" in message
    assert "SEED=x should be a valid integer" in message


@pytest.mark.parametrize(
    "value", ["localhost", "http://localhost:9092", "localhost:kafka", ":9092", "a:1,,b:2", "a:99999"]
)
def test_brokers_are_hosts_and_ports(value: str) -> None:
    assert "takes host:port" in complaint("--kafka-bootstrap-servers", value)


@pytest.mark.parametrize(
    ("text", "value"), [("beginning", "beginning"), ("end", "end"), ("s@1767225600000", 1767225600000)]
)
def test_a_start_is_written_as_kcat_writes_it(text: str, value: str | int) -> None:
    assert consumer("--offset", text).offset == value


@pytest.mark.parametrize("text", ["5", "s@", "s@now", "e@1", "-5"])
def test_any_other_start_is_refused(text: str) -> None:
    assert "takes beginning, end, or s@" in complaint(f"--offset={text}", of=ConsumerSettings)


def test_two_starts_are_refused() -> None:
    assert "keep one" in complaint("--from-beginning", "--offset", "end", of=ConsumerSettings)


@pytest.mark.parametrize("name", ["orders", "js_shoe", "mine", "orders-dlt", "orders-retry-30s", "x-parking"])
def test_the_ledgers_do_not_lie_among_events(name: str) -> None:
    told = complaint("--ledger-topic", name, "--kafka-topic", "mine")
    assert f"LEDGER_TOPIC={name} is a topic for events" in told


def test_levels_are_known_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARN")
    assert producer().log_level == "warn"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes `${NAME:-}` for what is not set."""
    monkeypatch.setenv("SEED", "")
    assert producer().seed is None


def test_an_unreadable_env_file_is_named() -> None:
    Path(".env").write_bytes(b"\xff\xfe=1\n")
    assert ".env" in complaint()


def test_an_unknown_flag_is_named_but_not_what_stands_beside_it() -> None:
    with pytest.raises(UsageError, match="unrecognized arguments among: --kafka-api-secrets") as caught:
        producer("--kafka-api-secrets", SECRET)
    assert caught.value.status == ExitStatus.USAGE == 2
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", ["a\nb\x1b[31m", "x" * 100_000])
def test_a_hostile_value_is_told_on_one_short_line(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", value)
    message = complaint()
    assert message.isprintable()
    assert len(message) < 500


def test_a_password_in_an_address_is_not_shown() -> None:
    message = complaint("--kafka-bootstrap-servers", f"SASL_SSL://user:{SECRET}@host:9092")
    assert SECRET not in message
    assert "…@host:9092 takes host:port" in message


@pytest.mark.parametrize("settings", [ResendSettings, DlqSettings])
def test_what_is_missing_is_named_and_no_other_setting_shown(
    settings: type[ResendSettings | DlqSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_API_SECRET", SECRET)
    with pytest.raises(SettingsError) as caught:
        read_settings(settings, [""])  # `tandem resend "$FILE"` without FILE
    assert " is missing" in caught.value.cause
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("path", ["/dev/zero", "/", "a\x00b"])
def test_a_secret_file_must_be_a_small_file(path: str) -> None:
    Path(".env").write_text(f'KAFKA_API_SECRET_FILE="{path}"\n')
    assert "KAFKA_API_SECRET_FILE: can't read" in complaint()


def test_a_folder_in_place_of_the_env_file_is_named() -> None:
    Path(".env").mkdir()
    assert "can't read .env: it is a folder" in complaint()


def test_help_names_every_setting_but_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        consumer("--help")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(
        f"--{name.replace('_', '-')}" in text
        for name, field in ConsumerSettings.model_fields.items()
        if "SecretStr" not in str(field.annotation)
    )
    assert "--kafka-api-secret" not in text
    assert "--kafka-ssl-key-password" not in text


def test_the_example_env_file_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of .env.example, taken out of its comment, is a setting with a value it takes."""
    example = Path(__file__).parents[2] / ".env.example"
    assert not example.stat().st_mode & stat.S_IXUSR
    for line in example.read_text().splitlines():
        name, equals, value = line.removeprefix("#").partition("=")
        if equals and name.isupper():
            assert name in setting_names()
            of_a_secret = name.removesuffix("_FILE") in secret_names()
            monkeypatch.setenv(name.removesuffix("_FILE") if of_a_secret else name, value)
    producer()
    consumer()
