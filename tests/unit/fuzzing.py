"""Many inputs, each made from a seed and its number, each tried in a bounded time and memory.

FUZZ_INPUTS is how many; FUZZ_SEED tells which; FUZZ_NUMBER tries that one alone. A crash or a hang ends the whole process: then
`.hypothesis/fuzz-input` says which input it was, and holds it.
"""

import faulthandler
import os
import resource
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

Attempt = Callable[[], None]
Make = Callable[[Random], tuple[object, Attempt]]

INPUTS = int(os.environ.get("FUZZ_INPUTS", "4000"))
# A run that nobody asked for is the same each time; `make fuzz` tries others.
SEED = os.environ.get("FUZZ_SEED") or (secrets.token_hex(4) if "FUZZ_INPUTS" in os.environ else "0")
_ONLY = os.environ.get("FUZZ_NUMBER")

_MOST_SECONDS = 3.0  # of computing, for one input of a megabyte at most
_HANG_SECONDS = 45.0  # of the clock; what hangs inside a C library can't be interrupted, only ended
_MOST_GROWTH = 300 * 1024 * 1024  # bytes of memory, for one input
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
_LAST = Path(__file__).parents[2] / ".hypothesis" / "fuzz-input"


def fuzz(make: Make, capfd: pytest.CaptureFixture[str], share: float = 1.0) -> None:
    """Try a share of the inputs that `make` makes of a source of chance: a name for the input, and the attempt.

    An attempt raises AssertionError when what is promised of the input does not hold, as any other exception says too.
    What has to be seen even if the process ends at once passes by `capfd`.
    """
    numbers = range(int(INPUTS * share)) if _ONLY is None else [int(_ONLY)]
    with capfd.disabled(), _remembered() as remember:
        if "FUZZ_INPUTS" in os.environ:
            sys.stderr.write(f"\nFUZZ_SEED={SEED} FUZZ_INPUTS={INPUTS}: {len(numbers)} of them ")
            sys.stderr.flush()
        for number in numbers:
            value, attempt = make(Random(f"{SEED}/{number}"))
            name = f"FUZZ_SEED={SEED} FUZZ_NUMBER={number}"
            remember(f"{name}\n{value!r}\n")
            try:
                with _bounded():
                    attempt()
            except Exception as error:
                raise AssertionError(
                    f"{name}: {str(error) or repr(error):.500} for {value!r:.1500}"
                ) from error


@contextmanager
def _bounded() -> Iterator[None]:
    faulthandler.dump_traceback_later(_HANG_SECONDS, exit=True, file=2)
    began, peak = time.process_time(), _peak()
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds, growth = time.process_time() - began, _peak() - peak
    assert seconds < _MOST_SECONDS, f"{seconds:.1f} s of computing"
    assert growth < _MOST_GROWTH, f"{growth / 2**20:.0f} MB more memory"


@contextmanager
def _remembered() -> Iterator[Callable[[str], None]]:
    """What writes to the file the text that is to be there when the process ends, before that of the input before it."""
    _LAST.parent.mkdir(exist_ok=True)
    with _LAST.open("wb") as file:
        yield lambda text: _write(file.fileno(), f"{text}\n(older inputs)\n".encode(errors="replace"))


def _write(file: int, text: bytes) -> None:
    os.pwrite(file, text, 0)


def _peak() -> int:
    """Bytes of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
