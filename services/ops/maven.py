"""What Java programs are made of, from Maven repositories: jars with all they depend on, and packed applications.

jgo belongs to the extra `broker`: nothing here needs it before it is used.
"""

import asyncio
import fcntl
import hashlib
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TypeVar

import structlog

from services.ops.java import INSTALL
from tandem.errors import SettingsError, TandemError, UnavailableError

Result = TypeVar("Result")

_POLL = 0.05

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Archive:
    """A whole application in one `.tar.gz` of a Maven repository, and the SHA-256 that it was published with."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


async def fetch_jars(coordinates: str) -> list[Path]:
    """Do the same as `resolve_jars` in a thread, which ends soon after we are cancelled."""
    return await _in_thread(lambda cancelled: resolve_jars(coordinates, cancelled))


async def fetch_archive(archive: Archive) -> Path:
    """Do the same as `unpack` in a thread, which ends soon after we are cancelled."""
    return await _in_thread(lambda cancelled: unpack(archive, cancelled))


def resolve_jars(coordinates: str, cancelled: threading.Event | None = None) -> list[Path]:
    """Return the jars of Maven coordinates (`group:artifact:version`, joined by +) and of all they depend on.

    What is missing is downloaded, once for all projects of this user. Raises UnavailableError when that fails,
    and soon after `cancelled` is set.
    """
    jgo = _extra("jgo")
    cancelled = cancelled or threading.Event()
    with _explained(f"the jars of {coordinates}"), _alone(cancelled):
        resolver = _whole_downloads(coordinates, cancelled)
        jars: list[Path] = jgo.build(coordinates, repositories=_mirrors(), resolver=resolver).all_jars
    _discard_broken(jars)
    return jars


def unpack(archive: Archive, cancelled: threading.Event | None = None) -> Path:
    """Return the folder that holds what is in the archive; download and unpack it where that has not been done yet.

    The folder is whole or not there at all, and the same for all projects of this user. Raises UnavailableError when
    the archive can't be had or is not the one that was published, and soon after `cancelled` is set.
    """
    maven = _extra("jgo.maven")
    cancelled = cancelled or threading.Event()
    folder = _cache() / "unpacked" / f"{archive.artifact}-{archive.version}-{archive.sha256[:12]}"
    with _explained(str(archive)), _alone(cancelled):
        if folder.is_dir():
            return folder
        context = maven.MavenContext(
            resolver=_whole_downloads(str(archive), cancelled),
            remote_repos={"central": _extra("jgo.constants").MAVEN_CENTRAL_URL} | _mirrors(),
        )
        component = context.project(archive.group, archive.artifact).at_version(archive.version)
        path: Path = component.artifact(archive.classifier, "tar.gz").resolve()
        _require_published(path, archive)
        _unpack_into(folder, path)
    return folder


async def _in_thread(work: Callable[[threading.Event], Result]) -> Result:
    cancelled = threading.Event()
    try:
        return await asyncio.to_thread(work, cancelled)
    finally:
        cancelled.set()


def _extra(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise SettingsError(f"The Python package {name} is missing", f"Install it: {INSTALL}") from error


def _cache() -> Path:
    folder: Path = _extra("jgo.config").GlobalSettings.load().cache_dir
    return folder


@contextmanager
def _alone(cancelled: threading.Event) -> Iterator[None]:
    """One at a time, of all processes of this user: jgo's downloads would delete each other's files."""
    _cache().mkdir(parents=True, exist_ok=True)
    with (_cache() / "tandem.lock").open("w") as lock:
        while not _take(lock):
            if cancelled.wait(_POLL):
                raise InterruptedError("stopped")
        yield


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _mirrors() -> dict[str, str]:
    """The repositories that a company names in jgo's settings file: jgo itself would leave them out."""
    mirrors: dict[str, str] = _extra("jgo.config").GlobalSettings.load().repositories
    return mirrors


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except TandemError:
        raise
    except Exception as error:  # jgo has no error of its own: what its parts raise comes through
        raise UnavailableError(
            f"Can't get {what}: {_reason(error)}",
            "Check the network (HTTPS_PROXY and REQUESTS_CA_BUNDLE are honoured, and the repositories in jgo's settings file), and try again",
        ) from error


def _whole_downloads(what: str, cancelled: threading.Event) -> Any:  # noqa: ANN401 -- a class of jgo's
    """Make a resolver that leaves no half file: jgo writes to the final name, and later takes what is there for whole."""

    def go_on(_: int = 0) -> None:
        if cancelled.is_set():
            raise InterruptedError("stopped")

    @contextmanager
    def progress(_: str, __: int) -> Iterator[Callable[[int], None]]:
        yield go_on

    resolver = _extra("jgo.maven").PythonResolver(progress_callback=progress)
    download: Callable[[Any], Path | None] = resolver.download
    announced = threading.Event()

    def download_whole(artifact: Any) -> Path | None:  # noqa: ANN401 -- a class of jgo's
        go_on()
        if not announced.is_set():
            announced.set()
            log.info("downloading", what=what)
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


def _require_published(path: Path, archive: Archive) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        path.unlink()
        raise UnavailableError(
            f"{path.name} is not what was published: its SHA-256 is {found}, not {archive.sha256}",
            "It is deleted: try again; a download may have been cut off, or a repository alters files",
        )


def _unpack_into(folder: Path, path: Path) -> None:
    safely = (
        {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    )  # before Python 3.11.4: its SHA-256 must do
    half = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    with tarfile.open(path) as packed:
        packed.extractall(half, **safely)  # type: ignore[arg-type]  # noqa: S202 -- as safely as can be
    half.rename(folder)


def _reason(error: BaseException) -> str:
    """Say in one line what lies at the bottom: the upper errors are several lines of library internals."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0].partition(" in remote repositories")[0]
