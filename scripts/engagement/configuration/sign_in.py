"""What signs in at the services, from the environment: what is missing, contradicts itself, or ends soon."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engagement.configuration.enrichments import LEADSPACE, OFFICE, OfficeEnrichment
from engagement.configuration.model import Configuration
from engagement.configuration.secret_variables import is_key
from engagement.configuration.settings import is_ready
from engagement.consents import Consents
from engagement.errors import ConfigurationError

if TYPE_CHECKING:
    from engagement.certificate import Certificate

GRAPH_SECRETS = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
# What may stand in the place of a secret.
INSTEAD = {"AZURE_CLIENT_SECRET": "AZURE_CLIENT_CERTIFICATE_PATH"}
LEADSPACE_SECRETS = ("LEADSPACE_TOKEN",)
# OAuth at Leadspace, in the place of the token: the program's id and its secret.
LEADSPACE_PROGRAM = ("LEADSPACE_PROGRAM_ID", "LEADSPACE_SECRET")
# The perpetual key of Leadspace ends after two years; a warning comes a month before, and one from five months on,
# since Leadspace advises to replace it every six.
LEADSPACE_TOKEN_DAYS, LEADSPACE_TOKEN_DAYS_WARNED_OF, LEADSPACE_TOKEN_DAYS_ADVISED = 730, 30, 150

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_contacted(service: str, configuration: Configuration | None, given: Mapping[str, Consents]) -> bool:
    """Whether a service will be contacted; of a configuration that is wrong, Graph is assumed."""
    if configuration is None:
        return service == OFFICE
    return any(
        enrichment.service == service
        and is_ready(enrichment, given)
        # Who reads an export asks nobody.
        and not (isinstance(enrichment, OfficeEnrichment) and enrichment.export is not None)
        for enrichment in configuration.enrichments
    )


def missing_secrets(environment: Mapping[str, str], contacted: Collection[str]) -> Iterator[str]:
    """What the services that will be contacted need and is not set, one line for each service."""
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
        if missing and service in contacted:
            yield (
                f"environment: {', '.join(missing)} not set;"
                f" set {'it' if len(missing) == 1 else 'them'} {whose}"
            )


def malformed_keys(environment: Mapping[str, str]) -> Iterator[str]:
    """Keys of Leadspace that cannot be one."""
    for name in ("LEADSPACE_TOKEN", "LEADSPACE_SECRET"):
        key = environment.get(name)
        if key and not is_key(key):
            yield (
                f"{name}: is too short for a key, or holds a space, a line break or another character that no key"
                " has; copy it anew"
            )


def read_certificate(
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


def program_problems(environment: Mapping[str, str]) -> Iterator[str]:
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


def past_day(environment: Mapping[str, str], name: str, findings: list[str]) -> dt.date | None:
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
