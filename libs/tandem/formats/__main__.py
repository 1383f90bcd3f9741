"""`python -m tandem.formats`: write the schemas of all events; refuse a change that breaks what is out there."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tandem.formats.compatibility import broken
from tandem.formats.generated import FOLDER, files


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tandem.formats", description=__doc__)
    parser.add_argument("--break", action="store_true", dest="breaking", help="write it all the same")
    breaking = parser.parse_args().breaking
    wanted = files()
    if not breaking and (problems := list(_problems(wanted))):
        sys.exit(
            "\n".join(
                [*problems, "Nothing was written. --break writes it all the same: then name a new topic."]
            )
        )
    for stale in set(FOLDER.rglob("*.*")) - wanted.keys():
        stale.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _problems(wanted: Mapping[Path, str]) -> Iterator[str]:
    """What the new schemas break, compared with those that are there."""
    for proto in FOLDER.rglob("*.proto"):
        versions = {suffix: proto.with_suffix(suffix) for suffix in (".proto", ".json")}
        if proto in wanted:
            yield from broken(
                {suffix: path.read_text() for suffix, path in versions.items()},
                {suffix: wanted[path] for suffix, path in versions.items()},
            )


if __name__ == "__main__":
    main()
