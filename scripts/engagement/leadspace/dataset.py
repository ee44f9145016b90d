"""Which customers an enrichment asks about, and what is sent for each: the name, and beside it website and
country.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from engagement.configuration.customers import ACCOUNT_TEXTS
from engagement.configuration.enrichments import LeadspaceEnrichment, place
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.identifiers import slug
from engagement.leadspace.client import Body
from engagement.matching.places import registrable_domain
from engagement.seeds import rows_of
from engagement.warehouse import Connection

# No field of the service has a documented length; a company's name that is longer is none.
LONGEST_TEXT = 300
PERSONAL_SEED = "personal_mail_domains.csv"
NO_NAME, NAME_TOO_LONG, KNOWN_BY_OTHER = "no_name", "name_too_long", "known_by_other"


class SegmentNotPublished(ConfigurationError):
    """The data set is a segment that the published file does not hold (yet)."""


@dataclass(frozen=True)
class Customer:
    """A customer of the data set: what is sent for it under which fingerprint, or why nothing is.

    `left_out` names the fields beside the name that were too long to be sent; `is_personal_website` where the website
    given is a person's address, or at a domain where anybody may have a mailbox.
    """

    account_id: str
    company: Body | None = None
    fingerprint: str | None = None
    not_sent_reason: str | None = None
    left_out: tuple[str, ...] = ()
    is_personal_website: bool = False

    @property
    def body(self) -> Body | None:
        """What is sent."""
        return None if self.company is None else {"company": self.company}


def customers_of(
    settings: Settings, connection: Connection, position: int, enrichment: LeadspaceEnrichment
) -> list[Customer]:
    """The customers of the data set as landed, in the order of their ids.

    Raises ConfigurationError where no customers were landed, SegmentNotPublished where the segment's members
    are not known.
    """
    members = _members(settings, position, enrichment)
    rows = connection.execute(
        "select account_id, name, website, country, attributes from raw.accounts order by account_id"
    ).fetchall()
    if not rows:
        raise ConfigurationError(
            "raw.accounts: no customers landed; run `engagement extract customers` first"
        )
    accounts = settings.configuration.customers.accounts
    columns = [getattr(accounts, key) for key in ACCOUNT_TEXTS]
    mapping = enrichment.mapping.model_dump(exclude_none=True)
    personal = personal_mail_domains(settings.project_dir)
    known = _known_elsewhere(connection, enrichment)
    return [
        Customer(account_id, not_sent_reason=KNOWN_BY_OTHER)
        if account_id in known
        else _customer(account_id, _values(columns, mapping, texts, attributes), personal)
        for account_id, *texts, attributes in rows
        if members is None or account_id in members
    ]


def _known_elsewhere(connection: Connection, enrichment: LeadspaceEnrichment) -> set[str]:
    """Whom a file of company data that goes before knows, so that no credit is spent on him."""
    rows = connection.execute(
        "select distinct account_id from raw.company_file_records where enrichment_id in (select unnest(?))",
        [[slug(name) for name in enrichment.unless_known_by]],
    ).fetchall()
    return {row[0] for row in rows}


def _members(settings: Settings, position: int, enrichment: LeadspaceEnrichment) -> set[str] | None:
    """Who is in the segment, as last published; None for all customers."""
    segment = enrichment.segment
    if segment is None:
        return None
    where = f"{place(position, enrichment)}: segment {segment} is not published yet"
    if not settings.published_file.is_file():
        raise SegmentNotPublished(f"{where}; publish once (`engagement run`), then its members are enriched")
    try:
        with duckdb.connect(str(settings.published_file), read_only=True) as connection:
            is_known = connection.execute(
                "select count(*) from marts.segments where segment_id = ?", [segment]
            ).fetchone() == (1,)
            rows = connection.execute(
                "select account_id from marts.segment_members where segment_id = ?", [segment]
            ).fetchall()
    except duckdb.CatalogException:
        is_known = False
    except duckdb.Error as error:
        raise SegmentNotPublished(
            f"{place(position, enrichment)}: {settings.published_file.name} cannot be read"
            f" ({type(error).__name__}), and the members of segment {segment} stand there; `engagement publish`"
            " makes it anew"
        ) from None
    if not is_known:
        raise SegmentNotPublished(
            f"{where} in {settings.published_file.name}; run `engagement run` with the model in place"
        )
    return {row[0] for row in rows}


def _values(
    columns: Iterable[str | None],
    mapping: Mapping[str, str],
    texts: Iterable[str | None],
    attributes: str | None,
) -> dict[str, str]:
    """The mapped values of one account: the named columns, or the customer's own."""
    named = {column: text for column, text in zip(columns, texts, strict=True) if text is not None}
    own: Mapping[str, Any] = json.loads(attributes) if attributes else {}
    values = {}
    for field, column in mapping.items():
        value = named.get(column, own.get(column))
        if value is not None:
            values[field] = cleaned(str(value))
    return values


def cleaned(text: str) -> str:
    """Text without control characters, runs of blanks as one; whatever else a name holds is sent as it is."""
    if text.isprintable():
        # Nearly every text is, and most have no blanks to bring together.
        return " ".join(text.split())
    printable = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)
    return " ".join(printable.split())


def personal_mail_domains(project_dir: Path) -> frozenset[str]:
    """The domains of the seed at which anybody may have a mailbox: they say nothing of a company.

    Raises ConfigurationError where the seed cannot be read.
    """
    rows = rows_of(project_dir / "seeds" / PERSONAL_SEED, ("domain",))
    return frozenset(domain.strip().lower() for (domain,) in rows)


def _without_person(website: str, personal: frozenset[str]) -> str | None:
    """The website as it may leave: of a person's address the domain alone, and nothing of a personal mailbox."""
    domain = registrable_domain(website)
    if domain in personal:
        return None
    return domain if "@" in website else website


def _customer(account_id: str, values: Mapping[str, str], personal: frozenset[str]) -> Customer:
    name = values.get("company_name", "")
    if not any(char.isalnum() for char in name):
        return Customer(account_id, not_sent_reason=NO_NAME)
    if len(name) > LONGEST_TEXT:
        return Customer(account_id, not_sent_reason=NAME_TOO_LONG)
    too_long = tuple(field for field, value in values.items() if len(value) > LONGEST_TEXT)
    sendable = {field: value for field, value in values.items() if value and field not in too_long}
    company: dict[str, Any] = {"name": name}
    is_personal = False
    if given := sendable.get("website"):
        website = _without_person(given, personal)
        is_personal = website != given
        if website is not None:
            company["website"] = website
    if "country" in sendable:
        company["address"] = {"country": sendable["country"]}
    return Customer(
        account_id,
        company,
        fingerprint_of(company),
        left_out=too_long,
        is_personal_website=is_personal,
    )


def fingerprint_of(company: Body) -> str:
    """The id of what is sent for a customer: equal inputs have one, so that they are looked up once."""
    text = json.dumps(company, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
