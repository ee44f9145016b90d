"""Reads CHANGELOG.md, and says which marts are others than in the last version.

`make dist TAG=v0.1.0` writes the notes of a version to dist/notes.md; `make release-marts` keeps the columns of the
marts as they are released, which what comes after is compared with.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from engagement.contract import Contract, project_contract

ROOT = Path(__file__).parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
KEPT = ROOT / "tests" / "fixtures" / "released_marts.json"
NOTES = ROOT / "dist" / "notes.md"

UNRELEASED = "Unreleased"
TITLE = re.compile(
    r"^## (?P<version>Unreleased|\d+\.\d+\.\d+)(?: - (?P<day>\d{4}-\d\d-\d\d))?$", re.MULTILINE
)
# A row of the table of schema changes, and its words: new, removed, changed.
ROW = re.compile(r"^\| `(?P<mart>\w+)` \| (?P<change>new|removed|changed) \|", re.MULTILINE)

# The columns of each mart, with their types.
Marts = Mapping[str, Mapping[str, str]]


def sections(text: str) -> dict[str, str]:
    """What CHANGELOG.md says of each version, the newest first. SystemExit where a title is none."""
    titles = list(TITLE.finditer(text))
    for line in re.findall(r"^## .*$", text, re.MULTILINE):
        if not TITLE.fullmatch(line):
            raise SystemExit(
                f"changelog: {line!r} is no title; allowed: ## 1.2.3 - yyyy-mm-dd, ## Unreleased"
            )
    for title in titles:
        if (title["day"] is None) != (title["version"] == UNRELEASED):
            raise SystemExit(
                f"changelog: {title[0]!r}: a version has a day, and what is not released has none"
            )
    ends = [title.start() for title in titles[1:]] + [len(text)]
    return {
        title["version"]: text[title.end() : end].strip() + "\n"
        for title, end in zip(titles, ends, strict=True)
    }


def notes(text: str, tag: str, version: str) -> str:
    """The notes of the version that a tag names. SystemExit where it is not that of the project, or has none."""
    if tag != f"v{version}":
        raise SystemExit(
            f"changelog: the tag {tag!r} is not v{version}, the version of pyproject.toml; change one of them"
        )
    try:
        return sections(text)[version]
    except KeyError:
        raise SystemExit(f"changelog: CHANGELOG.md has no version {version}; give it its section") from None


def named_changes(section: str) -> dict[str, str]:
    """The marts that the table of a section names, each with its change."""
    return {row["mart"]: row["change"] for row in ROW.finditer(section)}


def changes(before: Marts, now: Marts) -> dict[str, str]:
    """The marts that are others than before, each with the word that CHANGELOG.md has for it."""
    found = {mart: "new" for mart in now.keys() - before.keys()}
    found |= {mart: "removed" for mart in before.keys() - now.keys()}
    found |= {mart: "changed" for mart in now.keys() & before.keys() if dict(now[mart]) != dict(before[mart])}
    return found


def marts_of(contract: Contract) -> dict[str, dict[str, str]]:
    """The columns of each mart of a contract, with DuckDB's types."""
    return {
        table.name: {column.name: column.type for column in table.columns}
        for table in contract.tables
        if table.schema == "marts"
    }


def project_version() -> str:
    """The version that pyproject.toml names."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def main(arguments: Sequence[str]) -> int:
    """`keep`, or `notes TAG`; returns the exit code."""
    match arguments:
        case ["keep"]:
            kept = json.dumps(marts_of(project_contract(ROOT)), indent=1, sort_keys=True)
            KEPT.write_text(kept + "\n", "utf-8")
        case ["notes", tag]:
            text = notes(CHANGELOG.read_text("utf-8"), tag, project_version())
            NOTES.parent.mkdir(exist_ok=True)
            NOTES.write_text(text, "utf-8")
        case _:
            print("changelog: give `keep`, or `notes` and a tag (TAG=v0.1.0)", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
