"""The rig, and a trial for each scenario.

TANDEM_FAULTS=<folder> runs the scenarios at their full length and writes the table there; TANDEM_FAULTS_SEED is where all chance
comes from.
"""

import os
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.ops.ports import free_ports
from services.ops.registry_server import SchemaRegistryServer
from tests.faults.report import Row, save
from tests.faults.rig import Rig
from tests.faults.trial import Trial

_FOLDER = os.environ.get("TANDEM_FAULTS")
_SEED = int(os.environ.get("TANDEM_FAULTS_SEED", "1"))
_FAILURE = pytest.StashKey[str]()


@pytest.fixture(scope="session")
async def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with Rig.open(tmp_path_factory.mktemp("rig")) as rig:
        yield rig


@pytest.fixture
async def rig(shared_rig: Rig) -> AsyncIterator[Rig]:
    """A healthy cluster behind proxies; it is healed afterwards."""
    yield shared_rig
    await shared_rig.heal()


@pytest.fixture(scope="session")
async def registry(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SchemaRegistryServer]:
    """A schema registry that has the same address after it was killed and started again."""
    data = tmp_path_factory.mktemp("registry")
    async with SchemaRegistryServer(data=data, port=next(free_ports())) as server:
        yield server


@pytest.fixture
async def trial(rig: Rig, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Trial]:
    """A trial that is named like its test, and whose title is the first line of the test's docstring."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    trial = Trial(rig, name, _title(request.function), _SEED, tmp_path, thorough=_FOLDER is not None)
    async with trial.running():
        yield trial
    if _FOLDER is not None:
        save(Path(_FOLDER), name, _told(trial.row, request.node))


def _title(test: Any) -> str:
    return str(test.__doc__).partition("\n")[0].rstrip(".")


def _told(row: Row, test: pytest.Item) -> Row:
    """The row, with what failed in the test after it was filled."""
    if (failure := test.stash.get(_FAILURE, None)) is None:
        return row
    return replace(row, as_expected=False, remarks=f"{row.remarks} -- {failure}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.excinfo is not None:
        item.stash[_FAILURE] = call.excinfo.exconly().partition("\n")[0][:200]
    return report
