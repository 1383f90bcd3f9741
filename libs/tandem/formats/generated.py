"""The schemas that are checked in: what the models declare, for people, other languages' generators and reviews."""

import pkgutil
from importlib import import_module
from pathlib import Path

from msgspec import Struct

from tandem import schemas
from tandem.formats.avro import Avro
from tandem.formats.jsonschema import JsonSchema
from tandem.formats.protobuf import Protobuf
from tandem.formats.schema import Notation
from tandem.schemas.stream import Stream

FOLDER = Path(schemas.__file__).parent / "generated"
_NOTATIONS: dict[str, type[Notation]] = {".avsc": Avro, ".proto": Protobuf, ".json": JsonSchema}


def events() -> list[type[Struct]]:
    """The events of every stream that a module of tandem.schemas declares."""
    modules = [
        import_module(f"{schemas.__name__}.{one.name}") for one in pkgutil.iter_modules(schemas.__path__)
    ]
    streams = [value for module in modules for value in vars(module).values() if isinstance(value, Stream)]
    return sorted({stream.event for stream in streams}, key=_path)


def texts(event: type[Struct]) -> dict[str, str]:
    """The schemas of an event, by the suffix of the file."""
    return {suffix: notation(event).schema.text for suffix, notation in _NOTATIONS.items()}


def files() -> dict[Path, str]:
    """Every file that belongs into FOLDER."""
    return {
        FOLDER / f"{_path(event)}{suffix}": text
        for event in events()
        for suffix, text in texts(event).items()
    }


def _path(event: type[Struct]) -> str:
    return f"{event.__module__.rpartition('.')[2]}/{event.__name__}"
