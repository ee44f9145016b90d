"""Names that the shell completes: enrichments, segments and exports, as the files say. No database is opened, and what
cannot be read completes nothing.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from engagement.identifiers import slug
from engagement.locations import (
    configuration_file_of,
    consents_file_of,
    data_dir_of,
    project_dir_of,
    segment_ids,
)

# An id, and what stands beside it where the shell shows it.
Names = Mapping[str, str]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completing(names: Callable[[], Names]) -> Complete:
    @functools.wraps(names)
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [
            CompletionItem(name, help=help_text)
            for name, help_text in _read(names).items()
            if name.startswith(incomplete)
        ]

    return complete


def _read(names: Callable[[], Names]) -> Names:
    """The names; none where a file is not there or is wrong, which the command itself says better."""
    try:
        return names()
    except Exception:
        return {}


@_completing
def enrichments() -> Names:
    """Those of enrichments.yml, by their ids."""
    return {slug(str(entry["name"])): str(entry["name"]) for entry in _entries("enrichments")}


@_completing
def removable() -> Names:
    """Those that somebody has agreed to, or that are switched off, but for the active ones, which stay."""
    active: dict[str, str] = {}
    inactive: dict[str, str] = {}
    for entry in _entries("enrichments"):
        chosen = active if entry.get("active", True) else inactive
        chosen[slug(str(entry["name"]))] = str(entry["name"])
    path = consents_file_of(data_dir_of(os.environ))
    records = json.loads(path.read_bytes())["records"] if path.is_file() else []
    agreed_to = {str(record["enrichment_id"]): "" for record in records}
    return {name: text for name, text in (agreed_to | inactive).items() if name not in active}


@_completing
def exports() -> Names:
    """Those of enrichments.yml."""
    return {str(entry["name"]): "" for entry in _entries("exports")}


def _segments() -> Names:
    return dict.fromkeys(segment_ids(project_dir_of(os.environ)), "")


segments = _completing(_segments)


def segments_listed(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The last of several segments with commas between them, none of them twice."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [
        CompletionItem(f"{before}{comma}{name}")
        for name in _read(_segments)
        if name.startswith(last) and name not in given
    ]


def _entries(key: str) -> Iterable[Mapping[str, Any]]:
    import yaml

    content = yaml.safe_load(configuration_file_of(os.environ).read_text("utf-8"))
    return content.get(key) or ()
