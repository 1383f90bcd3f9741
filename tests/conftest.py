"""For all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from services.ops import ports
from tests.setting_names import setting_names

# A busy machine may stall any example; what must be fast is measured, not tested.
settings.register_profile("tandem", deadline=None)
# `make fuzz`: what takes minutes is not tried at every change.
settings.register_profile("fuzz", deadline=None, max_examples=1500, suppress_health_check=list(HealthCheck))
settings.load_profile("tandem")


# Where tests run in several processes, those that share one of these stay in one: each takes seconds to start.
_SHARED = ("shared_rig", "secured", "registry", "single")
_MOST_WORKERS = 8  # each has a broker of its own


@pytest.hookimpl(tryfirst=True)  # before xdist asks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares a fixture."""
    for item in items:
        shared = [name for name in _SHARED if name in getattr(item, "fixturenames", ())]
        if shared:
            item.add_marker(pytest.mark.xdist_group(shared[0]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More workers than processors: half of the time a test waits for a broker."""
    return min(2 * (os.cpu_count() or 1), _MOST_WORKERS)


def pytest_configure() -> None:
    """Give each worker ports of its own: of those that are free, another one could take the same."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = len(ports._FREE_PORTS) // count
    ports._FREE_PORTS = ports._FREE_PORTS[number * size :][:size]


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the variables nor the `.env` of the machine reach a test."""
    monkeypatch.chdir(tmp_path)
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
