"""Where the partitions of a cluster begin and end, at one moment. By librdkafka."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from services.ops.audit.findings import At
from tandem.errors import SettingsError, StopRequested, UnavailableError
from tandem.kafka.librdkafka import client_settings
from tandem.log import escape
from tandem.settings import KafkaSettings

_ANSWER = 15.0
_AGAIN = 0.5
_RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Describe and Read on the topics",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "Describe on the cluster",
}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a partition begins and ends. What is between `stable` and `end` is hidden by a transaction that is not over.

    `start` is where to begin to read: the log's start, or behind it when only a newer part is asked for.
    """

    log_start: int
    start: int
    stable: int
    end: int


class Cluster:
    """Asks the cluster; each question is put again until it is answered, for `seconds`, or somebody wants to stop.

    Raises UnavailableError after that, SettingsError when this user may not ask.
    """

    def __init__(self, settings: KafkaSettings, seconds: float, stopped: Callable[[], bool]) -> None:
        self._admin = AdminClient(client_settings(settings))
        self._seconds = seconds
        self._stopped = stopped

    def bounds(self, partitions: Sequence[At], since_ms: int | None = None) -> dict[At, Bounds]:
        """The bounds of each; with `since_ms` they begin with the first record of that time or later."""
        if not partitions:
            return {}
        stable = self._offsets(partitions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)  # type: ignore[no-untyped-call]  # not typed
        ends = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # not typed
        starts = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # not typed
        later = {} if since_ms is None else self._offsets(partitions, OffsetSpec.for_timestamp(since_ms))
        return {at: _bounds(starts[at], later.get(at, starts[at]), stable[at], ends[at]) for at in partitions}

    def _offsets(
        self,
        partitions: Iterable[At],
        spec: OffsetSpec,
        isolation: Any = IsolationLevel.READ_UNCOMMITTED,  # noqa: ANN401 -- an enum, not typed
    ) -> dict[At, int]:
        def ask() -> dict[At, int]:
            asked = {TopicPartition(*at): spec for at in partitions}
            futures: Mapping[TopicPartition, Future[Any]] = self._admin.list_offsets(
                asked, isolation_level=isolation, request_timeout=_ANSWER
            )
            return {At(at.topic, at.partition): future.result().offset for at, future in futures.items()}

        return self._patiently(ask, "where its partitions begin and end")

    def _patiently(self, ask: Callable[[], Result], what: str) -> Result:
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                return ask()
            except KafkaException as error:
                cause = error.args[0]
                if (right := _RIGHTS.get(cause.code())) is not None:
                    raise SettingsError(
                        f"Kafka does not tell this user {what}: {escape(cause.str())}", f"Grant it {right}"
                    ) from error
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"Kafka does not tell {what}: {escape(cause.str())}",
                        "Look into the broker's log, or try again",
                    ) from error
            if self._stopped():
                raise StopRequested
            time.sleep(_AGAIN)


def _bounds(log_start: int, start: int, stable: int, end: int) -> Bounds:
    """`start` -1: there is no record so late. The offsets were asked for one after the other, of a log that moves."""
    log_start = min(log_start, stable)
    return Bounds(log_start, max(log_start, stable if start < 0 else start), stable, max(end, stable))
