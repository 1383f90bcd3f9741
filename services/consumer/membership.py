"""The consumer's membership in its group: the client that joins, and what to change when it is refused."""

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from services.consumer.assignment import REBALANCE_SECONDS
from tandem import kafka
from tandem.kafka.diagnosis import missing_right
from tandem.settings import ConsumerSettings


def group_client(settings: ConsumerSettings, group: str) -> AIOKafkaConsumer:
    """A client for the group, not started: it commits only when it is told to."""
    session_ms = int(settings.session_timeout * 1000)
    request_ms = int((REBALANCE_SECONDS + 5) * 1000)  # it also bounds the wait for a rebalance
    return AIOKafkaConsumer(
        **kafka.client_arguments(settings) | {"request_timeout_ms": request_ms},
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset=settings.auto_offset_reset,
        isolation_level="read_committed",  # what a transaction has taken back is no event
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=min(3000, session_ms // 3),
        rebalance_timeout_ms=int(REBALANCE_SECONDS * 1000),
        max_poll_interval_ms=int(settings.max_poll_interval * 1000),
        group_instance_id=settings.group_instance_id,
        # By range a member gets the same partitions of all topics: of one and of its retry topics.
        partition_assignment_strategy=(
            (RangePartitionAssignor,) if settings.retry_keep_order else (RoundRobinPartitionAssignor,)
        ),
    )


def commits_client(settings: ConsumerSettings, group: str) -> AIOKafkaConsumer:
    """A client that asks for a group's commits, or makes some, and does not join; not started."""
    return AIOKafkaConsumer(**kafka.client_arguments(settings), group_id=group, enable_auto_commit=False)


def remedy(error: KafkaError) -> str | None:
    """What a person must change, for an error that trying again does not mend."""
    match error:
        case NoOffsetForPartitionError() | OffsetOutOfRangeError():
            return "Choose a start: --from-beginning, --offset, or AUTO_OFFSET_RESET=earliest or latest instead of none"
        case InvalidSessionTimeoutError():
            return "Set SESSION_TIMEOUT between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms"
        case InvalidGroupIdError() | InconsistentGroupProtocolError():
            return "Choose another GROUP_ID"
        case _:
            return missing_right(error)
