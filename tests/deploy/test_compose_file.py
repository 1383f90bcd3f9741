"""docker-compose.yml says what the settings, the image and a careful operator expect."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.consumer.handlers import ROLES
from tandem.durations import Duration
from tandem.settings import ConsumerSettings, LogSettings, ProducerSettings
from tandem.settings.kafka import KafkaSettings
from tandem.settings.registry import RegistrySettings

ROOT = Path(__file__).parents[2]
FILE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Mapping[str, Mapping[str, Any]] = FILE["services"]
OURS = [name for name, service in SERVICES.items() if "TANDEM_IMAGE" in service["image"]]

# Compose settles the cluster, the registry and the admin port itself. The prompt and the bounded modes are for a terminal.
_OF_BOTH = {*LogSettings.model_fields, "connect_timeout", "schema_registry_auto_register"}
_SETTLED = {
    *KafkaSettings.model_fields,
    *RegistrySettings.model_fields,
    "mode",
    "admin_host",
    "admin_port",
} - _OF_BOTH
# A name in the group would be shared by several containers, and the group be moved again at each restart.
_NOT_FOR_CONTAINERS = {"group_instance_id", "from_beginning", "offset"}


def environment(service: str) -> set[str]:
    return {name.lower() for name in SERVICES[service]["environment"]}


@pytest.mark.parametrize(
    ("service", "settings"), [("producer", ProducerSettings), ("consumer", ConsumerSettings)]
)
def test_every_setting_that_compose_does_not_settle_reaches_the_service(
    service: str, settings: type[ProducerSettings | ConsumerSettings]
) -> None:
    secrets = {name for name in settings.model_fields if name.endswith("_file") and name != "unacked_file"}
    passed_on = {*settings.model_fields} - _SETTLED - _NOT_FOR_CONTAINERS - secrets
    assert passed_on - environment(service) == set()


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_as_few_rights_as_it_can(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_a_read_only_root_and_time_to_drain(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert Duration.parse(service["stop_grace_period"]) > service["environment"]["DRAIN_SECONDS"]


@pytest.mark.parametrize("name", SERVICES)
def test_whatever_runs_on_comes_back_and_waits_for_what_it_needs(name: str) -> None:
    service = SERVICES[name]
    once = service.get("entrypoint") == ["tandem"]
    assert service["restart"] == ("no" if once else "unless-stopped")
    if name in OURS:
        brokers = [each for each in service["depends_on"] if "kafka" in each]
        assert brokers
        assert all(service["depends_on"][each]["condition"] == "service_healthy" for each in brokers)


def test_the_profile_shop_has_a_producer_and_every_role() -> None:
    shop = {name for name, service in SERVICES.items() if service.get("profiles") == ["shop"]}
    roles = {f"shop-{name}" for name, role in ROLES.items() if role.stream == "shop"}
    assert shop == {"shop-producer", *roles}


def test_prometheus_scrapes_each_of_our_services_that_runs_on() -> None:
    config = yaml.safe_load((ROOT / "deploy/observability/prometheus.yml").read_text())
    scraped = {
        name
        for job in config["scrape_configs"]
        for discovered in job.get("dns_sd_configs", [])
        for name in discovered["names"]
    }
    assert scraped == {name for name in OURS if SERVICES[name]["restart"] != "no"}


@pytest.mark.parametrize("port", [each for service in SERVICES.values() for each in service.get("ports", [])])
def test_every_port_is_on_loopback(port: str) -> None:
    assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "image", [service["image"] for name, service in SERVICES.items() if name not in OURS]
)
def test_images_of_others_have_a_version(image: str) -> None:
    _, _, tag = image.partition(":")
    assert tag not in {"", "latest"}
