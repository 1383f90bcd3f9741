"""The audit is itself tested: each anomaly is injected by hand, and must be found and named; a clean log must be clean."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from tandem.account import Resolution, write
from tandem.headers import COPY, EVENT_ID
from tandem.ledger import Span
from tests.integration.audited import PARTITIONS, PER_PARTITION, RUN, Event, Stage, event
from tests.integration.cluster_client import ClusterClient


@pytest.fixture
def stage(bootstrap_servers: str, topic: str, tmp_path: Path) -> Stage:
    return Stage(bootstrap_servers, topic, tmp_path)


async def test_a_clean_log_is_clean(stage: Stage) -> None:
    """With dead letters, records that wait, resends, redrives, derived ids twice, and records of others."""
    stage.set_aside(0, 7)
    stage.letters *= 2  # after a crash it was written once more
    stage.set_aside(1, 70, Resolution.DEFERRED)
    derived = Event(b"k", b"v", ((EVENT_ID, f"{RUN}/0/3/payments/0".encode()),))
    stage.logs[0] += [
        event(RUN, 0, 7).marked((COPY, b"redrive")),
        event(RUN, 0, 8).marked((COPY, b"resend")),
        derived,
        derived,
        Event(None, None, ()),
    ]
    stage.committed[1] = 400
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found, answer.told["not_checked"]) == (0, [], []), answer
    one, other = answer.told["logs"]
    assert (one["resent"], one["redriven"], one["derived"], one["repeated"], one["foreign"]) == (
        1,
        1,
        2,
        1,
        1,
    )
    assert (one["records"], other["records"]) == (PER_PARTITION + 5, PER_PARTITION)
    rows = {(row["topic"], row["partition"]): row for row in answer.told["groups"]}
    assert [rows[stage.topic, number]["resolved"] for number in range(PARTITIONS)] == [PER_PARTITION + 5, 400]
    assert [rows[stage.topic, number]["lag"] for number in range(PARTITIONS)] == [0, PER_PARTITION - 400]
    assert rows[stage.topic, 0]["dead"] == rows[stage.topic, 1]["deferred"] == 1


async def test_dropped_records_are_lost(stage: Stage) -> None:
    del stage.logs[0][100:110]
    del stage.logs[1][-1]
    await stage.write()
    answer = await stage.audit()
    assert answer.status == 6
    assert answer.found == [
        ("LOST", 0, 10, f"{RUN}/0/100-109", None, None),
        ("LOST", 1, 1, f"{RUN}/1/{PER_PARTITION - 1}", None, None),
    ]


async def test_a_copy_does_not_find_a_lost_record_again(stage: Stage) -> None:
    stage.logs[0].append(stage.logs[0].pop(100).marked((COPY, b"resend")))
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (6, [("LOST", 0, 1, f"{RUN}/0/100", None, None)])


async def test_a_record_that_is_there_twice_is_duplicated(stage: Stage) -> None:
    stage.logs[0][300:300] = stage.logs[0][200:203]
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (7, [("DUPLICATED", 0, 3, f"{RUN}/0/200-202", 300, 302)])


async def test_a_record_behind_a_later_one_is_reordered(stage: Stage) -> None:
    log = stage.logs[1]
    log[10], log[11] = log[11], log[10]
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (7, [("REORDERED", 1, 1, f"{RUN}/1/10", 11, 11)])


async def test_a_flipped_bit_is_corrupt(stage: Stage) -> None:
    spoilt = stage.logs[0][42]
    assert spoilt.value is not None
    stage.logs[0][42] = spoilt._replace(value=bytes([spoilt.value[0] ^ 1]) + spoilt.value[1:])
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (6, [("CORRUPT", 0, 1, None, 42, 42)])


async def test_a_failed_record_that_is_there_is_a_phantom(stage: Stage) -> None:
    stage.lanes[0] = msgspec.structs.replace(stage.lanes[0], failed=(Span(20, 22),))
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (7, [("PHANTOM", 0, 3, f"{RUN}/0/20-22", None, None)])


async def test_a_record_that_a_closed_ledger_knows_nothing_of_is_a_phantom(stage: Stage) -> None:
    stage.lanes[0] = msgspec.structs.replace(stage.lanes[0], settled=PER_PARTITION - 1)
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (
        7,
        [("PHANTOM", 0, 1, f"{RUN}/0/{PER_PARTITION - 1}", None, None)],
    )


async def test_unknown_fates_are_only_counted(stage: Stage) -> None:
    stage.lanes[0] = msgspec.structs.replace(stage.lanes[0], unknown=(Span(10, 14), Span(20, 22)))
    del stage.logs[0][20:23]
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (0, [])
    row = answer.told["runs"][0]
    assert (row["unknown"], row["missing_unknown"]) == (5, 3)


async def test_a_commit_that_skips_records_is_missed(stage: Stage) -> None:
    """The offset moves on, the account does not."""
    before, after = stage.checkpoints(0, 300), stage.checkpoints(0, 305)
    skipped = (*before[:-1], before[-1]._replace(offset=305))
    await stage.write(commits=False)
    await stage.commit({0: (305, write(skipped)), 1: stage.metadata(1)})
    answer = await stage.audit()
    assert after[-1].offset == 305
    assert (answer.status, answer.found) == (6, [("MISSED", 0, 5, None, 300, 304)])


async def test_a_commit_beyond_its_account_is_missed(stage: Stage) -> None:
    await stage.write(commits=False)
    await stage.commit({0: (310, write(stage.checkpoints(0, 300))), 1: stage.metadata(1)})
    answer = await stage.audit()
    assert (answer.status, answer.found) == (6, [("MISSED", 0, 10, None, 300, 309)])


async def test_a_record_left_out_in_the_middle_is_missed(stage: Stage) -> None:
    stage.missed = {(0, 222), (1, 77), (1, 78)}
    await stage.write()
    answer = await stage.audit()
    assert answer.status == 6
    assert answer.found == [("MISSED", 0, 1, None, 222, 222), ("MISSED", 1, 2, None, 77, 78)]


async def test_scattered_records_left_out_are_missed_in_a_range(stage: Stage) -> None:
    stage.missed = {(0, 210), (0, 215)}
    await stage.write()
    answer = await stage.audit()
    assert answer.status == 6
    ((kind, partition, count, _, first, last),) = answer.found
    assert (kind, partition, count) == ("MISSED", 0, 2)
    assert first <= 210
    assert last >= 215


async def test_a_dead_letter_that_is_not_there_is_missed(stage: Stage) -> None:
    stage.set_aside(0, 5)
    stage.set_aside(0, 6)
    stage.set_aside(1, 9, Resolution.DEFERRED)
    del stage.letters[0], stage.waiting[0]
    await stage.write()
    answer = await stage.audit()
    assert answer.status == 6
    assert [(each["kind"], each["partition"], each["count"]) for each in answer.told["findings"]] == [
        ("MISSED", 0, 1),
        ("MISSED", 1, 1),
    ]
    assert [each["detail"] for each in answer.told["findings"]] == [
        f"dead-lettered, and not in {stage.topic}-dlt",
        "deferred, and in no retry topic",
    ]


async def test_a_run_that_crashed_is_named_and_not_held_against_anybody(stage: Stage) -> None:
    stage.closed = False
    stage.lanes = [msgspec.structs.replace(lane, settled=PER_PARTITION - 10) for lane in stage.lanes]
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (0, [])
    assert {(row["state"], row["unknown"], row["in_flight"]) for row in answer.told["runs"]} == {
        ("crashed", 10, 0)
    }
    assert RUN in " ".join(answer.told["remarks"])


async def test_what_a_run_at_work_has_not_told_yet_is_in_flight(stage: Stage) -> None:
    stage.closed, stage.age_seconds = False, 1.0
    stage.lanes = [msgspec.structs.replace(lane, settled=PER_PARTITION - 10) for lane in stage.lanes]
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (0, [])
    assert {(row["state"], row["unknown"], row["in_flight"]) for row in answer.told["runs"]} == {
        ("live", 0, 10)
    }


async def test_without_a_ledger_nothing_can_be_told(stage: Stage) -> None:
    stage.ledger_key = b"another"
    del stage.logs[0][3]
    await stage.write()
    answer = await stage.audit()
    assert (answer.status, answer.found) == (8, [])
    assert {each["about"] for each in answer.told["not_checked"]} == {f"run {RUN}"}
    assert "1 of its sequences are not in the log" in answer.out
    assert "its key is another run" in " ".join(answer.told["remarks"])


async def test_hostile_bytes_in_the_ledger_topic_are_told_and_harm_nothing(stage: Stage) -> None:
    await stage.write()
    hostile = [b"", b"[" * 50_000, b'{"run": "\x1b[31m"}', b"\xff\xfe", stage.edition().encode()[:-1]]
    stage.send(stage.ledger, 0, [Event(b"\x1b[2J%d" % at, value, ()) for at, value in enumerate(hostile)])
    stage.send(stage.ledger, 0, [Event(RUN.encode(), b"gone", ())])
    answer = await stage.audit()
    assert (answer.status, answer.found) == (0, [])
    assert "6 records of the ledger topic are no ledgers" in " ".join(answer.told["remarks"])
    assert "\x1b" not in answer.out


async def test_what_retention_removed_is_not_lost_but_expired_for_who_has_not_read_it(
    stage: Stage, cluster: ClusterClient
) -> None:
    stage.committed = {0: 100, 1: 400}
    stage.lanes = [
        msgspec.structs.replace(lane, first_offset=0, last_offset=PER_PARTITION - 1) for lane in stage.lanes
    ]
    await stage.write()
    for number in range(PARTITIONS):
        await cluster.delete_records(stage.topic, number, 120)
    answer = await stage.audit()
    assert (answer.status, answer.found) == (6, [("EXPIRED", 0, 20, None, 100, 119)])
    assert {row["removed"] for row in answer.told["runs"]} == {120}
    checked = {row["partition"]: row.get("checked_from") for row in answer.told["groups"]}
    assert checked == {0: None, 1: 150}


async def test_a_whole_run_that_is_gone_is_lost_if_it_lay_behind_the_start_of_the_log(
    stage: Stage, cluster: ClusterClient
) -> None:
    """Without the offsets in its ledger, retention could have removed it."""
    others = [event("aaaaaaaaaaaa", 0, number) for number in range(50)]
    stage.logs[0] = others
    stage.lanes[0] = msgspec.structs.replace(stage.lanes[0], first_offset=60, last_offset=559)
    await stage.write(commits=False)
    await cluster.delete_records(stage.topic, 0, 20)
    answer = await stage.audit("--log-only", "--run", RUN)
    assert (answer.status, answer.found) == (6, [("LOST", 0, 500, f"{RUN}/0/0-499", None, None)])


async def test_a_topic_that_was_deleted_is_lost_as_a_whole(stage: Stage, cluster: ClusterClient) -> None:
    await stage.write()
    await cluster.delete_topic(stage.topic)
    answer = await stage.audit("--log-only")
    assert answer.status == 6
    assert [each[:4] for each in answer.found] == [
        ("LOST", number, PER_PARTITION, f"{RUN}/{number}/0-{PER_PARTITION - 1}")
        for number in range(PARTITIONS)
    ]


async def test_records_that_a_transaction_took_back_are_nobodys(stage: Stage, cluster: ClusterClient) -> None:
    await stage.write(commits=False)
    await cluster.write_in_transaction(stage.topic, b"no", b"no", commit=False)
    answer = await stage.audit("--log-only")
    assert (answer.status, answer.found) == (0, [])
    assert sum(row["no_record"] for row in answer.told["logs"]) >= 3  # two records and at least one mark


async def test_what_an_open_transaction_hides_can_not_be_told(stage: Stage) -> None:
    await stage.write(commits=False)
    writer = Producer({"bootstrap.servers": stage.servers, "transactional.id": stage.topic})
    await asyncio.to_thread(writer.init_transactions, 20)
    writer.begin_transaction()
    writer.produce(stage.topic, b"perhaps", partition=0)
    await asyncio.to_thread(writer.flush, 20)
    stage.send(stage.topic, 0, [event(RUN, 0, PER_PARTITION)])
    stage.lanes[0] = msgspec.structs.replace(stage.lanes[0], settled=PER_PARTITION + 1)
    stage.send(stage.ledger, 0, [Event(RUN.encode(), stage.edition().encode(), ())])
    hidden = await stage.audit("--log-only")
    await asyncio.to_thread(writer.abort_transaction, 20)
    assert (hidden.status, hidden.found) == (8, [])
    assert f"an open transaction hides what is behind offset {PER_PARTITION}" in hidden.out
    assert (await stage.audit("--log-only")).status == 0


async def test_the_gaps_of_a_compacted_topic_tell_nothing(stage: Stage) -> None:
    stage.configs = {"cleanup_policy": "compact"}
    await stage.write()
    assert (await stage.audit()).status == 0
    stage.lanes[0] = msgspec.structs.replace(stage.lanes[0], settled=PER_PARTITION + 1)
    stage.send(stage.ledger, 0, [Event(RUN.encode(), stage.edition().encode(), ())])
    answer = await stage.audit()
    assert (answer.status, answer.found) == (8, [])
    assert "compaction may have removed them" in answer.out


async def test_a_commit_without_an_account_can_not_be_checked(stage: Stage) -> None:
    await stage.write(commits=False)
    await stage.commit({0: (100, ""), 1: stage.metadata(1)})
    answer = await stage.audit()
    assert (answer.status, answer.found) == (8, [])
    ((doubt),) = answer.told["not_checked"]
    assert (doubt["group"], doubt["partition"]) == (stage.topic, 0)
    assert "without an account" in doubt["reason"]
