"""What an audit says, and with which status; and what it makes of bytes that may be anybody's."""

from dataclasses import dataclass
from xml.etree import ElementTree as ET

import msgspec
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from services.ops.audit import AuditSettings
from services.ops.audit.batches import parse
from services.ops.audit.compare import LogRow, Result, Word
from services.ops.audit.findings import At, Doubt, Finding, Findings, Kind
from services.ops.audit.group_check import GroupRow
from services.ops.audit.junit import as_junit
from services.ops.audit.ledgers import Ledgers
from services.ops.audit.records import Records
from services.ops.audit.report import as_object, as_text
from services.ops.audit.run_check import RunRow, State
from services.ops.audit.set_aside import SetAside
from services.ops.audit.targets import Target, Targets, groups_of, require_some
from services.ops.audit.verdict import Memory, status_of
from tandem.errors import ExitStatus, SettingsError
from tandem.ledger import Edition, LaneLedger, Span
from tandem.settings.source import read_settings

AT = At("orders", 0)
RUN = "0123456789ab"
HOSTILE = "\x1b[31mred\x07\u202e\ufffe\x00"


def found(kind: Kind, first: int = 3, last: int = 5, group: str | None = None) -> Finding:
    return Finding(kind, AT, last - first + 1, RUN, Span(first, last), Span(first, last), group, "why")


def result(*wrong: Finding, doubts: int = 0) -> Result:
    findings = Findings(list(wrong), [Doubt(f"group {HOSTILE}", HOSTILE, AT, HOSTILE)] * doubts, [HOSTILE])
    return Result(
        findings,
        [LogRow(AT, 0, 100, 100, 1, 0, 0, 0, 0, 0, 0, 0)],
        [RunRow(RUN, AT, State.CLOSED, 100, 100)],
        [GroupRow(HOSTILE, AT, 90, 10, 90)],
    )


@pytest.mark.parametrize(
    ("kinds", "doubts", "status"),
    [
        ([], 0, ExitStatus.DONE),
        ([], 1, ExitStatus.INCONCLUSIVE),
        ([Kind.REORDERED], 1, ExitStatus.DUPLICATES),
        ([Kind.PHANTOM], 0, ExitStatus.DUPLICATES),
        ([Kind.DUPLICATED, Kind.EXPIRED], 1, ExitStatus.LOSS),
        ([Kind.CORRUPT], 0, ExitStatus.LOSS),
        ([Kind.MISSED], 0, ExitStatus.LOSS),
        ([Kind.LOST], 0, ExitStatus.LOSS),
    ],
)
def test_a_loss_weighs_most_and_a_doubt_least(kinds: list[Kind], doubts: int, status: ExitStatus) -> None:
    assert status_of(result(*map(found, kinds), doubts=doubts).findings) is status


def test_nothing_that_is_printed_paints_a_terminal() -> None:
    text = as_text(result(found(Kind.MISSED, group=HOSTILE), doubts=1))
    assert all(line.isprintable() for line in text.splitlines())
    assert (
        text.splitlines()[-1]
        == "verdict: loss (status 6): 3 MISSED; 1 not checked; 100 records, 1 run, 1 group"
    )


def test_what_is_too_long_for_people_is_cut_and_json_has_it_all() -> None:
    many = result(*(found(Kind.LOST, each, each) for each in range(0, 200, 2)))
    assert "… and 50 more: --json tells all" in as_text(many)
    assert len(as_object(many)["findings"]) == 100


def test_a_junit_report_can_be_read_whatever_is_in_it() -> None:
    root = ET.fromstring(as_junit(result(found(Kind.MISSED, group=HOSTILE), found(Kind.LOST), doubts=2), 1.5))  # noqa: S314 -- our own
    suite = root[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "time")} == {
        "tests": "8",
        "failures": "2",
        "errors": "1",
        "time": "1.500",
    }
    assert len(suite) == 8
    assert all(case.get("classname") and case.get("name") for case in suite)


def test_several_looks_tell_each_thing_once() -> None:
    memory = Memory()
    assert len(memory.news(Findings([found(Kind.DUPLICATED, 3, 5)]))) == 1
    assert memory.news(Findings([found(Kind.DUPLICATED, 3, 9)])) == [], "the same, and more of it"
    assert [each.count for each in memory.all()] == [7]
    assert memory.news(Findings([found(Kind.DUPLICATED, 3, 9), found(Kind.LOST, 3, 9)])) == [
        found(Kind.LOST, 3, 9)
    ]
    assert memory.news(Findings()) == []
    assert len(memory.all()) == 2, "what was found stays found"


@dataclass
class Message:
    """A record of the ledger topic, or one whose headers can't be read."""

    name: bytes | None
    content: bytes | None

    def offset(self) -> int:
        return 7

    def key(self) -> bytes | None:
        return self.name

    def value(self) -> bytes | None:
        return self.content

    def headers(self) -> list[tuple[str, bytes]] | None:
        raise SystemError


def edition(settled: int, *, closed: bool = False, run: str = RUN) -> Edition:
    lanes = tuple(LaneLedger(topic, 0, settled) for topic in ("orders", "others"))
    return Edition(run, "orders", 1000, 5000, closed, lanes)


def test_the_last_edition_of_a_run_counts_and_only_what_it_says_of_the_topics() -> None:
    ledgers = Ledgers({"orders"})
    ledgers.add([Message(RUN.encode(), edition(3).encode()), Message(RUN.encode(), edition(5).encode())])
    assert ledgers.editions[RUN].lanes == (LaneLedger("orders", 0, 5),)
    ledgers.add([Message(RUN.encode(), b"spoilt"), Message(b"other", edition(9).encode())])
    assert ledgers.editions == {RUN: msgspec.structs.replace(edition(5), lanes=(LaneLedger("orders", 0, 5),))}
    ledgers.add([Message(RUN.encode(), None), Message(None, None)])
    assert not ledgers.editions
    assert (ledgers.remark() or "").startswith("2 records of the ledger topic are no ledgers: ")


@given(st.lists(st.tuples(st.none() | st.binary(), st.none() | st.binary()), max_size=30))
def test_whatever_is_in_the_ledger_topic_nothing_is_raised(
    records: list[tuple[bytes | None, bytes | None]],
) -> None:
    ledgers = Ledgers({"orders"})
    ledgers.add([Message(key, value) for key, value in records])
    assert (ledgers.remark() or "").isprintable()


def test_a_run_that_began_meanwhile_has_told_of_nothing_yet() -> None:
    began = Word({}, {RUN: edition(50, closed=True)})
    told = began.of(RUN)
    assert told is not None
    assert (told.closed, told.lanes) == (False, ())
    assert began.state(RUN, 10**12, beyond=True) is State.LIVE
    assert Word({RUN: edition(5)}, {RUN: edition(9)}).state(RUN, 10**12, beyond=True) is State.LIVE
    assert Word({RUN: edition(5)}, {RUN: edition(5)}).state(RUN, 10**12, beyond=True) is State.CRASHED
    assert Word({}, {}).state(RUN, 0, beyond=True) is State.NO_LEDGER


def test_a_record_whose_headers_can_not_be_read_is_corrupt() -> None:
    records = Records(AT)
    assert records.fold([Message(b"k", b"v")]) == 0
    assert [each.offsets for each in records.damaged()] == [Span(7, 7)]
    letters = SetAside(AT)
    assert letters.fold([Message(b"k", b"v")]) == 0
    assert letters.strange == 1


def batch(base: int, count: int) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100_000)
    for number in range(count):
        builder.append(number, 1, b"k", b"value", [])
    content = bytearray(builder.build())
    content[:8] = base.to_bytes(8, "big")
    return content


def test_batches_are_found_in_the_bytes_of_a_log() -> None:
    spoilt = batch(3, 2)
    spoilt[-1] ^= 1
    content = batch(0, 3) + spoilt + batch(5, 1)
    assert list(parse(bytes(content))) == [(0, 3, True), (3, 5, False), (5, 6, True)]
    assert list(parse(bytes(content[:-1]))) == [(0, 3, True), (3, 5, False)], "the last one is cut"
    assert list(parse(b"")) == []


@given(st.binary(max_size=300), st.integers(0, 60))
def test_any_bytes_end_the_search_for_batches(content: bytes, at: int) -> None:
    start = bytes(batch(0, 1))
    for each in (content, start[:at] + content + start[at:]):
        assert len(list(parse(each))) <= len(each) // 61


def test_what_is_asked_for_comes_from_flags_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "GROUP",
        "RUN",
        "SINCE",
        "TIMEOUT",
        "FOLLOW",
        "INTERVAL",
        "JSON",
        "JUNIT",
        "TOPIC",
        "LOG_ONLY",
    ):
        monkeypatch.setenv(name, "users")
    monkeypatch.setenv("STREAM", "bank")
    settings = read_settings(AuditSettings, [])
    assert (settings.stream, settings.group, settings.kafka_topic, settings.json_output) == (
        "bank",
        (),
        None,
        False,
    )
    assert groups_of(settings) == ["transaction-monitor", "fraud-detector"]
    flags = ["--topic", "mine", "--group", "a,b", "--run", RUN, "--since", "2h"]
    named = read_settings(AuditSettings, flags)
    assert (named.kafka_topic, groups_of(named), named.run, named.since) == ("mine", ["a", "b"], (RUN,), 7200)
    assert groups_of(read_settings(AuditSettings, ["--log-only"])) == []


def test_a_topic_that_is_gone_can_be_audited_when_a_ledger_knows_it() -> None:
    targets = Targets([Target("orders", 0)], None, [], groups_named=False)
    require_some(targets, {"orders"})
    with pytest.raises(SettingsError, match="orders does not exist"):
        require_some(targets, {"others"})
