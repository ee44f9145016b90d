"""Commands that read, build and publish, and those around them."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engagement.commands import completing
from engagement.commands.ending import conclude, conclude_without_settings, notified
from engagement.commands.options import day, json_option, logging_options
from engagement.outcome import Outcome

if TYPE_CHECKING:
    from engagement.configuration.settings import Settings


@click.command("run", short_help="Read what is new, build with dbt, publish.")
@click.option("--if-due", is_flag=True, help="Do nothing before the next refresh is due.")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=day,
    metavar="YYYY-MM-DD",
    help="The last day that counts, instead of the newest whole day that was read.",
)
@json_option
@logging_options
def run_(if_due: bool, as_of: date | None, as_json: bool, verbose: bool) -> None:
    """Refresh everything: customer files, mail and calendars, company data, dbt build, publish.

    \b
    Examples:
      engagement run
      engagement run --if-due
      engagement run --as-of 2026-06-30

    Whatever fails, the last published file stays as it was. Ctrl-C and `engagement cancel` end it within ten
    seconds; the next run goes on from there. Whom `notify` of enrichments.yml names is told how it ended.
    """
    from engagement.configuration.destination import NOTIFY
    from engagement.configuration.enrichments import SERVICES

    def act(settings: Settings) -> Outcome:
        from engagement.run import run

        return run(settings, as_of=as_of, if_due=if_due, verbose=verbose, quiet=as_json)

    conclude(
        notified("run", act),
        as_json=as_json,
        verbose=verbose,
        services=(*SERVICES, NOTIFY),
        notifies_as="run",
    )


@click.group(short_help="Land one source in the private file, for plain dbt.")
def extract() -> None:
    """Land one source in the private file, for use with plain dbt.

    \b
    Examples:
      engagement extract customers && engagement extract office && dbt build
    """


@extract.command("customers", short_help="Read and check the customer files.")
@json_option
@logging_options
def extract_customers(as_json: bool, verbose: bool) -> None:
    """Read and check the customer files (accounts and contacts) and replace what was landed before.

    \b
    Example:
      engagement extract customers
    """

    def act(settings: Settings) -> Outcome:
        from engagement.extract import extract_customers

        return extract_customers(settings)

    conclude(notified("extract customers", act), as_json=as_json, verbose=verbose)


@extract.command("office", short_help="Read what is new in the mailboxes and calendars.")
@click.option(
    "--anew", is_flag=True, help="Read everything within the retention again, not only what is new."
)
@json_option
@logging_options
def extract_office(anew: bool, as_json: bool, verbose: bool) -> None:
    """Read what is new in the mailboxes and calendars of the listed people.

    \b
    Examples:
      engagement extract office
      engagement extract office --anew     after changing seeds/automated_sender_patterns.csv
    """
    from engagement.configuration.enrichments import OFFICE

    def act(settings: Settings) -> Outcome:
        from engagement.extract import extract_office

        return extract_office(settings, read_anew=anew)

    conclude(
        notified("extract office", act),
        as_json=as_json,
        verbose=verbose,
        services=(OFFICE,),
    )


@extract.command("leadspace", short_help="Ask Leadspace about customers and contacts.")
@click.option(
    "--send-again",
    is_flag=True,
    help="Also ask about customers whose answer was lost, though they may have been charged.",
)
@click.option(
    "--estimate",
    is_flag=True,
    help="Contact nobody, and say how many lookups, and so credits, the same call without it would cost.",
)
@json_option
@logging_options
def extract_leadspace(send_again: bool, estimate: bool, as_json: bool, verbose: bool) -> None:
    """Ask Leadspace about the customers, and contacts where that is configured, whose answer is missing or older than
    max_age.

    \b
    Examples:
      engagement extract leadspace --estimate
      engagement extract leadspace
      engagement extract leadspace --send-again

    A lookup costs a credit. Killed or broken off, the next call collects what was handed in and sends no
    customer twice. Customers are those landed last (`engagement extract customers`, or any run).
    """
    from engagement.configuration.enrichments import LEADSPACE

    def act(settings: Settings) -> Outcome:
        from engagement import extract

        asking = extract.estimate_leadspace if estimate else extract.extract_leadspace
        return asking(settings, send_again=send_again)

    conclude(
        notified("extract leadspace", act),
        as_json=as_json,
        verbose=verbose,
        services=() if estimate else (LEADSPACE,),
    )


@click.command()
@click.option(
    "--marts-from",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Publish the marts that another engine has built: a folder with one of Parquet files for each mart.",
)
@json_option
@logging_options
def publish(marts_from: Path | None, as_json: bool, verbose: bool) -> None:
    """Publish what dbt has built in the private file.

    \b
    Examples:
      dbt build && engagement publish
      dbt build --target spark && engagement publish --marts-from data/spark/warehouse/marts.db

    With --marts-from the gate, the contract and the views are the same (docs/spark.md).
    """

    def act(settings: Settings) -> Outcome:
        from engagement.run import publish

        return publish(settings, marts_from=marts_from)

    conclude(
        notified("publish", act),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("export", short_help="Write tables and segments as files.")
@click.argument("names", nargs=-1, metavar="[NAME ...]", shell_complete=completing.exports)
@click.option("--list", "is_list", is_flag=True, help="Say which exports there are, and make none.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be exported to where; write and contact nothing."
)
@json_option
@logging_options
def export_(names: tuple[str, ...], is_list: bool, dry_run: bool, as_json: bool, verbose: bool) -> None:
    """Export tables and segments of the published file: the exports NAME of enrichments.yml, or all.

    \b
    Examples:
      engagement export --list
      engagement export --dry-run
      engagement export stale_for_crm

    As CSV or Parquet, with a manifest, to a folder, S3, Azure Blob Storage or SFTP (docs/exports.md). Reads the
    published file, and the contact file where columns of it are asked for. An export is there whole or not at
    all; where one fails the others are made, and the exit code is that of the first that failed.
    """
    if is_list and (names or dry_run):
        raise click.UsageError("--list says what there is; give it alone.")

    def act(settings: Settings) -> Outcome:
        from engagement.exports.export import export, listed

        return listed(settings) if is_list else export(settings, names, dry_run=dry_run)

    conclude(
        act,
        as_json=as_json,
        verbose=verbose,
        services=(),
        needs_files=False,
    )


@click.command(short_help="Tell of a run that failed, was killed or is overdue.")
@click.option("--test", is_flag=True, help="Only send a message that says it is a test.")
@json_option
@logging_options
def watch(test: bool, as_json: bool, verbose: bool) -> None:
    """Say whether a run failed, was killed, is overdue or does not end, and notify of it once.

    \b
    Examples:
      engagement watch             for a timer of its own, every few minutes
      engagement watch --json      for a monitor: its exit code is 0, or 13 where a run needs attention
      engagement watch --test      whether notifications arrive

    Reads the published file and the run's state alone, so it works while a run is going on. Whom it notifies stands in
    enrichments.yml (notify); the same is told again after a day, and once when it is over (docs/notifications.md).
    """
    from engagement.configuration.destination import NOTIFY

    def act(settings: Settings) -> Outcome:
        from engagement import watch

        return watch.test(settings) if test else watch.watch(settings)

    conclude(
        act,
        as_json=as_json,
        verbose=verbose,
        services=(NOTIFY,),
        needs_files=False,
        notifies_as=None if test else "watch",
    )


@click.command(short_help="End what is running; what was read is kept.")
@json_option
@logging_options
def cancel(as_json: bool, verbose: bool) -> None:
    """End the command that is running on this data folder: run, extract or publish.

    \b
    Examples:
      engagement cancel
      engagement cancel --json

    Waits up to ten seconds until it has ended. What was read is kept, the published file stays as it was, and the
    next run goes on from there. Where nothing is running it says so and ends with 0.
    """

    def act() -> Outcome:
        from engagement.cancel import cancel
        from engagement.locations import data_dir_of, run_lock_of

        return cancel(run_lock_of(data_dir_of(os.environ)))

    conclude_without_settings(act, as_json=as_json, verbose=verbose)
