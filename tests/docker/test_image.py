"""The image: what is in it, and who it runs as."""

import json
import re
from typing import Any

import pytest

from tests.docker.project import ROOT, docker

_MOST_BYTES = 80_000_000  # above the base image, which has about 120 MB

_PACKAGES = (
    "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
)


@pytest.fixture(scope="module")
async def config(image: str) -> dict[str, Any]:
    """What the image says of itself."""
    (told,) = json.loads(await docker("image", "inspect", image))
    return dict(told["Config"])


async def inside(image: str, *command: str) -> str:
    hardened = (
        "--read-only",
        "--cap-drop",
        "ALL",
        "--network",
        "none",
        "--security-opt",
        "no-new-privileges",
    )
    return await docker("run", "--rm", *hardened, "--entrypoint", command[0], image, *command[1:])


def test_it_runs_as_a_numeric_user_by_an_exec_form_entry_point(config: dict[str, Any]) -> None:
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m"]


def test_its_health_check_needs_no_shell(config: dict[str, Any]) -> None:
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "tandem.admin.probe"]


def test_it_is_labelled(config: dict[str, Any]) -> None:
    labels = {name.removeprefix("org.opencontainers.image.") for name in config["Labels"]}
    assert {"title", "description", "version", "revision", "created"} <= labels


async def test_its_packages_are_those_of_the_lock(image: str) -> None:
    installed = json.loads(await inside(image, "python", "-c", _PACKAGES))
    lock = (ROOT / "requirements-runtime.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE))
    assert installed.pop("tandem")
    assert len(installed) > 30
    assert {
        name.lower().replace("_", "-").replace(".", "-"): version for name, version in installed.items()
    }.items() <= locked.items()


async def test_nothing_in_it_installs_or_compiles(image: str) -> None:
    script = "for each in pip pip3 gcc cc ld strip curl wget; do command -v $each; done; python -c 'import pip' 2>&1"
    told = await inside(image, "sh", "-c", f"{script}; true")
    assert told.strip().endswith("No module named 'pip'")
    assert not [line for line in told.splitlines() if line.startswith("/")]


@pytest.mark.parametrize(
    "command",
    [("python", "-m", "services.producer"), ("python", "-m", "services.consumer"), ("tandem", "audit")],
)
async def test_every_command_starts_on_a_read_only_root_without_any_right(
    image: str, command: tuple[str, ...]
) -> None:
    assert "usage:" in await inside(image, *command, "--help")


async def test_what_it_adds_to_its_base_is_small(image: str) -> None:
    base = await size("python:3.13-slim")
    assert 0 < await size(image) - base < _MOST_BYTES


async def size(image: str) -> int:
    return int(await docker("image", "inspect", "--format", "{{.Size}}", image))
