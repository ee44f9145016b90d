"""Commands that set a project up, and say whether it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from engagement.commands import asking, completing
from engagement.commands.ending import conclude, conclude_without_settings
from engagement.commands.options import json_option, logging_options
from engagement.outcome import Outcome

if TYPE_CHECKING:
    from engagement.configuration.settings import Settings

PROGRAM = "engagement"
# By which click is asked, from this name.
COMPLETE_VARIABLE = "_ENGAGEMENT_COMPLETE"


@click.command("init")
@click.argument("folder", default=".", metavar="[FOLDER]", type=click.Path(file_okay=False, path_type=Path))
@click.option("--copy-models", is_flag=True, help="Also copy the dbt project here, to change its models.")
@json_option
@logging_options
def init_(folder: Path, copy_models: bool, as_json: bool, verbose: bool) -> None:
    """Begin a project in FOLDER, or in this one.

    \b
    Examples:
      engagement init
      engagement init engagement-project --copy-models

    Writes enrichments.yml with comments, samples of the customer files, and .gitignore; a file that is there stays as
    it is. The models of the installed package are used where they lie, and are new with every release of it. With
    --copy-models the folder has its own, which you may change, and bring to a new release yourself (docs/first-run.md).
    """

    def act() -> Outcome:
        from engagement.init import init

        return init(folder, copy_models=copy_models)

    conclude_without_settings(act, as_json=as_json, verbose=verbose)


@click.command()
@click.option(
    "--connect",
    is_flag=True,
    help="Also sign in, resolve every listed address and group, and verify the Leadspace token.",
)
@json_option
@logging_options
def check(connect: bool, as_json: bool, verbose: bool) -> None:
    """Say what is configured and what is wrong with it.

    \b
    Examples:
      engagement check
      engagement check --connect --json

    Without --connect nothing is contacted. Nothing is stored, and nothing is paid for unless you agree.
    """
    from engagement.configuration.enrichments import SERVICES

    def act(settings: Settings) -> Outcome:
        from engagement.check import check as checking

        return checking(settings, connect=connect, confirm=asking.confirm)

    conclude(
        act,
        as_json=as_json,
        verbose=verbose,
        services=SERVICES if connect else (),
    )


@click.command(short_help="Show who agreed to what, and record who agrees.")
@click.argument("name", required=False, shell_complete=completing.enrichments)
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
@json_option
@logging_options
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
    if sum((request, withdraw, yes)) > 1:
        raise click.UsageError("--request, --withdraw and --yes do different things; give one of them.")
    if output is not None and not request:
        raise click.UsageError("--output is where --request writes; give both.")
    if name is None and (as_administrator or by or yes or withdraw or request):
        raise click.UsageError("Name the enrichment: engagement consent NAME ...")

    def act(settings: Settings) -> Outcome:
        from engagement import consent as consenting
        from engagement.consents import ADMINISTRATOR, CONFIGURER

        kind = ADMINISTRATOR if as_administrator else CONFIGURER
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
            agree=asking.agree if sys.stdin.isatty() else None,
            # With --json the standard output is the result alone.
            show=lambda text: click.echo(text + "\n", err=as_json),
        )

    conclude(act, as_json=as_json, verbose=verbose, needs_files=False)


@click.command()
@json_option
@logging_options
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
    from engagement.configuration.enrichments import OFFICE

    def act(settings: Settings) -> Outcome:
        from engagement.doctor import doctor as examining

        return examining(settings)

    conclude(act, as_json=as_json, verbose=verbose, services=(OFFICE,))


@click.command("completion", short_help="Print what makes a shell complete the command.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which SHELL completes commands, options, and names of enrichments, segments and exports.

    \b
    Examples:
      source <(engagement completion bash)                                            in ~/.bashrc
      source <(engagement completion zsh)                                             in ~/.zshrc
      engagement completion fish > ~/.config/fish/completions/engagement.fish         once

    The names are those of enrichments.yml and of the models, in the folder where you are. No database is opened.
    """
    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, PROGRAM, COMPLETE_VARIABLE).source())
