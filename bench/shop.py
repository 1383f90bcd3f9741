"""`python -m bench.shop`: the shop's promises under kill -9, and how long its orders take.

10,000 orders go through all six roles, each a process, while every role is killed once and started again; mails go to
a real SMTP server. Afterwards another Kafka client reads the log and checks it. `--orders` changes the number.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from services.ops.cluster import KafkaCluster
from tests.integration.mail_server import mail_server
from tests.integration.shop import SHOP_ROLES, Shop, shop
from tests.shop_invariants import by_type, repetitions, violations

STOCK = 600  # of each product, a partition and minute
INTERVAL = "4ms"


async def killing(running: Shop, orders: int) -> None:
    """Kill each role somewhere in the middle of its work, one after the other."""
    for number, role in enumerate(SHOP_ROLES, 1):
        await running.kill(role, handled=orders * number // (2 * len(SHOP_ROLES)))
        print(f"killed {role}")


async def measure(bootstrap_servers: str, folder: Path, orders: int) -> bool:
    """Let the orders through, print what came of them, and say whether all promises were kept."""
    async with mail_server() as server:
        url = f"smtp://127.0.0.1:{server.port}"
        async with shop(bootstrap_servers, "bench.", folder, stock=STOCK, smtp_url=url) as running:
            for role in SHOP_ROLES:
                await running.lives[role][0].until("partitions_assigned")
            started = time.monotonic()
            producer = await running.produce(orders, INTERVAL)
            await killing(running, orders)
            status = await producer.end()
            produced = time.monotonic()
            await running.idle(1200)
            ended = time.monotonic()
            log, letters = await running.log(), await running.dead_letters()
    print(
        f"{orders} orders made in {produced - started:.1f} s (status {status}), all ended after {ended - started:.1f} s"
    )
    found = violations(log, STOCK)
    counts = by_type(log)
    print(*(f"  {name} {count}" for name, count in sorted(counts.items())), sep="\n")
    print(f"{len(log)} records in the log, {repetitions(log)} of them repetitions; {letters} dead letters")
    mails = {str(mail["Message-ID"]) for mail in server.mails}
    print(f"{len(server.mails)} mails, {len(server.mails) - len(mails)} of them repetitions")
    print("violations:", *(found[:20] or ["none"]), sep="\n  ")
    return (
        not found
        and letters == 0
        and len(mails) == counts["OrderConfirmed"]
        and counts["OrderCreated"] == orders
    )


async def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--orders", type=int, default=10_000)
    orders = arguments.parse_args().orders
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with KafkaCluster(data=folder / "kafka", port=0) as cluster:
            kept = await measure(cluster.bootstrap_servers, folder, orders)
    print("all promises kept" if kept else "PROMISES BROKEN")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
