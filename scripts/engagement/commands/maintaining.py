"""Commands that keep the data in order, and out of harm."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engagement.commands.asking import agrees, confirm
from engagement.commands.ending import conclude
from engagement.commands.options import day, json_option, logging_options, yes_option
from engagement.outcome import Outcome

if TYPE_CHECKING:
    from engagement.configuration.settings import Settings


@click.command("upgrade")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@json_option
@logging_options
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

    conclude(
        lambda settings: upgrade(settings, dry_run=dry_run),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("backup", short_help="Copy what cannot be made again to a folder.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--with-keys", is_flag=True, help="Also the hash key and the tombstone key, beside the data.")
@json_option
@logging_options
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

    conclude(
        lambda settings: backup(settings, folder, with_keys=with_keys),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("restore", short_help="Put a backup back.")
@click.argument("folder", type=click.Path(path_type=Path))
@yes_option
@json_option
@logging_options
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

    conclude(
        lambda settings: restore(
            settings, folder, agrees=lambda question: agrees(question, is_agreed=is_agreed)
        ),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("rotate-key", short_help="Put another hash key in force.")
@yes_option
@json_option
@logging_options
def rotate_key(is_agreed: bool, as_json: bool, verbose: bool) -> None:
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

        return rotate(settings, confirm=lambda question: is_agreed or confirm(question))

    conclude(act, as_json=as_json, verbose=verbose, needs_files=False)


@click.command("fit-weights", short_help="Fit the weights of the score on your own mail.")
@click.option(
    "--base", metavar="VERSION", help="The version to begin with, instead of the one that is shown."
)
@click.option(
    "--fit-through",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=day,
    metavar="YYYY-MM-DD",
    help="The last date to fit on; later ones judge. Without it the first half is for fitting.",
)
@click.option(
    "--write", metavar="NAME", help="Add the weights to seeds/score_components.csv as this version."
)
@click.option("--why", metavar="TEXT", help="The reason, which stands in the seed; needs --write.")
@json_option
@logging_options
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

    conclude(
        lambda settings: fit_weights(settings, base=base, fit_through=fit_through, write=write, why=why),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("raw-to-parquet", short_help="Write the raw tables as Parquet, for Apache Spark.")
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where to; else ENGAGEMENT_RAW_PARQUET, raw_parquet of enrichments.yml, or raw_parquet in the data folder.",
)
@json_option
@logging_options
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

    conclude(
        lambda settings: raw_to_parquet(settings, folder),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )
