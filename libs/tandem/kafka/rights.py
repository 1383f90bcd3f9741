"""What this user may do with topics, asked before it is tried: a record that is refused would be lost to the run.

Kafka tells it in the answer to Metadata, from version 8 on (KIP-430); aiokafka asks for version 5 at most.
"""

from collections.abc import Mapping
from enum import IntEnum

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, NoError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from tandem.errors import SettingsError

_NOT_TOLD = -(2**31)


class Right(IntEnum):
    """An operation on a topic, by its number in Kafka's AclOperation."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]  # aiokafka is not typed
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        return request_struct_class(self._topics, False, False, True)  # noqa: FBT003 -- the order of the protocol


async def require_rights(admin: AIOKafkaAdminClient, needed: Mapping[str, Right]) -> None:
    """Raise SettingsError that names the first right on a topic that this user lacks.

    What can't be known is taken for granted: rights on a topic that is not there yet, or on a broker before Kafka 2.3.
    """
    if not needed:
        return
    try:
        answer = await admin._send_request(_MetadataRequest(list(needed)))  # noqa: SLF001 -- it knows no version 8
    except IncompatibleBrokerVersion:
        return
    for code, topic, _, _, operations in answer.topics:
        if lacks(needed[topic], for_code(code), operations):
            right = needed[topic].name.capitalize()
            raise SettingsError(
                f"This user has no {right} on the topic {topic}",
                f"Grant it: kafka-acls.sh --bootstrap-server SERVER --add --allow-principal User:NAME"
                f" --operation {right} --topic {topic}",
            )


def lacks(right: Right, error: type[Exception], operations: int) -> bool:
    """Read Kafka's answer for one topic: bit n of `operations` stands for operation n."""
    if error is not NoError:
        return error is TopicAuthorizationFailedError
    return operations != _NOT_TOLD and not operations & 1 << right
