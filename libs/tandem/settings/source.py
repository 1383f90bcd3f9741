"""How settings are read: flags over the environment over `.env`, secrets also from files; and what a bad one says."""

import re
import sys
from argparse import Action, RawDescriptionHelpFormatter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import AliasChoices, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as PydanticSettingsError

from tandem.errors import SettingsError, UsageError
from tandem.log import escape

_LONGEST_VALUE = 200

AnySettings = TypeVar("AnySettings", bound=BaseSettings)


class SettingsSource(BaseSettings):
    """A class of settings whose fields are environment variables, lines of `.env` and flags at the same time."""

    model_config = SettingsConfigDict(
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_implicit_flags=True,
        cli_kebab_case=True,
        env_file=".env",
        extra="ignore",  # `.env` is shared with other programs
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    # An empty variable is as good as none, but for these.
    empty_counts: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- NAME_FILE is read by SecretFiles
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        for source in (env_settings, dotenv_settings):
            assert isinstance(source, EnvSettingsSource)  # noqa: S101 -- for the type checker
            known = source.env_vars.items()
            source.env_vars = {name: value for name, value in known if value or name in cls.empty_counts}
        return (
            init_settings,
            SecretFiles(settings_cls, env_settings),
            env_settings,
            SecretFiles(settings_cls, dotenv_settings),
            dotenv_settings,
        )

    def _given(self, names: Sequence[str]) -> list[str]:
        """Those of the fields that have a value, by their variables."""
        return [name.upper() for name in names if getattr(self, name) is not None]

    def _incomplete(self, names: Sequence[str], rule: str) -> Iterator[str]:
        """Complain when some of the fields are given, and not all."""
        missing = [name.upper() for name in names if getattr(self, name) is None]
        if missing and len(missing) < len(names):
            yield f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; {rule}"


class SecretFiles(PydanticBaseSettingsSource):
    """Reads the secret NAME from the file that NAME_FILE names; NAME and NAME_FILE together are an error."""

    def __init__(self, settings_cls: type[BaseSettings], beside: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        assert isinstance(beside, EnvSettingsSource | DotEnvSettingsSource)  # noqa: S101 -- for the type checker
        self._variables = beside.env_vars

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._secret(_names(field_name, field)), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in _secrets(self.settings_cls)}
        return {name: value for name, value in values.items() if value is not None}

    def _secret(self, names: Sequence[str]) -> str | None:
        for name in names:
            path = self._variables.get(f"{name}_file")
            if path and self._variables.get(name):
                raise SettingsError(
                    f"{name.upper()} and {name.upper()}_FILE are both set", "Keep one of them"
                )
            if path:
                return _read_secret(name, Path(path))
        return None


def _read_secret(name: str, path: Path) -> str:
    try:
        # A pipe would hold us up, and a device may never end.
        reason = "" if path.is_file() or not path.exists() else "is no file"
        text = "" if reason else path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason, text = getattr(error, "strerror", None) or "is not text", ""
    if reason:
        raise SettingsError(
            f"{name.upper()}_FILE: can't read {escape(str(path))}: {reason}",
            "Name a readable file that holds only the secret",
        )
    return text.strip()


def read_settings(settings: type[AnySettings], arguments: Sequence[str] | None = None) -> AnySettings:
    """Read flags (default: the command line's), environment and `.env`.

    Raises SettingsError with one line per bad value: its name, what it got (never a secret), what it takes.
    Raises UsageError for an unknown flag. `--help` ends the program with status 0.
    """
    if Path(".env").is_dir():
        raise SettingsError(
            "can't read .env: it is a folder", "Make it a file of NAME=value lines, or remove it"
        )
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        flags = CliSettingsSource[AnySettings](
            settings, formatter_class=_HelpFormatter, cli_exit_on_error=False
        )
        flags.env_ignore_empty = True  # of flags it is for all
        return CliApp.run(settings, words, cli_settings_source=flags)
    except PydanticSettingsError as error:
        # Only the names of flags: what stands beside a mistyped one may be a secret.
        names = [word.partition("=")[0] for word in words if word.startswith("-")]
        reason = "unrecognized arguments" if "unrecognized" in str(error) else "a value is missing"
        if missing := re.search(r"the following arguments are required: ([\w ,]+)", str(error)):
            reason = f"missing: {missing[1]}"
        among = f" among: {escape(' '.join(names))}" if names else ""
        raise UsageError(f"{reason}{among}", _help(settings)) from None
    except ValidationError as error:
        problems = "; ".join(_problem(settings, dict(detail)) for detail in error.errors())
        raise SettingsError(problems, _help(settings)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"can't read .env: {error}", "Mend or remove the file") from error


def _help(settings: type[BaseSettings]) -> str:
    command = " ".join(filter(None, [settings.model_config.get("cli_prog_name"), "--help"]))
    return f"`{command}` lists every setting"


def _shown(value: object) -> str:
    """What was given, on one line, not too long, and without what stands before an @: it may be a password."""
    return escape(re.sub(r"^.*@", "…@", str(value), flags=re.DOTALL)[:_LONGEST_VALUE])


class _HelpFormatter(RawDescriptionHelpFormatter):
    """Help without a default of None: the description says what happens then."""

    def _get_help_string(self, action: Action) -> str | None:
        return (action.help or "").replace(" (default: None)", "")


def _problem(settings: type[BaseSettings], detail: Mapping[str, Any]) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = re.sub(r"^(Input|String) should", "should", message)
    if not detail["loc"]:
        return message
    name, field = _field(settings, str(detail["loc"][0]))
    if field.validation_alias is None:
        name = f"{settings.model_config.get('env_prefix', '')}{name}"
    if detail["type"] == "missing":  # its input is all that was given, secrets too
        return f"{name.upper()} is missing"
    got = "" if _is_secret(field) else f"={_shown(detail['input'])}"
    return f"{name.upper()}{got} {message}"


def _field(settings: type[BaseSettings], location: str) -> tuple[str, FieldInfo]:
    for name, field in settings.model_fields.items():
        if location in _names(name, field):
            return location, field
    raise LookupError(location)


def _names(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    return (
        [str(choice) for choice in alias.choices]
        if isinstance(alias, AliasChoices)
        else [alias if isinstance(alias, str) else name]
    )


def _secrets(settings: type[BaseSettings]) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, field) for name, field in settings.model_fields.items() if _is_secret(field))


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)
