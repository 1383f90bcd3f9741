"""What the admin port answers, by path. All of it is read-only; more routes go into `routes`."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import Metric

from tandem.admin.metrics import build_info, gauge, registry_of
from tandem.admin.pulse import Pulse

Reasons = tuple[str, ...]


class Observed(Protocol):
    """What a service tells of itself. Nothing of it may wait, and `now` is the loop's time."""

    def tick(self, now: float) -> None:
        """Called every second, for what can only be told by comparing."""
        ...

    def liveness(self, now: float) -> Reasons:
        """Why it does not get on although nothing outside holds it up, so that only a restart helps."""
        ...

    def readiness(self, now: float) -> Reasons:
        """Why it can't do its work now."""
        ...

    def status(self, now: float) -> Mapping[str, Any]:
        """What it does: for people and for JSON."""
        ...

    def metrics(self, now: float) -> Iterable[Metric]:
        """What it counts."""
        ...


def routes(observed: Observed, pulse: Pulse) -> list[web.RouteDef]:
    """The paths, for one service."""
    clock = asyncio.get_running_loop().time

    def collect() -> Iterable[Metric]:
        now = clock()
        yield from observed.metrics(now)
        yield gauge("tandem_ready", "1 when /readyz says yes", float(not observed.readiness(now)))
        yield gauge(
            "tandem_event_loop_lag_seconds",
            "How late the event loop was at worst in the last 15 s",
            pulse.lag,
        )
        yield build_info()

    registry = registry_of(collect)

    async def livez(_: web.Request) -> web.Response:
        return _verdict(observed.liveness(clock()))

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(observed.readiness(clock()))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    async def status(_: web.Request) -> web.Response:
        now = clock()
        dead, unready = observed.liveness(now), observed.readiness(now)
        health = {"live": not dead, "ready": not unready, "reasons": [*dead, *unready]}
        return _json({**health, **observed.status(now)})

    paths = {"/livez": livez, "/readyz": readyz, "/metrics": metrics, "/status": status}
    return [web.get(path, handler) for path, handler in paths.items()]


def _verdict(reasons: Reasons) -> web.Response:
    return _json({"ok": not reasons, "reasons": reasons}, status=503 if reasons else 200)


def _json(value: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value) + b"\n", status=status, content_type="application/json")
