"""The units, as systemd reads them: it needs no running systemd to check them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from services.consumer.handlers import ROLES
from tandem.errors import ExitStatus
from tandem.settings import ConsumerSettings, ProducerSettings
from tandem.settings.source import read_settings
from tests.setting_names import secret_names, setting_names

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SHARED = UNITS / "tandem-.service.d" / "10-tandem.conf"
SERVICES = ["tandem-producer.service", *(f"tandem-consumer@{role}.service" for role in ROLES)]
EVERY_FILE = [*UNITS.rglob("*.service"), *UNITS.rglob("*.conf"), *UNITS.glob("*.target")]
WHAT_PYTHON_KNOWS = {"PYTHONUNBUFFERED"}

pytestmark = pytest.mark.usefixtures("clean_environment")
analyzed = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine on which the units are installed."""
    units = tmp_path / "etc/systemd/system"
    shutil.copytree(UNITS, units, ignore=shutil.ignore_patterns("README.md", "drop-ins", "*.sysusers.conf"))
    ours = tmp_path / "usr/lib/systemd/system"
    ours.mkdir(parents=True)
    for known in Path("/usr/lib/systemd/system").glob("*.target"):
        if not known.is_symlink():
            shutil.copyfile(known, ours / known.name)
    python = tmp_path / "opt/tandem/bin/python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    return tmp_path


def analyze(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", f"--root={root}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@analyzed
def test_systemd_finds_nothing_wrong_with_the_units(root: Path) -> None:
    verified = analyze(root, "--man=no", "verify", *SERVICES, "tandem.target")
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@analyzed
@pytest.mark.parametrize("name", ["kafka-secret.conf", "registry-secret.conf"])
def test_nor_with_those_that_get_a_secret(root: Path, name: str) -> None:
    shutil.copy(UNITS / "drop-ins" / name, root / "etc/systemd/system/tandem-.service.d")
    verified = analyze(root, "--man=no", "verify", *SERVICES)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@analyzed
def test_it_would_find_a_mistake(root: Path) -> None:
    unit = root / "etc/systemd/system/tandem-producer.service"
    unit.write_text(unit.read_text().replace("ExecStart=/opt", "ExecStart=/otp"))
    assert analyze(root, "--man=no", "verify", unit.name).returncode


@analyzed
@pytest.mark.parametrize("name", ["tandem-producer.service", "tandem-consumer@fraud-detector.service"])
def test_what_a_service_may_do_is_next_to_nothing(root: Path, name: str) -> None:
    """Of 10 points of exposure at most 1.1; the network, which it needs, is more than half of that."""
    judged = analyze(root, "security", "--offline=true", "--threshold=11", "--no-pager", name)
    assert f"Overall exposure level for {name}" in judged.stdout
    assert judged.returncode == 0, judged.stdout


def test_every_variable_in_the_units_is_a_setting() -> None:
    named = {name for file in EVERY_FILE for name in variables(file)}
    assert named >= {"UNACKED_FILE", "ROLE", "KAFKA_API_SECRET_FILE", "SCHEMA_REGISTRY_API_SECRET_FILE"}
    assert not named - setting_names() - WHAT_PYTHON_KNOWS


def test_secrets_are_credentials_and_never_in_the_environment() -> None:
    named = {name: value for file in EVERY_FILE for name, value in variables(file).items()}
    assert not named.keys() & secret_names()
    loaded = {line for file in EVERY_FILE for line in values(file, "LoadCredential")}
    files = {name: value for name, value in named.items() if name.removesuffix("_FILE") in secret_names()}
    assert files == {
        f"{credential}_file".upper(): f"%d/{credential}"
        for credential, _, _ in (c.partition(":") for c in loaded)
    }


def test_systemd_waits_longer_than_a_drain_takes() -> None:
    (seconds,) = values(SHARED, "TimeoutStopSec")
    drain = read_settings(ProducerSettings, []).drain_seconds
    assert float(seconds.removesuffix("s")) >= drain + 10


def test_what_a_restart_does_not_mend_is_not_restarted() -> None:
    (statuses,) = values(SHARED, "RestartPreventExitStatus")
    never = {ExitStatus.USAGE, ExitStatus.SETTINGS, ExitStatus.UNDELIVERED}
    assert set(map(int, statuses.split())) == never


def test_a_consumer_takes_its_role_from_the_name_of_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    template = variables(UNITS / "tandem-consumer@.service")["ROLE"]
    for role in ROLES:
        monkeypatch.setenv("ROLE", template.replace("%i", role))
        assert read_settings(ConsumerSettings, []).role == role


def test_no_service_runs_as_root_even_without_what_they_share() -> None:
    for unit in UNITS.glob("*.service"):
        assert values(unit, "User") == values(unit, "Group") == ["tandem"]


def values(file: Path, key: str) -> list[str]:
    """What a unit's file gives to a key, in the order of its lines."""
    return re.findall(rf"^{key}=(.+)$", file.read_text(), re.MULTILINE)


def variables(file: Path) -> dict[str, str]:
    """What a unit's file puts into the environment."""
    return dict(pair.split("=", 1) for line in values(file, "Environment") for pair in line.split())
