"""Tokens by OAuth 2's client credentials (RFC 6749, section 4.4), for Kafka and for a schema registry."""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2 as httpx
import structlog
from pydantic import SecretStr

from tandem.durations import growing_delays
from tandem.errors import SettingsError, TandemError, UnavailableError
from tandem.log import escape
from tandem.security.handshake import explain_https
from tandem.security.tls import Peer, tls_context

_TIMEOUT = 4.0
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
_PAUSE = 0.5
_RENEW_AFTER = 0.8  # of its life, as librdkafka and the Java client do
_UNKNOWN_LIFE = 60.0  # of a token that comes without `expires_in`
_SHORTEST_LIFE = 1.0
_LONGEST_REASON = 200
_LATER = {408, 425, 429}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where tokens come from, and who asks."""

    url: str
    client_id: str
    client_secret: SecretStr
    scope: str | None
    tls: ssl.SSLContext
    prefix: str  # of the settings that say so

    @classmethod
    def of(cls, prefix: str, settings: object) -> Self:
        """The one that the settings `<prefix>_OAUTH_…` name, whose authority may be the one in `<prefix>_SSL_CAFILE`.

        Raises SettingsError for an authority that can't be used.
        """

        def given(name: str) -> Any:  # noqa: ANN401 -- each setting has a type of its own
            return getattr(settings, f"{prefix}_{name}".lower())

        # It may be a public service or, behind an authority of the company's own, a private one.
        tls = tls_context(f"{prefix}_SSL", given("SSL_CAFILE"))
        tls.load_default_certs()
        secret = given("OAUTH_CLIENT_SECRET") or SecretStr("")
        url, client_id = given("OAUTH_TOKEN_URL") or "", given("OAUTH_CLIENT_ID") or ""
        return cls(url, client_id, secret, given("OAUTH_SCOPE"), tls, prefix)

    @property
    def name(self) -> str:
        """The URL without what may be secret in it."""
        return escape(self.url.partition("?")[0])

    @property
    def peer(self) -> Peer:
        """The endpoint as messages about TLS name it."""
        setting = f"{self.prefix}_OAUTH_TOKEN_URL"
        return Peer(f"token endpoint {self.name}", f"{self.prefix}_SSL", setting, f"Check {setting}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and when it is time for another one: seconds on the loop's clock."""

    value: str = field(repr=False)
    renew_at: float
    expires_at: float


class TokenSource:
    """Keeps a token and gets the next one before it expires; an endpoint that fails is left alone for a while."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._token: Token | None = None
        self._asking = asyncio.Lock()
        self._refusal: TandemError | None = None
        self._not_before = 0.0
        self._delays: Iterator[float] = growing_delays(_FIRST_DELAY, _LONGEST_DELAY)

    async def token(self) -> str:
        """Return a token that has not expired. Raises SettingsError or UnavailableError, within seconds."""
        clock = asyncio.get_running_loop().time
        async with self._asking:
            if self._token is None or clock() >= self._token.renew_at:
                await self._renew(clock())
            if self._token is None or clock() >= self._token.expires_at:
                assert self._refusal is not None  # noqa: S101 -- without a token there is a reason
                raise self._refusal
            return self._token.value

    async def _renew(self, now: float) -> None:
        if self._refusal is not None and now < self._not_before:
            if self._token is None or now >= self._token.expires_at:
                await asyncio.sleep(_PAUSE)  # aiokafka will ask again at once
            return
        try:
            self._token = await ask(self._endpoint, now)
        except TandemError as error:
            delay = next(self._delays)
            self._refusal, self._not_before = error, now + delay
            log.warning("token_refused", cause=error.cause, retry_in=f"{delay:g}s")
        else:
            self._refusal, self._delays = None, growing_delays(_FIRST_DELAY, _LONGEST_DELAY)


async def ask(endpoint: Endpoint, now: float) -> Token:
    """Get a token. Raises SettingsError when the endpoint refuses this client, UnavailableError when it does not answer."""
    form = {"grant_type": "client_credentials"} | ({"scope": endpoint.scope} if endpoint.scope else {})
    who = httpx.BasicAuth(endpoint.client_id, endpoint.client_secret.get_secret_value())
    try:
        async with asyncio.timeout(_TIMEOUT), httpx.AsyncClient(verify=endpoint.tls) as client:
            answer = await client.post(endpoint.url, data=form, auth=who)
            return read_token(answer.json(), now) if answer.is_success else _refused(endpoint, answer)
    except TandemError:
        raise
    except TimeoutError:
        raise _unavailable(endpoint, f"does not answer within {_TIMEOUT:g} s") from None
    except Exception as error:  # noqa: BLE001 -- whatever it is, aiokafka must not see it
        problem = await explain_https(error, endpoint.url, endpoint.peer, endpoint.tls)
        raise problem or _failed(endpoint, error) from None


def read_token(answer: Any, now: float) -> Token:  # noqa: ANN401 -- whatever JSON holds
    """Take the token out of an answer (RFC 6749, section 5.1). Raises ValueError when there is none."""
    value = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise ValueError("the answer holds no access_token")
    told = answer.get("expires_in")
    life = _UNKNOWN_LIFE if told is None else max(_SHORTEST_LIFE, float(told))
    return Token(value, now + _RENEW_AFTER * life, now + life)


def _refused(endpoint: Endpoint, answer: httpx.Response) -> Token:
    """Say why there is no token (RFC 6749, section 5.2)."""
    if answer.is_server_error or answer.status_code in _LATER:
        raise _unavailable(endpoint, f"answers {answer.status_code}")
    try:
        said = answer.json()
        reason = " ".join(str(said[name]) for name in ("error", "error_description") if name in said)
    except (ValueError, TypeError, AttributeError):
        reason = ""
    reason = reason.replace(endpoint.client_secret.get_secret_value(), "…")[:_LONGEST_REASON]
    if answer.status_code in {400, 401, 403} and reason:
        raise SettingsError(
            f"The token endpoint {endpoint.name} refuses the client: {escape(reason)}",
            _remedy(endpoint, "Check {0}_CLIENT_ID, {0}_CLIENT_SECRET and {0}_SCOPE"),
        )
    raise SettingsError(
        f"{endpoint.name} answers {answer.status_code}, as no token endpoint does",
        _remedy(endpoint, "Check {0}_TOKEN_URL, {0}_CLIENT_ID and {0}_CLIENT_SECRET"),
    )


def _failed(endpoint: Endpoint, error: Exception) -> TandemError:
    text = escape(str(error)[:_LONGEST_REASON]) or type(error).__name__
    if isinstance(error, httpx.HTTPError):
        return _unavailable(endpoint, f"can't be reached: {text}")
    return SettingsError(
        f"{endpoint.name} does not answer as a token endpoint: {text}",
        _remedy(endpoint, "Check {0}_TOKEN_URL"),
    )


def _unavailable(endpoint: Endpoint, what: str) -> UnavailableError:
    return UnavailableError(
        f"The token endpoint {endpoint.name} {what}",
        _remedy(endpoint, "Check {0}_TOKEN_URL and the network"),
    )


def _remedy(endpoint: Endpoint, text: str) -> str:
    return text.format(f"{endpoint.prefix}_OAUTH")
