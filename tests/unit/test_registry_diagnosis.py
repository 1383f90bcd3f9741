import pytest
from confluent_kafka.schema_registry import SchemaRegistryError
from httpx2 import ConnectError, ReadTimeout, RemoteProtocolError, WriteError

from tandem.errors import ExitStatus
from tandem.registry.diagnosis import explain, is_missing, reasons

WHERE = "https://registry"


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (
            SchemaRegistryError(401, 40101, "no"),
            ExitStatus.SETTINGS,
            r"refuses the user \(401\): no.*_API_KEY",
        ),
        (SchemaRegistryError(403, -1, "<html>"), ExitStatus.SETTINGS, r"refuses the user \(403\)"),
        (SchemaRegistryError(503, -1, "busy"), ExitStatus.UNAVAILABLE, r"answers 503: busy"),
        (SchemaRegistryError(429, -1, "slow"), ExitStatus.UNAVAILABLE, r"answers 429"),
        (
            SchemaRegistryError(404, -1, "<html>"),
            ExitStatus.SETTINGS,
            r"no schema registry .* answers 404.*whole",
        ),
        (SchemaRegistryError(302, -1, ""), ExitStatus.SETTINGS, r"no schema registry .* answers 302"),
        (SchemaRegistryError(404, 40403, "No 5"), ExitStatus.SETTINGS, r"says: No 5"),
        (SchemaRegistryError(409, 409, "b at /1"), ExitStatus.SETTINGS, r"not compatible .*: b at /1"),
        (SchemaRegistryError(422, 42201, "bad"), ExitStatus.SETTINGS, r"refuses it \(422\): bad"),
        (ValueError("Expecting value"), ExitStatus.SETTINGS, r"something else \(ValueError\)"),
        (ReadTimeout(""), ExitStatus.UNAVAILABLE, r"Can't reach .*: ReadTimeout"),
        (
            RemoteProtocolError(""),
            ExitStatus.UNAVAILABLE,
            r"closes the connection.*SCHEMA_REGISTRY_SSL_CERTFILE",
        ),
        (WriteError("reset"), ExitStatus.UNAVAILABLE, r"closes the connection"),
        (ConnectError("no route"), ExitStatus.UNAVAILABLE, r"Can't reach .*: no route"),
        (TimeoutError(), ExitStatus.UNAVAILABLE, r"does not answer in time"),
    ],
)
def test_each_error_has_its_own_words_and_status(error: Exception, status: ExitStatus, told: str) -> None:
    with pytest.raises(type(explain(error, WHERE)), match=told) as raised:
        raise explain(error, WHERE)
    assert raised.value.status == status


def test_only_a_registry_can_say_that_something_is_missing() -> None:
    assert is_missing(SchemaRegistryError(404, 40403, "Schema not found"))
    assert not is_missing(SchemaRegistryError(404, -1, "<html>"))
    assert not is_missing(None)


def test_an_answer_can_not_break_the_line_or_fill_the_screen() -> None:
    problem = explain(SchemaRegistryError(422, 42201, "a\nb\x1b[31m" + "x" * 10_000), WHERE)
    assert problem.cause.isprintable()
    assert len(problem.cause) < 1200


def test_the_reasons_of_confluents_check_come_without_the_old_schema() -> None:
    messages = [
        "{errorType:'X', description:'The field 'n' at path '/fields/1' has no default value', additionalInfo:'n'}",
        "{oldSchemaVersion: 1}",
        '{oldSchema: \'{"type":"record"}\'}',
        "{compatibility: 'BACKWARD'}",
    ]
    assert reasons(messages) == "The field 'n' at path '/fields/1' has no default value"
    assert reasons([]) == ""
    assert reasons(["Incompatible: {removed}"]) == "Incompatible: {removed}"
