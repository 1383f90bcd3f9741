"""docker-compose.yml says what the settings, the image and a careful operator expect."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.durations import Duration
from tandem.settings import ConsumerSettings, ProducerSettings
from tandem.settings.kafka import KafkaSettings
from tandem.settings.registry import RegistrySettings

FILE: Mapping[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
SERVICES: Mapping[str, Mapping[str, Any]] = FILE["services"]
OURS = [name for name, service in SERVICES.items() if "TANDEM_IMAGE" in service["image"]]

# What Compose settles itself: the broker, the registry, the admin port. The prompt and the bounded modes are for a terminal.
_SETTLED = {*KafkaSettings.model_fields, *RegistrySettings.model_fields, "mode", "admin_host", "admin_port"}
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
    assert all("condition" in each for each in service.get("depends_on", {}).values())


@pytest.mark.parametrize("port", [each for service in SERVICES.values() for each in service.get("ports", [])])
def test_every_port_is_on_loopback(port: str) -> None:
    assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "image", [service["image"] for name, service in SERVICES.items() if name not in OURS]
)
def test_images_of_others_have_a_version(image: str) -> None:
    _, _, tag = image.partition(":")
    assert tag not in {"", "latest"}
