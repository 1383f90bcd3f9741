"""What a redrive does with a letter: back to its topic, to the parking topic, or nothing. Pure.

Where a letter goes follows from the topic that it lies in, never from what it says: its headers must agree, or it stays.
"""

from dataclasses import dataclass, replace

from services.consumer.dead_letters import dead_letter_topic
from services.ops.dlq.letter import Letter
from tandem.headers import COPY, DEAD_LETTER, GROUP, ORIGINAL_TOPIC, Copy, Header, find
from tandem.kafka.topics import Topic
from tandem.records import Record

_REPLAYS = f"{DEAD_LETTER}replay.count"


@dataclass(frozen=True, slots=True)
class Source:
    """A topic whose dead letters are looked at; `partitions` 0: it is not there."""

    topic: Topic
    partitions: int


@dataclass(frozen=True, slots=True)
class Route:
    """The record that takes a letter on to `topic`, byte for byte the one that failed; `parked`: not where it came from."""

    topic: Topic
    record: Record
    parked: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a letter stays."""

    reason: str


def parking_topic(topic: Topic) -> Topic:
    """The topic for what failed again after each redrive; made like the one for dead letters."""
    return replace(dead_letter_topic(topic), name=f"{topic.name}-parking")


def route(letter: Letter, source: Source, max_replays: int) -> Route | Refusal:
    """Decide on a letter that lies in the dead-letter topic of `source`."""
    if reason := _objection(letter, source):
        return Refusal(reason)
    if (letter.number("replay.count") or 0) >= max_replays:
        parking = parking_topic(source.topic)
        return Route(parking, _parked(letter, parking.name), parked=True)
    return Route(source.topic, _redriven(letter, source), parked=False)


def _objection(letter: Letter, source: Source) -> str | None:
    """Why the letter can't be sent back. It quotes nothing of the letter."""
    name = source.topic.name
    if letter.flaw is not None:
        return letter.flaw
    if letter.failure.get("topic") != name:
        return f"its header {DEAD_LETTER}topic is not {name}"
    if not letter.failure.get("group") or _group(letter) != letter.told("group").encode():
        return f"its header {DEAD_LETTER}group names no group"
    if letter.number("partition") is None:
        return f"its header {DEAD_LETTER}partition is no number"
    if "replay.count" in letter.failure and letter.number("replay.count") is None:
        return f"its header {_REPLAYS} is no number"
    return None if source.partitions else f"the topic {name} is not there"


def _redriven(letter: Letter, source: Source) -> Record:
    """The record that failed, for the group in which it failed. Ours of an earlier redrive are replaced."""
    own: list[Header] = [
        (_REPLAYS, str((letter.number("replay.count") or 0) + 1).encode()),
        (COPY, Copy.REDRIVE.encode()),
        (GROUP, _group(letter)),
    ]
    partition = letter.number("partition")
    fits = partition is not None and partition < source.partitions
    kept = [(name, value) for name, value in letter.headers if not _is_ours(name)]
    return Record(
        topic=source.topic.name,
        key=letter.key,
        value=letter.value,
        headers=[*kept, *own],
        timestamp_ms=letter.timestamp_ms,
        partition=partition if fits else None,
    )


def _parked(letter: Letter, topic: str) -> Record:
    return Record(topic, letter.key, letter.value, letter.headers, letter.timestamp_ms)


def _group(letter: Letter) -> bytes:
    return find(letter.headers, f"{DEAD_LETTER}group") or b""


def _is_ours(name: str) -> bool:
    return name.startswith(DEAD_LETTER) or name in {ORIGINAL_TOPIC, COPY, GROUP}
