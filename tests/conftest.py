"""For all tests."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from services.ops import ports
from tests.setting_names import setting_names

# A busy machine may stall any example; what must be fast is measured, not tested.
settings.register_profile("tandem", deadline=None)
# `make fuzz`: what takes minutes is not tried at every change.
settings.register_profile("fuzz", deadline=None, max_examples=1500, suppress_health_check=list(HealthCheck))
settings.load_profile("tandem")


# Where tests run in several processes, those of each of these stay in one: they share a cluster, a registry, a folder or a port.
_TOGETHER = re.compile(
    r"tests/(deploy/|faults/|integration/(security/|test_admin|test_cluster|test_formats|test_registry))"
)
_MOST_WORKERS = 8  # each has a broker of its own


class _Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # not typed
    """Begins with what stays together, the largest part first. By path, as marks of xdist_group do nothing under pytest 9."""

    def _split_scope(self, nodeid: str) -> str:
        found = _TOGETHER.match(nodeid)
        return found[0] if found else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _Scheduler(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """More workers than processors: a test often waits for a broker."""
    return min((os.cpu_count() or 1) + 1, _MOST_WORKERS)


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
