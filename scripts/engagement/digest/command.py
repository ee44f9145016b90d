"""`engagement digest`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from engagement import durable
from engagement.configuration.settings import Settings
from engagement.digest.collect import collect
from engagement.digest.html import as_html
from engagement.digest.markdown import as_markdown
from engagement.digest.period import period_of, remember
from engagement.digest.sections import WITHOUT_OWNER, title_of
from engagement.errors import ConfigurationError
from engagement.outcome import Outcome
from engagement.scores import project_score_version, project_variable
from engagement.segments.published import hint, published

FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {
    "markdown": as_markdown,
    "html": as_html,
    "json": lambda digest: json.dumps(digest, indent=2, default=str, ensure_ascii=False) + "\n",
}
PUBLICATION = """
    select
        coalesce(publication.as_of_date, (select max(as_of_date) from marts.segments)) as as_of_date,
        publication.published_at
    from marts.publication as publication
"""


def digest(
    settings: Settings,
    *,
    since: date | None = None,
    owner: str | None = None,
    by: str | None = None,
    form: str = "markdown",
    out: Path | None = None,
    keep: bool = False,
) -> Outcome:
    """What changed, as `form` to `out` or to the standard output.

    The period begins with the last digest unless `since` says so; it is remembered where the digest is of everybody and
    since the last one, or where `keep` asks for it. `by` names the column of the owners instead of var owner_attribute.
    Raises ConfigurationError where nothing is published, the period is empty, or an owner or a column unknown.
    """
    column = _owner_column(settings, by)
    with published(
        settings, what="segments" if column is None else f"segments or no column {column}"
    ) as connection:
        [(as_of, published_at)] = connection.execute(PUBLICATION).fetchall()
        if as_of is None:
            raise ConfigurationError(
                f"{settings.published_file.name}: nothing has been judged yet, so there is nothing to tell; run"
                " `engagement run` first"
            )
        period = period_of(settings, as_of=as_of, published_at=published_at, since=since)
        told = collect(connection, period, owner_column=column, score_version=project_score_version(settings))
    if owner is not None:
        told = _of(told, owner)
    text = FORMATS[form](told)
    if out is not None:
        _write(out, text)
    # Told to one owner, or about a period of its own, it is not what everybody was told.
    if keep or (since is None and owner is None):
        remember(settings, period)
    lines = text.rstrip("\n").split("\n")
    if out is not None:
        lines = [f"Written: {out}, {title_of(told)[0].lower()}{title_of(told)[1:]}"]
    return Outcome(lines=lines, facts={"file": None if out is None else str(out), **told})


def _owner_column(settings: Settings, by: str | None) -> str | None:
    """The column of the owners: of the option, else of var owner_attribute where there is one; None without any."""
    known = settings.configuration.customers.accounts.attributes
    if by is None:
        usual = str(project_variable(settings.project_dir, "owner_attribute"))
        return usual if usual in known else None
    if by not in known:
        raise ConfigurationError(
            f"--by: {by!r} is no column of customers.accounts.attributes; {hint(by, known)}"
        )
    return by


def _of(told: dict[str, Any], owner: str) -> dict[str, Any]:
    """The digest of one owner alone; 'nobody' is the accounts without one, unless somebody is called so."""
    if told["owner_column"] is None:
        raise ConfigurationError(
            "--owner: nothing says whose an account is; name the column with --by, or with var owner_attribute in"
            " dbt_project.yml, and list it under customers.accounts.attributes"
        )
    entries = {entry["owner"]: entry for entry in told["owners"]}
    wanted: str | None = owner
    if owner not in entries and owner.lower() == WITHOUT_OWNER.lower():
        wanted = None
    if wanted is None and wanted not in entries:
        raise ConfigurationError("--owner: every account has an owner; name one of them")
    if wanted not in entries:
        known = sorted(name for name in entries if name is not None)
        raise ConfigurationError(f"--owner: {owner!r} owns no account; {hint(owner, known)}")
    return {**told, "owners": [entries[wanted]]}


def _write(path: Path, text: str) -> None:
    try:
        durable.write(path.resolve(), text.encode())
    except OSError as error:
        raise ConfigurationError(
            f"--out: {path.name} cannot be written ({error.strerror}); correct the folder or its rights"
        ) from None
