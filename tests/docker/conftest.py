"""The image and the Compose file, on a real engine. Without one these tests are skipped, or fail where TANDEM_REQUIRE_DOCKER is set."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.docker.project import Project, composed, run

_TAG = "tandem:test"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give them time: the first one builds the image and brings up a broker."""
    for item in items:
        if "tests/docker/" in item.nodeid:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
async def image() -> str:
    """The image, built from what is checked out."""
    if (await run("docker", "info")).status != 0:
        if os.environ.get("TANDEM_REQUIRE_DOCKER"):
            pytest.fail("TANDEM_REQUIRE_DOCKER is set, and no Docker engine answers")
        pytest.skip("no Docker engine answers")
    with_buildkit = os.environ | {"DOCKER_BUILDKIT": "1"}
    built = await run("docker", "build", "--tag", _TAG, ".", environment=with_buildkit)
    assert built.status == 0, built.text
    return _TAG


@pytest.fixture(scope="session")
async def pair(image: str) -> AsyncIterator[Project]:
    """What `docker compose up` brings up, at a brisk pace."""
    brisk = {"MESSAGE_INTERVAL": "50ms", "SESSION_TIMEOUT": "6s", "COMMIT_INTERVAL": "200ms"}
    async with composed(image, STREAM="bank", ROLE="transaction-monitor", **brisk) as project:
        yield project
