"""`engagement segment freeze`: the members of a segment as they are published, as a static segment of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.locations import PROJECT_FILE, segment_file
from engagement.outcome import Outcome, counted
from engagement.seeds import rows_of
from engagement.segments import files
from engagement.segments.published import JUDGED_BY, published, records, segment_row
from engagement.segments.sql import frozen_sql

SEED = Path("seeds", "segment_frozen_members.csv")
COLUMNS = ("segment_id", "enrichment_id", "account_id", "frozen_on", "reason")
MEMBERS = """
    select enrichment_id, account_id, as_of_date, reason
    from marts.segment_members
    where segment_id = ?
    order by enrichment_id, account_id
"""


def freeze(
    settings: Settings,
    segment_id: str,
    *,
    as_id: str,
    name: str,
    owner: str,
    description: str | None = None,
) -> Outcome:
    """Writes the published members into the seed segment_frozen_members, and a static segment that reads them there.

    Raises ConfigurationError, with nothing written, where there is no such segment or nobody in it, where the new id or
    name is taken, and where a file cannot be written.
    """
    project_dir = settings.project_dir
    with files.alone(project_dir):
        files.check_new(project_dir, as_id, name=name, owner=owner)
        with published(settings) as connection:
            about = segment_row(connection, segment_id)
            members = records(connection, MEMBERS, [segment_id])
        if not members:
            raise ConfigurationError(
                f"{segment_id}: nobody is in it as published, so there is nothing to freeze;"
                f" {about['finding'] or 'look at it with `engagement segment show`'}"
            )
        seed = project_dir / SEED
        if any(taken == as_id for (taken,) in rows_of(seed, ("segment_id",))):
            raise ConfigurationError(
                f"{SEED.as_posix()}: has rows of {as_id} already; choose another id, or take them out"
            )
        day = members[0]["as_of_date"]
        said = description or f"The members of {about['segment_name']} as they were on {day}."
        files.check_text("--description", said, longest=files.LONGEST_DESCRIPTION)
        rows = [
            (as_id, row["enrichment_id"], row["account_id"], day.isoformat(), row["reason"] or "")
            for row in members
        ]
        model = segment_file(as_id)
        written = {
            SEED: _with_rows(seed, rows),
            model: frozen_sql(as_id).encode(),
            model.with_suffix(".yml"): files.metadata(
                as_id,
                name=name,
                owner=owner,
                description=said,
                audience=about["audience"],
                membership="static",
            ).encode(),
            Path(PROJECT_FILE): files.project_with(files.project_text(project_dir), as_id).encode(),
        }
        files.write_together(project_dir, written)
    accounts = len({row["account_id"] for row in members})
    paths = [path.as_posix() for path in written]
    return Outcome(
        lines=[
            f"Frozen: {counted(accounts, 'account')} of {segment_id} as of {day}, as {as_id}",
            f"Written: {', '.join(paths)}",
            f"Next: dbt build -s segment_frozen_members segment_{as_id}, then {JUDGED_BY}.",
        ],
        facts={
            "segment_id": as_id,
            "frozen_from": segment_id,
            "frozen_on": day,
            "members": accounts,
            "written": paths,
        },
    )


def _with_rows(seed: Path, rows: Sequence[tuple[str, ...]]) -> bytes:
    """The seed with rows appended; what stands in it stays as it is, byte by byte."""
    before = seed.read_bytes()
    with seed.open(encoding="utf-8-sig", newline="") as file:
        columns = next(csv.reader(file), [])
    if columns != list(COLUMNS):
        raise ConfigurationError(f"{SEED.as_posix()}: its columns must be {', '.join(COLUMNS)}; correct it")
    end = "\r\n" if b"\r\n" in before else "\n"
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows(rows)
    return before + (b"" if before.endswith(b"\n") else end.encode()) + text.getvalue().encode()
