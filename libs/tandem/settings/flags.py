"""Settings of a command that come from its flags alone: a SINCE or GROUP in the environment is meant for another program."""

from collections.abc import Container
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class Without(PydanticBaseSettingsSource):
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
