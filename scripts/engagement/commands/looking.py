"""Commands that look at what was built and published."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engagement.commands.ending import conclude, conclude_without_settings
from engagement.commands.options import day, json_option, logging_options
from engagement.outcome import Outcome

if TYPE_CHECKING:
    from engagement.configuration.settings import Settings


@click.command(short_help="Show every enrichment, and what the last run did.")
@json_option
@logging_options
def status(as_json: bool, verbose: bool) -> None:
    """Show every enrichment, what was published of it, and what the last run did or is doing.

    \b
    Examples:
      engagement status
      engagement status --json

    Reads the published file and the run's state alone, so it works while a run is going on, and says how far it is.
    """

    def act(settings: Settings) -> Outcome:
        from engagement.run import status

        return status(settings)

    conclude(act, as_json=as_json, verbose=verbose, needs_files=False)


@click.command("pages", short_help="Serve the results as pages in a browser.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where they are served.")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@json_option
@logging_options
def pages_(address: str, port: int, as_json: bool, verbose: bool) -> None:
    """Serve the pages: enrichments, results, customer card, score and segments, in a browser.

    \b
    Examples:
      engagement pages
      engagement pages --port 8600

    Reads the published file and the run's state alone, and shows a new file as soon as it is published. Another address
    than this machine's needs a reverse proxy that says who looks (docs/pages.md). Needs the extra `pages`.
    """
    from engagement.pages.command import pages

    conclude(
        lambda settings: pages(settings, address=address, port=port),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("digest", short_help="Say what changed, for every owner of accounts.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=day,
    metavar="YYYY-MM-DD",
    help="What changed after this day, instead of since the last digest; not remembered.",
)
@click.option("--owner", metavar="NAME", help="The accounts of this owner alone; nobody: those without one.")
@click.option(
    "--by", metavar="COLUMN", help="The column of the owners, instead of digest.owner in enrichments.yml."
)
@click.option(
    "--format", "form", type=click.Choice(["markdown", "html", "json"]), default="markdown", show_default=True
)
@click.option(
    "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Where it is written."
)
@click.option("--remember", is_flag=True, help="The next one begins here, in spite of --since or --owner.")
@json_option
@logging_options
def digest_(
    since: date | None,
    owner: str | None,
    by: str | None,
    form: str,
    out: Path | None,
    remember: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Say what changed since the last digest, for every owner of accounts.

    \b
    Examples:
      engagement digest
      engagement digest --since 2026-06-01 --owner "Anja Vogel"
      engagement digest --format html --out digest.html

    Reads the published file alone. Who became stale, goes silent, entered and left segments, moved by own doing, and of
    whose company something new is known. Nobody's mail is named (docs/digest.md, also for sending it).
    """
    from engagement.digest.command import digest

    conclude(
        lambda settings: digest(settings, since=since, owner=owner, by=by, form=form, out=out, keep=remember),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("backtest", short_help="Judge the score on what came next in your own mail.")
@json_option
@logging_options
def backtest_(as_json: bool, verbose: bool) -> None:
    """Say whether the score told what came next in the own mail, beside the simple rules instead of it.

    \b
    Examples:
      engagement backtest
      engagement backtest --json

    Reads what was built last, and builds and writes nothing. How it is judged stands in docs/backtest.md.
    """
    from engagement.backtest import backtest

    conclude(backtest, as_json=as_json, verbose=verbose, needs_files=False)


@click.command("diff", short_help="Show which accounts would move before publishing.")
@click.option(
    "--from", "before", metavar="VERSION", help="A version of the score, instead of what is published."
)
@click.option("--to", "after", metavar="VERSION", help="The version that it is compared with.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    metavar="N",
    help="How many accounts are listed.",
)
@json_option
@logging_options
def diff_(before: str | None, after: str | None, limit: int, as_json: bool, verbose: bool) -> None:
    """Show which accounts would move, before anything is published.

    \b
    Examples:
      engagement diff                        what is published, and what was built last
      engagement diff --from v1 --to v2      two versions of the score, side by side at the same day
      engagement diff --to v2 --limit 50     the version that is shown, and another

    Reads the published and the private file, and writes nothing. A new version of seeds/score_components.csv can be
    compared after `dbt build`.
    """
    from engagement.diff import diff

    conclude(
        lambda settings: diff(settings, before=before, after=after, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--private",
    "private_file",
    type=click.Path(path_type=Path),
    help="The private file that it was published from: no key of it may stand in the published one.",
)
@json_option
@logging_options
def verify(file: Path, private_file: Path | None, as_json: bool, verbose: bool) -> None:
    """Put a published file through the gate, wherever it lies.

    \b
    Examples:
      engagement verify data/engagement.duckdb
      engagement verify data/engagement.duckdb --private data/private.duckdb --json

    Needs the project's folder alone: no enrichments.yml, no secrets, no build. Secrets that are set in the environment
    are looked for in the file. Ends with 7 where it is refused, with one line for each table, column and rule.
    """

    def act() -> Outcome:
        from engagement.locations import project_dir_of
        from engagement.verify import verify as verifying

        return verifying(
            file,
            environment=os.environ,
            project_dir=project_dir_of(os.environ),
            private_file=private_file,
        )

    conclude_without_settings(act, as_json=as_json, verbose=verbose)
