import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import jsonschema
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from tandem.formats import protofile
from tandem.formats.generated import FOLDER, events, files, texts
from tandem.formats.jsonschema import JsonSchema
from tandem.formats.shape import record
from tests.unit.events import events as any_event
from tests.unit.test_formats_round_trips import MODELS, Parcel

PROTO_INCLUDES = Path(protoc.__file__).parent / "_proto"

NESTED = """
syntax = "proto3"; // message Comment {
package a; /* message Block { } */
import "b.proto";
enum Kind { ZERO = 0; }
message First { option (x) = "message Text { }"; string message = 1; oneof either { int64 a = 2; } message Inner {} }
service Calls { rpc Call (First) returns (Second) {} }
message Second { message A { message B {} } message C {} }
"""


def test_the_schemas_checked_in_are_those_of_the_models() -> None:
    """`make schemas` writes them."""
    assert {path: path.read_text() for path in FOLDER.rglob("*.*")} == files()


def test_every_stream_has_its_event_there() -> None:
    assert {"Order", "Transaction", "SalesRecord", "Shoe", "ShopEvent"} <= {
        event.__name__ for event in events()
    }


@pytest.mark.parametrize("model", MODELS)
def test_protoc_reads_the_text_as_what_we_write(model: type[Struct], tmp_path: Path) -> None:
    made = protofile.descriptor(record(model))
    source = tmp_path / made.name
    source.parent.mkdir(parents=True)
    source.write_text(protofile.text(made))
    result = tmp_path / "result"
    arguments = [f"-I{tmp_path}", f"-I{PROTO_INCLUDES}", f"--descriptor_set_out={result}", made.name]
    assert protoc.main(["protoc", *arguments]) == 0
    (read,) = FileDescriptorSet.FromString(result.read_bytes()).file
    for message in (read.message_type[0], *read.message_type[0].nested_type):
        for field in message.field:
            field.ClearField("json_name")
    assert read == made


def test_the_avro_schema_says_what_may_be_absent() -> None:
    schema = json.loads(texts(Parcel)[".avsc"])
    kinds = {field["name"]: field for field in schema["fields"]}
    instant = {"type": "long", "logicalType": "timestamp-micros"}
    assert (schema["namespace"], schema["name"]) == ("tandem.test_formats_round_trips", "Parcel")
    assert kinds["parcelId"] == {"name": "parcelId", "type": "long"}
    assert kinds["stamps"] == {"name": "stamps", "type": {"type": "array", "items": instant}}
    assert kinds["mainLine"] == {"name": "mainLine", "type": "Line"}
    assert kinds["spareLine"] == {"name": "spareLine", "type": ["null", "Line"]}
    assert kinds["state"] == {"name": "state", "type": "string"}
    assert kinds["floor"] == {"name": "floor", "type": ["null", "long"], "default": None}
    assert kinds["copies"] == {"name": "copies", "type": "long", "default": 7}
    assert kinds["tags"] == {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []}


@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
@settings(deadline=None, max_examples=10)
def test_the_json_schema_accepts_what_we_write(model: type[Struct], data: st.DataObject) -> None:
    notation = JsonSchema(model)
    schema = json.loads(notation.schema.text)
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(json.loads(notation.write(data.draw(any_event(model)))), schema)


@pytest.mark.parametrize("suffix", [".avsc", ".proto", ".json"])
def test_a_schema_says_nothing_that_may_change_without_a_new_version(suffix: str) -> None:
    assert "Everything that a model may declare" in (Parcel.__doc__ or "")
    assert "Everything" not in texts(Parcel)[suffix]


def test_the_messages_of_a_file_are_found_in_its_text() -> None:
    assert protofile.message_names(NESTED) == {
        (0,): "First",
        (0, 0): "Inner",
        (1,): "Second",
        (1, 0): "A",
        (1, 0, 0): "B",
        (1, 1): "C",
    }


def test_the_messages_of_a_file_are_found_in_its_descriptor() -> None:
    made: FileDescriptorProto = protofile.descriptor(record(Parcel))
    text = base64.b64encode(made.SerializeToString()).decode()
    assert protofile.message_names(text) == {(0,): "Parcel", (0, 0): "Line"}


class Node(Struct):
    child: "Node | None" = None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (int | str, "a union"),
        (list[str] | None, "declare an empty one"),
        (list[list[str]], "no equal in every format"),
        (dict[str, int], "no equal in every format"),
        (bytes, "no equal in every format"),
        (datetime, "no equal in every format"),
        (Literal[1, 2], "no equal in every format"),
        (float, "declare both bounds"),
        (Annotated[float, Meta(ge=0)], "declare both bounds"),
        (Node, "holds itself"),
        (defstruct("Empty", []), "or nothing"),
        (defstruct("Tagged", [("a", int)], tag=True), "no plain struct"),
        (defstruct("Event", [("a", int)]), "holds itself"),
    ],
)
def test_a_field_that_not_every_format_can_say_is_refused(kind: object, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        record(defstruct("Event", [("field", kind)]))


@pytest.mark.parametrize(
    ("kind", "default"), [(str | None, "x"), (list[str], ["x"]), (str | UnsetType, UNSET), (Node, Node())]
)
def test_a_default_that_not_every_format_can_say_is_refused(kind: object, default: object) -> None:
    field = ("field", kind, default)
    with pytest.raises(TypeError):
        record(defstruct("Event", [field]))


def test_two_structs_of_one_name_are_refused() -> None:
    one, other = defstruct("Part", [("a", int)]), defstruct("Part", [("b", int)])
    with pytest.raises(TypeError, match="two kinds of Part"):
        record(defstruct("Event", [("one", one), ("other", other)]))
