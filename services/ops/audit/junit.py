"""The verdict as JUnit XML, which build servers read. Pure.

One test case for each check of each partition, and of each group there; a failure is a finding, an error what could not be
checked. The shape is that of Jenkins' junit-10.xsd.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from services.ops.audit.compare import Result
from services.ops.audit.findings import At, Doubt, Finding, Kind
from tandem.log import escape

_OF_LOGS = (Kind.LOST, Kind.PHANTOM, Kind.DUPLICATED, Kind.REORDERED, Kind.CORRUPT)
_OF_GROUPS = (Kind.MISSED, Kind.EXPIRED)
_MOST_NAMED = 100

Subject = tuple[str | None, At]  # a group, if it is about one, and a partition


@dataclass(slots=True)
class _Case:
    findings: list[Finding] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)


def as_junit(result: Result, seconds: float) -> bytes:
    """The report as a file's bytes: UTF-8, with nothing in it that XML does not take."""
    cases = _cases(result)
    failures = sum(bool(case.findings) for case in cases.values())
    errors = sum(bool(case.doubts) for case in cases.values())
    numbers = {
        "tests": str(len(cases)),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": "0",
        "time": f"{seconds:.3f}",
    }
    root = ET.Element("testsuites", numbers)
    suite = ET.SubElement(root, "testsuite", {"name": "tandem audit", **numbers})
    for (name, check), case in cases.items():
        element = ET.SubElement(suite, "testcase", {"classname": name, "name": check, "time": "0"})
        if case.findings:
            _add(element, "failure", check, [_told(each) for each in case.findings])
        if case.doubts:
            _add(element, "error", "not checked", [each.reason for each in case.doubts])
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _cases(result: Result) -> dict[tuple[str, str], _Case]:
    cases = {key: _Case() for key in _expected(result)}
    for finding in result.findings.wrong:
        key = _name(finding.group, finding.at), str(finding.kind)
        cases.setdefault(key, _Case()).findings.append(finding)
    for doubt in result.findings.doubts:
        name = escape(doubt.about) if doubt.at is None else _name(doubt.group, doubt.at)
        cases.setdefault((name, escape(f"{doubt.about} could be checked")), _Case()).doubts.append(doubt)
    return cases


def _expected(result: Result) -> Iterator[tuple[str, str]]:
    for log in result.logs:
        yield from ((_name(None, log.at), str(kind)) for kind in _OF_LOGS)
    for group in result.groups:
        yield from ((_name(group.group, group.at), str(kind)) for kind in _OF_GROUPS)


def _name(group: str | None, at: At) -> str:
    return escape(f"{at}" if group is None else f"{at} {group}")


def _told(finding: Finding) -> str:
    return f"{finding.kind} {finding.at}: {finding.name}" + (f" ({finding.detail})" if finding.detail else "")


def _add(case: ET.Element, tag: str, kind: str, lines: list[str]) -> None:
    message = f"{lines[0]}{f' and {len(lines) - 1} more' if len(lines) > 1 else ''}"
    element = ET.SubElement(case, tag, {"type": escape(kind), "message": escape(message)})
    element.text = "\n".join(map(escape, lines[:_MOST_NAMED]))
