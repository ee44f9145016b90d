"""The command `engagement`. Results go to stdout, everything else to stderr; exit codes are those of errors.py."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from engagement import logs, stopping
from engagement.commands import looking, maintaining, rights, running, segments, setting_up
from engagement.commands.ending import fail

# What `engagement --help` lists, in this order.
SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Set up": (
        setting_up.init_,
        setting_up.check,
        setting_up.consent,
        setting_up.doctor,
        setting_up.completion,
    ),
    "Run": (
        running.run_,
        running.extract,
        running.publish,
        running.export_,
        running.watch,
        running.cancel,
    ),
    "Look": (
        looking.status,
        looking.pages_,
        segments.segment_,
        looking.digest_,
        looking.diff_,
        looking.backtest_,
        looking.verify,
    ),
    "People's rights": (rights.access_, rights.erase_, rights.remove_),
    "Maintain": (
        maintaining.upgrade_,
        maintaining.backup_,
        maintaining.restore_,
        maintaining.rotate_key,
        maintaining.fit_weights_,
        maintaining.raw_to_parquet_,
    ),
}

_EXIT_CODES = """\b
Exit codes (docs/errors.md says of each what to do):
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
_WHERE_EXIT_CODES = "Exit codes: `engagement --help`; what to do about each: docs/errors.md."


class _Sections(click.Group):
    """A group that lists its commands by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        longest = max(len(name) for name in self.commands)
        width = formatter.width - longest - 6
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{one.name:<{longest}}", one.get_short_help_str(width)) for one in commands]
                )


@click.group(
    cls=_Sections,
    epilog=_EXIT_CODES,
    subcommand_metavar="COMMAND ...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def cli() -> None:
    """Account engagement from a company's own mail and calendar metadata, and company data for its accounts.

    \b
    Examples:
      engagement init                begin a project in this folder
      engagement check               what is configured, and what is wrong with it
      engagement run                 extract, build with dbt, publish
      engagement run --if-due        the same, for a timer: does nothing before it is due
      engagement status --json       how all stand, for a program
      engagement run --help          what a command does, with examples

    What is configured stands in enrichments.yml (or where ENGAGEMENT_CONFIG points), secrets in the
    environment. Every command that has a result prints it as JSON with --json (docs/json.md).
    """


def every_command(group: click.Group) -> list[click.Command]:
    """The commands of a group, and those of the groups in it."""
    found: list[click.Command] = []
    for command in group.commands.values():
        found += [command, *(every_command(command) if isinstance(command, click.Group) else ())]
    return found


for _commands in SECTIONS.values():
    for _command in _commands:
        cli.add_command(_command)
for _command in every_command(cli):
    _command.epilog = _WHERE_EXIT_CODES


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
        cli.main(args=given, prog_name=setting_up.PROGRAM)
    logs.set_up(json_lines=True)
    try:
        sys.exit(cli.main(args=given, prog_name=setting_up.PROGRAM, standalone_mode=False))
    except click.ClickException as error:
        # How it is called is an error like any other.
        fail(error.exit_code, [error.format_message()], as_json=False)


if __name__ == "__main__":
    main()
