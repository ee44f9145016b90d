"""Where notifications go: the block `notify` with what the environment holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr, ValidationError

from engagement.configuration.notify import IN_ENVIRONMENT, Notify, webhook_problem
from engagement.configuration.secret_variables import is_key
from engagement.configuration.yaml_file import read_yaml
from engagement.errors import ConfigurationError
from engagement.locations import configuration_file_of

# Named like a service by whoever is going to notify: the webhook's address then has to be there.
NOTIFY = "notify"


@dataclass(frozen=True)
class Destination:
    """Where notifications go; a command starts in `folder`, that of enrichments.yml."""

    folder: Path
    command: tuple[str, ...] | None = None
    webhook_url: SecretStr | None = None
    webhook_token: SecretStr | None = None


def read_destination(environment: Mapping[str, str], *, directory: Path | None = None) -> Destination | None:
    """Where notifications go though something else of enrichments.yml or the environment is wrong; None where that
    cannot be told, or nobody is to be notified.
    """
    path = configuration_file_of(environment, directory=directory)
    findings: list[str] = []
    try:
        block = read_yaml(path).get("notify")
        if block is None:
            return None
        notify = Notify.model_validate(block)
        destination = destination_of(notify, environment, path.parent, findings, is_needed=True)
    except (ConfigurationError, ValidationError, OSError):
        return None
    return None if findings else destination


def destination_of(
    notify: Notify, environment: Mapping[str, str], folder: Path, findings: list[str], *, is_needed: bool
) -> Destination:
    """Where notifications go. `is_needed` asks for the address of a webhook to be there."""
    url, token = notify.webhook, environment.get("ENGAGEMENT_WEBHOOK_TOKEN")
    if url is not None and url.get_secret_value() == IN_ENVIRONMENT:
        given = environment.get("ENGAGEMENT_WEBHOOK_URL")
        url = SecretStr(given) if given else None
        if given and (problem := webhook_problem(given, may_have_query=True)):
            findings.append(f"ENGAGEMENT_WEBHOOK_URL: not allowed; allowed: {problem}")
        elif not given and is_needed:
            findings.append(
                "environment: ENGAGEMENT_WEBHOOK_URL not set; set it to the address of the webhook"
                f" (notify.webhook is {IN_ENVIRONMENT})"
            )
    if url is None or not token:
        return Destination(folder, notify.command, url)
    if not is_key(token):
        findings.append(
            "ENGAGEMENT_WEBHOOK_TOKEN: is too short for a token, or holds a space, a line break or another character"
            " that no token has; copy it anew"
        )
    return Destination(folder, notify.command, url, SecretStr(token))
