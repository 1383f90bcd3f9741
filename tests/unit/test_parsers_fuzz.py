"""What else is read of bytes that anybody may have written: commits, ledgers, headers, the file of what was not acknowledged."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from aiokafka import ConsumerRecord

from services.consumer.offsets import Offsets
from services.consumer.origin import Place, find_origin
from services.consumer.set_aside import Failure, reason_headers
from services.ops.audit.findings import At
from services.ops.audit.ledgers import Ledgers
from services.ops.audit.records import Records
from services.ops.audit.run_check import LogPart, check_run, state_of
from services.ops.audit.set_aside import SetAside
from services.ops.dlq.letter import letter, marked
from services.ops.dlq.show import as_json, line, page
from tandem.account import Checkpoint, extend, read, write
from tandem.headers import (
    CHECKSUM,
    COPY,
    DEAD_LETTER,
    EVENT_ID,
    FAULT,
    GROUP,
    ORIGINAL_TOPIC,
    Header,
    checksum,
)
from tandem.ledger import Edition, LaneLedger, Span
from tandem.unacked import Unacked
from tests.unit.fuzzing import Attempt, fuzz
from tests.unit.mutations import anything, mutate

METADATA_LIMIT = 4096  # offset.metadata.max.bytes: beyond it, nothing can be committed
_PLAUSIBLE = 2**63  # an offset, or a number of records
RUN = "0123456789ab"
LANE = LaneLedger(
    "orders", 2, 40, (Span(3, 4),), (Span(7, 9), Span(12, 12)), first_offset=100, last_offset=160
)
EDITION = Edition(RUN, "orders", 1767225600000, 5000, closed=True, lanes=(LANE, LaneLedger("orders", 0)))
UNACKED = Unacked("orders", 2, 1767225600000, b"k", b"v", (("ce_id", b"x"),), "unknown", "gone")
HEADERS: Sequence[Header] = [
    (EVENT_ID, f"{RUN}/2/17".encode()),
    (EVENT_ID, f"{RUN}/2/17/payments/0".encode()),
    (CHECKSUM, checksum(b"k", b"v")),
    *((name, b"redrive") for name in (COPY, GROUP, FAULT)),
    ("tandem_redriven", b"17"),
    (ORIGINAL_TOPIC, b"orders"),
    *(
        (f"{DEAD_LETTER}{name}", b"2")
        for name in ("partition", "offset", "attempts", "replay.count", "timestamp")
    ),
    *((f"{DEAD_LETTER}{name}", b"orders") for name in ("topic", "group", "stage", "exception", "message")),
    (f"{DEAD_LETTER}first.failed.at", b"2026-01-01T00:00:00.000+00:00"),
]


def account(random: Random, length: int) -> list[Checkpoint]:
    """Checkpoints as they may lie in a commit."""
    checkpoints, at = [], Checkpoint(random.choice((0, 7, 2**40)), random.choice((0, 0, 7, 2**64 - 2)))
    for _ in range(length):
        checkpoints.append(at)
        more = random.randint(1, 1000)
        at = at._replace(offset=at.offset + more, resolved=at.resolved + more, digest=random.getrandbits(64))
    return checkpoints


def test_any_metadata_of_a_commit_is_an_account_that_goes_on_or_none(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def make(random: Random) -> tuple[object, Attempt]:
        checkpoints = account(random, random.choice((1, 2, 12, 24, 300)))
        valid = write(checkpoints).encode()
        spoilt = random.choice((valid, mutate(valid, random, [valid]), anything(random)))
        text = spoilt.decode(errors="replace")
        offset = random.choice((checkpoints[-1].offset, random.choice((0, 2**40, 2**59))))
        return (text, offset), lambda: go_on(text, offset)

    fuzz(make, capfd, share=0.3)


def go_on(metadata: str, offset: int) -> None:
    found = read(metadata, offset)
    offsets = Offsets()
    offsets.fetch([offset, offset + 3])
    offsets.begin(found)
    for each in (offset, offset + 3):
        offsets.resolve(each, 2**64 - 1)
    mark = offsets.committable()
    assert mark is not None
    assert len(mark.metadata) <= METADATA_LIMIT
    if max(mark.checkpoints[-1][:-1]) < _PLAUSIBLE:
        assert read(mark.metadata, mark.offset) == mark.checkpoints, "what we write we can read"
    assert extend(mark.checkpoints, Checkpoint(mark.offset + 1))


def test_any_bytes_in_the_ledger_topic_are_an_edition_or_none(capfd: pytest.CaptureFixture[str]) -> None:
    valid = EDITION.encode()

    def make(random: Random) -> tuple[object, Attempt]:
        value = anything(random) if random.random() < 0.05 else mutate(valid, random, [valid])
        return value, lambda: audit_with(value, random)

    fuzz(make, capfd, share=0.3)


def audit_with(value: bytes, random: Random) -> None:
    ledgers = Ledgers({"orders"})
    ledgers.add([Message(0, RUN.encode(), value)])
    assert (ledgers.remark() or "").isprintable()
    try:
        edition = Edition.decode(value)
    except ValueError:
        return
    assert Edition.decode(edition.encode()) == edition
    for lane in edition.lanes:
        trails = seen(range(random.randrange(60)), lane.partition).trails
        part = LogPart(At(lane.topic, lane.partition), 0, random.choice((0, 120)), 200)
        check_run(RUN, part, trails.get(RUN), lane, state_of(edition, 1767225600000, beyond=True))


def seen(sequences: Sequence[int], partition: int) -> Records:
    records = Records(At("orders", partition))
    records.fold(
        [Message(at, None, None, [(EVENT_ID, f"{RUN}/{partition}/{at}".encode())]) for at in sequences]
    )
    return records


class Message(NamedTuple):
    """As much of a record of confluent_kafka as the audit looks at."""

    at: int
    its_key: bytes | None
    its_value: bytes | None
    its_headers: Sequence[tuple[str, Any]] = ()  # a value may be missing

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.its_key

    def value(self) -> bytes | None:
        return self.its_value

    def headers(self) -> list[tuple[str, Any]] | None:
        return list(self.its_headers) or None


def test_any_headers_are_read_or_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    values = [value for _, value in HEADERS]

    def spoilt(name: str, value: bytes, random: Random) -> tuple[str, Any]:
        if random.random() < 0.1:
            return random.choice((name, "", "x\x1b[2J", name.upper())), None
        return name, value if random.random() < 0.4 else mutate(value, random, values)

    def make(random: Random) -> tuple[object, Attempt]:
        headers = [spoilt(*header, random) for header in random.choices(HEADERS, k=random.randrange(25))]
        return headers, lambda: read_headers(headers)

    fuzz(make, capfd, share=0.3)


def read_headers(headers: list[tuple[str, Any]]) -> None:
    records, aside = Records(At("orders", 2)), SetAside(At("orders-dlt", 2))
    messages = [Message(offset, b"k", b"v", headers) for offset in (1, 2)]
    records.fold(messages)
    aside.fold(messages)
    for trail in records.trails.values():
        check_run(RUN, LogPart(At("orders", 2), 0, 0, 9), trail, LANE, state_of(EDITION, 0, beyond=False))
    record = ConsumerRecord(
        "orders-retry-30s", 2, 40, 99, 0, b"tandem-redriven/17", None, None, 1, 1, headers
    )
    for place in (Place("orders", 0, 0.0), Place("orders", 1, 30.0)):
        origin = find_origin(record, dict(headers), place)
        failure = Failure("handle", ValueError(), origin.attempts, origin.first_ms or 0)
        again = dict(reason_headers(record, origin, "group", failure, stacktrace=True))
        assert all(isinstance(value, bytes) for name, value in again.items() if name.startswith(DEAD_LETTER))
        assert find_origin(record, again, Place("orders", 0, 0.0)).replays == origin.replays
    found = letter(record)
    assert marked(record) in {None, 17}
    assert json.dumps(as_json(found))
    assert (line(found) + page(found)).replace("\n", "").isprintable()


def test_any_line_of_the_file_of_what_was_not_acknowledged_is_a_record_or_a_value_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    valid = UNACKED.encode()

    def make(random: Random) -> tuple[object, Attempt]:
        value = mutate(valid, random, [valid])
        return value, lambda: read_line(value)

    fuzz(make, capfd, share=0.3)


def read_line(value: bytes) -> None:
    try:
        found = Unacked.decode(value)
    except (ValueError, msgspec.DecodeError):
        return
    assert Unacked.decode(found.encode()) == found
