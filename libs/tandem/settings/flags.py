"""Settings of a command that come from its flags alone: a SINCE or GROUP in the environment is meant for another program."""

from collections.abc import Container
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from tandem.settings.topics import TopicSettings

_FROM_EVERYWHERE = {*TopicSettings.model_fields, "stream"}


class FlagSettings(TopicSettings):
    """What says which cluster and topics is read from everywhere, the rest from flags alone."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        fields = {name: field for name, field in cls.model_fields.items() if name not in _FROM_EVERYWHERE}
        own = {*fields, *(str(field.validation_alias) for field in fields.values())}
        flags, *rest = super().settings_customise_sources(
            settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        )
        return flags, *(_Without(settings_cls, source, own) for source in rest)


class _Without(PydanticBaseSettingsSource):
    """A source of settings that knows nothing of some, by their names or aliases."""

    def __init__(
        self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource, names: Container[str]
    ) -> None:
        super().__init__(settings_cls)
        self._source = source
        self._names = names

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._source.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in self._source().items() if name not in self._names}
