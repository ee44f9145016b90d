"""`engagement segment new`: a rule as a model, its YAML with a unit test, and its place in dbt_project.yml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engagement import project_yaml
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.locations import PROJECT_FILE, segment_file
from engagement.logs import log
from engagement.outcome import Outcome
from engagement.segments import files
from engagement.segments.attributes import known_attributes
from engagement.segments.preview import Preview, preview
from engagement.segments.published import JUDGED_BY, hint
from engagement.segments.rule import read_rule
from engagement.segments.sql import model_sql
from engagement.segments.unit_test import unit_test

AUDIENCES = ("accounts", "contacts")


def new(
    settings: Settings,
    segment_id: str,
    *,
    name: str,
    owner: str,
    conditions: Sequence[tuple[str, str]],
    description: str | None = None,
    audience: str = "accounts",
    child_of: str | None = None,
    parent_of: str | None = None,
    in_all_of: Sequence[str] = (),
    in_any_of: Sequence[str] = (),
    in_none_of: Sequence[str] = (),
    tags: Sequence[str] = (),
    dry_run: bool = False,
) -> Outcome:
    """Writes the three files of a segment, or with `dry_run` only shows them. `conditions` are (where, and or or; text)
    in the order given.

    Raises ConfigurationError, with nothing written, for whatever is not right about the id, the names or the rule, and
    where a file cannot be written.
    """
    project_dir = settings.project_dir
    with files.alone(project_dir):
        files.check_new(project_dir, segment_id, name=name, owner=owner)
        rule = read_rule(
            conditions,
            known=known_attributes(settings),
            settings=settings,
            child_of=child_of,
            parent_of=parent_of,
            in_all_of=in_all_of,
            in_any_of=in_any_of,
            in_none_of=in_none_of,
        )
        project = files.project_text(project_dir)
        known = files.listed(project_dir)
        for part in rule.parts:
            if part not in known:
                raise ConfigurationError(f"there is no segment {part!r}; {hint(part, known)}")
        said = description or f"Accounts with {rule.in_words()}."
        files.check_text("--description", said, longest=files.LONGEST_DESCRIPTION if description else 5_000)
        for tag in tags:
            files.check_text("--tags", tag, longest=files.LONGEST_NAME)
        sql = model_sql(rule)
        written = {
            segment_file(segment_id): sql,
            segment_file(segment_id).with_suffix(".yml"): files.metadata(
                segment_id,
                name=name,
                owner=owner,
                description=said,
                audience=audience,
                tags=tags,
                unit_test=unit_test(segment_id, rule, is_macro=sql.startswith("{{")),
            ),
            Path(PROJECT_FILE): files.project_with(project, segment_id),
        }
        seen = preview(settings, segment_id, rule, project_yaml.load(project)["vars"])
        if not dry_run:
            files.write_together(project_dir, {path: text.encode() for path, text in written.items()})
    if seen is not None and seen.warning is not None:
        log.warning("warning: %s: %s", segment_id, seen.warning)
    return _outcome(segment_id, sql, written, seen, dry_run=dry_run)


def _outcome(
    segment_id: str, sql: str, written: dict[Path, str], seen: Preview | None, *, dry_run: bool
) -> Outcome:
    paths = [path.as_posix() for path in written]
    facts: dict[str, Any] = {
        "segment_id": segment_id,
        "written": [] if dry_run else paths,
        "sql": sql,
        "preview": None if seen is None else seen.facts,
    }
    lines = [*sql.rstrip("\n").split("\n"), ""] if dry_run else [f"Written: {', '.join(paths)}"]
    if seen is not None:
        lines += seen.lines
    elif dry_run:
        lines.append(
            "Whom it selects cannot be said: nothing is built yet, or another command has the private file."
        )
    if dry_run:
        lines.append("Nothing is written. The same without --dry-run writes it.")
    else:
        lines.append(f"Next: dbt build -s segment_{segment_id} (with its test), then {JUDGED_BY}.")
    return Outcome(lines=lines, facts=facts)
