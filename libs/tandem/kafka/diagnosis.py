"""From an error of Kafka's, or a connection that fails, to a cause and a remedy for people."""

import asyncio

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from tandem.errors import SettingsError, TandemError, UnavailableError
from tandem.kafka.inquiry import Inquiry
from tandem.settings import KafkaSettings

_MOST_BROKERS = 10


def refusal(error: KafkaError) -> TandemError:
    """Say what a person can do about an error that Kafka answers with."""
    if remedy := missing_right(error):
        return SettingsError(f"Kafka refuses it: {describe(error)}", remedy)
    return UnavailableError(
        f"Kafka can't do it: {describe(error)}", "Look into the broker's log, or try again"
    )


def describe(error: KafkaError) -> str:
    """Name an error as Kafka's documentation does, with what it says and what it is about."""
    description = getattr(error, "description", "").rstrip(".")
    about = error.args[0] if error.args else ""
    about = ", ".join(map(str, about)) if isinstance(about, set | frozenset | list) else about
    return ": ".join(str(part) for part in (type(error).__name__, description, about) if part)


def missing_right(error: KafkaError) -> str | None:
    """What to grant, when an error says that the user lacks a right."""
    match error:
        case TopicAuthorizationFailedError():
            return "Grant this user Describe and Read or Write on the topic"
        case GroupAuthorizationFailedError():
            return "Grant this user Read on the group"
        case ClusterAuthorizationFailedError() | TransactionalIdAuthorizationFailed():
            return "Grant this user Write on the topic, or IdempotentWrite on the cluster"
        case _:
            return None


async def diagnose(settings: KafkaSettings, error: Exception) -> TandemError:
    """Say why a client can't use the cluster: from its error, or by connecting to the brokers as it does.

    A SettingsError means that trying again does not help. Takes seconds.
    """
    if isinstance(error, KafkaError) and missing_right(error):
        return refusal(error)
    inquiry, problems = Inquiry(settings), list[TandemError]()
    for server in settings.servers:  # one after the other: a user may have few tries left
        found = await inquiry.look(server)
        problems += (
            [found]
            if isinstance(found, TandemError)
            else await _look_on(inquiry, server, found[:_MOST_BROKERS])
        )
        for problem in problems:
            if isinstance(problem, SettingsError):
                return problem
    if problems:
        return problems[0]
    if isinstance(error, KafkaError):
        return refusal(error)
    return UnavailableError(f"Kafka answers, but not in time: {error!r}", "Look into the broker's log")


async def _look_on(inquiry: Inquiry, server: str, brokers: list[str]) -> list[TandemError]:
    """Look at the addresses that a broker advertises: clients use no others once they know them."""
    found = await asyncio.gather(*map(inquiry.look, brokers))
    unreachable = "Set the broker's advertised.listeners to an address that this machine reaches"
    return [
        type(problem)(
            f"Kafka answers at {server}, but not at {broker}, the address it advertises: {problem.cause}",
            problem.remedy if isinstance(problem, SettingsError) else unreachable,
        )
        for broker, problem in zip(brokers, found, strict=True)
        if isinstance(problem, TandemError)
    ]
