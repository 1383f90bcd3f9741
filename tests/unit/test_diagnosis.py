"""What Kafka refuses is told with what to grant."""

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    NoError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from tandem.kafka.diagnosis import refusal
from tandem.kafka.rights import Right, lacks

READ_AND_DESCRIBE = 1 << Right.READ | 1 << Right.DESCRIBE


@pytest.mark.parametrize(
    ("error", "cause", "remedy"),
    [
        (TopicAuthorizationFailedError({"orders"}), "requested topic: orders", "Read or Write on the topic"),
        (GroupAuthorizationFailedError("shop"), "groupId: shop", "Grant this user Read on the group"),
        (ClusterAuthorizationFailedError(), "ClusterAuthorizationFailed", "IdempotentWrite on the cluster"),
    ],
)
def test_a_missing_right_is_named_with_what_it_is_for(error: KafkaError, cause: str, remedy: str) -> None:
    problem = refusal(error)
    assert problem.status == 3
    assert cause in problem.cause
    assert remedy in problem.remedy


def test_any_other_error_may_pass() -> None:
    assert refusal(RequestTimedOutError()).status == 4


def test_a_right_is_a_bit_of_the_answer() -> None:
    assert not lacks(Right.READ, NoError, READ_AND_DESCRIBE)
    assert lacks(Right.WRITE, NoError, READ_AND_DESCRIBE)


def test_what_is_not_told_is_taken_for_granted() -> None:
    assert not lacks(Right.WRITE, NoError, -(2**31))
    assert not lacks(Right.WRITE, UnknownTopicOrPartitionError, 0)


def test_a_topic_that_may_not_be_seen_may_not_be_used() -> None:
    assert lacks(Right.READ, TopicAuthorizationFailedError, -(2**31))
