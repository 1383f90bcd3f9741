"""What both services take."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tandem.durations import Duration
from tandem.formats.schema import Format
from tandem.settings.registry import RegistrySettings
from tandem.settings.topics import TopicSettings
from tandem.settings.types import AdminPort, Lower, Time


class ServiceSettings(TopicSettings, RegistrySettings):
    """What the producer and the consumer share."""

    empty_counts: ClassVar[frozenset[str]] = frozenset({"admin_port"})

    event_format: Annotated[Format | None, Lower] = Field(
        None, description="json, jsonschema, avro or protobuf (default: the stream's own)"
    )
    unknown_fields: Annotated[Literal["refuse", "ignore"], Lower] = Field(
        "refuse", description="Plain JSON with fields that the model doesn't have: refuse or ignore"
    )
    stats_interval: Time = Field(Duration(10), description="Time between two statistics")
    drain_seconds: float = Field(
        25, gt=0, le=3600, allow_inf_nan=False, description="Time to finish in after the first signal"
    )
    admin_host: str = Field(
        "127.0.0.1", min_length=1, description="Address that the admin port (health, metrics) listens on"
    )
    admin_port: AdminPort = Field(
        "auto",
        description="Port of health and metrics: a number; 0: any free one; none, or empty in the environment: it is off; auto: the"
        " producer's is 8090, the consumer's 8091, or a free one where that is taken",
    )
