"""Rights: the least that are enough, and the name of each that is missing."""

import re
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.integration.processes import running
from tests.integration.security.complaints import Someone, complaint

_TOPIC, _LETTERS, _LEDGER = "{topic}", "{topic}-dlt", "{topic}-ledger"


@pytest.mark.parametrize(
    ("service", "rights", "told"),
    [
        ("producer", [], "{topic} does not exist, .* or it does, and this user may not see it"),
        (
            "producer",
            [("DESCRIBE", "TOPIC", _TOPIC)],
            "no Write on the topic {topic}\\. Grant it: kafka-acls",
        ),
        ("producer", [("READ", "TOPIC", _TOPIC)], "no Write on the topic {topic}"),
        ("producer", [("WRITE", "TOPIC", _TOPIC)], "{topic}-ledger does not exist.*; or do without .*=none"),
        (
            "producer",
            [("WRITE", "TOPIC", _TOPIC), ("READ", "TOPIC", _LEDGER)],
            "no Write on the topic {topic}-ledger.*; or do without a ledger: LEDGER_TOPIC=none",
        ),
        ("consumer", [], "{topic} does not exist, .* or it does, and this user may not see it"),
        (
            "consumer",
            [("WRITE", "TOPIC", _TOPIC), ("WRITE", "TOPIC", _LETTERS)],
            "no Read on the topic {topic}",
        ),
        (
            "consumer",
            [("READ", "TOPIC", _TOPIC), ("READ", "TOPIC", _LETTERS)],
            "no Write on the topic {topic}-dlt",
        ),
        (
            "consumer",
            [("READ", "TOPIC", _TOPIC), ("WRITE", "TOPIC", _LETTERS)],
            "GroupAuthorizationFailed.*Grant this user Read on the group",
        ),
    ],
)
async def test_a_missing_right_is_named(
    service: str,
    rights: list[tuple[str, str, str]],
    told: str,
    someone: Someone,
    topic: str,
    tmp_path: Path,
) -> None:
    settings = await someone(*rights)
    status, said = await complaint(service, tmp_path, settings)
    assert status == 3
    assert re.search(told.format(topic=topic), said), said


async def test_the_least_rights_are_enough(someone: Someone, tmp_path: Path) -> None:
    produces = await someone(("WRITE", "TOPIC", _TOPIC), ("WRITE", "TOPIC", _LEDGER))
    async with running("producer", tmp_path, max_messages=5, message_interval="10ms", **produces) as producer:
        assert await producer.end() == 0
    consumes = await someone(
        ("READ", "TOPIC", _TOPIC), ("WRITE", "TOPIC", _LETTERS), ("READ", "GROUP", _TOPIC)
    )
    async with running("consumer", tmp_path, log_level="debug", **consumes) as consumer:
        await consumer.until("handled", count=5)
        assert await consumer.end(SIGTERM) == 0
