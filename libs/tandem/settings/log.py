"""What every command takes."""

from typing import Annotated, Literal

from pydantic import Field

from tandem.settings.source import SettingsSource
from tandem.settings.types import Lower

Level = Annotated[Literal["debug", "info", "warn", "error"], Lower]
Form = Annotated[Literal["console", "json"], Lower]


class LogSettings(SettingsSource):
    """What every command knows."""

    log_level: Level = Field(
        "info",
        validation_alias="log_level",  # the same name under any prefix that a command gives its own settings
        description="Least severe lines shown",
    )
    log_format: Form | None = Field(
        None,
        validation_alias="log_format",
        description="console or json (default: console on a terminal, json otherwise)",
    )
