import json

import pytest

from tandem.registry.differences import differences

AVRO = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]}
PROTOBUF = 'syntax = "proto3";\npackage shop;\nmessage Order {\n  string id = 1;\n}\n'
PROPERTIES = {"id": {"type": "string"}}
OBJECT = {"type": "object", "properties": PROPERTIES, "required": ["id"]}


def avro(*fields: dict[str, object]) -> str:
    return json.dumps({**AVRO, "fields": [*fields]})


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (avro({"name": "id", "type": "long"}), ['changed fields.id.type: "string" to "long"']),
        (
            avro({"type": "int", "name": "n"}),
            ['removed fields.id.type: "string"', 'added fields.n.type: "int"'],
        ),
        (avro({"name": "id", "type": "string", "default": ""}), ['added fields.id.default: ""']),
    ],
)
def test_the_fields_of_avro_go_by_their_names(new: str, told: list[str]) -> None:
    assert differences(json.dumps(AVRO), new) == told


def test_what_json_schema_requires_is_told_one_by_one() -> None:
    new = {"type": "object", "properties": {**PROPERTIES, "n": {"type": "integer"}}, "required": ["id", "n"]}
    assert differences(json.dumps(OBJECT), json.dumps(new)) == [
        'added properties.n.type: "integer"',
        "added required n",
    ]


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("int64 id = 1;", ["changed Order.id: string = 1 to int64 = 1"]),
        ("string id = 2;", ["changed Order.id: string = 1 to string = 2"]),
        ("string id = 1; map<string, int32> n = 2;", ["added Order.n: map<string, int32> = 2"]),
        (
            "reserved 1; message Inner { int32 x = 1; }",
            ["removed Order.id: string = 1", "added Order.reserved 1", "added Order.Inner.x: int32 = 1"],
        ),
    ],
)
def test_the_fields_of_protobuf_go_by_their_names(new: str, told: list[str]) -> None:
    assert differences(PROTOBUF, PROTOBUF.replace("string id = 1;", new)) == told


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (json.dumps(AVRO), json.dumps(dict(reversed(AVRO.items())), indent=4)),
        (PROTOBUF, PROTOBUF.replace("\n", " ").replace("string", "// words\n /* more\n */ string")),
    ],
)
def test_order_and_layout_are_no_difference(old: str, new: str) -> None:
    assert differences(old, new) == []


def test_texts_of_two_kinds_differ_in_all() -> None:
    assert len(differences(json.dumps(AVRO), PROTOBUF)) > 3
