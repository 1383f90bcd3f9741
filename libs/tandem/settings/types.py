"""The types that settings take: how each is read, and what it says of a bad value."""

import re
from collections.abc import Callable, Sequence
from email.errors import HeaderParseError
from email.headerregistry import Address
from ipaddress import ip_address
from itertools import pairwise
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr
from pydantic_settings import CliSuppress, NoDecode

from tandem.durations import Duration, Interval
from tandem.paces import Burst, Ramp, Rate
from tandem.schemas import STREAMS

Item = TypeVar("Item")


def _parsed(kind: type[Duration | Interval | Rate | Ramp | Burst]) -> PlainValidator:
    return PlainValidator(lambda value: value if isinstance(value, kind) else kind.parse(str(value)))


def _one_of(what: str, names: Sequence[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"is no {what}; there are: {', '.join(names)}")
        return value

    return AfterValidator(check)


def _servers(text: str) -> str:
    for server in text.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536) or "/" in host:
            raise ValueError("takes host:port, several separated by commas, for example localhost:9092")
    return text


def _topic(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError("takes letters, digits, '.', '_' and '-', at most 249 of them")
    return text


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9._-]{0,100}", text):
        raise ValueError("takes letters, digits, '.', '_' and '-', at most 100 of them")
    return text


def _start(text: str) -> str | int:
    if text in {"beginning", "end"}:
        return text
    if text.startswith("s@") and text[2:].isdecimal() and len(text) < 18:
        return int(text[2:])
    raise ValueError("takes beginning, end, or s@<epoch milliseconds>, for example s@1767225600000")


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, say
        usable, parts = False, urlsplit("")
    if not usable or "@" in parts.netloc or parts.fragment or not text.isprintable() or " " in text:
        raise ValueError("takes https://host/path, without a user or a password in it")
    return text


def _urls(text: str) -> str:
    for url in text.split(","):
        if urlsplit(_url(url.strip())).query:
            raise ValueError("takes an address without a question mark")
    return text


def _mail_server(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        usable = parts.scheme in {"smtp", "smtps"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    more = parts.path.strip("/") or parts.query or parts.fragment
    if not usable or more or bool(parts.username) != bool(parts.password):
        raise ValueError(
            "takes smtp://host:port or smtps://host:port, with user:password@ in front of the host if needed; write"
            " / ? # @ : and % in a password as %2F %3F %23 %40 %3A %25"
        )
    return url


def _mail_address(text: str) -> str:
    try:
        address = Address(addr_spec=text)
    except (HeaderParseError, IndexError, ValueError):
        address = Address()
    if not address.username or not address.domain:
        raise ValueError("takes one address, for example shop@example.com")
    return text


def in_the_clear(url: str) -> bool:
    """Say whether what is sent there can be read on the way: http to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _durations(text: str) -> tuple[Duration, ...]:
    delays = () if text == "none" else tuple(map(Duration.parse, text.split(",")))
    if any(later <= earlier for earlier, later in pairwise(delays)):
        raise ValueError("takes delays that grow, for example 30s,5m")
    return delays


def _words(text: str) -> tuple[str, ...]:
    words = () if text == "none" else tuple(map(str.strip, text.split(",")))
    if not all(map(str.isidentifier, words)):
        raise ValueError("takes names of exceptions separated by commas, for example ValueError,TypeError")
    return words


def _port(value: object) -> int | str:
    text = str(value).strip().lower() or "none"
    if text in {"auto", "none"}:
        return text
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 65536):
        raise ValueError("takes a port, 0 for any free one, auto, or none")
    return int(text)


def _listed(parse: Callable[[str], tuple[Item, ...]]) -> PlainValidator:
    return PlainValidator(lambda value: parse(value) if isinstance(value, str) else tuple(value))


Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
Upper = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)

Time = Annotated[Duration, _parsed(Duration)]
Delays = Annotated[tuple[Duration, ...], NoDecode, _listed(_durations)]
ExceptionNames = Annotated[tuple[str, ...], NoDecode, _listed(_words)]
EventInterval = Annotated[Interval, NoDecode, _parsed(Interval)]
SteadyPace = Annotated[Rate, NoDecode, _parsed(Rate)]
RampedPace = Annotated[Ramp, NoDecode, _parsed(Ramp)]
Bursts = Annotated[Burst, NoDecode, _parsed(Burst)]
StreamName = Annotated[str, _one_of("stream", list(STREAMS))]
Start = Annotated[str | int, PlainValidator(_start)]
Secret = CliSuppress[SecretStr | None]  # a flag that help doesn't name: others see a command line
SmtpUrl = CliSuppress[Annotated[SecretStr, AfterValidator(_mail_server)] | None]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
AdminPort = Annotated[int | str, PlainValidator(_port)]
Servers = Annotated[str, AfterValidator(_servers)]
TopicName = Annotated[str, AfterValidator(_topic)]
TopicPrefix = Annotated[str, AfterValidator(_prefix)]
Url = Annotated[str, AfterValidator(_url)]
Urls = Annotated[str, AfterValidator(_urls)]
