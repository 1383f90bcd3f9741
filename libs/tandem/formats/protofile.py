"""The .proto file of an event: from its shape to a descriptor, from that to text, and from a writer's text to names."""

import re
from base64 import b64decode
from collections.abc import Iterator, Sequence

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from msgspec import NODEFAULT

from tandem.formats.shape import Field, Record, Scalar, records

_TIMESTAMP = ".google.protobuf.Timestamp"
_TYPES = {
    Scalar.BOOL: FieldDescriptorProto.TYPE_BOOL,
    Scalar.INT: FieldDescriptorProto.TYPE_INT64,
    Scalar.FLOAT: FieldDescriptorProto.TYPE_DOUBLE,
    Scalar.STRING: FieldDescriptorProto.TYPE_STRING,
    Scalar.INSTANT: FieldDescriptorProto.TYPE_MESSAGE,
}
_WORDS = {
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_STRING: "string",
}
# Each matches wherever it begins, also what is never closed: so that nothing is looked at twice, whatever others wrote.
_NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\\n])*+"?|'(?:\\.|[^'\\\n])*+'?""", re.DOTALL
)
_BRACE = re.compile(r"\bmessage\s+(?P<name>\w+)\s*\{|(?P<other>\{)|\}")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]++=*\s*")

MOST_INDEXES = 32  # of a message that lies in others


def has_presence(field: Field) -> bool:
    """Whether a field's absence can be told from zero: so for all that may be absent."""
    return (field.nullable or field.default is not NODEFAULT) and not field.many


def descriptor(shape: Record) -> FileDescriptorProto:
    """The event's file: one message, with those it holds inside. Numbers follow the order of declaration."""
    path = f"{shape.namespace.replace('.', '/')}/{shape.name}.proto"
    file = FileDescriptorProto(name=path, package=shape.namespace, syntax="proto3")
    whole = list({record.name: record for record in records(shape)}.values())
    if any(field.kind is Scalar.INSTANT for record in whole for field in record.fields):
        file.dependency.append("google/protobuf/timestamp.proto")
    inside = f".{shape.namespace}.{shape.name}"
    event = file.message_type.add()
    _fill(event, whole[0], inside)
    for record in whole[1:]:
        _fill(event.nested_type.add(), record, inside)
    return file


def _fill(message: DescriptorProto, shape: Record, inside: str) -> None:
    message.name = shape.name
    for number, field in enumerate(shape.fields, 1):
        label = FieldDescriptorProto.LABEL_REPEATED if field.many else FieldDescriptorProto.LABEL_OPTIONAL
        added = message.field.add(name=field.name, number=number, label=label)
        if isinstance(field.kind, Record):
            added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f"{inside}.{field.kind.name}"
        else:
            added.type = _TYPES[field.kind]
        if field.kind is Scalar.INSTANT:
            added.type_name = _TIMESTAMP
        if has_presence(field):
            added.proto3_optional, added.oneof_index = True, len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")


def text(file: FileDescriptorProto) -> str:
    """The file in the language that people and registries read."""
    imports = [f'import "{name}";\n' for name in file.dependency]
    head = ['syntax = "proto3";\n', f"package {file.package};\n", *imports]
    return "\n".join([*head, *("\n".join(_lines(message)) for message in file.message_type)]) + "\n"


def _lines(message: DescriptorProto) -> Iterator[str]:
    yield f"message {message.name} {{"
    for field in message.field:
        yield f"  {_label(field)}{_word(field)} {field.name} = {field.number};"
    for nested in message.nested_type:
        yield ""
        yield from (f"  {line}" if line else line for line in _lines(nested))
    yield "}"


def _label(field: FieldDescriptorProto) -> str:
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return "repeated "
    return "optional " if field.proto3_optional else ""


def _word(field: FieldDescriptorProto) -> str:
    if field.type_name == _TIMESTAMP:
        return _TIMESTAMP.lstrip(".")
    return _WORDS.get(field.type) or field.type_name.rpartition(".")[2]


def message_names(source: str) -> dict[tuple[int, ...], str]:
    """The messages of a file by their indexes in it, whether a registry returned its text or its descriptor in base64.

    Those with more than MOST_INDEXES are left out.
    """
    if _BASE64.fullmatch(source):
        return dict(_descriptor_names(FileDescriptorProto.FromString(b64decode(source)).message_type, ()))
    return dict(_text_names(_NOT_CODE.sub(" ", source)))


def _descriptor_names(
    messages: Sequence[DescriptorProto], above: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], str]]:
    for index, message in enumerate(messages):
        yield (*above, index), message.name
        yield from _descriptor_names(message.nested_type, (*above, index))


def _text_names(code: str) -> Iterator[tuple[tuple[int, ...], str]]:
    """Count messages at each level; a brace of something else (an enum, a oneof) is a level that has no index."""
    indexes: list[int] = []
    of_messages: list[bool] = []  # the braces that are open
    counts = [0]
    for brace in _BRACE.finditer(code):
        if brace["name"]:
            indexes.append(counts[-1])
            counts[-1] += 1
            if len(indexes) <= MOST_INDEXES:
                yield tuple(indexes), brace["name"]
        if brace["name"] or brace["other"]:
            of_messages.append(bool(brace["name"]))
            counts.append(0)
        elif of_messages:
            counts.pop()
            if of_messages.pop():
                indexes.pop()
