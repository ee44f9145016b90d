"""How a private file of one version becomes one of the next: one step each, and none is ever changed again.

A migration says only what cannot be seen from the raw tables of the release (the sources' YAML): what becomes of
values. Tables and columns that it does not mention are brought to those of the release at the end, with their rows
(engagement.upgrade). How another version is added stands in docs/upgrading.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Migration:
    """From version `to - 1` to version `to`."""

    to: int
    what: str
    # A table, or a column of one, that came with the version: by it a file is known that does not say its version,
    # as none did up to and with version 5; and a column that went with it, which plain dbt left where it was.
    came_with: tuple[str, str | None]
    went_with: tuple[str, str] | None = None
    # Run in one transaction over the tables of schema raw, in which those of the version before stand.
    statements: tuple[str, ...] = ()
    # Columns, as (table, column), whose values these change, and tables whose rows; all others come out as they were.
    changes_columns: frozenset[tuple[str, str]] = frozenset()
    changes_rows: frozenset[str] = frozenset()


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        to=2,
        what="company data from Leadspace, steps and enrichments of every run, the domain of an account's website",
        came_with=("enrichment_runs", None),
        went_with=("runs", "mailboxes_selected"),
        statements=(
            """
            create table if not exists raw.enrichment_runs (
                run_id varchar, enrichment_id varchar, state varchar, detail varchar, selected bigint,
                processed bigint, requested bigint, started_at timestamp, finished_at timestamp, read_to_at timestamp
            )
            """,
            # How many mailboxes a run chose and read stood in its own row; whose they were is known where the file has
            # one enrichment only.
            """
            insert into raw.enrichment_runs (
                run_id, enrichment_id, state, selected, processed, started_at, finished_at
            )
            select
                run_id,
                (select min(enrichment_id) from raw.office_mailboxes),
                case
                    when state != 'extracted' then 'failed'
                    when mailboxes_read < mailboxes_selected then 'completed_with_warnings'
                    else 'successful'
                end,
                mailboxes_selected,
                mailboxes_read,
                started_at,
                finished_at
            from raw.runs
            where
                mailboxes_selected is not null
                and (select count(distinct enrichment_id) from raw.office_mailboxes) = 1
            """,
            # What a run ended as has other words since.
            """
            update raw.runs set state = case state
                when 'extracted' then 'done' when 'extracting' then 'killed' else 'failed'
            end
            """,
        ),
        changes_columns=frozenset({("runs", "state")}),
        changes_rows=frozenset({"enrichment_runs"}),
    ),
    Migration(
        to=3,
        what="landings have numbers, by which a refresh finds what is new",
        came_with=("office_units", "landing_id"),
    ),
    Migration(to=4, what="what is done with what is held is recorded", came_with=("audit_events", None)),
    Migration(
        to=5,
        what="matches are judged, company data from a file, contacts looked up at Leadspace",
        came_with=("leadspace_batches", "record_type"),
    ),
    Migration(
        to=6,
        what="what a service sent unasked, or without a date, and how many rows the customer files had",
        came_with=("service_findings", None),
    ),
)
