"""enrichments.yml and the environment, validated whole before anything is contacted.

Every finding is reported at once, one line each: the key, the value (never one that may be personal or
secret) and what is allowed.
"""

from __future__ import annotations

import datetime as dt
import difflib
import ipaddress
import re
import zoneinfo
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, Tag, ValidationError
from pydantic import Discriminator as PydanticDiscriminator
from pydantic_core import PydanticCustomError

from engagement import consents, project_yaml
from engagement.consents import Consents
from engagement.errors import ConfigurationError
from engagement.exports import definitions as exporting
from engagement.exports.definitions import Export, ExportColumn
from engagement.identifiers import slug
from engagement.locations import (
    PROJECT_FILE,
    configuration_file_of,
    consents_file_of,
    data_dir_of,
    dbt_dir_of,
    project_dir_of,
    run_lock_of,
    watch_state_of,
)
from engagement.statements import HASH_BYTES, LOOPBACK_HOSTS, statement_of

if TYPE_CHECKING:
    from engagement.certificate import Certificate

REFRESH_PERIODS = {
    "hourly": dt.timedelta(hours=1),
    "daily": dt.timedelta(days=1),
    "weekly": dt.timedelta(days=7),
    "monthly": dt.timedelta(days=30),
}
RETENTION_DAYS = (366, 3650)
SEGMENTS = Path("models", "segments")
SMALLEST_SELECTION, LARGEST_SELECTION = 2, 2500
DEFAULT_AUTHORITY_URL = "https://login.microsoftonline.com"
DEFAULT_GRAPH_URL = "https://graph.microsoft.com"
DEFAULT_LEADSPACE_URL = "https://apigw.leadspace.com"
GRAPH_SECRETS = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
# What may stand in the place of a secret.
INSTEAD = {"AZURE_CLIENT_SECRET": "AZURE_CLIENT_CERTIFICATE_PATH"}
LEADSPACE_SECRETS = ("LEADSPACE_TOKEN",)
# OAuth at Leadspace, in the place of the token: the program's id and its secret.
LEADSPACE_PROGRAM = ("LEADSPACE_PROGRAM_ID", "LEADSPACE_SECRET")
# The perpetual key of Leadspace ends after two years; a warning comes a month before, and one from five months on,
# since Leadspace advises to replace it every six.
LEADSPACE_TOKEN_DAYS, LEADSPACE_TOKEN_DAYS_WARNED_OF, LEADSPACE_TOKEN_DAYS_ADVISED = 730, 30, 150
# What no process that we start, dbt included, has any business with.
SECRET_VARIABLES = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "LEADSPACE_TOKEN",
    "LEADSPACE_SECRET",
    "ENGAGEMENT_HASH_KEY",
    "ENGAGEMENT_TOMBSTONE_KEY",
    "ENGAGEMENT_WEBHOOK_URL",
    "ENGAGEMENT_WEBHOOK_TOKEN",
    *exporting.SECRET_VARIABLES,
)
# Shorter, the gate would find it in every second text.
SHORTEST_TOKEN = 8
# The types of enrichments, and those that are services with secrets of their own; who asks about contacts asks the
# same service as who asks about companies.
OFFICE, LEADSPACE, COMPANY_FILE = "office", "leadspace", "company_file"
LEADSPACE_CONTACTS = "leadspace_contacts"
TYPES = (OFFICE, LEADSPACE, LEADSPACE_CONTACTS, COMPANY_FILE)
SERVICES = (OFFICE, LEADSPACE)
# Named like a service by whoever is going to notify: the webhook's address then has to be there.
NOTIFY = "notify"
# How a run may end, and after which ends somebody is notified unless enrichments.yml says otherwise.
RunEnd = Literal["failed", "cancelled", "incomplete", "warnings", "done"]
RUN_ENDS: tuple[RunEnd, ...] = ("failed", "cancelled", "incomplete", "warnings", "done")
RUN_ENDS_NOTIFIED = RUN_ENDS[:-1]
# In the place of the webhook's address, where that is a secret.
IN_ENVIRONMENT = "environment"

# The keys under which models learn how the consents of an enrichment stand.
CONSENT_STATE, HAS_OUTPUTS = CONSENT_KEYS = ("consent_state", "has_outputs")

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RETENTION = re.compile(r"([0-9]{1,6}) days?")
_GRACE = re.compile(r"([0-9]{1,4}) (minute|hour|day)s?")
_SEGMENT = re.compile(r"customers|segment:[A-Za-z][A-Za-z0-9_]*")
_MEMORY = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})? ?([KMGT]i?B|%)")
_STATEMENT_HASH = re.compile(f"[0-9a-f]{{{2 * HASH_BYTES}}}")
_SECRET_WORDS = ("secret", "token", "password", "key")


def _refuse(allowed: str) -> PydanticCustomError:
    return PydanticCustomError("not_allowed", "{allowed}", {"allowed": allowed})


def _time_zone(value: object) -> object:
    if isinstance(value, str) and value not in _time_zones():
        near = difflib.get_close_matches(value, _time_zones(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise _refuse(f"a time zone of the IANA list, for example UTC or Europe/Berlin{hint}")
    return value


def _ip_address(value: object) -> object:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise _refuse("an IP address, for example 10.0.0.5") from None


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _retention(value: object) -> object:
    match = _RETENTION.fullmatch(value) if isinstance(value, str) else None
    low, high = RETENTION_DAYS
    if match is None or not low <= int(match.group(1)) <= high:
        raise _refuse(f"'N days' with N from {low} to {high}, for example '760 days'")
    return int(match.group(1))


def _max_age(value: object) -> object:
    match = _RETENTION.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match.group(1)) <= 3650:
        raise _refuse("'N days' with N from 1 to 3650, for example '90 days'")
    return int(match.group(1))


def _table_name(value: object) -> object:
    if isinstance(value, str) and not _TABLE_NAME.fullmatch(value):
        raise _refuse(
            "a table name: a letter, then letters, digits or _, at most 63 in all, for example Office"
        )
    return value


def _enrichment_name(value: object) -> object:
    if isinstance(value, str) and not slug(value):
        raise _refuse("a name with at least one letter or digit")
    if isinstance(value, str) and not value.isprintable():
        raise _refuse("a name of one line, without characters that cannot be seen")
    return value


def _address(value: object) -> object:
    if isinstance(value, str):
        local_part, at, domain = value.strip().rpartition("@")
        if not at or not local_part or not domain or any(c.isspace() or c in "<>,;" for c in value.strip()):
            raise _refuse(
                "one plain e-mail address of a person or a group, for example us-sales@contoso.example"
            )
        return value.strip()
    return value


def _dataset(value: object) -> object:
    if isinstance(value, str) and not _SEGMENT.fullmatch(value):
        raise _refuse("customers, or segment:<id of a segment>")
    return value


def _statement_hash(value: object) -> object:
    if isinstance(value, str) and not _STATEMENT_HASH.fullmatch(value):
        raise _refuse("the hash of a statement, as `engagement consent` prints it")
    return value


def _grace(value: object) -> object:
    match = _GRACE.fullmatch(value) if isinstance(value, str) else None
    grace = dt.timedelta(**{f"{match.group(2)}s": int(match.group(1))}) if match else dt.timedelta(0)
    if not dt.timedelta(minutes=1) <= grace <= dt.timedelta(days=365):
        raise _refuse("'N minutes', 'N hours' or 'N days', at most 365 days, for example '12 hours'")
    return grace


def _webhook(value: object) -> object:
    if isinstance(value, str) and value != IN_ENVIRONMENT and (problem := _webhook_problem(value)):
        raise _refuse(f"{problem}; or the word {IN_ENVIRONMENT}, and the address in ENGAGEMENT_WEBHOOK_URL")
    return value


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


Text = Annotated[str, Field(min_length=1)]
TableName = Annotated[Text, BeforeValidator(_table_name)]
ListedAddress = Annotated[Text, BeforeValidator(_address)]


class Reporting(_Part):
    time_zone: Annotated[str, BeforeValidator(_time_zone)] = "UTC"
    small_numbers: Literal["show", "band"] = "show"
    # Of two, the only small group would be one person.
    k: Annotated[int, Field(ge=3, le=100)] = 5
    user_table: bool = True


# The keys of customers.accounts that name a column of text; what is landed under them.
ACCOUNT_TEXTS = ("name", "website", "country")


class AccountsFile(_Part):
    path: Text
    id: Text
    name: Text
    website: Text | None = None
    country: Text | None = None
    parent: Text | None = None
    attributes: tuple[Text, ...] = Field(default=(), strict=False)
    # What the file itself knows of the company, by the names of var company_attributes: trusted, never overwritten.
    company: dict[Text, Text] = Field(default_factory=dict)


class ContactsFile(_Part):
    path: Text
    id: Text
    account: Text
    email: Text


class Customers(_Part):
    accounts: AccountsFile
    contacts: ContactsFile


class Consent(_Part):
    """Who agreed and when. With `statement`, the hash that `engagement consent` prints, to exactly that one."""

    by: Text
    on: dt.date
    statement: Annotated[Text, BeforeValidator(_statement_hash)] | None = None


class AddressFile(_Part):
    path: Text


class DataConnect(_Part):
    """A folder with the files of a Microsoft Graph Data Connect export, read instead of asking Graph."""

    data_connect: Text


class _Enrichment(_Part):
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


class Mapping_(_Part):
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


class ContactMapping(_Part):
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


class Notify(_Part):
    """Who is notified of runs: a program that gets the message on its standard input, a webhook that it is posted to.

    `on` says after which runs; None in `overdue_after` is half of the shortest refresh period.
    """

    command: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] | None = None
    webhook: Annotated[SecretStr, BeforeValidator(_webhook)] | None = None
    on: Annotated[tuple[RunEnd, ...], Field(strict=False)] = RUN_ENDS_NOTIFIED
    overdue_after: Annotated[dt.timedelta, BeforeValidator(_grace)] | None = None


class Pages(_Part):
    """Who may see what on the pages: the header in which a reverse proxy names who signed in, the name under which
    browsers reach it, a CSV file (user, owner) of whose accounts he sees, and the addresses of the proxies that are
    believed.
    """

    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")] | None = None
    owners: Text | None = None
    proxies: Annotated[tuple[Annotated[Text, BeforeValidator(_ip_address)], ...], Field(strict=False)] = ()


class Configuration(_Part):
    """enrichments.yml as a whole."""

    reporting: Reporting = Reporting()
    notify: Notify | None = None
    customers: Customers
    enrichments: Annotated[tuple[Enrichment, ...], Field(strict=False, min_length=1)]
    exports: Annotated[tuple[Export, ...], Field(strict=False)] = ()
    pages: Pages = Pages()
    # Folder of `engagement raw-to-parquet`, unless ENGAGEMENT_RAW_PARQUET names one.
    raw_parquet: Text | None = None


@dataclass(frozen=True)
class Destination:
    """Where notifications go; a command starts in `folder`, that of enrichments.yml."""

    folder: Path
    command: tuple[str, ...] | None = None
    webhook_url: SecretStr | None = None
    webhook_token: SecretStr | None = None


@dataclass(frozen=True)
class Settings:
    """Everything that a command needs to know; secrets never show in its representation."""

    configuration: Configuration
    configuration_file: Path
    project_dir: Path
    # Where dbt leaves its target and its logs.
    dbt_dir: Path
    data_dir: Path
    private_file: Path
    published_file: Path
    # Where the raw tables are written as Parquet, for engines that are not DuckDB.
    raw_parquet_folder: Path
    authority_url: str = DEFAULT_AUTHORITY_URL
    graph_url: str = DEFAULT_GRAPH_URL
    leadspace_url: str = DEFAULT_LEADSPACE_URL
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    # Read only where Graph will be contacted.
    certificate: Certificate | None = None
    certificate_password: SecretStr | None = None
    leadspace_token: SecretStr | None = None
    leadspace_token_issued_on: dt.date | None = None
    leadspace_program_id: str | None = None
    leadspace_secret: SecretStr | None = None
    hash_key: SecretStr | None = None
    tombstone_key: SecretStr | None = None
    # Of the destinations of exports, by the names of their variables.
    export_secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    # None where enrichments.yml says nothing of notifying.
    destination: Destination | None = None
    retry_seconds: float = 300.0
    leadspace_wait_seconds: float = 3600.0
    workers: int = 8
    requests_per_mailbox: int = 4
    mailbox_seconds: float = 3600.0
    # How long another process that has the private file open is waited for.
    file_wait_seconds: float = 60.0
    # Of the private file, as DuckDB reads it; None: four fifths of the machine's.
    memory_limit: str | None = None
    warnings: tuple[str, ...] = field(default=())
    # By enrichment_id: how its consents stood when this was loaded.
    consents: Mapping[str, Consents] = field(default_factory=dict)

    @property
    def run_lock_file(self) -> Path:
        return run_lock_of(self.data_dir)

    @property
    def run_state_file(self) -> Path:
        return self.data_dir / "run_state.json"

    @property
    def audit_file(self) -> Path:
        return self.data_dir / "audit.jsonl"

    @property
    def watch_state_file(self) -> Path:
        return watch_state_of(self.data_dir)

    @property
    def consents_file(self) -> Path:
        return consents_file_of(self.data_dir)

    @property
    def hash_key_file(self) -> Path:
        return self.data_dir / "hash_key"

    @property
    def tombstones_file(self) -> Path:
        return self.data_dir / "tombstones.json"

    @property
    def tombstone_key_file(self) -> Path:
        return self.data_dir / "tombstone_key"

    @property
    def sender_patterns_file(self) -> Path:
        return self.project_dir / "seeds" / "automated_sender_patterns.csv"

    def resolved(self, path: str) -> Path:
        """A path of enrichments.yml: relative ones start at the folder of that file."""
        return self.configuration_file.parent / Path(path).expanduser()

    def enrichments(self, kind: type[E]) -> Iterator[tuple[int, E]]:
        """Every enrichment of one type with its position in the list."""
        for position, enrichment in enumerate(self.configuration.enrichments):
            if isinstance(enrichment, kind):
                yield position, enrichment

    def ready(self, kind: type[E]) -> list[tuple[int, E]]:
        """The active enrichments of one type that have every consent: those that may be contacted."""
        return [
            (position, enrichment)
            for position, enrichment in self.enrichments(kind)
            if self.is_ready(enrichment)
        ]

    def is_ready(self, enrichment: AnyEnrichment) -> bool:
        """Whether it may be contacted: active, with every consent."""
        return _is_ready(enrichment, self.consents)

    def waiting_for_consent(self) -> list[str]:
        """One line for every active enrichment that lacks a consent and so is not contacted."""
        return [
            f"{place(position, enrichment)}: {line}"
            for position, enrichment in enumerate(self.configuration.enrichments)
            if (line := self.waits_for(enrichment)) and enrichment.active
        ]

    def waits_for(self, enrichment: AnyEnrichment) -> str:
        """The consents that an enrichment waits for, and what to do; empty where it has them all."""
        given = self.consents[enrichment.enrichment_id]
        if not given.missing:
            return ""
        command = f"engagement consent {enrichment.enrichment_id}"
        if given.state == consents.WAITING_FOR_ADMINISTRATOR:
            waiting = "waits for tenant_consent, the administrator's"
            advice = f"ask him with `{command} --request`, record it with `{command} --as-administrator`"
        else:
            waiting = f"waits for {' and '.join(given.missing)}"
            advice = f"read and agree with `{command}`"
        problem = f" ({given.problem})" if given.problem else ""
        return f"{waiting}{problem}; {advice}, until then nothing is requested for it"

    def rows(self) -> list[tuple[str, str, str | None]]:
        """What models may know of the settings: (enrichment_id, key, value) as raw.settings holds them."""
        reporting = self.configuration.reporting
        rows: list[tuple[str, str, str | None]] = [
            ("", "reporting.time_zone", reporting.time_zone),
            ("", "reporting.small_numbers", reporting.small_numbers),
            ("", "reporting.k", str(reporting.k)),
            ("", "reporting.user_table", _boolean(reporting.user_table)),
        ]
        for position, enrichment in enumerate(self.configuration.enrichments):
            values: dict[str, str | None] = {
                "type": enrichment.type,
                "name": enrichment.name,
                "output_table": enrichment.output_table,
                "active": _boolean(enrichment.active),
                "position": str(position),
                "refresh": enrichment.refresh,
                "refresh_hours": _hours(REFRESH_PERIODS.get(enrichment.refresh)),
                CONSENT_STATE: self.consents[enrichment.enrichment_id].state,
                HAS_OUTPUTS: _boolean(self.consents[enrichment.enrichment_id].has_outputs),
            }
            if isinstance(enrichment, OfficeEnrichment):
                values |= {
                    "domain_matching": _boolean(enrichment.domain_matching),
                    "retention_days": str(enrichment.retention),
                    "tolerated_failures": str(enrichment.tolerated_failures),
                }
            elif isinstance(enrichment, LeadspaceEnrichment):
                values |= {"dataset": enrichment.dataset, "max_age_days": str(enrichment.max_age)}
            elif isinstance(enrichment, LeadspaceContactsEnrichment):
                values |= {"max_age_days": str(enrichment.max_age), "publish": _boolean(enrichment.publish)}
            rows += [(enrichment.enrichment_id, key, value) for key, value in values.items()]
        return rows


def place(position: int, enrichment: AnyEnrichment) -> str:
    """Where an enrichment stands, for messages."""
    return f"enrichments[{position}] ({enrichment.enrichment_id})"


def _is_ready(enrichment: AnyEnrichment, given: Mapping[str, Consents]) -> bool:
    return enrichment.active and given[enrichment.enrichment_id].state == consents.GIVEN


def _hours(period: dt.timedelta | None) -> str | None:
    return None if period is None else str(int(period.total_seconds() // 3600))


def _boolean(value: bool) -> str:
    return "true" if value else "false"


class Source(NamedTuple):
    """Where a customer table lies: a file, or a table (schema.table) of a DuckDB file."""

    file: Path
    table: str | None

    @property
    def label(self) -> str:
        return self.file.name if self.table is None else f"{self.file.name}#{self.table}"


def source_of(path: Path) -> Source:
    """'file.duckdb#schema.table' as its two parts."""
    name, hash_sign, table = path.name.partition("#")
    return Source(path.with_name(name), table) if hash_sign else Source(path, None)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a program that we start: what it needs of our secrets it is told."""
    return {name: value for name, value in environment.items() if name not in SECRET_VARIABLES}


def load(
    environment: Mapping[str, str],
    *,
    services: Collection[str] = SERVICES,
    needs_files: bool = True,
    directory: Path | None = None,
) -> Settings:
    """Reads and checks everything; ConfigurationError with all findings.

    The secrets of the named `services` are asked for, each only where one of its enrichments is active and
    has its consents. `needs_files` asks for the files that enrichments.yml names to be there. `directory` stands
    for the current directory.
    """
    here = directory or Path.cwd()

    def path_of(name: str, default: Path) -> Path:
        given = environment.get(name)
        return here / Path(given).expanduser() if given else default

    configuration_file = configuration_file_of(environment, directory=here)
    project_dir = project_dir_of(environment, directory=here)
    data_dir = data_dir_of(environment, directory=here)
    raw = _read_yaml(configuration_file)
    findings: list[str] = []
    configuration: Configuration | None = None
    try:
        configuration = Configuration.model_validate(raw)
    except ValidationError as error:
        findings += [
            _in_plain_words(dict(problem), raw)
            for problem in error.errors(include_url=False)
            # A list of wrong entries is called too short as well, since none of them counts.
            if not (problem["type"] == "too_short" and _key_path(problem["loc"], raw)[1])
        ]
    findings += _cross_checks(raw, configuration_file.parent, needs_files)
    if not (project_dir / PROJECT_FILE).is_file():
        findings.append(
            "ENGAGEMENT_PROJECT_DIR: the project folder holds no dbt_project.yml;"
            " run the command in the project's folder or set the variable to it"
        )
    if configuration is not None:
        findings += _unknown_segments(configuration, project_dir)
        findings += _unknown_attributes(configuration, project_dir)
        findings += _unknown_files(configuration)
        findings += _contacts_beyond_what_is_possible(configuration)
    urls = {}
    for name, default in (
        ("ENGAGEMENT_AUTHORITY_URL", DEFAULT_AUTHORITY_URL),
        ("ENGAGEMENT_GRAPH_URL", DEFAULT_GRAPH_URL),
        ("ENGAGEMENT_LEADSPACE_URL", DEFAULT_LEADSPACE_URL),
    ):
        urls[name] = (environment.get(name) or default).rstrip("/")
        if problem := _url_problem(urls[name]):
            findings.append(f"{name}: {problem}")
    given: dict[str, Consents] = {}
    if configuration is not None:
        try:
            ledger = consents.read(consents_file_of(data_dir))
        except ConfigurationError as error:
            findings.append(error.message)
            # Nobody has consented.
            ledger = consents.Ledger()
        for enrichment in configuration.enrichments:
            statement = statement_of(
                enrichment,
                configuration.reporting,
                configuration_file.parent,
                graph_url=urls["ENGAGEMENT_GRAPH_URL"],
                leadspace_url=urls["ENGAGEMENT_LEADSPACE_URL"],
                contacts=configuration.customers.contacts,
                company_name=configuration.customers.accounts.name,
            )
            given[enrichment.enrichment_id] = consents.consents_of(enrichment, statement, ledger)
    retry_seconds = _number(environment, "ENGAGEMENT_RETRY_SECONDS", 300.0, 0, 7200, findings)
    leadspace_wait_seconds = _number(
        environment, "ENGAGEMENT_LEADSPACE_WAIT_SECONDS", 3600.0, 0, 86_400, findings
    )
    workers = _number(environment, "ENGAGEMENT_WORKERS", 8, 1, 100, findings)
    requests_per_mailbox = _number(environment, "ENGAGEMENT_REQUESTS_PER_MAILBOX", 4, 1, 100, findings)
    mailbox_seconds = _number(environment, "ENGAGEMENT_MAILBOX_SECONDS", 3600.0, 1, 864_000, findings)
    file_wait_seconds = _number(environment, "ENGAGEMENT_FILE_WAIT_SECONDS", 60.0, 0, 3600, findings)
    memory_limit = environment.get("ENGAGEMENT_MEMORY_LIMIT") or None
    if memory_limit is not None and not _MEMORY.fullmatch(memory_limit):
        findings.append(
            "ENGAGEMENT_MEMORY_LIMIT: not allowed; a number and its unit (MB, GB, MiB, GiB or %), for example 4GB"
        )
    for service, names, whose in (
        (OFFICE, GRAPH_SECRETS, "to the app registration's values (docs/errors.md)"),
        (
            LEADSPACE,
            () if any(environment.get(name) for name in LEADSPACE_PROGRAM) else LEADSPACE_SECRETS,
            "to the perpetual key that Leadspace sent you, or LEADSPACE_PROGRAM_ID and LEADSPACE_SECRET to its program"
            " id and secret",
        ),
    ):
        missing = [
            f"{name} or {INSTEAD[name]}" if name in INSTEAD else name
            for name in names
            if not environment.get(name) and not environment.get(INSTEAD.get(name, ""))
        ]
        if missing and service in services and _contacts(service, configuration, given):
            findings.append(
                f"environment: {', '.join(missing)} not set;"
                f" set {'it' if len(missing) == 1 else 'them'} {whose}"
            )
    certificate = None
    if OFFICE in services and _contacts(OFFICE, configuration, given):
        certificate = _certificate(environment, path_of, findings)
    if LEADSPACE in services and _contacts(LEADSPACE, configuration, given):
        findings += _program_problems(environment)
    token, program_secret = environment.get("LEADSPACE_TOKEN"), environment.get("LEADSPACE_SECRET")
    for name, key in (("LEADSPACE_TOKEN", token), ("LEADSPACE_SECRET", program_secret)):
        if key and not _is_key(key):
            findings.append(
                f"{name}: is too short for a key, or holds a space, a line break or another character that no key"
                " has; copy it anew"
            )
    issued_on = _past_day(environment, "LEADSPACE_TOKEN_ISSUED_ON", findings)
    notify = configuration.notify if configuration is not None else None
    destination = None
    if notify is not None:
        destination = _destination(
            notify, environment, configuration_file.parent, findings, is_needed=NOTIFY in services
        )
    private_file = path_of("ENGAGEMENT_PRIVATE_FILE", data_dir / "private.duckdb")
    published_file = path_of("ENGAGEMENT_PUBLISHED_FILE", data_dir / "engagement.duckdb")
    if private_file.resolve() == published_file.resolve():
        findings.append(
            "ENGAGEMENT_PUBLISHED_FILE: is the private file, which publishing would replace; set it to another path"
        )
    if published_file.is_dir():
        findings.append("ENGAGEMENT_PUBLISHED_FILE: is a folder; set it to the path of a file")
    if findings or configuration is None:
        raise ConfigurationError(
            f"{configuration_file.name}: {len(findings)} finding{'s' if len(findings) != 1 else ''};"
            " correct and run again, nothing was contacted",
            findings=findings,
        )
    secret = environment.get("AZURE_CLIENT_SECRET")
    password = environment.get("AZURE_CLIENT_CERTIFICATE_PASSWORD")
    hash_key = environment.get("ENGAGEMENT_HASH_KEY")
    tombstone_key = environment.get("ENGAGEMENT_TOMBSTONE_KEY")
    return Settings(
        configuration=configuration,
        configuration_file=configuration_file,
        project_dir=project_dir,
        dbt_dir=dbt_dir_of(environment, directory=here),
        data_dir=data_dir,
        private_file=private_file,
        published_file=published_file,
        raw_parquet_folder=path_of(
            "ENGAGEMENT_RAW_PARQUET",
            data_dir / "raw_parquet"
            if configuration.raw_parquet is None
            else configuration_file.parent / Path(configuration.raw_parquet).expanduser(),
        ),
        authority_url=urls["ENGAGEMENT_AUTHORITY_URL"],
        graph_url=urls["ENGAGEMENT_GRAPH_URL"],
        leadspace_url=urls["ENGAGEMENT_LEADSPACE_URL"],
        tenant_id=environment.get("AZURE_TENANT_ID") or None,
        client_id=environment.get("AZURE_CLIENT_ID") or None,
        client_secret=SecretStr(secret) if secret else None,
        certificate=certificate,
        certificate_password=SecretStr(password) if password else None,
        leadspace_token=SecretStr(token) if token else None,
        leadspace_token_issued_on=issued_on,
        leadspace_program_id=environment.get("LEADSPACE_PROGRAM_ID") or None,
        leadspace_secret=SecretStr(program_secret) if program_secret else None,
        hash_key=SecretStr(hash_key) if hash_key else None,
        tombstone_key=SecretStr(tombstone_key) if tombstone_key else None,
        export_secrets={
            name: SecretStr(value) for name in exporting.SECRET_VARIABLES if (value := environment.get(name))
        },
        destination=destination,
        retry_seconds=retry_seconds,
        leadspace_wait_seconds=leadspace_wait_seconds,
        workers=int(workers),
        requests_per_mailbox=int(requests_per_mailbox),
        mailbox_seconds=mailbox_seconds,
        file_wait_seconds=file_wait_seconds,
        memory_limit=memory_limit,
        consents=given,
        warnings=(
            *_repeated_addresses(configuration),
            *(certificate.warnings() if certificate else ()),
            *(
                leadspace_token_warnings(issued_on)
                if token and LEADSPACE in services and _contacts(LEADSPACE, configuration, given)
                else ()
            ),
        ),
    )


def read_destination(environment: Mapping[str, str], *, directory: Path | None = None) -> Destination | None:
    """Where notifications go though something else of enrichments.yml or the environment is wrong; None where that
    cannot be told, or nobody is to be notified.
    """
    path = configuration_file_of(environment, directory=directory)
    findings: list[str] = []
    try:
        block = _read_yaml(path).get("notify")
        if block is None:
            return None
        notify = Notify.model_validate(block)
        destination = _destination(notify, environment, path.parent, findings, is_needed=True)
    except (ConfigurationError, ValidationError, OSError):
        return None
    return None if findings else destination


def _destination(
    notify: Notify, environment: Mapping[str, str], folder: Path, findings: list[str], *, is_needed: bool
) -> Destination:
    url, token = notify.webhook, environment.get("ENGAGEMENT_WEBHOOK_TOKEN")
    if url is not None and url.get_secret_value() == IN_ENVIRONMENT:
        given = environment.get("ENGAGEMENT_WEBHOOK_URL")
        url = SecretStr(given) if given else None
        if given and (problem := _webhook_problem(given, may_have_query=True)):
            findings.append(f"ENGAGEMENT_WEBHOOK_URL: not allowed; allowed: {problem}")
        elif not given and is_needed:
            findings.append(
                "environment: ENGAGEMENT_WEBHOOK_URL not set; set it to the address of the webhook"
                f" (notify.webhook is {IN_ENVIRONMENT})"
            )
    if url is None or not token:
        return Destination(folder, notify.command, url)
    if not _is_key(token):
        findings.append(
            "ENGAGEMENT_WEBHOOK_TOKEN: is too short for a token, or holds a space, a line break or another character"
            " that no token has; copy it anew"
        )
    return Destination(folder, notify.command, url, SecretStr(token))


def _is_key(text: str) -> bool:
    """Whether it can stand in the header of a request, and is long enough to be looked for elsewhere."""
    return text.isascii() and text.isprintable() and " " not in text and len(text) >= SHORTEST_TOKEN


def _webhook_problem(url: str, *, may_have_query: bool = False) -> str | None:
    """What is allowed, where this is not. A query is for the environment alone, since it often holds a secret."""
    try:
        parts = urlsplit(url)
        allowed = (
            _url_problem(url) is None
            and parts.port != 0
            and not (parts.username or parts.password or parts.fragment)
            and (may_have_query or not parts.query)
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        allowed = False
    if allowed:
        return None
    without = "a user or a fragment" if may_have_query else "a user, a query or a fragment"
    return f"an https address (plain http only for 127.0.0.1 and localhost) without {without}"


def _contacts(service: str, configuration: Configuration | None, given: Mapping[str, Consents]) -> bool:
    """Whether a service will be contacted; of a configuration that is wrong, Graph is assumed."""
    if configuration is None:
        return service == OFFICE
    return any(
        enrichment.service == service
        and _is_ready(enrichment, given)
        # Who reads an export asks nobody.
        and not (isinstance(enrichment, OfficeEnrichment) and enrichment.export is not None)
        for enrichment in configuration.enrichments
    )


def _certificate(
    environment: Mapping[str, str], path_of: Callable[[str, Path], Path], findings: list[str]
) -> Certificate | None:
    """The certificate to sign in with; None where none is named, or a finding says what is wrong with it."""
    name = INSTEAD["AZURE_CLIENT_SECRET"]
    if not environment.get(name):
        return None
    if environment.get("AZURE_CLIENT_SECRET"):
        findings.append(f"environment: AZURE_CLIENT_SECRET and {name} are both set; keep one of them")
        return None
    # Its libraries take a tenth of a second to load, and most commands sign in with a secret or not at all.
    from engagement import certificate

    try:
        return certificate.read(
            path_of(name, Path()), environment.get("AZURE_CLIENT_CERTIFICATE_PASSWORD") or None
        )
    except ConfigurationError as error:
        findings.append(error.message)
        return None


def _program_problems(environment: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the ways to sign in at Leadspace, where one of them is there."""
    token = bool(environment.get("LEADSPACE_TOKEN"))
    missing = [name for name in LEADSPACE_PROGRAM if not environment.get(name)]
    if token and "LEADSPACE_SECRET" not in missing:
        yield (
            "environment: LEADSPACE_TOKEN and LEADSPACE_SECRET are both set; keep one of them: the perpetual key, or"
            " LEADSPACE_PROGRAM_ID and LEADSPACE_SECRET"
        )
    elif not token and len(missing) == 1:
        [beside] = set(LEADSPACE_PROGRAM) - set(missing)
        yield f"environment: {missing[0]} not set; {beside} needs it beside it, or set LEADSPACE_TOKEN instead of both"


def _past_day(environment: Mapping[str, str], name: str, findings: list[str]) -> dt.date | None:
    """A day that is over or today, wherever on earth; None where it is not set or a finding says what is wrong."""
    text = environment.get(name)
    if not text:
        return None
    try:
        # Other forms of ISO 8601 are read as well, but nobody was told of them.
        day = dt.date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        findings.append(f"{name}: not a date; allowed: yyyy-mm-dd, the day on which Leadspace made the key")
    elif day > max(dt.date.today(), dt.datetime.now(dt.UTC).date()):
        findings.append(f"{name}: is in the future; set it to the day on which Leadspace made the key")
    else:
        return day
    return None


def leadspace_token_warnings(issued_on: dt.date | None, today: dt.date | None = None) -> list[str]:
    """What the age of the perpetual key asks for, one line at most; nothing where its age is not known.

    Leadspace asks for another key every six months, and ends one two years after it was made (Single Direct API v4).
    """
    if issued_on is None:
        return []
    age = ((today or dt.date.today()) - issued_on).days
    ends_in = LEADSPACE_TOKEN_DAYS - age
    advice = "ask Leadspace for a new one and set LEADSPACE_TOKEN and LEADSPACE_TOKEN_ISSUED_ON"
    if ends_in < 0:
        return [f"LEADSPACE_TOKEN is {age} days old and has ended two years after it was made; {advice}"]
    if ends_in <= LEADSPACE_TOKEN_DAYS_WARNED_OF:
        return [
            f"LEADSPACE_TOKEN ends in {ends_in} day{'' if ends_in == 1 else 's'}, two years after it was made;"
            f" {advice}"
        ]
    if age >= LEADSPACE_TOKEN_DAYS_ADVISED:
        return [f"LEADSPACE_TOKEN is {age} days old; Leadspace advises another every six months: {advice}"]
    return []


def _number(
    environment: Mapping[str, str], name: str, default: float, low: float, high: float, findings: list[str]
) -> float:
    given = environment.get(name)
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        findings.append(f"{name}: {given!r} is not allowed; a number from {low:g} to {high:g}")
        return default
    return value


def _url_problem(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return None
    if parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS:
        return None
    return "not allowed; an https address (plain http only for 127.0.0.1 and localhost)"


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key given twice in one mapping, of which YAML readers silently keep the last."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = key_node.value
        if key in seen:
            raise ConfigurationError(
                f"enrichments.yml line {key_node.start_mark.line + 1}: key {key!r} is given twice"
                " in one block;"
                " keep one of them"
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


def _on_is_no_boolean(loader: _UniqueKeyLoader, node: yaml.ScalarNode) -> object:
    """YAML 1.1 reads the bare words on, off, yes and no as booleans; here only true and false are."""
    if node.value.lower() in ("true", "false"):
        return loader.construct_yaml_bool(node)
    return node.value


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)
_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:bool", _on_is_no_boolean)


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigurationError(
            f"{path.name}: no such file; `engagement init` writes one with comments,"
            " or set ENGAGEMENT_CONFIG to yours"
        )
    try:
        raw = yaml.load(path.read_text("utf-8"), Loader=_UniqueKeyLoader)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name}: not UTF-8 text; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "not readable"
        raise ConfigurationError(f"{path.name}{where}: not valid YAML ({problem}); correct it") from None
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path.name}: has no keys; needed: customers, enrichments")
    return raw


# --- findings in plain words

_ALLOWED_BY_TYPE: dict[str, str] = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text (put quotes around numbers)",
    "tuple_type": "a list",
    "list_type": "a list",
    "date_type": "a date as yyyy-mm-dd",
    "date_from_datetime_inexact": "a date as yyyy-mm-dd",
    "date_parsing": "a date as yyyy-mm-dd",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "dict_type": "a block of keys",
    "string_too_short": "text that is not empty",
}


def _in_plain_words(problem: dict[str, Any], raw: object) -> str:
    """One line for one finding of pydantic."""
    keys, value = _key_path(problem["loc"], raw)
    path = _joined(keys)
    kind = str(problem["type"])
    context: dict[str, Any] = problem.get("ctx") or {}
    if kind == "missing":
        return f"{path}: missing; add it"
    if kind == "extra_forbidden":
        return f"{path}: unknown key{_nearest_key(problem['loc'], str(keys[-1]))}"
    if kind == "union_tag_not_found":
        return f"{path}.type: missing; allowed: {', '.join(TYPES)}"
    if kind == "union_tag_invalid":
        given = _shown(value.get("type") if isinstance(value, dict) else value, path)
        return f"{path}.type: {given} is not allowed; allowed: {', '.join(TYPES)}"
    if kind == "literal_error":
        allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
        allowed = "graph, or {data_connect: <folder>}" if keys[-1] == "source" else allowed
    elif kind == "not_allowed":
        allowed = str(context.get("allowed") or problem["msg"])
    elif kind in ("too_short", "too_long"):
        return f"{path}: is empty; allowed: at least one entry"
    elif kind in ("greater_than_equal", "less_than_equal"):
        return f"{path}: {_shown(value, path)} is not allowed; allowed: {_range_of(str(keys[-1]))}"
    else:
        allowed = _ALLOWED_BY_TYPE.get(kind, str(problem["msg"]))
    return f"{path}: {_shown(value, path)} is not allowed; allowed: {allowed}"


def _range_of(key: str) -> str:
    return {
        "k": "a whole number from 3 to 100",
        "tolerated_failures": "a number from 0 to 0.5",
        "max_lookups": "a whole number from 1 on",
        "parts": f"a whole number from 1 to {exporting.MOST_PARTS:,}",
        "rows_per_part": "a whole number from 1 on",
    }[key]


def _key_path(location: tuple[int | str, ...], raw: object) -> tuple[list[int | str], Any]:
    """The keys as the file has them: pydantic's names of union members are in between and left out."""
    keys: list[int | str] = []
    node: Any = raw
    for index, part in enumerate(location):
        if _holds(node, part):
            node = node[part]
        elif index < len(location) - 1 or part in (
            "list",
            "file",
            "graph",
            "export",
            "field",
            "renamed_field",
        ):
            continue
        else:
            node = None
        keys.append(part)
    return keys, node


def _holds(node: object, part: int | str) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, dict) and part in node


def _joined(keys: list[int | str]) -> str:
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text or "enrichments.yml"


def _shown(value: object, path: str) -> str:
    """A value fit for a message: short, and never what may be an address or a secret."""
    if isinstance(value, dict | list):
        return "a block of keys" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    text = str(value)
    if path.startswith(("notify.webhook", "notify.command")):
        return "the value given (not shown: it may be secret)"
    if "@" in text or path.rsplit(".", 1)[-1].startswith(("addresses[", "probe_forbidden", "by")):
        return "the value given (not shown: it may be personal)"
    if isinstance(value, bool):
        text = text.lower()
    return repr(text if len(text) <= 60 else text[:57] + "...") if isinstance(value, str) else text


def _nearest_key(location: tuple[int | str, ...], key: str) -> str:
    known = _known_keys(location[:-1])
    near = difflib.get_close_matches(key, known, 1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; allowed: {', '.join(known)}" if known else "; remove it"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Configuration
    by_key: dict[str, Any] = {
        "reporting": Reporting,
        "notify": Notify,
        "pages": Pages,
        "customers": Customers,
        "accounts": AccountsFile,
        "contacts": ContactsFile,
        "office": OfficeEnrichment,
        "leadspace": LeadspaceEnrichment,
        "leadspace_contacts": LeadspaceContactsEnrichment,
        "company_file": CompanyFileEnrichment,
        "consent": Consent,
        "tenant_consent": Consent,
        "file": AddressFile,
        "export": DataConnect,
        "opt_out": AddressFile,
        "mapping": Mapping_,
        "exports": Export,
        "renamed_field": ExportColumn,
    }
    for part in location:
        is_contacts = part == "mapping" and model is LeadspaceContactsEnrichment
        model = ContactMapping if is_contacts else by_key.get(str(part), model)
    return [field.alias or name for name, field in model.model_fields.items()]


# --- checks across keys, over the file as it is, so that they are reported beside the others


def _cross_checks(raw: dict[str, Any], folder: Path, needs_files: bool) -> list[str]:
    findings: list[str] = list(exporting.findings(raw.get("exports")))
    enrichments = raw.get("enrichments")
    listed = [
        (position, entry)
        for position, entry in enumerate(enrichments if isinstance(enrichments, list) else [])
        if isinstance(entry, dict)
    ]
    normal_forms: dict[str, Callable[[str], str]] = {"name": slug, "output_table": str.lower}
    for key, form in normal_forms.items():
        first: dict[str, int] = {}
        for position, entry in listed:
            value = entry.get(key)
            if not isinstance(value, str) or not form(value):
                continue
            other = first.setdefault(form(value), position)
            if other != position:
                findings.append(
                    f"enrichments[{position}].{key}: {_shown(value, key)} is already taken by"
                    f" enrichments[{other}]"
                    " (case and punctuation do not count); choose another"
                )
    tables = {str(entry.get("output_table")).lower(): position for position, entry in listed}
    for position, entry in listed:
        clash = tables.get(f"{str(entry.get('output_table')).lower()}_userentity")
        if clash is not None:
            findings.append(
                f"enrichments[{clash}].output_table: is"
                f" the name of the table of people of enrichments[{position}]; choose another"
            )
    notify = raw.get("notify")
    ways = [notify.get("command"), notify.get("webhook")] if isinstance(notify, dict) else [notify]
    if "notify" in raw and all(way is None for way in ways):
        findings.append("notify: has neither command nor webhook; add one of them, or remove the block")
    paths: list[tuple[str, object]] = []
    customers = raw.get("customers")
    for table in ("accounts", "contacts"):
        block = customers.get(table) if isinstance(customers, dict) else None
        if isinstance(block, dict):
            paths.append((f"customers.{table}.path", block.get("path")))
    for position, entry in listed:
        if entry.get("type") == COMPANY_FILE:
            paths.append((f"enrichments[{position}].path", entry.get("path")))
        for key in ("addresses", "opt_out"):
            block = entry.get(key)
            if isinstance(block, dict):
                paths.append((f"enrichments[{position}].{key}.path", block.get("path")))
        findings += _exported(position, entry, folder, needs_files)
        findings += _unmapped(position, entry.get("mapping"), raw)
        findings += _no_website(position, entry, raw)
    for where, path in paths if needs_files else ():
        if isinstance(path, str) and path and not source_of(folder / Path(path).expanduser()).file.is_file():
            findings.append(
                f"{where}: {_shown(path, where)} does not exist;"
                " put the file there or correct the path (relative paths start at the folder of"
                " enrichments.yml)"
            )
    return findings


def _exported(position: int, entry: dict[str, Any], folder: Path, needs_files: bool) -> Iterator[str]:
    """What an enrichment that reads an export cannot have, and a folder that is not there."""
    source = entry.get("source")
    if not isinstance(source, dict):
        return
    where = f"enrichments[{position}].source.data_connect"
    path = source.get("data_connect")
    if needs_files and isinstance(path, str) and path and not (folder / Path(path).expanduser()).is_dir():
        yield (
            f"{where}: {_shown(path, where)} is no folder; put the export there or correct the path"
            " (relative paths start at the folder of enrichments.yml)"
        )
    if entry.get("probe_forbidden") is not None:
        yield (
            f"enrichments[{position}].probe_forbidden: asks Microsoft Graph, which nobody does for an export;"
            " remove it, and limit the people in the pipeline of the export"
        )


def _unmapped(position: int, mapping: object, raw: dict[str, Any]) -> Iterator[str]:
    """Mapped columns that customers.accounts does not name, so that they are not landed."""
    customers = raw.get("customers")
    accounts = customers.get("accounts") if isinstance(customers, dict) else None
    if not isinstance(mapping, dict) or not isinstance(accounts, dict):
        return
    attributes = accounts.get("attributes")
    columns = [accounts.get(key) for key in ACCOUNT_TEXTS]
    columns += attributes if isinstance(attributes, list) else []
    named = list(dict.fromkeys(column for column in columns if isinstance(column, str)))
    for key, column in mapping.items():
        if key in Mapping_.model_fields and isinstance(column, str) and column and column not in named:
            yield (
                f"enrichments[{position}].mapping.{key}: {_shown(column, key)} is no column that"
                f" customers.accounts names; allowed: {', '.join(named)}, or add it to"
                " customers.accounts.attributes"
            )


def _no_website(position: int, entry: dict[str, Any], raw: dict[str, Any]) -> Iterator[str]:
    """Domain matching without a column of websites would silently match nothing."""
    customers = raw.get("customers")
    accounts = customers.get("accounts") if isinstance(customers, dict) else None
    if entry.get("domain_matching") is True and isinstance(accounts, dict) and not accounts.get("website"):
        yield (
            f"enrichments[{position}].domain_matching: needs the accounts' websites;"
            " name their column in customers.accounts.website"
        )


def _unknown_segments(configuration: Configuration, project_dir: Path) -> Iterator[str]:
    """Data sets that name no segment: there is no models/segments/segment_<id>.sql."""
    known = sorted(
        path.stem.removeprefix("segment_") for path in (project_dir / SEGMENTS).glob("segment_*.sql")
    )
    for position, enrichment in enumerate(configuration.enrichments):
        if isinstance(enrichment, LeadspaceEnrichment) and enrichment.segment not in (None, *known):
            near = difflib.get_close_matches(str(enrichment.segment), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
            yield (f"enrichments[{position}].dataset: there is no segment {enrichment.segment!r}; {hint}")


def _unknown_attributes(configuration: Configuration, project_dir: Path) -> Iterator[str]:
    """Columns given for something that dbt_project.yml does not list among what is known of a company."""
    mapped = {"customers.accounts.company": configuration.customers.accounts.company} | {
        f"enrichments[{position}].columns": enrichment.columns
        for position, enrichment in enumerate(configuration.enrichments)
        if isinstance(enrichment, CompanyFileEnrichment)
    }
    if not any(mapped.values()):
        return
    try:
        project = project_yaml.load((project_dir / PROJECT_FILE).read_text("utf-8"))
        known = list(project["vars"]["company_attributes"])
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return
    for where, columns in mapped.items():
        for attribute in columns:
            if attribute not in known:
                near = difflib.get_close_matches(attribute, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                yield f"{where}: {_shown(attribute, where)} is nothing that is known of a company; {hint}"


def _unknown_files(configuration: Configuration) -> Iterator[str]:
    """Enrichments to go before that are no files of company data."""
    known = {
        enrichment.enrichment_id: enrichment.name
        for enrichment in configuration.enrichments
        if isinstance(enrichment, CompanyFileEnrichment)
    }
    for position, enrichment in enumerate(configuration.enrichments):
        for index, name in enumerate(getattr(enrichment, "unless_known_by", ())):
            if slug(name) not in known:
                yield (
                    f"enrichments[{position}].unless_known_by[{index}]: {_shown(name, 'name')} is no enrichment of type"
                    f" company_file; known: {', '.join(known.values()) or 'none'}"
                )


def _contacts_beyond_what_is_possible(configuration: Configuration) -> Iterator[str]:
    """A second enrichment of contacts, which would ask about the same people once more; and people's titles in a
    file that shows no number of few people.
    """
    listed = [
        (position, enrichment)
        for position, enrichment in enumerate(configuration.enrichments)
        if isinstance(enrichment, LeadspaceContactsEnrichment)
    ]
    for position, enrichment in listed:
        if position != listed[0][0]:
            yield (
                f"enrichments[{position}].type: enrichments[{listed[0][0]}] is of type {LEADSPACE_CONTACTS} already,"
                " and one asks about every contact; remove one of them"
            )
        if enrichment.publish and configuration.reporting.small_numbers == "band":
            yield (
                f"enrichments[{position}].publish: true is not allowed with reporting.small_numbers: band, since it"
                " shows single people; set it to false, or small_numbers to show"
            )


def _repeated_addresses(configuration: Configuration) -> Iterator[str]:
    for position, enrichment in enumerate(configuration.enrichments):
        if not isinstance(enrichment, OfficeEnrichment) or isinstance(enrichment.addresses, AddressFile):
            continue
        first: dict[str, int] = {}
        for index, address in enumerate(enrichment.addresses):
            other = first.setdefault(address.lower(), index)
            if other != index:
                yield (
                    f"enrichments[{position}].addresses[{index}]: the same address as addresses[{other}];"
                    " it counts once, remove one of them"
                )
