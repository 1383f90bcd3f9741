"""What can end a program, and the exit status each ending has.

TandemError                 status 1
├── UsageError              status 2
├── SettingsError           status 3
├── UnavailableError        status 4
├── UndeliveredError        status 5
├── InconclusiveError       status 8
└── StopRequested           status 0
CodecError                  never ends a program: the record is counted or set aside
└── SchemaNotFoundError     nor does this one: the record waits a while
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a Tandem process tells the one who started it."""

    DONE = 0  # finished, or drained after a signal
    FAILURE = 1
    USAGE = 2  # unknown flag or command
    SETTINGS = 3  # a setting or the cluster's state makes the run impossible
    UNAVAILABLE = 4  # the broker, or something else that is needed, does not answer
    UNDELIVERED = 5  # something sent was not acknowledged
    LOSS = 6  # an audit found records lost, missed, expired or corrupt
    DUPLICATES = 7  # no loss, but records twice, in another order, or there although they should not be
    INCONCLUSIVE = 8  # neither, but something could not be checked


class TandemError(Exception):
    """Ends the program with one line: what is wrong, and what mends it."""

    status = ExitStatus.FAILURE

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}. {remedy}")
        self.cause = cause
        self.remedy = remedy


class UsageError(TandemError):
    """Raised for a flag that there is not."""

    status = ExitStatus.USAGE


class SettingsError(TandemError):
    """Raised where a setting, a password or the cluster's topics make the run impossible."""

    status = ExitStatus.SETTINGS


class UnavailableError(TandemError):
    """Raised when the broker, a schema registry, a token endpoint or a download could not be reached in time."""

    status = ExitStatus.UNAVAILABLE


class UndeliveredError(TandemError):
    """Raised at the end of a run in which records were sent and not acknowledged."""

    status = ExitStatus.UNDELIVERED


class InconclusiveError(TandemError):
    """Raised when an audit ends before it can tell."""

    status = ExitStatus.INCONCLUSIVE


class StopRequested(TandemError):  # noqa: N818 -- it is a wish, not an error
    """Raised out of a wait that ended because the service was asked to stop."""

    status = ExitStatus.DONE

    def __init__(self) -> None:
        super().__init__("Stopped before it had started", "Nothing was sent or consumed")


class CodecError(Exception):
    """Raised when an event can't be written as bytes, or bytes can't be read as an event."""


class SchemaNotFoundError(CodecError):
    """Raised when the schema registry answers that it does not know the schema of some bytes. Later it may."""
