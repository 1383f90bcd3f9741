"""For the tests of settings."""

from pathlib import Path

import pytest

from tandem.settings import ConsumerSettings, ProducerSettings


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the variables nor the `.env` of the machine reach a test."""
    monkeypatch.chdir(tmp_path)
    for settings in (ProducerSettings, ConsumerSettings):
        for name, field in settings.model_fields.items():
            for choice in getattr(field.validation_alias, "choices", [name]):
                monkeypatch.delenv(str(choice).upper(), raising=False)
