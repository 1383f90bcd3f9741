"""The programs under `examples/`, as processes of their own."""

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.integration.cluster_client import ClusterClient

EXAMPLES = Path(__file__).parents[2] / "examples"


async def test_the_shop_knows_the_fate_of_each_sale(
    bootstrap_servers: str, topic: str, cluster: ClusterClient, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLES / "on_sales_event.py",
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "KAFKA_TOPIC": topic,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0
    said = output.decode()
    fates = {
        (sale, int(partition), int(offset))
        for sale, partition, offset in re.findall(rf"(\w+) acked: {topic}/(\d+) offset (\d+)", said)
    }
    log = await cluster.read(topic)
    assert fates == {((record.key or b"").decode(), record.partition, record.offset) for record in log}
    assert {sale for sale, _, _ in fates} == {"PRODUCER_001", "PRODUCER_002", "SECOND_001", "SECOND_002"}
    assert len(re.findall("_003 is no sale: .*amount", said)) == 2
