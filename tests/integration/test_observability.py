"""deploy/observability: what the dashboard asks for is there, and Prometheus and Grafana can read the rest."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest
import yaml
from docker.errors import DockerException, ImageNotFound
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.admin_client import Admin
from tests.integration.conftest import Run

OBSERVABILITY = Path(__file__).parents[2] / "deploy/observability"
DASHBOARD: dict[str, Any] = json.loads((OBSERVABILITY / "grafana/dashboards/tandem.json").read_text())
PROMETHEUS = "prom/prometheus:v3.5.0"
WORDS = {
    "by",
    "count",
    "group",
    "increase",
    "max",
    "rate",
    "sum",
}  # of PromQL, as far as the dashboard uses it


def expressions() -> list[str]:
    """What the panels ask, with Grafana's variables filled in."""
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    filled = (re.sub(r"\$(job|group)\b", ".*", each.replace("$__rate_interval", "1m")) for each in asked)
    return list(filled)


def metrics_in(expression: str) -> set[str]:
    """The metrics that an expression names."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)", " ", expression)
    return set(re.findall(r"[a-z_][a-z0-9_:]*", bare)) - WORDS


async def samples(admin: Admin) -> set[str]:
    text = (await admin.ask("/metrics")).text
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


async def test_each_metric_that_the_dashboard_asks_for_is_one_of_a_running_pair(
    produce: Run, consume: Run
) -> None:
    async with (
        produce(message_interval="1ms", admin_port=0) as producer,
        consume(admin_port=0) as consumer,
    ):
        sending, receiving = await Admin.of(producer), await Admin.of(consumer)
        await producer.until("delivery_report")
        shown = await samples(sending)
        await consumer.until("handled", count=50)
        shown |= await samples(receiving)
    asked = {name for each in expressions() for name in metrics_in(each)}
    assert asked - shown == {"up"}, "that one is Prometheus' own"
    ours = {name for name in shown if not name.startswith(("process_", "python_"))}
    assert ours - asked == set(), "each is on the dashboard"


def test_the_dashboard_has_units_and_a_place_for_each_panel() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels)
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_the_provisioned_data_source_is_the_one_that_the_dashboard_uses() -> None:
    provisioning = OBSERVABILITY / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    used = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    used |= {variable["datasource"]["uid"] for variable in DASHBOARD["templating"]["list"]}
    assert used == {source["uid"]}
    assert yaml.safe_load((provisioning / "dashboards/tandem.yml").read_text())["providers"]


@pytest.fixture
def container() -> Iterator[Any]:
    """A real Prometheus with our configuration, on a free port of loopback."""
    try:
        client = docker.from_env(timeout=30)
        client.images.get(PROMETHEUS)
    except ImageNotFound:
        pytest.skip(f"Docker has no image {PROMETHEUS}")
    except DockerException:
        pytest.skip("Docker does not answer")
    path = "/etc/prometheus/prometheus.yml"
    running = client.containers.run(
        PROMETHEUS,
        [f"--config.file={path}", "--storage.tsdb.path=/tmp/prometheus"],
        detach=True,
        ports={"9090/tcp": ("127.0.0.1", None)},
        volumes={str(OBSERVABILITY / "prometheus.yml"): {"bind": path, "mode": "ro"}},
    )
    try:
        yield running
    finally:
        running.remove(force=True, v=True)
        client.close()


@pytest.fixture
async def prometheus(container: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """What asks it, when it is ready."""
    container.reload()
    port = container.ports["9090/tcp"][0]["HostPort"]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session, asyncio.timeout(45):
        while not await _is_ready(session):  # noqa: ASYNC110 -- another process changes
            await asyncio.sleep(0.2)
        yield session


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/-/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_prometheus_takes_the_configuration_and_each_expression(
    prometheus: aiohttp.ClientSession,
) -> None:
    async with prometheus.get("/api/v1/status/config") as answer:
        config = yaml.safe_load((await answer.json())["data"]["yaml"])
    (job,) = config["scrape_configs"]
    assert {"producer", "consumer"} < set(job["dns_sd_configs"][0]["names"])
    for expression in expressions():
        async with prometheus.get("/api/v1/query", params={"query": expression}) as answer:
            assert (await answer.json())["status"] == "success", expression
