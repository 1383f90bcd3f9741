"""What `tandem audit` takes."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from tandem.durations import Duration
from tandem.schemas import STREAMS
from tandem.settings import StreamName, Time
from tandem.settings.flags import FlagSettings
from tandem.settings.types import TopicName

_RUN = re.compile(r"[0-9a-f]{12}")


def _names(value: object) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
    if not all(0 < len(name) <= 249 for name in names):
        raise ValueError("takes names separated by commas")
    return names


def _runs(value: object) -> tuple[str, ...]:
    runs = _names(value)
    if not all(map(_RUN.fullmatch, runs)):
        raise ValueError("takes runs, which have 12 hexadecimal digits, separated by commas")
    return runs


class AuditSettings(FlagSettings):
    """Account for every message, by name: status 0 all is well, 6 loss, 7 duplicates, 8 not all could be checked."""

    model_config = SettingsConfigDict(cli_prog_name="tandem audit")

    topic: TopicName | None = Field(None, description="Only this topic: the same as --kafka-topic")
    stream: StreamName | None = Field(
        None, description=f"Only the topics of {', '.join(STREAMS)} (default: all that are there)"
    )
    group: Annotated[tuple[str, ...], NoDecode, PlainValidator(_names)] = Field(
        (),
        description="Consumer groups, separated by commas (default: those of the stream's roles that have commits there)",
    )
    log_only: bool = Field(default=False, description="Check no consumer group")
    run: Annotated[tuple[str, ...], NoDecode, PlainValidator(_runs)] = Field(
        (), description="Check these runs of producers only, separated by commas"
    )
    since: Time | None = Field(
        None, description="Only what was written in the last 30m, 12h … (default: all that the log holds)"
    )
    timeout: Time = Field(Duration(60), description="Longest wait for an answer of the cluster")
    follow: bool = Field(
        default=False, description="Go on reading until Ctrl+C, and tell what is found as it is found"
    )
    interval: Time = Field(Duration(5), description="follow: time between two looks")
    json_output: bool = Field(default=False, validation_alias="json", description="Print a JSON object")
    junit: Path | None = Field(None, description="Write a JUnit report to this file")

    @model_validator(mode="before")
    @classmethod
    def _one_topic(cls, values: dict[str, Any]) -> dict[str, Any]:
        return values | {"kafka_topic": values["topic"]} if values.get("topic") else values
