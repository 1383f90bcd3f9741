"""The file of what was not acknowledged: its lines, and what crashes and full disks leave of them."""

import errno
import os
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import SettingsError
from tandem.records import Outcome, Record, Settled
from tandem.unacked import Unacked, UnackedFile, sent_beside, take_out

RECORD = Record("orders", b"key", b"value", [("ce_id", b"run/2/0")], 1_767_225_600_000, 2)


def settled(*records: Record, outcome: Outcome = Outcome.UNKNOWN) -> Settled:
    return Settled(outcome, "orders", 2, records, 0, error="gone", sent=records)


def lines(path: Path) -> list[Unacked]:
    return [Unacked.decode(line) for line in path.read_bytes().splitlines(keepends=True)]


def test_a_line_is_what_the_documentation_shows() -> None:
    (line,) = Unacked.of(settled(RECORD))
    assert line.encode() == (
        b'{"topic":"orders","partition":2,"timestampMs":1767225600000,"key":"a2V5","value":"dmFsdWU=",'
        b'"headers":[["ce_id","cnVuLzIvMA=="]],"outcome":"unknown","error":"gone"}\n'
    )


@given(
    st.builds(
        Record,
        st.just("orders"),
        st.none() | st.binary(),
        st.none() | st.binary(),
        st.lists(st.tuples(st.text(), st.binary())).map(tuple),
        st.integers(0, 2**63 - 1),
        st.just(2),
    )
)
def test_any_record_comes_back_as_it_was(record: Record) -> None:
    (line,) = Unacked.of(settled(record))
    assert Unacked.decode(line.encode()).record == record


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "acked"},
        {"partition": -1},
        {"partition": 2**31},
        {"timestampMs": 2**63},
        {"value": "no base64!"},
        {"headers": [["only a name"]]},
        {"more": 1},
    ],
)
def test_what_no_producer_writes_is_refused(change: dict[str, object]) -> None:
    (line,) = Unacked.of(settled(RECORD))
    spoilt = msgspec.json.encode(msgspec.json.decode(line.encode()) | change) + b"\n"
    with pytest.raises(msgspec.DecodeError):
        Unacked.decode(spoilt)


def test_a_line_that_a_crash_has_cut_off_is_refused() -> None:
    (line,) = Unacked.of(settled(RECORD))
    with pytest.raises(ValueError, match="cut off"):
        Unacked.decode(line.encode()[:-1])


def test_there_is_no_file_while_everything_is_acknowledged(tmp_path: Path) -> None:
    UnackedFile(tmp_path / "unacked")
    assert not list(tmp_path.iterdir())


def test_batches_are_appended_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "unacked"
    file = UnackedFile(path)
    file.append(settled(RECORD, outcome=Outcome.FAILED))
    file.append(settled(RECORD, RECORD))
    assert [line.outcome for line in lines(path)] == ["failed", "unknown", "unknown"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_later_run_adds_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "unacked"
    for _ in range(2):
        UnackedFile(path).append(settled(RECORD))
    assert len(lines(path)) == 2


def test_behind_a_line_that_was_cut_off_comes_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "unacked"
    path.write_bytes(b'{"topic":"ord')
    UnackedFile(path).append(settled(RECORD))
    torn, whole = path.read_bytes().splitlines(keepends=True)
    assert torn == b'{"topic":"ord\n'
    assert Unacked.decode(whole).record.key == b"key"


def test_where_nothing_can_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "missing" / "unacked", "No such file or directory"),
        (tmp_path, "It is no file"),
        (Path("/proc/unacked"), "No such file or directory"),
    ):
        with pytest.raises(SettingsError) as caught:
            UnackedFile(path)
        assert caught.value.cause == f"UNACKED_FILE: can't write {path}: {reason}"


def test_a_name_that_is_too_long_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="too long"):
        UnackedFile(tmp_path / ("x" * 300))


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "volume")
    UnackedFile(link).append(settled(RECORD))
    assert link.is_symlink()
    assert len(lines(tmp_path / "volume")) == 1


def test_a_full_disk_leaves_whole_lines_and_the_service_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "unacked"
    file = UnackedFile(path)
    file.append(settled(RECORD))
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:100])

    monkeypatch.setattr(os, "write", full)
    file.append(settled(RECORD, outcome=Outcome.FAILED))
    assert len(lines(path)) == 1
    told = capsys.readouterr().out
    assert "unacked_not_written" in told
    assert "No space left on device" in told
    assert "failed orders/2 0-0" in told


def test_what_is_acknowledged_by_now_moves_to_the_file_beside(tmp_path: Path) -> None:
    path = tmp_path / "unacked"
    file = UnackedFile(path)
    for key in (b"0", b"1", b"2", b"3"):
        file.append(settled(RECORD._replace(key=key), outcome=Outcome.FAILED))
    take_out(path, {1: Outcome.ACKED, 2: Outcome.FAILED, 3: Outcome.UNKNOWN})
    assert [(line.key, line.outcome) for line in lines(path)] == [
        (b"1", "failed"),
        (b"2", "unknown"),  # its second fate is not known
        (b"3", "failed"),
    ]
    assert [(line.key, line.outcome) for line in lines(sent_beside(path))] == [(b"0", "failed")]
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}


def test_when_all_is_acknowledged_the_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "unacked"
    file = UnackedFile(path)
    file.append(settled(RECORD))
    take_out(path, {1: Outcome.ACKED})
    assert [each.name for each in tmp_path.iterdir()] == ["unacked.sent"]
    file.append(settled(RECORD))
    assert len(lines(path)) == 1, "a producer that goes on begins a new one"
