"""What both services take."""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
)

from tandem.durations import Duration
from tandem.formats.schema import Format
from tandem.settings.registry import RegistrySettings
from tandem.settings.topics import TopicSettings
from tandem.settings.types import AdminPort, Lower, Time


class ServiceSettings(TopicSettings, RegistrySettings):
    """What the producer and the consumer share."""

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
        description="Port of health and metrics: a number; 0: any free one; none, or empty: it is off; auto: the"
        " producer's is 8090, the consumer's 8091, or a free one where that is taken",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(dotenv_settings, DotEnvSettingsSource)  # noqa: S101 -- for the type checker
        flags, *others = super().settings_customise_sources(
            settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        )
        beside = others.index(env_settings) + 1
        whole = EnvSettingsSource(settings_cls, env_ignore_empty=False)
        lines = DotEnvSettingsSource(settings_cls, env_file=dotenv_settings.env_file, env_ignore_empty=False)
        emptied = _Emptied(settings_cls, whole), _Emptied(settings_cls, lines)
        return flags, *others[:beside], emptied[0], *others[beside:], emptied[1]


class _Emptied(PydanticBaseSettingsSource):
    """An ADMIN_PORT that is set to nothing is switched off; of every other setting it means that it is not set."""

    def __init__(
        self, settings_cls: type[BaseSettings], beside: EnvSettingsSource | DotEnvSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._off = beside.env_vars.get("admin_port") == ""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 -- it knows one
        return "none" if self._off else None, "admin_port", False

    def __call__(self) -> dict[str, Any]:
        return {"admin_port": "none"} if self._off else {}
