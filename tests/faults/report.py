"""docs/faults.md: one row a scenario, written by the suite itself. The rows are kept beside it, in docs/faults.json."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from services.ops.cluster import KAFKA

_LIBRARIES = ("aiokafka", "confluent-kafka", "uvloop")
_TEXT = """\
# Faults

What becomes of the messages when things go wrong. Each row is a run of the producer and the consumer, real processes on a real
cluster of three brokers, under load; the fault is injected, undone, and when the consumer has caught up, `tandem audit` reads the
whole log with a client that the services don't use, and compares it with what the two kept account of.

```
make faults                    # all of it, about {minutes:.0f} minutes on this machine; writes this file
make faults ONLY=coordinator   # the scenarios whose name holds this word; updates their rows
```

{when}, seed {seed}, {machine}, {versions}.

{table}

- **lost, phantom, duplicated, missed, reordered, corrupt, expired, unknown** are the audit's counts of records. What is not 0 was injected
  and is told in the remarks.
- **again** counts deliveries of records that had been handled before: at least once means that there may be some.
- **acked after, handled after** are seconds: the longest that the producer got no acknowledgement, or that any one partition was not
  handled, after the fault was over (after a kill: from the kill on). The worst of all runs.
- **memory** is the peak of the resident memory of a producer and of a consumer, in MB.
"""
_HEADINGS = {
    "fault": "fault",
    "runs": "runs",
    "sent": "records",
    "lost": "lost",
    "phantom": "phantom",
    "duplicated": "duplicated",
    "missed": "missed",
    "reordered": "reordered",
    "corrupt": "corrupt",
    "expired": "expired",
    "unknown": "unknown",
    "again": "again",
    "acked_after": "acked after",
    "handled_after": "handled after",
    "memory": "memory",
    "as_expected": "as expected",
    "remarks": "remarks",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario's outcome. None is what was not measured."""

    fault: str
    runs: int = 0
    sent: int | None = None
    lost: int | None = None
    phantom: int | None = None
    duplicated: int | None = None
    missed: int | None = None
    reordered: int | None = None
    corrupt: int | None = None
    expired: int | None = None
    unknown: int | None = None
    again: int | None = None
    acked_after: float | None = None
    handled_after: float | None = None
    memory: str = ""
    as_expected: bool = False
    remarks: str = ""
    seed: int = 0
    seconds: float = 0.0


def save(folder: Path, name: str, row: Row) -> None:
    """Put a row in its place among those of earlier runs, and write the page anew."""
    folder.mkdir(exist_ok=True)
    kept = folder / "faults.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    rows[name] = asdict(row)
    kept.write_text(json.dumps(rows, indent=1) + "\n")
    (folder / "faults.md").write_text(page({name: _row(values) for name, values in rows.items()}))


def _row(values: Mapping[str, Any]) -> Row:
    known = {field.name for field in fields(Row)}
    return Row(**{name: value for name, value in values.items() if name in known})


def page(rows: Mapping[str, Row]) -> str:
    """The page, as Markdown."""
    return _TEXT.format(
        minutes=sum(row.seconds for row in rows.values()) / 60,
        when=f"{datetime.now(UTC):%d %B %Y}",
        seed=", ".join(sorted({str(row.seed) for row in rows.values()})),
        machine=f"{os.cpu_count()} cores ({platform.machine()})",
        versions=", ".join(
            [
                f"Kafka {KAFKA.partition('+')[0].rpartition(':')[2]}",
                f"Python {platform.python_version()}",
                *(f"{library} {version(library)}" for library in _LIBRARIES),
            ]
        ),
        table=_table(rows),
    )


def _table(rows: Mapping[str, Row]) -> str:
    lines = [
        _HEADINGS.values(),
        ["---"] * len(_HEADINGS),
        *([_cell(getattr(row, name)) for name in _HEADINGS] for row in rows.values()),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "**no**"
        case float():
            return f"{value:.1f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value).replace("|", "\\|").replace("\n", " ")
