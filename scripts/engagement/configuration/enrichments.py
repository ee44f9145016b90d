"""The list `enrichments`: its types, what each may say, and where one stands in it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, Tag
from pydantic import Discriminator as PydanticDiscriminator

from engagement import consents
from engagement.configuration.part import Part, Text, refuse
from engagement.identifiers import slug
from engagement.statements import HASH_BYTES

# The types of enrichments, and those that are services with secrets of their own; who asks about contacts asks the
# same service as who asks about companies.
OFFICE, LEADSPACE, COMPANY_FILE = "office", "leadspace", "company_file"
LEADSPACE_CONTACTS = "leadspace_contacts"
TYPES = (OFFICE, LEADSPACE, LEADSPACE_CONTACTS, COMPANY_FILE)
SERVICES = (OFFICE, LEADSPACE)
REFRESH_PERIODS = {
    "hourly": dt.timedelta(hours=1),
    "daily": dt.timedelta(days=1),
    "weekly": dt.timedelta(days=7),
    "monthly": dt.timedelta(days=30),
}
RETENTION_DAYS = (366, 3650)
SMALLEST_SELECTION, LARGEST_SELECTION = 2, 2500

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_RETENTION = re.compile(r"([0-9]{1,6}) days?")
_SEGMENT = re.compile(r"customers|segment:[A-Za-z][A-Za-z0-9_]*")
_STATEMENT_HASH = re.compile(f"[0-9a-f]{{{2 * HASH_BYTES}}}")


def _retention(value: object) -> object:
    match = _RETENTION.fullmatch(value) if isinstance(value, str) else None
    low, high = RETENTION_DAYS
    if match is None or not low <= int(match.group(1)) <= high:
        raise refuse(f"'N days' with N from {low} to {high}, for example '760 days'")
    return int(match.group(1))


def _max_age(value: object) -> object:
    match = _RETENTION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match.group(1)) <= 3650:
        raise refuse("'N days' with N from 1 to 3650, for example '90 days'")
    return int(match.group(1))


def _table_name(value: object) -> object:
    if isinstance(value, str) and not _TABLE_NAME.fullmatch(value):
        raise refuse(
            "a table name: a letter, then letters, digits or _, at most 63 in all, for example Office"
        )
    return value


def _enrichment_name(value: object) -> object:
    if isinstance(value, str) and not slug(value):
        raise refuse("a name with at least one letter or digit")
    if isinstance(value, str) and not value.isprintable():
        raise refuse("a name of one line, without characters that cannot be seen")
    return value


def _address(value: object) -> object:
    if isinstance(value, str):
        local_part, at, domain = value.strip().rpartition("@")
        if not at or not local_part or not domain or any(c.isspace() or c in "<>,;" for c in value.strip()):
            raise refuse(
                "one plain e-mail address of a person or a group, for example us-sales@contoso.example"
            )
        return value.strip()
    return value


def _dataset(value: object) -> object:
    if isinstance(value, str) and not _SEGMENT.fullmatch(value):
        raise refuse("customers, or segment:<id of a segment>")
    return value


def _statement_hash(value: object) -> object:
    if isinstance(value, str) and not _STATEMENT_HASH.fullmatch(value):
        raise refuse("the hash of a statement, as `engagement consent` prints it")
    return value


TableName = Annotated[Text, BeforeValidator(_table_name)]
ListedAddress = Annotated[Text, BeforeValidator(_address)]


class Consent(Part):
    """Who agreed and when. With `statement`, the hash that `engagement consent` prints, to exactly that one."""

    by: Text
    on: dt.date
    statement: Annotated[Text, BeforeValidator(_statement_hash)] | None = None


class AddressFile(Part):
    path: Text


class DataConnect(Part):
    """A folder with the files of a Microsoft Graph Data Connect export, read instead of asking Graph."""

    data_connect: Text


class _Enrichment(Part):
    """What every enrichment has."""

    type: str
    name: Annotated[Text, BeforeValidator(_enrichment_name)]
    output_table: TableName
    active: bool = True
    consent: Consent | None = None
    refresh: Literal["manual", "hourly", "daily", "weekly", "monthly"] = "weekly"

    @property
    def enrichment_id(self) -> str:
        return slug(self.name)

    @property
    def service(self) -> str:
        """The service that it asks, which is its type where it asks none."""
        return LEADSPACE if self.type == LEADSPACE_CONTACTS else self.type

    @property
    def consents(self) -> Mapping[str, Consent | None]:
        """The consents that it needs, by kind, as enrichments.yml gives them (L11, E16)."""
        return {consents.CONFIGURER: self.consent}


class OfficeEnrichment(_Enrichment):
    type: Literal["office"]
    tenant_consent: Consent | None = None
    source: Annotated[
        Annotated[Literal["graph"], Tag("graph")] | Annotated[DataConnect, Tag("export")],
        PydanticDiscriminator(
            lambda value: "export" if isinstance(value, dict | DataConnect) else "graph",
            custom_error_type="not_allowed",
            custom_error_message="graph, or {data_connect: <folder>}",
        ),
    ] = "graph"
    addresses: Annotated[
        Annotated[tuple[ListedAddress, ...], Field(strict=False, min_length=1), Tag("list")]
        | Annotated[AddressFile, Tag("file")],
        PydanticDiscriminator(
            lambda value: "file" if isinstance(value, dict | AddressFile) else "list",
            custom_error_type="not_allowed",
            custom_error_message="a list of addresses, or {path: <file>}",
        ),
    ]
    opt_out: AddressFile | None = None
    probe_forbidden: ListedAddress | None = None
    domain_matching: bool = False
    retention: Annotated[int, BeforeValidator(_retention)] = Field(default=760)
    tolerated_failures: Annotated[float, Field(ge=0, le=0.5, strict=False)] = 0.02

    @property
    def export(self) -> str | None:
        """The folder of the Data Connect export that is read; None where Graph is asked."""
        return self.source.data_connect if isinstance(self.source, DataConnect) else None

    @property
    def consents(self) -> Mapping[str, Consent | None]:
        """The configurer's and the tenant administrator's (E9, E23)."""
        return {consents.CONFIGURER: self.consent, consents.ADMINISTRATOR: self.tenant_consent}


class Mapping_(Part):
    """Which columns of the account file feed the provider's fields: the company's name, and at most its
    website and country beside it (L15, L16).
    """

    company_name: Text
    website: Text | None = None
    country: Text | None = None


class _Lookups(_Enrichment):
    """What every enrichment has that looks records up at Leadspace."""

    max_age: Annotated[int, BeforeValidator(_max_age)] = Field(default=90)
    endpoint: Literal["automatic", "single", "bulk"] = "automatic"
    # So many records leave in one run at most, each for a credit.
    max_lookups: Annotated[int, Field(ge=1)] | None = None


class LeadspaceEnrichment(_Lookups):
    type: Literal["leadspace"]
    dataset: Annotated[str, BeforeValidator(_dataset)] = "customers"
    mapping: Mapping_
    # Names of enrichments of type company_file: whom one of them knows is not asked about.
    unless_known_by: tuple[Text, ...] = Field(default=(), strict=False)

    @property
    def segment(self) -> str | None:
        """The segment whose members are enriched; None for all customers."""
        return self.dataset.removeprefix("segment:") if self.dataset != "customers" else None


class ContactMapping(Part):
    """Which columns of the contact file feed the provider's fields of a person; the e-mail address is that of
    customers.contacts.email where none is named.
    """

    first_name: Text
    last_name: Text
    email: Text | None = None


class LeadspaceContactsEnrichment(_Lookups):
    """Title, department and level of contacts. Names and addresses leave for it and are not kept."""

    type: Literal["leadspace_contacts"]
    mapping: ContactMapping
    max_age: Annotated[int, BeforeValidator(_max_age)] = Field(default=180)
    # Whether what is known of each contact may stand in the published file, under his id.
    publish: bool = False


# Those that look records up at Leadspace.
LeadspaceLookups = LeadspaceEnrichment | LeadspaceContactsEnrichment


class CompanyFileEnrichment(_Enrichment):
    """Company data from a file keyed by our account ids; `columns` by the names of var company_attributes."""

    type: Literal["company_file"]
    path: Text
    id: Text
    columns: Annotated[dict[Text, Text], Field(min_length=1)]


AnyEnrichment = OfficeEnrichment | LeadspaceEnrichment | LeadspaceContactsEnrichment | CompanyFileEnrichment
Enrichment = Annotated[AnyEnrichment, Field(discriminator="type")]
E = TypeVar("E", OfficeEnrichment, LeadspaceEnrichment, LeadspaceContactsEnrichment, CompanyFileEnrichment)


def place(position: int, enrichment: AnyEnrichment) -> str:
    """Where an enrichment stands, for messages."""
    return f"enrichments[{position}] ({enrichment.enrichment_id})"
