"""Bad records among good ones: set aside with the reason, byte for byte, and the stream goes on."""

from signal import SIGTERM

from tests.integration.cluster_client import ClusterClient
from tests.integration.conftest import Run

GOOD = b'{"orderId":"order_1","customerId":"customer_1","amount":12.5,"timestamp":1767225600000,"category":"Books"}'

BAD: dict[str, bytes | None] = {
    "malformed": b"not json",
    "UnicodeDecodeError": GOOD.replace(b"Books", b"\xff"),
    "Expected `float`": GOOD.replace(b"12.5", b'"12.5"'),
    "unknown field": GOOD.replace(b"{", b'{"surprise":1,', 1),
    "missing required field": b"{}",
    "<= 1000000": GOOD.replace(b"12.5", b"1e300"),
    "length <= 64": GOOD.replace(b"order_1", b"x" * 900_000),
    "tombstone": None,
}


async def test_bad_records_are_set_aside_and_the_good_ones_handled(
    topic: str, cluster: ClusterClient, consume: Run
) -> None:
    await cluster.create_topic(topic, partitions=1)
    values = [value for bad in BAD.values() for value in (GOOD, bad)]
    await cluster.write(
        topic, *values, GOOD, headers=[("ce_id", b"\x00\xff"), ("trace", b"1")], timestamp=1767225600000
    )
    async with consume() as consumer:
        await consumer.until("handled", count=len(BAD) + 1)
        assert await consumer.end(SIGTERM) == 0
    assert await cluster.committed(topic, topic) == {0: len(values) + 1}
    assert consumer.events("consumer_stopped")[0]["dead_lettered"] == len(BAD)

    original = {record.offset: record for record in await cluster.read(topic)}
    letters = await cluster.read(f"{topic}-dlt")
    assert len(letters) == len(BAD)
    for letter, (reason, value) in zip(letters, BAD.items(), strict=True):
        source = original[int(letter.header("__dlq.errors.offset"))]
        assert reason in letter.header("__dlq.errors.message")
        assert letter.header("__dlq.errors.topic") == topic
        assert letter.header("__dlq.errors.stage") == "decode"
        assert letter.value == source.value == value
        assert (letter.key, letter.timestamp_ms) == (source.key, source.timestamp_ms)
        assert letter.headers[:2] == source.headers == (("ce_id", b"\x00\xff"), ("trace", b"1"))


async def test_a_dead_letter_fits_whatever_its_record_was(
    topic: str, cluster: ClusterClient, consume: Run
) -> None:
    """Larger than the limit of its topic once it is unpacked, or from the far future."""
    await cluster.create_topic(topic, partitions=1, message_timestamp_after_max_ms=str(2**63 - 1))
    await cluster.write(topic, b"x" * 20_000_000, compression="gzip")
    await cluster.write(topic, b"x", timestamp=7_258_118_400_000)
    await cluster.write(topic, GOOD)
    async with consume() as consumer:
        await consumer.until("handled")
        assert await consumer.end(SIGTERM) == 0
    letters = await cluster.read(f"{topic}-dlt")
    assert [len(letter.value or b"") for letter in letters] == [20_000_000, 1]
    assert letters[1].timestamp_ms == 7_258_118_400_000
