"""A user that loses its password or its rights while the pair is at work."""

from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM

from tests.integration.cluster_client import ClusterClient
from tests.integration.processes import running
from tests.integration.secured import CANARY, PASSWORD, WRONG_PASSWORD, SecuredCluster
from tests.integration.security.complaints import Someone, shown


async def test_a_password_that_changes_mid_run_is_told_and_tried_seldom(
    ways: Mapping[str, dict[str, object]], secured: SecuredCluster, topic: str, tmp_path: Path
) -> None:
    """Someone who asks with an old password several times a second is soon locked out."""
    await secured.add_user(topic)
    rights = [("READ", "TOPIC", topic), ("WRITE", "TOPIC", topic), ("CREATE", "BROKER", "kafka-cluster")]
    beside = [("WRITE", "TOPIC", f"{topic}-dlt"), ("WRITE", "TOPIC", "tandem-ledger")]
    await secured.grant(topic, *rights, *beside, ("READ", "GROUP", topic))
    settings = ways["scram-sha-256"] | {"kafka_sasl_username": topic, "group_id": topic, "log_level": "debug"}
    async with (
        running("producer", tmp_path, message_interval="50ms", **settings) as producer,
        running("consumer", tmp_path, **settings) as consumer,
    ):
        await consumer.until("handled")
        before = secured.refused_logins()
        await secured.add_user(topic, WRONG_PASSWORD)
        for process in (producer, consumer):
            await process.until("user_refused", retry_in="2s")
        assert secured.refused_logins() - before <= 10  # two each, also for the ledger and the outputs
        await secured.add_user(topic, PASSWORD)
        known = len(producer.events("delivery_report"))
        await producer.until("delivery_report", count=known + 10, outcome="acked")
        assert await producer.end(SIGTERM) == 0
        assert await consumer.end(SIGTERM) == 0
    assert CANARY not in shown(producer, consumer)


async def test_a_right_to_write_that_is_taken_away_is_waited_for(
    someone: Someone, secured: SecuredCluster, topic: str, tmp_path: Path
) -> None:
    """Nothing is given up meanwhile, few clients are opened, and all is in the log once, in order."""
    elsewhere = ("WRITE", "TOPIC", f"{topic}-ledger")  # or Kafka would give the next client no producer id
    settings = await someone(("WRITE", "TOPIC", topic), elsewhere)
    at_work = {"message_interval": "5ms", "stats_interval": "50ms", "log_level": "debug"}
    async with running("producer", tmp_path, **at_work, **settings) as producer:
        await producer.until("delivery_report", count=50)
        await someone(("DESCRIBE", "TOPIC", topic), elsewhere)
        await producer.until("delivery_waits", retry_in="2s")
        # Each of three partitions: at once, after 0.5 s, and after another 1 s.
        assert len(producer.events("producer_retired")) <= 9
        await someone(("WRITE", "TOPIC", topic), elsewhere)
        held = producer.events("producer_statistics")[-1]["in_flight"]
        known = len(producer.events("delivery_report"))
        await producer.until("delivery_report", count=known + held + 50)
        assert await producer.end(SIGTERM) == 0
    assert not producer.events("delivery_report", outcome="unknown")
    records = await ClusterClient(secured.open_address).read(topic)
    assert len(records) == producer.events("producer_stopped")[0]["produced"]
    for partition in {record.partition for record in records}:
        ids = [record.header("ce_id") for record in records if record.partition == partition]
        assert [int(each.rpartition("/")[2]) for each in ids] == list(range(len(ids)))
