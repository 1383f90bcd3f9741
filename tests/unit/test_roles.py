"""The table of roles, and where it is told again."""

import re

import pytest

from services.consumer.handlers import ROLES, choose_role
from tandem.schemas import STREAMS
from tandem.settings import ConsumerSettings


def test_help_lists_every_role() -> None:
    """The settings can't import the roles, which import the settings."""
    description = ConsumerSettings.model_fields["role"].description or ""
    (listed,) = re.findall(r": (.*) \(default", description)
    assert listed.split(", ") == list(ROLES)


def test_every_stream_has_a_role_and_every_role_a_stream() -> None:
    assert {role.stream for role in ROLES.values()} == set(STREAMS)


@pytest.mark.parametrize("name", ROLES)
def test_a_role_reads_topics_of_its_stream(name: str) -> None:
    role = ROLES[name]
    assert set(role.topics) <= {topic.name for topic in STREAMS[role.stream].topics}


@pytest.mark.parametrize("name", ROLES)
def test_every_role_starts_and_reports(name: str) -> None:
    settings = ConsumerSettings(role=name)
    assert choose_role(settings) == name
    event, values = ROLES[name].create(settings).report()
    assert event.endswith("_report")
    assert values
