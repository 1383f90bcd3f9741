"""A schema registry that speaks Confluent's API: the id of a schema to write with, the schema of an id to read with."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, get_args
from urllib.parse import quote

import structlog
from confluent_kafka.schema_registry import AsyncSchemaRegistryClient
from confluent_kafka.schema_registry import Schema as RegistrySchema
from httpx2 import TransportError

from tandem.durations import growing_delays
from tandem.errors import (
    SchemaNotFoundError,
    SettingsError,
    StopRequested,
    TandemError,
    UnavailableError,
)
from tandem.formats.schema import Schema, SchemaType
from tandem.registry.client import client_settings, registry_tls
from tandem.registry.diagnosis import explain, incompatible, is_missing, reasons, registry_peer
from tandem.registry.differences import differences
from tandem.security.handshake import explain_https
from tandem.settings import ServiceSettings
from tandem.signals import unless_stopped

REQUEST_TIMEOUT = 10.0
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 5.0
_MISSING_SECONDS, _MOST_MISSING = 1.0, 10_000
_TYPES: dict[str, SchemaType] = {kind: kind for kind in get_args(SchemaType)}

Result = TypeVar("Result")

log = structlog.get_logger()


@asynccontextmanager
async def open_registry(settings: ServiceSettings, stop: asyncio.Event) -> AsyncIterator["SchemaRegistry"]:
    """Give a registry that answers; wait for it with a growing delay until `settings.connect_timeout` is over.

    Raises SettingsError at once when trying again can't help (no URL, wrong password, certificate, no registry there),
    UnavailableError after the time-out, StopRequested when `stop` is set meanwhile.
    """
    if settings.schema_registry_url is None:
        raise SettingsError(
            "The events' format needs a schema registry, and SCHEMA_REGISTRY_URL is not set",
            "Set SCHEMA_REGISTRY_URL (`make registry` starts one on http://localhost:8081/apis/ccompat/v7),"
            " or take EVENT_FORMAT=json",
        )
    registry = SchemaRegistry(settings, settings.schema_registry_url, stop)
    try:
        await registry.check()
        yield registry
    finally:
        await registry.close()


class SchemaRegistry:
    """Schemas by id, ids by schema. What is known once is kept for ever: a registry never changes either."""

    def __init__(self, settings: ServiceSettings, url: str, stop: asyncio.Event) -> None:
        """Make a client for `url`. Raises SettingsError for a certificate, a key or an authority that can't be used."""
        self._tls = registry_tls(settings)
        self._client = AsyncSchemaRegistryClient(client_settings(settings, url))
        self._url = url
        self._last_url = url.rpartition(",")[
            2
        ].strip()  # the client asks each, and tells what the last one did
        self._peer = registry_peer(
            self._last_url, certified=settings.schema_registry_ssl_certfile is not None
        )
        self._auto_register = settings.schema_registry_auto_register
        self._patience = settings.connect_timeout
        self._stop = stop
        self._ids: dict[tuple[str, Schema], int] = {}
        self._schemas: dict[int, Schema] = {}
        self._asking: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._missing_until: dict[int, float] = {}

    async def close(self) -> None:
        await self._client.aclose()

    async def check(self) -> None:
        """Return when the registry answers, and say so. Raises what `open_registry` raises."""
        types: Any = await self._patiently(lambda: self._ask(self._client.get_schema_types()))
        if not isinstance(types, list) or not _TYPES.keys() & set(map(str, types)):
            raise explain(TypeError(), self._url)
        log.info("registry_ready", url=self._url, types=sorted(map(str, types)))

    async def id_for(self, subject: str, schema: Schema) -> int:
        """Return the id of the schema under this subject; register it where it is missing and that is allowed.

        It is registered only when the subject's versions are compatible with it. Raises SettingsError, and has changed
        nothing, when they are not (naming the difference), when it may not be registered, or when the user lacks the
        right; UnavailableError when the registry does not answer within `connect_timeout`.
        """
        known = (subject, schema)
        if known not in self._ids:
            self._ids[known] = await self._patiently(lambda: self._find_or_register(subject, schema))
        return self._ids[known]

    async def schema(self, schema_id: int) -> Schema:
        """Return the schema of an id.

        Waits for a registry that can't be reached or is of no use, and says so, until `stop` is set: then it raises
        StopRequested. Raises SchemaNotFoundError when the registry does not know the id.
        """
        if self._missing_until.get(schema_id, 0.0) > asyncio.get_running_loop().time():
            raise _not_found(schema_id)
        if schema_id not in self._schemas:
            try:
                async with self._asking[schema_id]:  # for many partitions at once
                    if schema_id not in self._schemas:
                        self._schemas[schema_id] = await self._wait_for(schema_id)
            finally:
                self._asking.pop(schema_id, None)
        return self._schemas[schema_id]

    async def _find_or_register(self, subject: str, schema: Schema) -> int:
        wanted = RegistrySchema(schema.text, schema.type)
        found = await self._find(self._client.lookup_schema(subject, wanted))
        if found is not None:
            return int(found.schema_id or 0)
        if not self._auto_register:
            raise SettingsError(
                f"The schema registry at {self._url} does not have our schema under {subject},"
                " and SCHEMA_REGISTRY_AUTO_REGISTER is off",
                "Register it: run once with SCHEMA_REGISTRY_AUTO_REGISTER=true and a user who may,"
                f" or POST it to /subjects/{quote(subject, safe='')}/versions",
            )
        await self._require_compatible(subject, wanted)
        schema_id = await self._ask(self._client.register_schema(subject, wanted))
        log.info("schema_registered", subject=subject, id=schema_id, type=schema.type)
        return schema_id

    async def _require_compatible(self, subject: str, wanted: RegistrySchema) -> None:
        # The client's own method drops the registry's reasons.
        path = f"compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        post = self._client._rest_client.post  # noqa: SLF001
        answer: Any = await self._find(post(path, body=wanted.to_dict()))
        if answer is None or answer.get("is_compatible", True):  # None: the subject is new
            return
        told = reasons([str(each) for each in answer.get("messages") or ()])
        if not told:
            latest = await self._ask(self._client.get_latest_version(subject))
            told = "; ".join(differences(latest.schema.schema_str or "", wanted.schema_str or ""))
        raise incompatible(subject, told)

    async def _wait_for(self, schema_id: int) -> Schema:
        delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
        while True:
            try:
                return _known(await self._ask(self._client.get_schema(schema_id)))
            except StopRequested:
                raise
            except TandemError as problem:
                if is_missing(problem.__cause__):
                    self._note_missing(schema_id)
                    raise _not_found(schema_id) from problem
                delay = next(delays)
                log.error(
                    "schema_unknown",
                    id=schema_id,
                    cause=problem.cause,
                    remedy=problem.remedy,
                    retry_in=f"{delay:.1f}s",
                )
            await unless_stopped(self._stop, asyncio.sleep(delay))

    def _note_missing(self, schema_id: int) -> None:
        """Anyone can write an id: one that is unknown is asked for once a second at most, and not remembered for long."""
        if len(self._missing_until) >= _MOST_MISSING:
            self._missing_until.clear()
        self._missing_until[schema_id] = asyncio.get_running_loop().time() + _MISSING_SECONDS

    async def _patiently(self, ask: Callable[[], Awaitable[Result]]) -> Result:
        """Ask again while the registry can't be reached, until our patience is over."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience
        delays = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)
        while True:
            try:
                return await ask()
            except UnavailableError as problem:
                if clock() >= deadline:
                    raise
                delay = min(next(delays), deadline - clock())
                log.warning("registry_unavailable", cause=problem.cause, retry_in=f"{delay:.1f}s")
            await unless_stopped(self._stop, asyncio.sleep(delay))

    async def _find(self, request: Awaitable[Result]) -> Result | None:
        """Return the answer, or None when the registry has no such thing."""
        try:
            return await self._ask(request)
        except SettingsError as error:
            if is_missing(error.__cause__):
                return None
            raise

    async def _ask(self, request: Awaitable[Result]) -> Result:
        """Return the answer to one request, in a bounded time. Raises SettingsError or UnavailableError, or StopRequested."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT * len(self._url.split(","))):
                return await unless_stopped(self._stop, request)
        except StopRequested:
            raise
        except (TransportError, OSError) as error:
            problem = await explain_https(error, self._last_url, self._peer, self._tls)
            raise problem or explain(error, self._url) from error
        except Exception as error:
            raise explain(error, self._url) from error


def _not_found(schema_id: int) -> SchemaNotFoundError:
    return SchemaNotFoundError(f"the schema registry does not know the schema {schema_id}")


def _known(found: RegistrySchema) -> Schema:
    kind = found.schema_type or "AVRO"  # the registry leaves the oldest type out
    if kind not in _TYPES or not found.schema_str:
        raise SettingsError(f"It is a schema of type {kind}", f"Types known are {', '.join(_TYPES)}")
    return Schema(_TYPES[kind], found.schema_str)
