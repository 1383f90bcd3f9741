from aiokafka.errors import PolicyViolationError, TopicAuthorizationFailedError

from tandem.kafka.topics import Topic, creation_refused

LETTERS = Topic("orders-dlt", partitions=6, replication=3, configs={"retention.ms": "-1"})


def test_without_the_right_to_create_a_topic_the_command_for_it_is_told() -> None:
    error = creation_refused(LETTERS, TopicAuthorizationFailedError, None)
    assert error.status == 3
    assert (
        error.cause
        == "Topic orders-dlt does not exist, and this user may not create it; or it does, and this user may not see it"
    )
    assert error.remedy.endswith(
        "--create --topic orders-dlt --partitions 6 --replication-factor 3 --config retention.ms=-1"
    )


def test_any_other_refusal_is_told_as_the_broker_says_it() -> None:
    error = creation_refused(LETTERS, PolicyViolationError, "names start with a team")
    assert error.cause == "Topic orders-dlt does not exist, and can't be created: names start with a team"
