"""Removing an enrichment with its data (L27): out of the private file's rows and bytes, and of the published file."""

from __future__ import annotations

from collections.abc import Callable

from engagement import audit, consent, old_copies, rebuild
from engagement.configuration.enrichments import place
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.extract import address_book, begin, running
from engagement.identifiers import slug
from engagement.office import retention
from engagement.outcome import Outcome
from engagement.run import publish_again
from engagement.run_state import RunState
from engagement.warehouse import Connection, own_file, private_file, transaction

_HOLDERS = (
    "settings",
    "enrichment_runs",
    "office_mailboxes",
    "company_file_records",
    "leadspace_accounts",
    "leadspace_listings",
    "leadspace_batches",
    "leadspace_requests",
    "leadspace_responses",
    "leadspace_contact_answers",
)


def remove(settings: Settings, name: str, *, agrees: Callable[[str], bool], verbose: bool = False) -> Outcome:
    """Removes an enrichment, by its id or name, with all that only it needs; also one that enrichments.yml no longer
    has. ConfigurationError where it is still active there, or nobody knows it.
    """
    enrichment_id = slug(name)
    listed = None
    for position, enrichment in enumerate(settings.configuration.enrichments):
        if enrichment.enrichment_id == enrichment_id:
            listed = place(position, enrichment)
            if enrichment.active:
                raise ConfigurationError(
                    f"{listed}: is active, so the next run would read everything again; delete the entry or set"
                    " active: false, then run again"
                )
    if listed is None:
        _require_known(settings, enrichment_id)
    if not agrees(enrichment_id):
        return Outcome(lines=["nothing was removed"], facts={"removed": False})
    book = address_book(settings)
    raw_folders = old_copies.raw_folders(settings)
    with running(settings, "remove") as state:
        _forget_runs(state, enrichment_id)
        audit.note(settings, audit.REMOVAL, enrichment_id=enrichment_id)
        with state.timed("remove"), private_file(settings) as connection:
            begin(settings, connection, book, state)
            with transaction(connection):
                _delete(connection, enrichment_id)
                rebuild.want(connection)
        outcome = publish_again(settings, state, what="it is out", verbose=verbose)
        # At the end: a consent that is withdrawn while something goes on keeps it from being published.
        consent.withdraw_all(settings, enrichment_id)
    outcome.lines.insert(0, f"removed: {enrichment_id}, with everything that only it needed")
    outcome.lines += old_copies.in_words(raw_folders)
    if listed is not None:
        outcome.lines.append(
            f"{listed}: stays listed as inactive and without data; delete the entry, and its tables are no longer"
            " published"
        )
    outcome.facts |= {"removed": True, "enrichment_id": enrichment_id}
    return outcome


def _require_known(settings: Settings, enrichment_id: str) -> None:
    known: set[str] = {enrichment.enrichment_id for enrichment in settings.configuration.enrichments}
    if settings.private_file.is_file():
        with own_file(settings) as connection:
            for table in _HOLDERS:
                rows = connection.execute(f"select distinct enrichment_id from raw.{table}").fetchall()
                known |= {row[0] for row in rows if row[0]}
    if enrichment_id not in known:
        raise ConfigurationError(
            "NAME: no enrichment of this name or id is configured, and nothing is held of it; known:"
            f" {', '.join(sorted(known))}"
        )


def _forget_runs(state: RunState, enrichment_id: str) -> None:
    """Takes it out of what is known of earlier runs, which would be recorded again otherwise."""
    for run in state.previous:
        (run.get("enrichments") or {}).pop(enrichment_id, None)
    state.save()


def _delete(connection: Connection, enrichment_id: str) -> None:
    mailbox_ids = [
        mailbox_id
        for (mailbox_id,) in connection.execute(
            "select mailbox_id from raw.office_mailboxes where enrichment_id = ?", [enrichment_id]
        ).fetchall()
    ]
    if mailbox_ids:
        retention.forget_mailboxes(connection, enrichment_id, mailbox_ids)
    _delete_answers(connection, enrichment_id)
    connection.execute("delete from raw.enrichment_runs where enrichment_id = ?", [enrichment_id])


def _delete_answers(connection: Connection, enrichment_id: str) -> None:
    """Deletes what was asked of Leadspace for an enrichment. An answer belongs to an input: what another enrichment
    has under the same one becomes that one's, with its place in the ledger, so that nobody pays twice for it.
    """
    for table in (
        "company_file_records",
        "leadspace_accounts",
        "leadspace_listings",
        "leadspace_contact_answers",
    ):
        connection.execute(f"delete from raw.{table} where enrichment_id = ?", [enrichment_id])
    connection.execute(
        """
        create or replace temporary table kept_requests as
        select
            requests.batch_id,
            requests.fingerprint,
            min(accounts.enrichment_id) over (partition by requests.batch_id) as heir_id
        from raw.leadspace_requests as requests
        inner join raw.leadspace_accounts as accounts on requests.fingerprint = accounts.fingerprint
        where requests.enrichment_id = ?
        """,
        [enrichment_id],
    )
    for table, keys in (
        ("leadspace_responses", ("batch_id", "fingerprint")),
        ("leadspace_requests", ("batch_id", "fingerprint")),
        ("leadspace_batches", ("batch_id",)),
    ):
        matches = " and ".join(f"raw.{table}.{key} = kept.{key}" for key in keys)
        connection.execute(
            f"update raw.{table} set enrichment_id = kept.heir_id"
            f" from (select distinct {', '.join(keys)}, heir_id from temp.kept_requests) as kept"
            f" where raw.{table}.enrichment_id = ? and {matches}",
            [enrichment_id],
        )
        connection.execute(f"delete from raw.{table} where enrichment_id = ?", [enrichment_id])
    connection.execute(
        "delete from raw.leadspace_comparisons where (fingerprint, batch_id) not in"
        " (select (fingerprint, batch_id) from raw.leadspace_responses)"
    )
