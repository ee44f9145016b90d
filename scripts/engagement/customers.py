"""The customer files: accounts and contacts, checked and landed; contacts' addresses only as hashes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engagement import project_yaml
from engagement.addresses import AddressBook, website_domain
from engagement.configuration.customers import AccountsFile, ContactsFile
from engagement.configuration.settings import Settings
from engagement.configuration.source import source_of
from engagement.contract import ENRICHED_CUSTOMERS, quoted
from engagement.errors import ConfigurationError
from engagement.outcome import counted
from engagement.tabular import check_ids, read_rows, read_texts, text_of
from engagement.warehouse import Connection, replace_table, transaction, upsert_addresses

log = logging.getLogger(__name__)

OWN_PEOPLE_ISSUES = ("contact_in_own_domain", "contact_is_monitored")

Issue = tuple[str, str, str, str]

# Where an account's parent stands among the columns of raw.accounts.
_PARENT = 5


@dataclass(frozen=True)
class CustomersResult:
    """What was landed, and what was found on the way (issue and how many)."""

    accounts: int
    contacts: int
    issues: dict[str, int]
    # Contacts of the file that were erased, and so were left out.
    erased: int = 0


def extract(settings: Settings, connection: Connection, book: AddressBook) -> CustomersResult:
    """Reads both files, checks them, and replaces what was landed before, all in one transaction.

    ConfigurationError with all findings of both files; nothing is replaced then.
    """
    files = read(settings)
    # First, since of an address that was known by its key alone this tells the text.
    contact_rows = [row for row in files.contacts if not _is_kept_out(book, row[2])]
    account_rows = [_without_erased(book, row) for row in files.accounts]
    issues: list[Issue] = [
        (
            "account_without_name",
            "account",
            row[0],
            "The account has no name; give it one in the account file.",
        )
        for row in account_rows
        if row[1] is None
    ]
    issues += _parent_issues({row[0]: row[_PARENT] for row in account_rows})
    landed, contact_issues = _matchable_contacts(contact_rows, {row[0] for row in account_rows}, book)
    issues += contact_issues
    addresses = book.drain()
    try:
        with transaction(connection):
            upsert_addresses(connection, addresses)
            replace_table(connection, "accounts", account_rows)
            replace_table(
                connection,
                "account_attributes",
                [
                    (attribute, data_type, position)
                    for position, (attribute, data_type) in enumerate(files.attribute_types.items(), start=1)
                ],
            )
            replace_table(connection, "contacts", landed)
            replace_table(connection, "customer_issues", issues)
            _add_issues_of_own_people(connection)
            # What a provider says of a contact is kept as long as the contact is, and no longer.
            connection.execute(
                "delete from raw.leadspace_contact_answers"
                " where contact_id not in (select contact_id from raw.contacts)"
            )
    except BaseException:
        book.put_back(addresses)
        raise
    erased = len(files.contacts) - len(contact_rows)
    return CustomersResult(len(account_rows), len(landed), issue_counts(connection), erased)


def _is_kept_out(book: AddressBook, email: str | None) -> bool:
    """Whether a contact was erased: nothing of him is landed, and no finding names him."""
    return book.is_erased(email) and book.key(email) is None


def _without_erased(book: AddressBook, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row of an account whose texts name nobody who was erased. Its ids never do."""
    if not book.tombstones:
        return row
    masked = book.tombstones.masked
    return tuple(
        masked(value) if isinstance(value, str) and place not in (0, _PARENT) else value
        for place, value in enumerate(row)
    )


@dataclass(frozen=True)
class CustomerFiles:
    """The rows of both files as landed, and the types (contract types) of the customer's own columns."""

    accounts: list[tuple[Any, ...]]
    contacts: list[tuple[Any, ...]]
    attribute_types: dict[str, str]


def read(settings: Settings) -> CustomerFiles:
    """Both files; ConfigurationError with all findings of both. Lands nothing."""
    files = settings.configuration.customers
    findings: list[str] = list(_taken_attributes(settings))
    types: dict[str, str] = {}
    account_rows = _read_accounts(settings, files.accounts, findings, types)
    contact_rows = _read_contacts(settings, files.contacts, findings)
    if findings:
        raise ConfigurationError(
            f"customer files: {len(findings)} finding{'s' if len(findings) != 1 else ''};"
            " correct the files or the columns named in enrichments.yml, then run again",
            findings=findings,
        )
    attribute_types = {
        attribute: contract_type(types[attribute])
        for attribute in files.accounts.attributes
        if attribute in types
    }
    return CustomerFiles(account_rows, contact_rows, attribute_types)


def contract_type(duckdb_type: str) -> str:
    """The contract type in which a column of the customer's own is passed through; text where there is none."""
    name = duckdb_type.upper()
    if name in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"):
        return "bigint"
    if name in ("FLOAT", "DOUBLE"):
        return "double"
    if name.startswith("DECIMAL"):
        return name.lower()
    if name in ("HUGEINT", "UBIGINT"):
        return "decimal(38,0)"
    if name.startswith("TIMESTAMP"):
        return "timestamp"
    return {"BOOLEAN": "boolean", "DATE": "date"}.get(name, "string")


@lru_cache(maxsize=4)
def _mart_columns(project_dir: Path) -> frozenset[str]:
    """The columns of the enriched customer table, in lower case."""
    models = project_dir / "models" / "marts" / "enrichment" / "_enrichment__models.yml"
    return frozenset(
        column["name"].lower()
        for model in project_yaml.load(models.read_text("utf-8"))["models"]
        if model["name"] == ENRICHED_CUSTOMERS
        for column in model["columns"]
    )


def _taken_attributes(settings: Settings) -> list[str]:
    """Columns of the customer's own that would stand in the enriched customer table beside one of that name."""
    taken = set(_mart_columns(settings.project_dir))
    findings = []
    given: set[str] = set()
    for index, attribute in enumerate(settings.configuration.customers.accounts.attributes):
        where = f"customers.accounts.attributes[{index}]"
        if "@" in attribute or "/o=" in attribute.lower() or not attribute.isprintable():
            findings.append(
                f"{where}: the name looks like an address or cannot be printed; give the column another"
            )
        elif attribute.lower() in taken:
            findings.append(
                f"{where}: {attribute!r} is a column of the enriched customer table already; give yours another"
                " name, or leave it out"
            )
        elif attribute.lower() in given:
            findings.append(f"{where}: {attribute!r} is listed twice (case does not count); keep one of them")
        given.add(attribute.lower())
    return findings


def issue_counts(connection: Connection) -> dict[str, int]:
    """How many findings of each kind raw.customer_issues holds."""
    return dict(
        connection.execute(
            "select issue, count(*) from raw.customer_issues group by issue order by issue"
        ).fetchall()
    )


def refresh_issues_of_own_people(connection: Connection) -> dict[str, int]:
    """Finds again the contacts that are ours, which is known only once the mailboxes are resolved."""
    with transaction(connection):
        _add_issues_of_own_people(connection)
    return {issue: count for issue, count in issue_counts(connection).items() if issue in OWN_PEOPLE_ISSUES}


def warning_of(issue: str, count: int) -> str:
    """A counted finding as one line."""
    return _WARNINGS[issue](count)


def _add_issues_of_own_people(connection: Connection) -> None:
    connection.execute(
        "delete from raw.customer_issues where issue in ('contact_in_own_domain', 'contact_is_monitored')"
    )
    connection.execute(
        """
        with own_addresses as (
            select distinct unnest(address_keys) as address_key
            from raw.office_mailboxes
            where monitored_to is null
            -- Who is read without a consent any more is nobody of ours to those who read the findings.
            and enrichment_id not in (
                select enrichment_id from raw.settings where key = 'has_outputs' and value = 'false'
            )
        ),
        own_domains as (
            select distinct addresses.domain
            from own_addresses
            inner join raw.office_addresses as addresses on own_addresses.address_key = addresses.address_key
            where addresses.domain is not null
        ),
        contacts as (
            select distinct contact_id, address_key, domain from raw.contacts
        )
        insert into raw.customer_issues
        select
            'contact_is_monitored', 'contact', contacts.contact_id,
            'The contact is one of the monitored people and counts as such only; remove it from the contact
            file.'
        from contacts
        inner join own_addresses on contacts.address_key = own_addresses.address_key
        union all
        select
            'contact_in_own_domain', 'contact', contacts.contact_id,
            'The contact has an address in our own domain ' || contacts.domain
            || '; it matches, remove it from the contact file if it is a colleague.'
        from contacts
        inner join own_domains on contacts.domain = own_domains.domain
        left join own_addresses on contacts.address_key = own_addresses.address_key
        where own_addresses.address_key is null
        """
    )


_WARNINGS: dict[str, Callable[[int], str]] = {
    "account_without_name": lambda n: f"{counted(n, 'account')} without a name; they are kept, name them",
    "parent_unknown": lambda n: (
        f"{counted(n, 'account')} with a parent that the account file does not have; rolled up without it"
    ),
    "parent_cycle": lambda n: (
        f"{counted(n, 'account')} whose parents lead back to the account itself; their parents are ignored"
    ),
    "contact_without_address": lambda n: f"{counted(n, 'contact')} without a usable address; left out",
    "contact_address_in_several_accounts": lambda n: (
        f"{counted(n, 'contact')} with an address that stands in several accounts; it counts for each of them"
    ),
    "contact_of_unknown_account": lambda n: f"{counted(n, 'contact')} of no known account; left out",
    "contact_in_own_domain": lambda n: f"{counted(n, 'contact')} in our own domain; kept and matched",
    "contact_is_monitored": lambda n: (
        f"{counted(n, 'contact')} who are monitored people; they count as ours only"
    ),
}


def _parent_issues(parents: Mapping[str, str | None]) -> list[Issue]:
    """Parents that cannot be: of an account that the file does not have, and those that lead round in a circle."""
    unknown: list[Issue] = [
        (
            "parent_unknown",
            "account",
            account_id,
            "The account's parent is no account of the account file and is ignored; correct or add it.",
        )
        for account_id, parent in parents.items()
        if parent is not None and parent not in parents
    ]
    on_cycles: list[str] = []
    done: set[str] = set()
    for account_id in parents:
        # Upwards until the top, an account seen before, or back into the path itself.
        path: dict[str, int] = {}
        step: str | None = account_id
        while step is not None and step in parents and step not in done and step not in path:
            path[step] = len(path)
            step = parents[step]
        if step in path:
            on_cycles += list(path)[path[step] :]
        done.update(path)
    return unknown + [
        (
            "parent_cycle",
            "account",
            account_id,
            "The account's parents lead back to itself; its parent is ignored, correct it.",
        )
        for account_id in on_cycles
    ]


def _matchable_contacts(
    rows: Sequence[tuple[str, str | None, str | None]], accounts: set[str], book: AddressBook
) -> tuple[list[tuple[Any, ...]], list[Issue]]:
    """Contacts as landed, each combination once, and what was found; addresses go no further than here."""
    issues: list[Issue] = []
    landed: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    accounts_of_address: dict[int, set[str]] = {}
    domains: dict[int, str | None] = {}
    for contact_id, account_id, email in rows:
        if account_id is None or account_id not in accounts:
            issues.append(
                (
                    "contact_of_unknown_account",
                    "contact",
                    contact_id,
                    "The contact names no account of the account file and was left out; correct its account.",
                )
            )
            continue
        key = book.key(email)
        if key is None:
            issues.append(
                (
                    "contact_without_address",
                    "contact",
                    contact_id,
                    "The contact has no usable e-mail address and was left out; correct it.",
                )
            )
            continue
        domains[key] = book.domain(email)
        landed[(contact_id, account_id, key)] = (contact_id, account_id, key, domains[key])
        accounts_of_address.setdefault(key, set()).add(account_id)
    several: dict[str, int] = {}
    for contact_id, _, key in landed:
        if len(accounts_of_address[key]) > 1:
            several[contact_id] = len(accounts_of_address[key])
    issues += [
        (
            "contact_address_in_several_accounts",
            "contact",
            contact_id,
            f"The contact's address stands in {count} accounts and counts for each; keep it in one.",
        )
        for contact_id, count in several.items()
    ]
    return list(landed.values()), issues


# --- reading


def _read_accounts(
    settings: Settings, wanted: AccountsFile, findings: list[str], types: dict[str, str]
) -> list[tuple[Any, ...]]:
    source = source_of(settings.resolved(wanted.path))
    where = "customers.accounts"
    text_columns = {
        key: getattr(wanted, key)
        for key in ("id", "name", "website", "country", "parent")
        if getattr(wanted, key) is not None
    }
    named = {f"{where}.{key}": column for key, column in text_columns.items()}
    named |= {f"{where}.attributes[{index}]": column for index, column in enumerate(wanted.attributes)}
    named |= {f"{where}.company.{name}": column for name, column in wanted.company.items()}

    def exact(column: str) -> str:
        """A value for JSON, whose numbers would lose digits beyond what a double holds."""
        name = contract_type(types.get(column, ""))
        return f"cast({quoted(column)} as varchar)" if name.startswith("decimal") else quoted(column)

    def query(relation: str) -> str:
        texts = ", ".join(
            f"{text_of(text_columns[key])} as {key}" if key in text_columns else f"null as {key}"
            for key in ("id", "name", "website", "country", "parent")
        )
        pairs = ", ".join(f"{quoted(column)} := {exact(column)}" for column in wanted.attributes)
        attributes = f"cast(to_json(struct_pack({pairs})) as varchar)" if wanted.attributes else "null"
        known = ", ".join(f"{quoted(name)} := {text_of(column)}" for name, column in wanted.company.items())
        company = f"cast(to_json(struct_pack({known})) as varchar)" if known else "null"
        return f"select {texts}, {attributes} as attributes, {company} as company from {relation}"

    texts = (
        *text_columns.values(),
        *(name for name in wanted.company.values() if name not in wanted.attributes),
    )
    rows = read_rows(source, where, named, texts, query, findings, types)
    if rows is not None:
        check_ids(source, where, [row[0] for row in rows], findings, "account", unique=True)
        parents = sum(1 for row in rows if row[4] and "@" in row[4])
        if parents:
            findings.append(
                f"{source.label}: {parents} parent account{'s' if parents != 1 else ''} whose id looks like an e-mail"
                f" address ({where}.parent); name a column with an id that may be published"
            )
    # The domain stands beside the website as given: what it is compared with are domains in ASCII.
    return [(*row[:3], website_domain(row[2]), *row[3:]) for row in rows or []]


def _read_contacts(settings: Settings, wanted: ContactsFile, findings: list[str]) -> list[tuple[Any, ...]]:
    where = "customers.contacts"
    named = {f"{where}.id": wanted.id, f"{where}.account": wanted.account, f"{where}.email": wanted.email}
    source = source_of(settings.resolved(wanted.path))
    return read_texts(source, where, named, findings, "contact", unique=False)
