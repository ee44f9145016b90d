"""What the commands about the score have in common: its versions, and reading a file that was built before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import yaml

from engagement import project_yaml
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.publish import check_refresh
from engagement.warehouse import Connection, connect, require_current

# A version is the one behind engagement_score where its points add up to it everywhere.
VERSIONS_THAT_ADD_UP = """
    with
    summed as (
        select score_version, enrichment_id, account_id, sum(points_earned) as points
        from marts.account_score_components
        where aggregation_level = 'year'
        group by all
    )
    select
        summed.score_version,
        coalesce(bool_and(summed.points = engagement.engagement_score), false) as adds_up
    from summed
    left join marts.account_engagement as engagement
        on
            engagement.enrichment_id = summed.enrichment_id
            and engagement.account_id = summed.account_id
            and engagement.aggregation_level = 'year'
    group by all
    order by all
"""


@contextmanager
def as_built(settings: Settings, *, what: str) -> Iterator[Connection]:
    """The private file as it was built last, for reading.

    Raises ConfigurationError where there is none, where `what` is not built in it, and PublishRefusedError where the
    last build did not come to its end.
    """
    with connect(settings, read_only=True) as connection:
        require_current(connection, settings)
        check_refresh(connection)
        try:
            yield connection
        except (duckdb.CatalogException, duckdb.BinderException):
            raise ConfigurationError(
                f"{settings.private_file.name}: has no {what} yet, or that of another version of the project; run"
                " `dbt build` or `engagement run` first"
            ) from None


def project_variable(project_dir: Path, name: str) -> Any:
    """A variable of dbt_project.yml; ConfigurationError where it is not there."""
    try:
        project = project_yaml.load((project_dir / "dbt_project.yml").read_text("utf-8"))
        return project["vars"][name]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise ConfigurationError(
            f"dbt_project.yml: vars.{name} cannot be read; put it back as it came with the project"
        ) from None


def project_score_version(settings: Settings) -> str:
    """The score version that dbt_project.yml names; ConfigurationError where it names none."""
    return str(project_variable(settings.project_dir, "score_version"))


def versions(connection: Connection) -> dict[str, bool]:
    """Every version that was built, and whether its points add up to the engagement_score of every account."""
    return dict(connection.execute(VERSIONS_THAT_ADD_UP).fetchall())


def shipped_version(connection: Connection, *, expected: str) -> str | None:
    """The version behind engagement_score; `expected` where several add up to it, None where none does."""
    fitting = [version for version, adds_up in versions(connection).items() if adds_up]
    if expected in fitting or not fitting:
        return expected if fitting else None
    return fitting[0]


def require_version(option: str, version: str, known: Sequence[str]) -> None:
    """ConfigurationError, naming what is known, unless a version is among it."""
    if not known:
        raise ConfigurationError(
            f"{option}: the private file holds no scores: run `dbt build` over data that was read; ENGAGEMENT_DATA_DIR"
            " says over which (data/demo: the demo's)"
        )
    if version not in known:
        raise ConfigurationError(
            f"{option}: {version!r} is no version of the score that was built; known: {', '.join(known)}"
            " (a new one of seeds/score_components.csv needs `dbt build` first)"
        )


def mid_ranks(values: Sequence[Any]) -> list[float]:
    """The place of each value from below, beginning at 1; what ties shares the middle of its places."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    ranks = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for index in order[begin:end]:
            ranks[index] = (begin + 1 + end) / 2
        begin = end
    return ranks
