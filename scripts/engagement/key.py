"""`engagement rotate-key`: another key for all hashes, whether or not the old one is at hand (docs/key.md).

In this order, so that a kill at any instant leaves either the old key with its rows, or the old key without rows, or
the new key without rows; whichever it is, the next run reads what is missing, and the command can be given again:

    the new key lies beside ─► the private file is rebuilt without what was hashed ─► the new key takes its place
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

from engagement import audit, stopping
from engagement.addresses import hasher_of, new_key_beside, remove_keys_beside
from engagement.configuration.settings import Settings
from engagement.durable import sync_folder
from engagement.errors import ConfigurationError
from engagement.extract import running
from engagement.outcome import Outcome
from engagement.rebuild import rebuild
from engagement.tombstones import Tombstones
from engagement.warehouse import (
    KEY_CHECK,
    PATTERNS_FINGERPRINT,
    Connection,
    connect,
    own_file,
    prepare_data_dir,
    transaction,
)

IS_OF_CONTACTS = "record_type is not distinct from 'person'"
# Raw tables without a hash in them, with the rows that are kept: what was paid for, what was done, and what the next
# run replaces anyway. Everything else is read again (tests/python/test_key.py knows every table).
KEPT = dict.fromkeys(
    (
        "accounts",
        "account_attributes",
        "customer_issues",
        "company_file_records",
        "leadspace_accounts",
        "leadspace_listings",
        "leadspace_comparisons",
        "leadspace_responses",
        # Without the ids of what was asked (_forget_requests).
        "leadspace_contact_answers",
        "runs",
        "run_steps",
        "enrichment_runs",
        "audit_events",
        "service_findings",
    ),
    "true",
) | {
    "settings": f"key not in ('{KEY_CHECK}', '{PATTERNS_FINGERPRINT}')",
    # Requests about contacts have ids that are hashes under the old key.
    "leadspace_batches": f"not ({IS_OF_CONTACTS})",
    "leadspace_requests": f"batch_id not in (select batch_id from raw.leadspace_batches where {IS_OF_CONTACTS})",
}

QUESTION = (
    "Everything that was read of mail and calendars is discarded, and the next run reads it again. Go on?"
)


def rotate(settings: Settings, *, confirm: Callable[[str], bool]) -> Outcome:
    """Discards all that was hashed, and puts a new key in force: a new file, or what ENGAGEMENT_HASH_KEY now holds.

    Raises ConfigurationError where nobody agrees, or ENGAGEMENT_HASH_KEY is still the old one.
    """
    prepare_data_dir(settings)
    is_given = settings.hash_key is not None
    if is_given:
        check_is_new(settings)
    if not confirm(QUESTION):
        raise ConfigurationError("rotate-key: nobody agreed, so nothing was done; answer yes, or give --yes")
    with running(settings, "rotate-key"), ExitStack() as stack:
        remove_keys_beside(settings.hash_key_file)
        beside = None if is_given else stack.enter_context(new_key_beside(settings.hash_key_file))
        if settings.private_file.is_file():
            with own_file(settings) as connection:
                _forget_requests(connection)
                rebuild(connection, settings, Tombstones.load(settings), only=KEPT)
        stopping.check()
        audit.note(settings, audit.KEY_ROTATION)
        if beside is not None:
            os.replace(beside, settings.hash_key_file)
            sync_folder(settings.hash_key_file.parent)
    whose = "of ENGAGEMENT_HASH_KEY" if is_given else f"in {settings.hash_key_file.name}"
    return Outcome(
        lines=[
            f"rotate-key: the key {whose} is in force; what was hashed with another is gone, and the next"
            " `engagement run` reads it again"
        ],
        facts={"key": "environment" if is_given else "file"},
    )


def _forget_requests(connection: Connection) -> None:
    """Takes the ids of requests, which are hashes of names and addresses, off what was answered about contacts. The
    answers stay, and as nobody can tell any more what exactly was asked, they hold for the contact until max_age has
    passed: so nothing is paid for twice (engagement.leadspace.contacts).
    """
    with transaction(connection):
        connection.execute("update raw.leadspace_contact_answers set fingerprint = null")


def check_is_new(settings: Settings) -> None:
    """Raises ConfigurationError where the rows were hashed with the key that is given."""
    check = hasher_of(settings).key_check
    if not settings.private_file.is_file():
        return
    with connect(settings, read_only=True) as connection:
        has_settings = connection.execute(
            "select count(*) from duckdb_tables() where schema_name = 'raw' and table_name = 'settings'"
        ).fetchone()
        if has_settings == (0,):
            return
        row = connection.execute("select value from raw.settings where key = ?", [KEY_CHECK]).fetchone()
    if row == (check,):
        raise ConfigurationError(
            "ENGAGEMENT_HASH_KEY: is the key that is in force already; set it to a new one, or unset it to have a key"
            " file made, then rotate again"
        )
