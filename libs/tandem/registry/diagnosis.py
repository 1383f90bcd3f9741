"""From an error of the registry's, or a connection that fails, to a cause and a remedy for people."""

import re
import ssl

from confluent_kafka.schema_registry import SchemaRegistryError
from httpx2 import ReadError, RemoteProtocolError, TransportError, WriteError

from tandem.errors import SettingsError, TandemError, UnavailableError
from tandem.log import escape
from tandem.security.handshake import chain
from tandem.security.tls import Peer

_HANG_UP = (
    RemoteProtocolError,
    ReadError,
    WriteError,
    ConnectionResetError,
    BrokenPipeError,
    ssl.SSLEOFError,
)
_PASSING = {408, 425, 429}
_LONGEST = 1000
_EXPLANATION = re.compile(r"description:\s*\"?'?(.*?)'?\"?,\s*additionalInfo", re.DOTALL)


def explain(error: Exception, where: str) -> TandemError:
    """Say what a person can do about an error of a request to the registry at `where`; not what TLS has to do with it."""
    match error:
        case TandemError():
            return error
        case SchemaRegistryError():
            return _answered(error, where)
        case TimeoutError():
            return _unreachable(f"The schema registry at {where} does not answer in time")
        case Exception() if isinstance(error, _HANG_UP):
            return UnavailableError(
                f"The schema registry at {where} closes the connection",
                "If it goes on, it may want TLS (https://) or a certificate (SCHEMA_REGISTRY_SSL_CERTFILE)",
            )
        case TransportError() | OSError():
            return _failed(error, where)
        case _:  # no JSON, or JSON of another kind
            return _no_registry(where, f"it answers with something else ({type(error).__name__})")


def _answered(error: SchemaRegistryError, where: str) -> TandemError:
    status, said = error.http_status_code, message(error)
    if status in {401, 403}:
        return SettingsError(
            f"The schema registry at {where} refuses the user ({status}): {said}",
            "Check SCHEMA_REGISTRY_API_KEY and SCHEMA_REGISTRY_API_SECRET, or SCHEMA_REGISTRY_OAUTH_…,"
            " and this user's rights",
        )
    if status in _PASSING or status >= 500:
        return _unreachable(f"The schema registry at {where} answers {status}: {said}")
    if status == 409:
        return incompatible("the subject", said)
    if is_missing(error):
        return SettingsError(
            f"The schema registry at {where} says: {said}", "Is it the registry that the others use, too?"
        )
    if not _is_own(error):
        return _no_registry(where, f"it answers {status}")
    return SettingsError(f"The schema registry at {where} refuses it ({status}): {said}", "Look into its log")


def is_missing(error: BaseException | None) -> bool:
    """Whether a registry, and no other web server, says that it has no such thing."""
    return isinstance(error, SchemaRegistryError) and error.http_status_code == 404 and _is_own(error)


def incompatible(subject: str, told: str) -> SettingsError:
    """What to do when the schemas registered before do not allow this one."""
    return SettingsError(
        f"Our schema is not compatible with what is registered under {subject}: {told}",
        "Change the event so that readers of both versions cope (a new field with a default, say), take another topic,"
        " or relax the subject's compatibility level",
    )


def _is_own(error: SchemaRegistryError) -> bool:
    """Whether the answer is in the form of a registry: JSON with a code. The client makes -1 of any other."""
    return error.error_code not in {None, SchemaRegistryError.UNKNOWN}


def _failed(error: Exception, where: str) -> TandemError:
    causes = [*chain(error)]
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return _unreachable(f"Nothing listens at {where}")
    last = causes[-1]
    said = getattr(last, "strerror", None) or str(last) or type(last).__name__
    return _unreachable(f"Can't reach the schema registry at {where}: {escape(said[:_LONGEST])}")


def registry_peer(url: str, *, certified: bool) -> Peer:
    """The registry as messages about TLS name it. `certified`: it is shown a certificate of ours."""
    return Peer(
        f"schema registry at {url}",
        "SCHEMA_REGISTRY_SSL",
        "SCHEMA_REGISTRY_URL",
        "Take http:// in SCHEMA_REGISTRY_URL for a registry without TLS, or another port",
        certified,
    )


def _no_registry(where: str, why: str) -> SettingsError:
    return SettingsError(
        f"There is no schema registry at {where}: {why}",
        "Set SCHEMA_REGISTRY_URL to its whole address, such as http://localhost:8081/apis/ccompat/v7",
    )


def _unreachable(cause: str) -> UnavailableError:
    return UnavailableError(cause, "Start a registry (`make registry`) or set SCHEMA_REGISTRY_URL")


def message(error: SchemaRegistryError) -> str:
    """What the registry says, on one line and not too long."""
    return escape(" ".join(str(error.error_message).split())[:_LONGEST])


def reasons(messages: list[str]) -> str:
    """What Confluent's compatibility check says, without the whole text of the old schema."""
    told = [found[1] for text in messages if (found := _EXPLANATION.search(text))]
    plain = [text for text in messages if not text.lstrip("{ ").startswith(("oldSchema", "validateFields"))]
    return escape("; ".join(" ".join(text.split()) for text in told or plain)[:_LONGEST])
