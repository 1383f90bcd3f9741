"""What the environment of a service may hold, for the tests of what sets it."""

from collections.abc import Iterable

from pydantic_settings import BaseSettings

from tandem.settings import ConsumerSettings, ProducerSettings


def setting_names(classes: Iterable[type[BaseSettings]] = (ProducerSettings, ConsumerSettings)) -> set[str]:
    """The variables of these settings, with NAME_FILE of those that are secrets."""
    fields = [entry for settings in classes for entry in settings.model_fields.items()]
    return {
        f"{choice}{suffix}".upper()
        for name, field in fields
        for choice in getattr(field.validation_alias, "choices", [name])
        for suffix in ("", "_FILE" if "SecretStr" in str(field.annotation) else "")
    }


def secret_names() -> set[str]:
    """Those of them that hold a secret itself."""
    names = setting_names()
    return {name for name in names if f"{name}_FILE" in names}
