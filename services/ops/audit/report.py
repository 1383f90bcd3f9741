"""What an audit says: tables for people, an object for programs. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from services.ops.audit.compare import LogRow, Result
from services.ops.audit.findings import Doubt, Finding, Kind
from services.ops.audit.group_check import GroupRow
from services.ops.audit.run_check import RunRow, State
from services.ops.audit.verdict import counts, status_of, summary, word_for
from services.ops.topics import table
from tandem.log import escape

_MOST_LINES = 50
_LOG_KINDS = (Kind.LOST, Kind.PHANTOM, Kind.DUPLICATED, Kind.REORDERED, Kind.CORRUPT)
_GROUP_KINDS = (Kind.MISSED, Kind.EXPIRED)

Row = Mapping[str, Any]


def as_text(result: Result) -> str:
    """Tables: the logs, the groups, the runs with something to tell, what is wrong, what could not be checked; the verdict last."""
    findings = result.findings
    blocks: list[list[Row]] = [
        [_log_row(result, row) for row in result.logs],
        [_group_row(result, row) for row in result.groups],
        list(_run_rows(result.runs)),
        [_finding_row(each) for each in findings.wrong],
        [
            {"not checked": doubt.about, "where": doubt.at or "", "why": doubt.reason}
            for doubt in findings.doubts
        ],
    ]
    parts = [_block(block) for block in blocks if block]
    notes = "".join(f"note: {escape(remark)}\n" for remark in findings.remarks)
    return "\n".join(filter(None, [*parts, notes, f"{summary(result)}\n"]))


def _block(rows: Sequence[Row]) -> str:
    shown = [{name: _cell(value) for name, value in row.items()} for row in _needed(rows[:_MOST_LINES])]
    more = f"… and {len(rows) - _MOST_LINES} more: --json tells all\n" if len(rows) > _MOST_LINES else ""
    return table(shown) + more


def _cell(value: object) -> Any:  # noqa: ANN401 -- whatever a table takes
    return escape(str(value)) if value is not None else None


def _needed(rows: Sequence[Row]) -> Iterator[Row]:
    """Without the columns that would only hold zeros, but for the verdicts: their zeros are what people look for."""
    always = {*_LOG_KINDS, *_GROUP_KINDS, "records", "lag", "resolved", "partition"}
    names = [name for name in rows[0] if name in always or any(row[name] not in {0, ""} for row in rows)]
    return ({name: row[name] for name in names} for row in rows)


def _log_row(result: Result, row: LogRow) -> Row:
    mine = [run for run in result.runs if run.at == row.at]
    return {
        "topic": row.at.topic,
        "partition": row.at.partition,
        "offsets": f"{row.start}-{row.end}",
        "records": row.records,
        "runs": row.runs,
        **{kind: result.findings.count(kind, row.at) for kind in _LOG_KINDS},
        "unknown": sum(run.unknown + run.missing_unknown for run in mine),
        "in flight": sum(run.in_flight for run in mine),
        "resent": row.resent,
        "redriven": row.redriven,
        "derived": row.derived,
        "repeated": row.repeated,
        "foreign": row.foreign,
        "no record": row.no_record,
    }


def _group_row(result: Result, row: GroupRow) -> Row:
    return {
        "group": row.group,
        "topic": row.at.topic,
        "partition": row.at.partition,
        "committed": row.committed,
        "resolved": row.resolved,
        "lag": row.lag,
        **{kind: result.findings.count(kind, row.at, row.group) for kind in _GROUP_KINDS},
        "dead letters": row.dead,
        "deferred": row.deferred,
        "before": row.before,
    }


def _run_rows(rows: Sequence[RunRow]) -> Iterator[Row]:
    """A row for each run that has not simply ended with all acknowledged."""
    for run in dict.fromkeys(row.run for row in rows):
        mine = [row for row in rows if row.run == run]
        told = {
            "run": run,
            "state": mine[0].state,
            "records": sum(row.seen for row in mine),
            "unknown, in the log": sum(row.unknown for row in mine),
            "unknown, not there": sum(row.missing_unknown for row in mine),
            "in flight": sum(row.in_flight for row in mine),
        }
        if told["state"] is not State.CLOSED or told["unknown, in the log"] or told["unknown, not there"]:
            yield told


def _finding_row(finding: Finding) -> Row:
    return {
        "wrong": finding.kind,
        "where": finding.at,
        "records": finding.count,
        "which": finding.name,
        "group": finding.group or "",
        "why": finding.detail,
    }


def as_object(result: Result) -> dict[str, Any]:
    """All of it."""
    status = status_of(result.findings)
    return {
        "verdict": word_for(status),
        "status": int(status),
        "counts": {str(kind): count for kind, count in counts(result.findings).items()},
        "findings": [finding_object(each) for each in result.findings.wrong],
        "not_checked": [_doubt_object(each) for each in result.findings.doubts],
        "remarks": result.findings.remarks,
        "logs": [_flat(row) for row in result.logs],
        "runs": [_flat(row) for row in result.runs],
        "groups": [_flat(row) for row in result.groups],
        "set_aside": result.set_aside,
    }


def finding_object(finding: Finding) -> dict[str, Any]:
    """One finding."""
    return {
        "kind": finding.kind,
        **finding.at._asdict(),
        "count": finding.count,
        "ids": finding.ids,
        "run": finding.run,
        "first_sequence": finding.sequences and finding.sequences.first,
        "last_sequence": finding.sequences and finding.sequences.last,
        "first_offset": finding.offsets and finding.offsets.first,
        "last_offset": finding.offsets and finding.offsets.last,
        "group": finding.group,
        "detail": finding.detail,
    }


def _doubt_object(doubt: Doubt) -> dict[str, Any]:
    at = {"topic": None, "partition": None} if doubt.at is None else doubt.at._asdict()
    return {"about": doubt.about, **at, "group": doubt.group, "reason": doubt.reason}


def _flat(row: LogRow | RunRow | GroupRow) -> dict[str, Any]:
    values = asdict(row)
    checked = values.pop("checked", None)
    offsets = {} if checked is None else {"checked_from": checked[0], "checked_to": checked[1]}
    return row.at._asdict() | {name: value for name, value in values.items() if name != "at"} | offsets
