"""enrichments.yml and the environment, validated whole before anything is contacted.

Every finding is reported at once, one line each: the key, the value (never one that may be personal or
secret) and what is allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from engagement import consents
from engagement.configuration.cross_checks import cross_checks, cross_checks_of_valid, repeated_addresses
from engagement.configuration.destination import NOTIFY, destination_of
from engagement.configuration.enrichments import LEADSPACE, OFFICE, SERVICES
from engagement.configuration.limits import memory_limit_of, number
from engagement.configuration.model import Configuration
from engagement.configuration.plain_words import in_plain_words, key_path
from engagement.configuration.settings import Settings
from engagement.configuration.sign_in import (
    is_contacted,
    leadspace_token_warnings,
    malformed_keys,
    missing_secrets,
    past_day,
    program_problems,
    read_certificate,
)
from engagement.configuration.urls import service_urls
from engagement.configuration.yaml_file import read_yaml
from engagement.consents import Consents
from engagement.errors import ConfigurationError
from engagement.exports import definitions as exporting
from engagement.locations import (
    PROJECT_FILE,
    configuration_file_of,
    consents_file_of,
    data_dir_of,
    dbt_dir_of,
    given_path,
    project_dir_of,
)
from engagement.statements import statement_of


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
        return given_path(environment, name, directory=here) or default

    configuration_file = configuration_file_of(environment, directory=here)
    project_dir = project_dir_of(environment, directory=here)
    data_dir = data_dir_of(environment, directory=here)
    raw = read_yaml(configuration_file)
    findings: list[str] = []
    configuration = _validated(raw, findings)
    findings += cross_checks(raw, configuration_file.parent, needs_files)
    if not (project_dir / PROJECT_FILE).is_file():
        findings.append(
            "ENGAGEMENT_PROJECT_DIR: the project folder holds no dbt_project.yml;"
            " run the command in the project's folder or set the variable to it"
        )
    if configuration is not None:
        findings += cross_checks_of_valid(configuration, project_dir)
    urls = service_urls(environment, findings)
    given: dict[str, Consents] = {}
    if configuration is not None:
        given = _consents(configuration, configuration_file.parent, data_dir, urls, findings)
    retry_seconds = number(environment, "ENGAGEMENT_RETRY_SECONDS", 300.0, 0, 7200, findings)
    leadspace_wait_seconds = number(
        environment, "ENGAGEMENT_LEADSPACE_WAIT_SECONDS", 3600.0, 0, 86_400, findings
    )
    workers = number(environment, "ENGAGEMENT_WORKERS", 8, 1, 100, findings)
    requests_per_mailbox = number(environment, "ENGAGEMENT_REQUESTS_PER_MAILBOX", 4, 1, 100, findings)
    mailbox_seconds = number(environment, "ENGAGEMENT_MAILBOX_SECONDS", 3600.0, 1, 864_000, findings)
    file_wait_seconds = number(environment, "ENGAGEMENT_FILE_WAIT_SECONDS", 60.0, 0, 3600, findings)
    memory_limit = memory_limit_of(environment, findings)
    contacted = [
        service for service in SERVICES if service in services and is_contacted(service, configuration, given)
    ]
    findings += missing_secrets(environment, contacted)
    certificate = read_certificate(environment, path_of, findings) if OFFICE in contacted else None
    if LEADSPACE in contacted:
        findings += program_problems(environment)
    findings += malformed_keys(environment)
    issued_on = past_day(environment, "LEADSPACE_TOKEN_ISSUED_ON", findings)
    notify = configuration.notify if configuration is not None else None
    destination = None
    if notify is not None:
        destination = destination_of(
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
    token, program_secret = environment.get("LEADSPACE_TOKEN"), environment.get("LEADSPACE_SECRET")
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
            *repeated_addresses(configuration),
            *(certificate.warnings() if certificate else ()),
            *(leadspace_token_warnings(issued_on) if token and LEADSPACE in contacted else ()),
        ),
    )


def _validated(raw: dict[str, Any], findings: list[str]) -> Configuration | None:
    """The file as the model of it; None where findings say what is wrong."""
    try:
        return Configuration.model_validate(raw)
    except ValidationError as error:
        findings += [
            in_plain_words(dict(problem), raw)
            for problem in error.errors(include_url=False)
            # A list of wrong entries is called too short as well, since none of them counts.
            if not (problem["type"] == "too_short" and key_path(problem["loc"], raw)[1])
        ]
    return None


def _consents(
    configuration: Configuration, folder: Path, data_dir: Path, urls: Mapping[str, str], findings: list[str]
) -> dict[str, Consents]:
    """How the consents of every enrichment stand, by its id; `folder` is that of enrichments.yml."""
    try:
        ledger = consents.read(consents_file_of(data_dir))
    except ConfigurationError as error:
        findings.append(error.message)
        # Nobody has consented.
        ledger = consents.Ledger()
    given: dict[str, Consents] = {}
    for enrichment in configuration.enrichments:
        statement = statement_of(
            enrichment,
            configuration.reporting,
            folder,
            graph_url=urls["ENGAGEMENT_GRAPH_URL"],
            leadspace_url=urls["ENGAGEMENT_LEADSPACE_URL"],
            contacts=configuration.customers.contacts,
            company_name=configuration.customers.accounts.name,
        )
        given[enrichment.enrichment_id] = consents.consents_of(enrichment, statement, ledger)
    return given
