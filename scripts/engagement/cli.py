"""The command `engagement`. Results go to stdout, everything else to stderr; exit codes are those of
errors.py.
"""

from __future__ import annotations

import functools
import io
import json
import os
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import click

from engagement import check as checking
from engagement import consent as consenting
from engagement import doctor as examining
from engagement import durable, logs, notify, room, stopping
from engagement import extract as extracting
from engagement import run as running
from engagement import watch as watching
from engagement.cancel import cancel as cancelling
from engagement.config import (
    LEADSPACE,
    NOTIFY,
    OFFICE,
    SERVICES,
    Settings,
    data_dir_of,
    load,
    project_dir_of,
    run_lock_of,
)
from engagement.consents import ADMINISTRATOR, CONFIGURER
from engagement.errors import ConfigurationError, EngagementError, ResourcesError, innermost
from engagement.outcome import Outcome

F = TypeVar("F", bound=Callable[..., Any])

_EXIT_CODES = """\b
Exit codes:
  0 done                                   5 too many mailboxes unread, nothing published
  1 unexpected error                       6 a model or data test failed, nothing published
  2 configuration or customer files wrong  7 the gate refused the file, nothing published
  3 sign-in or permission refused          8 another run is going on
  4 a service failed                       9 done and published, some mailboxes cannot be read
  10 the credits at Leadspace are used up  11 doctor: a check failed
  12 no room on the disk or in memory      13 watch: a run needs attention
  14 the private file is damaged           15 done and published, an export after it failed
  130 ended by Ctrl-C                      143 ended by SIGTERM or `engagement cancel`
"""

_as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


def _logging(command: F) -> F:
    """The options of every command that say what reaches stderr, in force before the command begins."""

    @click.option("-v", "--verbose", is_flag=True, help="Show dbt's own output and a traceback on errors.")
    @click.option(
        "--json-logs",
        is_flag=True,
        envvar=logs.ENVIRONMENT,
        help=f"Write every line on stderr as one JSON object, progress included; also {logs.ENVIRONMENT}=1.",
    )
    @functools.wraps(command)
    def with_logging(*arguments: Any, verbose: bool, json_logs: bool, **options: Any) -> Any:
        logs.set_up(verbose=verbose, json_lines=json_logs)
        logs.note(command=click.get_current_context().command_path.removeprefix("engagement "))
        return command(*arguments, verbose=verbose, **options)

    return cast(F, with_logging)


def _conclude(
    act: Callable[[Settings], Outcome],
    *,
    as_json: bool,
    verbose: bool,
    services: Collection[str] = (),
    needs_files: bool = True,
    notifies_as: str | None = None,
) -> NoReturn:
    """Loads the settings, acts, prints, and ends the process with the outcome's code.

    A command that is `notifies_as` also notifies where the settings cannot be loaded.
    """

    def act_with_settings() -> Outcome:
        try:
            settings = load(os.environ, services=services, needs_files=needs_files)
        except ConfigurationError as error:
            if notifies_as is not None:
                notify.tell_not_loaded(os.environ, notifies_as, error)
            raise
        for warning in settings.warnings:
            logs.log.warning("warning: %s", warning)
        return act(settings)

    _conclude_without_settings(act_with_settings, as_json=as_json, verbose=verbose)


def _conclude_without_settings(act: Callable[[], Outcome], *, as_json: bool, verbose: bool) -> NoReturn:
    try:
        outcome = act()
    except BaseException as error:
        if (number := stopping.number_of(error)) is not None:
            _fail(
                128 + number,
                [f"{stopping.in_words(number)}; what was read is kept, run again"],
                as_json=as_json,
            )
        error = _of_the_machine(error)
        if isinstance(error, EngagementError):
            _fail(error.exit_code, error.lines, as_json=as_json)
        if not isinstance(error, Exception):
            raise
        # The text of an unforeseen error may hold anything, so only its kind is shown.
        line = f"unexpected {type(error).__name__} in {innermost(error)}"
        if verbose and not logs.as_json():
            raise
        _fail(
            1,
            [line],
            as_json=as_json,
            advice="" if verbose else "; run with -v for details",
            traceback=error if verbose else None,
        )
    if as_json:
        click.echo(json.dumps({"exit_code": outcome.exit_code, **outcome.facts}, default=str))
    else:
        for line in outcome.lines:
            click.echo(logs.printable(line))
        if outcome.summary is not None:
            _summarise(outcome.summary)
    sys.exit(outcome.exit_code)


def _notified(command: str, act: Callable[[Settings], Outcome]) -> Callable[[Settings], Outcome]:
    """The same, and whom `notify` of enrichments.yml names is told how it ended."""

    def explained(settings: Settings) -> Outcome:
        try:
            return act(settings)
        except (OSError, MemoryError) as error:
            known = _of_the_machine(error)
            if known is error:
                raise
            raise known from error

    return lambda settings: notify.run_notified(settings, command, lambda: explained(settings))


def _of_the_machine(error: BaseException) -> BaseException:
    """A full disk, a folder that refuses and too little memory, wherever they were met; any other error as it is."""
    if isinstance(error, MemoryError):
        return ResourcesError("out of memory; close other programs, then run again, what was read is kept")
    if not isinstance(error, OSError) or error.errno not in (*durable.FULL, *durable.REFUSED):
        return error
    name = Path(os.fsdecode(error.filename)).name if isinstance(error.filename, str | bytes) else "data"
    return room.full(name) if error.errno in durable.FULL else room.refused(name, error.strerror or "refused")


def _fail(
    exit_code: int,
    lines: Sequence[str],
    *,
    as_json: bool,
    advice: str = "",
    traceback: BaseException | None = None,
) -> NoReturn:
    """Says what went wrong, on stderr and with --json on stdout as well, and ends the process."""
    if as_json:
        click.echo(json.dumps({"exit_code": exit_code, "errors": list(lines)}))
    for number, line in enumerate(lines):
        if logs.as_json():
            logs.log.error(
                "%s",
                line + (advice if number == 0 else ""),
                extra={"fields": {"exit_code": exit_code}},
                exc_info=traceback if number == 0 else None,
            )
        else:
            shown = logs.printable(line)
            click.echo(f"error: {shown}{advice}" if number == 0 else f"  {shown}", err=True)
    sys.exit(exit_code)


def _summarise(summary: Callable[[], None]) -> None:
    """What is printed at the end is no reason to fail: the work is done."""
    try:
        summary()
    except Exception as error:
        logs.log.warning("warning: the summary cannot be shown (%s)", type(error).__name__)


@click.group(epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Account engagement from a company's own mail and calendar metadata, and company data for its accounts.

    \b
    Examples:
      engagement check --connect     what is configured, and whom the addresses resolve to
      engagement consent             who agreed to what, and what waits for it
      engagement doctor              what the app may read, and what is to be granted
      engagement run                 extract, build with dbt, publish
      engagement run --if-due        the same, for a timer: does nothing before it is due
      engagement watch               for a second timer: whether a run failed, was killed or is overdue
      engagement cancel              end what is running; what was read is kept
      engagement verify FILE         put a published file through the gate, wherever it lies
      engagement segment list        which accounts somebody wants to act on; new makes another
      engagement digest              what changed since the last one, for every owner of accounts
      engagement pages               all of it in a browser
      engagement export              tables and segments as files, in a folder or at a service
      engagement diff                which accounts would move before anything is published
      engagement backtest            whether the score told what came next in your own mail
      engagement fit-weights         weights fitted on your own mail, as a version of their own
      engagement segment             what segments have in common, what tells them apart, which could be made
      engagement access ADDRESS      what is held on a person
      engagement erase ADDRESS       take a person out of every file, and keep him out
      engagement upgrade             bring the private file of an older release to this one
      engagement backup FOLDER       copy what cannot be made again
      engagement restore FOLDER      put such a copy back
      engagement raw-to-parquet      the raw tables for Apache Spark

    What is configured stands in enrichments.yml (or where ENGAGEMENT_CONFIG points), secrets in the
    environment.
    """


@cli.command()
@click.option(
    "--connect",
    is_flag=True,
    help="Also sign in, resolve every listed address and group, and verify the Leadspace token.",
)
@_as_json
@_logging
def check(connect: bool, as_json: bool, verbose: bool) -> None:
    """Say what is configured and what is wrong with it.

    \b
    Examples:
      engagement check
      engagement check --connect --json

    Without --connect nothing is contacted. Nothing is stored, and nothing is paid for unless you agree.
    """
    _conclude(
        lambda settings: checking.check(settings, connect=connect, confirm=_confirm),
        as_json=as_json,
        verbose=verbose,
        services=SERVICES if connect else (),
    )


@cli.command()
@click.argument("name", required=False)
@click.option("--as-administrator", is_flag=True, help="The consent of the tenant administrator.")
@click.option("--by", metavar="NAME", help="Who agrees or withdraws.")
@click.option("--yes", is_flag=True, help="He has read the statement and agrees; needs --by.")
@click.option("--withdraw", is_flag=True, help="Take the consent back.")
@click.option("--request", is_flag=True, help="Write the message that asks the tenant administrator.")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where --request writes it, readable by you alone.",
)
@_as_json
@_logging
def consent(
    name: str | None,
    as_administrator: bool,
    by: str | None,
    yes: bool,
    withdraw: bool,
    request: bool,
    output: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Say what is read or leaves for an enrichment, to where and who is responsible, and record who agrees.

    \b
    Examples:
      engagement consent                                 all enrichments, and what they wait for
      engagement consent account-engagement              read the statement and agree
      engagement consent account-engagement --request --output message.txt
      engagement consent account-engagement --as-administrator --yes --by "John Roe"
      engagement consent account-engagement --withdraw

    NAME is the name or the id of an enrichment. Nothing is requested for it before its consents are given, and again
    once what they say has changed. After a withdrawal the next `engagement run` or `publish` takes its outputs out of
    the published file. Nothing is contacted.
    """
    kind = ADMINISTRATOR if as_administrator else CONFIGURER
    if sum((request, withdraw, yes)) > 1:
        raise click.UsageError("--request, --withdraw and --yes do different things; give one of them.")
    if output is not None and not request:
        raise click.UsageError("--output is where --request writes; give both.")
    if name is None and (as_administrator or by or yes or withdraw or request):
        raise click.UsageError("Name the enrichment: engagement consent NAME ...")

    def act(settings: Settings) -> Outcome:
        if name is None:
            return consenting.overview(settings)
        if request:
            return consenting.request(settings, name, output=output)
        if withdraw:
            return consenting.withdraw(settings, name, kind, by=by)
        return consenting.give(
            settings,
            name,
            kind,
            by=by,
            agreed=yes,
            agree=_agree if sys.stdin.isatty() else None,
            # With --json the standard output is the result alone.
            show=lambda text: click.echo(text + "\n", err=as_json),
        )

    _conclude(act, as_json=as_json, verbose=verbose, needs_files=False)


@cli.command()
@_as_json
@_logging
def doctor(as_json: bool, verbose: bool) -> None:
    """Try what the app may read, and say what to grant.

    \b
    Examples:
      engagement doctor
      engagement doctor --json

    Signs in, reads one page of mail and one of the calendar of one listed mailbox, resolves every listed
    address, and asks for the mailbox that must be refused. Nothing is stored. Ends with 11 where a check fails: what
    is not granted, or granted too far, is then printed with what to do about it.
    """
    _conclude(examining.doctor, as_json=as_json, verbose=verbose, services=(OFFICE,))


@cli.group()
def extract() -> None:
    """Land one source in the private file, for use with plain dbt.

    \b
    Examples:
      engagement extract customers && engagement extract office && dbt build
    """


@extract.command("customers")
@_as_json
@_logging
def extract_customers(as_json: bool, verbose: bool) -> None:
    """Read and check the customer files (accounts and contacts) and replace what was landed before.

    \b
    Example:
      engagement extract customers
    """
    _conclude(
        _notified("extract customers", extracting.extract_customers),
        as_json=as_json,
        verbose=verbose,
    )


@extract.command("office")
@click.option(
    "--anew", is_flag=True, help="Read everything within the retention again, not only what is new."
)
@_as_json
@_logging
def extract_office(anew: bool, as_json: bool, verbose: bool) -> None:
    """Read what is new in the mailboxes and calendars of the listed people.

    \b
    Examples:
      engagement extract office
      engagement extract office --anew     after changing seeds/automated_sender_patterns.csv
    """
    _conclude(
        _notified("extract office", lambda settings: extracting.extract_office(settings, read_anew=anew)),
        as_json=as_json,
        verbose=verbose,
        services=(OFFICE,),
    )


@extract.command("leadspace")
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
@_as_json
@_logging
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
    act = extracting.estimate_leadspace if estimate else extracting.extract_leadspace
    _conclude(
        _notified("extract leadspace", lambda settings: act(settings, send_again=send_again)),
        as_json=as_json,
        verbose=verbose,
        services=() if estimate else (LEADSPACE,),
    )


def _agree(by: str | None) -> str | None:
    """The name of a person who agrees; None where he does not."""
    if not click.confirm("I agree", default=False, err=True):
        return None
    return by or click.prompt("Your name", err=True)


def _confirm(question: str) -> bool:
    """A person's answer; no where there is nobody to ask."""
    return sys.stdin.isatty() and click.confirm(question, default=False, err=True)


def _day(context: click.Context, parameter: click.Parameter, value: datetime | None) -> date | None:
    return None if value is None else value.date()


@cli.command("run")
@click.option("--if-due", is_flag=True, help="Do nothing before the next refresh is due.")
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_day,
    metavar="YYYY-MM-DD",
    help="The last day that counts, instead of the newest whole day that was read.",
)
@_as_json
@_logging
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
    _conclude(
        _notified(
            "run",
            lambda settings: running.run(
                settings, as_of=as_of, if_due=if_due, verbose=verbose, quiet=as_json
            ),
        ),
        as_json=as_json,
        verbose=verbose,
        services=(*SERVICES, NOTIFY),
        notifies_as="run",
    )


@cli.command()
@click.option(
    "--marts-from",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Publish the marts that another engine has built: a folder with one of Parquet files for each mart.",
)
@_as_json
@_logging
def publish(marts_from: Path | None, as_json: bool, verbose: bool) -> None:
    """Publish what dbt has built in the private file.

    \b
    Examples:
      dbt build && engagement publish
      dbt build --target spark && engagement publish --marts-from data/spark/warehouse/marts.db

    With --marts-from the gate, the contract and the views are the same (docs/spark.md).
    """
    _conclude(
        _notified("publish", lambda settings: running.publish(settings, marts_from=marts_from)),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("export")
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@click.option("--list", "is_list", is_flag=True, help="Say which exports there are, and make none.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be exported to where; write and contact nothing."
)
@_as_json
@_logging
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
    from engagement.exports.export import export, listed

    _conclude(
        lambda settings: listed(settings) if is_list else export(settings, names, dry_run=dry_run),
        as_json=as_json,
        verbose=verbose,
        services=(),
        needs_files=False,
    )


@cli.command("upgrade")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@_as_json
@_logging
def upgrade_(dry_run: bool, as_json: bool, verbose: bool) -> None:
    """Bring the private file of an older release to this one.

    \b
    Examples:
      engagement upgrade --dry-run
      engagement upgrade && engagement run

    Whatever another command says of a private file of an older version, this mends; where there is nothing to do it
    says so. The file as it was stays beside it. A file of a newer release is refused and left alone
    (docs/upgrading.md).
    """
    from engagement.upgrade import upgrade

    _conclude(
        lambda settings: upgrade(settings, dry_run=dry_run),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("rotate-key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_as_json
@_logging
def rotate_key(yes: bool, as_json: bool, verbose: bool) -> None:
    """Put another hash key in force, because the old one is lost, known to others, or old.

    \b
    Examples:
      engagement rotate-key
      ENGAGEMENT_HASH_KEY=... engagement rotate-key --yes && engagement run

    Makes a new key file, or takes the new ENGAGEMENT_HASH_KEY; the old key is not needed. What was hashed with it
    (mail, calendars, contacts) is discarded, and the next run reads it again; answers of Leadspace and the history of
    runs stay, and so does the published file.
    """

    def act(settings: Settings) -> Outcome:
        from engagement.key import rotate

        return rotate(settings, confirm=lambda question: yes or _confirm(question))

    _conclude(act, as_json=as_json, verbose=verbose, needs_files=False)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--private",
    "private_file",
    type=click.Path(path_type=Path),
    help="The private file that it was published from: no key of it may stand in the published one.",
)
@_as_json
@_logging
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
        from engagement.verify import verify as verifying

        return verifying(
            file,
            environment=os.environ,
            project_dir=project_dir_of(os.environ),
            private_file=private_file,
        )

    _conclude_without_settings(act, as_json=as_json, verbose=verbose)


@cli.command()
@_as_json
@_logging
def status(as_json: bool, verbose: bool) -> None:
    """Show every enrichment, what was published of it, and what the last run did or is doing.

    \b
    Examples:
      engagement status
      engagement status --json

    Reads the published file and the run's state alone, so it works while a run is going on, and says how far it is.
    """
    _conclude(running.status, as_json=as_json, verbose=verbose, needs_files=False)


@cli.command()
@click.option("--test", is_flag=True, help="Only send a message that says it is a test.")
@_as_json
@_logging
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
    _conclude(
        watching.test if test else watching.watch,
        as_json=as_json,
        verbose=verbose,
        services=(NOTIFY,),
        needs_files=False,
        notifies_as=None if test else "watch",
    )


@cli.command()
@_as_json
@_logging
def cancel(as_json: bool, verbose: bool) -> None:
    """End the command that is running on this data folder: run, extract or publish.

    \b
    Examples:
      engagement cancel
      engagement cancel --json

    Waits up to ten seconds until it has ended. What was read is kept, the published file stays as it was, and the
    next run goes on from there. Where nothing is running it says so and ends with 0.
    """
    _conclude_without_settings(
        lambda: cancelling(run_lock_of(data_dir_of(os.environ))), as_json=as_json, verbose=verbose
    )


@cli.command("backtest")
@_as_json
@_logging
def backtest_(as_json: bool, verbose: bool) -> None:
    """Say whether the score told what came next in the own mail, beside the simple rules instead of it.

    \b
    Examples:
      engagement backtest
      engagement backtest --json

    Reads what was built last, and builds and writes nothing. How it is judged stands in docs/backtest.md.
    """
    from engagement.backtest import backtest

    _conclude(backtest, as_json=as_json, verbose=verbose, needs_files=False)


@cli.command("diff")
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
@_as_json
@_logging
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

    _conclude(
        lambda settings: diff(settings, before=before, after=after, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("fit-weights")
@click.option(
    "--base", metavar="VERSION", help="The version to begin with, instead of the one that is shown."
)
@click.option(
    "--fit-through",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_day,
    metavar="YYYY-MM-DD",
    help="The last date to fit on; later ones judge. Without it the first half is for fitting.",
)
@click.option(
    "--write", metavar="NAME", help="Add the weights to seeds/score_components.csv as this version."
)
@click.option("--why", metavar="TEXT", help="The reason, which stands in the seed; needs --write.")
@_as_json
@_logging
def fit_weights_(
    base: str | None,
    fit_through: date | None,
    write: str | None,
    why: str | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Fit the weights of the score on early dates of the own mail, and judge them on later ones.

    \b
    Examples:
      engagement fit-weights
      engagement fit-weights --base v1 --fit-through 2025-12-31
      engagement fit-weights --fit-through 2025-12-31 --write v3 --why "Fitted on our own mail of 2025."

    Needs the extra backtest. Writes nothing without --write, and then a version of its own, which is computed beside
    the others from the next `dbt build` on.
    """
    if why is not None and write is None:
        raise click.UsageError("--why stands in the seed; give --write NAME as well.")
    from engagement.fit import fit_weights

    _conclude(
        lambda settings: fit_weights(settings, base=base, fit_through=fit_through, write=write, why=why),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


_agreed = click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")


@cli.group("segment")
def segment_() -> None:
    """Segments: which accounts somebody wants to act on.

    \b
    Examples:
      engagement segment list
      engagement segment show stale
      engagement segment new chemicals --name Chemicals --owner Sales --where "industry = Chemicals" --dry-run
      engagement segment freeze stale --as stale_june --name "Stale in June" --owner Sales
      engagement segment overlap stale high_value     how many accounts are in both
      engagement segment differentiators stale        what tells them from all other accounts
      engagement segment quick industry               segments that one condition would make
      engagement segment suggest                      groups whose score differs from that of all others
    """


_limit_of_rows = click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many rows are shown; --json has them all.",
)


@segment_.command("overlap")
@click.argument("segments", metavar="SEGMENT SEGMENT...", nargs=-1, required=True)
@click.option("--by", metavar="ATTRIBUTE", help="Count what is in common by the values of an attribute.")
@_limit_of_rows
@_as_json
@_logging
def segment_overlap(
    segments: tuple[str, ...], by: str | None, limit: int, as_json: bool, verbose: bool
) -> None:
    """Say how many accounts two or more segments have in common.

    \b
    Examples:
      engagement segment overlap stale high_value
      engagement segment overlap stale high_value newly_enriched --by industry

    Reads the published file. marts.segment_overlaps has every pair.
    """
    from engagement.segments.insights import overlap

    _conclude(
        lambda settings: overlap(settings, segments, by=by, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("differentiators")
@click.argument("segment_id", metavar="SEGMENT")
@click.option("--against", metavar="OTHER", help="A second segment, instead of all other accounts.")
@_limit_of_rows
@_as_json
@_logging
def segment_differentiators(
    segment_id: str, against: str | None, limit: int, as_json: bool, verbose: bool
) -> None:
    """Say what tells the accounts of a segment from all others, the most telling attribute first.

    \b
    Examples:
      engagement segment differentiators stale
      engagement segment differentiators stale --against rising

    Reads the published file. What the segment's own rule is made of leads the list. What a difference is, and when it
    is uncertain, stands in docs/segment-insights.md.
    """
    from engagement.segments.insights import differentiators

    _conclude(
        lambda settings: differentiators(settings, segment_id, against=against, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("quick")
@click.argument("attribute", required=False)
@_limit_of_rows
@_as_json
@_logging
def segment_quick(attribute: str | None, limit: int, as_json: bool, verbose: bool) -> None:
    """List segments that one condition would make, with their size.

    \b
    Examples:
      engagement segment quick
      engagement segment quick industry

    Reads the published file. The last column is what `engagement segment new` takes.
    """
    from engagement.segments.insights import quick

    _conclude(
        lambda settings: quick(settings, attribute, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("suggest")
@click.option(
    "--measure", metavar="ATTRIBUTE", help="The measure they are to differ in; asks for a build of it."
)
@_as_json
@_logging
def segment_suggest(measure: str | None, as_json: bool, verbose: bool) -> None:
    """List groups of accounts whose measure differs significantly from that of all others.

    \b
    Examples:
      engagement segment suggest
      engagement segment suggest --json

    Reads the published file. The measure is var suggestion_measure of dbt_project.yml. The last column is what
    `engagement segment new` takes.
    """
    from engagement.segments.insights import suggest

    _conclude(
        lambda settings: suggest(settings, measure=measure),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


def _address(given: str) -> str:
    """What is given, or with - the first line of standard input, so that it need not stand in the shell's history."""
    return sys.stdin.readline() if given == "-" else given


def _agrees(question: str, *, is_agreed: bool) -> bool:
    """A person's yes. ConfigurationError where there is nobody to ask."""
    if is_agreed:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody to ask: say --yes, or give the command on a terminal")
    return _confirm(question)


@cli.command("access")
@click.argument("address")
@_as_json
@_logging
def access_(address: str, as_json: bool, verbose: bool) -> None:
    """Tell everything that is held on the person with this ADDRESS, and why.

    \b
    Examples:
      engagement access kim@contoso.example
      engagement access - --json < address.txt     the address on standard input

    Changes nothing. That somebody asked is noted in audit.jsonl, about whom is not.
    """
    from engagement.access import access

    _conclude(
        lambda settings: access(settings, _address(address)),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("erase")
@click.argument("address")
@_agreed
@_as_json
@_logging
def erase_(address: str, is_agreed: bool, as_json: bool, verbose: bool) -> None:
    """Erase the person with this ADDRESS from the private and the published file, and keep him out.

    \b
    Examples:
      engagement erase kim@contoso.example
      engagement erase - --yes < address.txt       the address on standard input

    All his addresses that are known go, and his mailbox where it was read. It cannot be undone. The files are
    rewritten, searched for him, built and published again; what is not reached stands in docs/erasure.md.
    """
    from engagement.erase import erase

    def agrees(held: Outcome) -> bool:
        if not is_agreed:
            for line in held.lines:
                click.echo(line, err=True)
        return _agrees("Erase all of this for ever?", is_agreed=is_agreed)

    _conclude(
        lambda settings: erase(settings, _address(address), agrees=agrees, verbose=verbose),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("remove")
@click.argument("name")
@_agreed
@_as_json
@_logging
def remove_(name: str, is_agreed: bool, as_json: bool, verbose: bool) -> None:
    """Remove the enrichment NAME (or its id) with everything that only it needs.

    \b
    Examples:
      engagement remove account-engagement
      engagement remove "Company data" --yes

    Its entry has to be deleted from enrichments.yml, or set to active: false, before. Mailboxes and answers that
    another enrichment has stay. It cannot be undone. What is left is built and published again.
    """
    from engagement.remove import remove

    _conclude(
        lambda settings: remove(
            settings,
            name,
            agrees=lambda enrichment_id: _agrees(
                f"Remove {enrichment_id} with its data for ever?", is_agreed=is_agreed
            ),
            verbose=verbose,
        ),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


class _RuleCommand(click.Command):
    """A command that knows in what order the options of its rule were given, which click forgets."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        given = {name: iter(values.get(name) or ()) for name in _RULE_OPTIONS}
        ctx.meta[_RULE] = [
            (name.rstrip("_"), next(given[name]))
            for parameter in order
            if (name := str(parameter.name)) in given
        ]
        return super().parse_args(ctx, args)


_RULE = "engagement.rule"
_RULE_OPTIONS = ("where", "and_", "or_")


def _listed(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


@segment_.command("list")
@_as_json
@_logging
def segment_list(as_json: bool, verbose: bool) -> None:
    """Show every published segment: whose it is, how many accounts it has, how that changed, and what is odd about it.

    \b
    Examples:
      engagement segment list
      engagement segment list --json

    Reads the published file alone.
    """
    from engagement.segments.show import list_segments

    _conclude(list_segments, as_json=as_json, verbose=verbose, needs_files=False)


@segment_.command("show")
@click.argument("segment")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="How many members are listed.",
)
@_as_json
@_logging
def segment_show(segment: str, limit: int, as_json: bool, verbose: bool) -> None:
    """Show one SEGMENT: its rule, its members with the reason, how many there were week by week, and who moved last.

    \b
    Examples:
      engagement segment show stale
      engagement segment show high_value --limit 10 --json

    Reads the published file alone. `dbt show -s segment_<id>` shows what was built last.
    """
    from engagement.segments.show import show

    _conclude(
        lambda settings: show(settings, segment, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("new", cls=_RuleCommand)
@click.argument("segment_id", metavar="ID")
@click.option("--name", required=True, help="What it is called.")
@click.option("--owner", required=True, help="Who answers for it.")
@click.option("--description", help="What it is for; without it the rule in words.")
@click.option(
    "--audience",
    type=click.Choice(["accounts", "contacts"]),
    default="accounts",
    show_default=True,
    help="contacts: the contacts of its accounts are listed too.",
)
@click.option("--where", multiple=True, metavar="CONDITION", help="The first condition.")
@click.option("--and", "and_", multiple=True, metavar="CONDITION", help="One that must be met as well.")
@click.option("--or", "or_", multiple=True, metavar="CONDITION", help="One that begins another group.")
@click.option("--child-of", metavar="ACCOUNT", help="Only accounts below this one, by its id.")
@click.option("--parent-of", metavar="ACCOUNT", help="Only accounts above this one, by its id.")
@click.option("--in-all-of", metavar="SEGMENTS", callback=_listed, help="Only who is in all of these.")
@click.option("--in-any-of", metavar="SEGMENTS", callback=_listed, help="Only who is in any of these.")
@click.option(
    "--except", "in_none_of", metavar="SEGMENTS", callback=_listed, help="Nobody who is in one of these."
)
@click.option("--tags", metavar="TAGS", callback=_listed, help="Tags, with commas between them.")
@click.option("--dry-run", is_flag=True, help="Write nothing: show the SQL, and whom it would select.")
@_as_json
@_logging
def segment_new(
    segment_id: str,
    name: str,
    owner: str,
    description: str | None,
    audience: str,
    child_of: str | None,
    parent_of: str | None,
    in_all_of: tuple[str, ...],
    in_any_of: tuple[str, ...],
    in_none_of: tuple[str, ...],
    tags: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    verbose: bool,
    **_: object,
) -> None:
    """Write a new segment: its SQL, its YAML with a unit test, and its place in dbt_project.yml.

    \b
    Examples:
      engagement segment new cold_chemicals --name "Cold chemicals" --owner Sales \\
          --where "industry = Chemicals" --and "engagement_score < 30" --or "days_since_last_email > 60"
      engagement segment new top_silent --name "Top, silent" --owner Sales \\
          --in-all-of high_value --in-any-of stale,going_silent --dry-run

    CONDITION is ATTRIBUTE OPERATOR VALUE, with = != < <= > >= or contains, or ATTRIBUTE and one of: is null, is not
    null, is true, is false. --and binds closer than --or. What is unknown meets no condition but is null. Attributes
    are those of the model int_account_attributes_dated, and your own of customers.accounts.attributes
    (docs/segments.md).
    """
    from engagement.segments.new import new

    conditions = click.get_current_context().meta[_RULE]
    _conclude(
        lambda settings: new(
            settings,
            segment_id,
            name=name,
            owner=owner,
            conditions=conditions,
            description=description,
            audience=audience,
            child_of=child_of,
            parent_of=parent_of,
            in_all_of=in_all_of,
            in_any_of=in_any_of,
            in_none_of=in_none_of,
            tags=tags,
            dry_run=dry_run,
        ),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("freeze")
@click.argument("segment")
@click.option("--as", "as_id", required=True, metavar="ID", help="The id of the new segment.")
@click.option("--name", required=True, help="What it is called.")
@click.option("--owner", required=True, help="Who answers for it.")
@click.option("--description", help="What it is for.")
@_as_json
@_logging
def segment_freeze(
    segment: str, as_id: str, name: str, owner: str, description: str | None, as_json: bool, verbose: bool
) -> None:
    """Keep the members of SEGMENT as they are published, as a static segment that nothing moves any more.

    \b
    Example:
      engagement segment freeze stale --as stale_june --name "Stale in June" --owner Sales

    They are written into seeds/segment_frozen_members.csv with the reason of the day.
    """
    from engagement.segments.freeze import freeze

    _conclude(
        lambda settings: freeze(
            settings, segment, as_id=as_id, name=name, owner=owner, description=description
        ),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("digest")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_day,
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
@_as_json
@_logging
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

    _conclude(
        lambda settings: digest(settings, since=since, owner=owner, by=by, form=form, out=out, keep=remember),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("pages")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where they are served.")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@_as_json
@_logging
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

    _conclude(
        lambda settings: pages(settings, address=address, port=port),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--with-keys", is_flag=True, help="Also the hash key and the tombstone key, beside the data.")
@_as_json
@_logging
def backup_(folder: Path, with_keys: bool, as_json: bool, verbose: bool) -> None:
    """Copy what cannot be made again to FOLDER, a new one on another disk.

    \b
    Examples:
      engagement backup /backups/$(date +%F)
      engagement backup /vault/whole --with-keys

    The private file, who was erased, the audit, the consents, the run's state and the configuration. The keys stay out
    unless asked for: keep them in another place. Not while a run is going on (docs/backups.md).
    """
    from engagement.backup import backup

    _conclude(
        lambda settings: backup(settings, folder, with_keys=with_keys),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("raw-to-parquet")
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where to; else ENGAGEMENT_RAW_PARQUET, raw_parquet of enrichments.yml, or raw_parquet in the data folder.",
)
@_as_json
@_logging
def raw_to_parquet_(folder: Path | None, as_json: bool, verbose: bool) -> None:
    """Write the raw tables as Parquet, for Apache Spark and other engines, in the place of an earlier export.

    \b
    Examples:
      engagement raw-to-parquet
      engagement raw-to-parquet --to /mnt/private/raw

    The folder is there whole or as it was, and as private as the private file. `engagement erase` and `engagement
    remove` delete it. Not while a run is going on (docs/spark.md).
    """
    from engagement.raw_to_parquet import raw_to_parquet

    _conclude(
        lambda settings: raw_to_parquet(settings, folder),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@cli.command("restore")
@click.argument("folder", type=click.Path(path_type=Path))
@_agreed
@_as_json
@_logging
def restore_(folder: Path, is_agreed: bool, as_json: bool, verbose: bool) -> None:
    """Put the backup in FOLDER back.

    \b
    Examples:
      engagement restore /backups/2026-06-30
      engagement restore /backups/2026-06-30 --yes && engagement run

    Each file is compared with the backup's manifest first. The private file is replaced, and kept as it was beside;
    whoever was erased since stays out, and newer consents stay (docs/backups.md).
    """
    from engagement.restore import restore

    _conclude(
        lambda settings: restore(
            settings, folder, agrees=lambda question: _agrees(question, is_agreed=is_agreed)
        ),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command."""
    # Files of a run belong to its owner alone, dbt's included.
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding has no letters for must not end the command.
            stream.reconfigure(errors="backslashreplace")
    stopping.install()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not (set(given) & {"--json-logs"} or os.environ.get(logs.ENVIRONMENT) in ("1", "true")):
        cli.main(args=given, prog_name="engagement")
    logs.set_up(json_lines=True)
    try:
        sys.exit(cli.main(args=given, prog_name="engagement", standalone_mode=False))
    except click.ClickException as error:
        # How it is called is an error like any other.
        _fail(error.exit_code, [error.format_message()], as_json=False)


if __name__ == "__main__":
    main()
