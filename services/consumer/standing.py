"""Where a partition of the assignment stands, read from the client and from what is in hand; nothing is asked for."""

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.consumer.partition import Partition


@dataclass(frozen=True, slots=True)
class Standing:
    """A partition at one moment. Offsets are None while they are not known; `next_try` is a time of the loop's clock."""

    topic: str
    partition: int
    position: int | None = None  # to fetch next
    resolved: int | None = None  # the first that is not resolved
    committed: int | None = None
    end: int | None = None
    in_hand: int = 0
    full: bool = False
    preparing: bool = False
    next_try: float | None = None

    @property
    def lag(self) -> int | None:
        """From the first record that is not resolved to the end."""
        return None if self.end is None or self.resolved is None else max(0, self.end - self.resolved)

    def waits_for(self, now: float) -> str | None:
        """What holds it up, in words; None where it gets on, or has nothing to do."""
        if self.preparing:
            return "what has to be known before its first record"
        if self.full:
            return "its handler: as much as there may be is in hand"
        if self.next_try is not None:
            return f"a record that is tried again in {max(0.0, self.next_try - now):.1f} s"
        return None if self.in_hand == 0 else "its handler"


def standing(client: AIOKafkaConsumer, at: TopicPartition, held: Partition | None) -> Standing:
    """How an assigned partition stands; `held` is there as soon as a record has come."""
    position, end = _position(client, at), client.highwater(at)
    if held is None:
        return Standing(at.topic, at.partition, position, position, end=end)
    offsets = held.offsets
    return Standing(
        at.topic,
        at.partition,
        position,
        offsets.next if offsets.in_hand else position,
        offsets.committed,
        end,
        in_hand=offsets.in_hand,
        full=held.full,
        preparing=offsets.committed is None,
        next_try=held.next_try,
    )


def _position(client: AIOKafkaConsumer, at: TopicPartition) -> int | None:
    """Where to fetch next. The client's own method waits until it is known."""
    state = client._subscription.subscription.assignment.state_value(at)  # noqa: SLF001
    return state.position if state is not None and state.has_valid_position else None
