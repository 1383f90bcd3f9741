"""What a release consists of. Made by the Makefile's own targets, in a folder of the test's own."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from zipfile import ZipFile

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from services.ops.__main__ import main

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
ELSEWHERE = {"PIP_INDEX_URL": "https://user:secret@mirror.example/simple", "TZ": "Asia/Tokyo"}


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a target with the environment that is there: `-o setup` builds no other one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "-o", "setup", *arguments],  # noqa: S607 -- found as the developer's is
        cwd=ROOT,
        env=inherited | {"NO_PROXY": "127.0.0.1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def built(folder: Path, name: str, *targets: str, **environment: str) -> Path:
    done = make(*targets, f"DIST={folder}", **environment)
    assert done.returncode == 0, done.stderr
    return folder / name


def locked(name: str) -> dict[str, frozenset[str]]:
    """Of each package of a lock file, as name==version, its hashes."""
    packages = re.split(r"^(?=\w)", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    return {each.split()[0]: frozenset(re.findall(r"--hash=sha256:(\w{64})", each)) for each in packages}


def asked_about() -> set[str]:
    """The packages of the run-time lock that this Python would install."""
    lines = [
        line for line in (ROOT / "requirements-runtime.lock").read_text().splitlines() if line[0].isalpha()
    ]
    wanted = [Requirement(line.removesuffix("\\")) for line in lines]
    return {str(each.name) for each in wanted if each.marker is None or each.marker.evaluate()}


@contextmanager
def vulnerability_service(vulnerable: str | None) -> Iterator[tuple[str, set[str]]]:
    """A stand-in for OSV on loopback that knows one vulnerability, of one package; with what it was asked about."""
    asked: set[str] = set()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            package = json.loads(self.rfile.read(int(self.headers["content-length"])))["package"]
            asked.add(package["name"])
            known = {"id": "PYSEC-2026-1", "affected": [{"package": package}]}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"vulns": [known]} if package["name"] == vulnerable else {}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, name="vulnerability-service")
        thread.start()
        try:
            yield f"osv --osv-url http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("bill"), f"tandem-{VERSION}.cdx.json", "sbom")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"), f"tandem-{VERSION}-py3-none-any.whl", "dist")


def test_the_program_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tandem {VERSION}\n"


def test_the_changelog_names_every_release_newest_first_and_ends_with_the_version_in_pyproject() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    unreleased = headings[0] == "Unreleased"
    matches = [re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", each) for each in headings[unreleased:]]
    assert None not in matches, "a heading is no `version - date`"
    released = [Version(match[1]) for match in matches if match]
    assert released == sorted(set(released), reverse=True)
    assert unreleased or released[0] == Version(VERSION)
    assert all(each <= Version(VERSION) for each in released)


def test_the_changelog_sorts_its_entries_by_the_usual_kinds() -> None:
    kinds = re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements-*.lock")))
def test_a_smaller_lock_has_versions_and_hashes_of_the_whole_one(name: str) -> None:
    whole = locked("requirements.lock")
    part = locked(name)
    assert part
    assert all(part.values())
    assert part == {package: whole.get(package) for package in part}


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_a_lock_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.findall(r"^\s*(?:-i|-f|--(?!hash=))\S*", text, re.MULTILINE)


def test_the_run_time_lock_satisfies_what_pyproject_asks_for() -> None:
    versions = dict(package.split("==") for package in locked("requirements-runtime.lock"))
    asked = [Requirement(each) for each in PROJECT["dependencies"]]
    assert not [
        str(each) for each in asked if not each.specifier.contains(versions[canonicalize_name(each.name)])
    ]


def test_the_bill_of_materials_is_valid_cyclonedx(bill: Path) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.read_text()) is None


def test_the_bill_of_materials_is_of_this_version_and_of_the_run_time_lock_hash_by_hash(bill: Path) -> None:
    content = json.loads(bill.read_text())
    root = content["metadata"]["component"]
    assert (root["name"], root["version"], root["type"]) == ("tandem", VERSION, "application")
    listed = {
        f"{each['name']}=={each['version']}": frozenset(
            digest["content"] for link in each["externalReferences"] for digest in link["hashes"]
        )
        for each in content["components"]
    }
    assert listed == locked("requirements-runtime.lock")
    assert [each["purl"] for each in content["components"]] == [
        f"pkg:pypi/{each['name']}@{each['version']}" for each in content["components"]
    ]


def test_the_bill_of_materials_is_the_same_everywhere_and_names_no_index(bill: Path, tmp_path: Path) -> None:
    again = built(tmp_path, bill.name, "sbom", **ELSEWHERE)
    assert again.read_bytes() == bill.read_bytes()
    assert "://" not in json.dumps(json.loads(bill.read_text())["components"])


def test_the_wheel_holds_all_of_the_program_and_nothing_else(wheel: Path) -> None:
    here = {
        str(path.relative_to(top))
        for top, package in ((ROOT / "libs", "tandem"), (ROOT, "services"))
        for path in (top / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    names = set(ZipFile(wheel).namelist())
    described = {name for name in names if name.startswith(f"tandem-{VERSION}.dist-info/")}
    assert names - described == here
    assert {"tandem/py.typed", "tandem/schemas/generated/orders/Order.avsc"} <= names


def test_the_wheel_runs_where_there_is_nothing_but_its_content(wheel: Path, tmp_path: Path) -> None:
    ZipFile(wheel).extractall(tmp_path)
    code = "import sys, services.ops.__main__ as ops, tandem; print(ops.__file__, tandem.__file__); sys.exit(ops.main())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    ops, tandem = tmp_path / "services/ops/__main__.py", tmp_path / "tandem/__init__.py"
    assert (done.stdout, done.stderr) == (f"{ops} {tandem}\ntandem {VERSION}\n", "")


def test_the_wheel_has_the_same_bytes_each_time(wheel: Path, tmp_path: Path) -> None:
    again = built(tmp_path, wheel.name, "dist", **ELSEWHERE)
    assert again.read_bytes() == wheel.read_bytes()
    assert [path.read_bytes() for path in wheel.parent.glob("*.tar.gz")] == [
        path.read_bytes() for path in tmp_path.glob("*.tar.gz")
    ]


def test_the_image_is_labelled_with_version_and_commit() -> None:
    (command,) = re.findall(r"docker build .*", make("--dry-run", "image").stdout.replace("\\\n", ""))
    commit, created = subprocess.run(
        ["git", "log", "-1", "--format=%H %cI"],  # noqa: S607 -- found as make finds it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert f"VERSION={VERSION} " in command
    assert re.search(f"REVISION={commit}(-dirty)? ", command)
    assert f"CREATED={created} " in command
    assert f"--tag tandem:{VERSION} " in command


def test_packages_without_a_known_vulnerability_pass() -> None:
    with vulnerability_service(None) as (service, asked):
        done = make("audit-packages", f"SERVICE={service}")
    assert done.returncode == 0, done.stdout
    assert "No known vulnerabilities found" in done.stdout
    assert asked == asked_about()


def test_a_known_vulnerability_fails_and_is_named() -> None:
    with vulnerability_service("aiohttp") as (service, _):
        done = make("audit-packages", f"SERVICE={service}")
    assert done.returncode != 0
    assert re.search(r"^aiohttp\s.*PYSEC-2026-1", done.stdout, re.MULTILINE)
    assert "not checked" not in done.stdout


def test_a_vulnerability_service_that_is_not_there_fails_in_one_line() -> None:
    with vulnerability_service(None) as (service, _):
        pass
    done = make("audit-packages", f"SERVICE={service}")
    assert done.returncode != 0
    assert "error: not checked, the vulnerability service did not answer" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
