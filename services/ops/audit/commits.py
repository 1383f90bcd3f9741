"""What consumer groups have committed, with the accounts that travel along.

By aiokafka: what librdkafka makes of a commit's metadata may end in somebody else's bytes (its issue 4649). Not by aiokafka's own
method, though: it takes an answer that only holds an error for a group without commits.
"""

from collections.abc import Callable, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from services.ops.audit.asking import ask
from services.ops.audit.findings import At
from services.ops.audit.group_check import Commit
from tandem.settings import KafkaSettings

Commits = dict[str, dict[At, Commit]]  # by group


def fetch_commits(settings: KafkaSettings, groups: Sequence[str], stopped: Callable[[], bool]) -> Commits:
    """Ask for the commits of each group. Raises what `ask` raises."""

    async def fetch(admin: AIOKafkaAdminClient) -> Commits:
        return {group: await _commits(admin, group) for group in groups}

    return ask(settings, stopped, fetch) if groups else {}


async def _commits(admin: AIOKafkaAdminClient, group: str) -> dict[At, Commit]:
    coordinator = await admin.find_coordinator(group)
    answer = await admin._send_request(OffsetFetchRequest(group, None), coordinator)  # noqa: SLF001 -- see above
    if answer.error_code:
        raise for_code(answer.error_code)(group)
    found = {}
    for topic, partitions in answer.topics:
        for partition, offset, metadata, error in partitions:
            if error:
                raise for_code(error)(group)
            found[At(topic, partition)] = Commit(offset, metadata or "")
    return found
