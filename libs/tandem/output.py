"""What a command prints as its result."""

import os
import sys

from tandem.errors import TandemError


def say(text: str) -> None:
    """Print to standard output; nothing happens where nobody reads it any more (`| head`).

    Raises TandemError when it can't be written, to a full disk, say.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # nothing is to be written at the end either
        if not isinstance(error, BrokenPipeError):
            raise TandemError(
                f"Can't write to standard output: {error.strerror}",
                "What was asked for is done; only what was to be told of it is missing",
            ) from error
