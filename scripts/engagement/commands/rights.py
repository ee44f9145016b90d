"""Commands for what people may ask: to be told, to be erased, that an enrichment is removed."""

from __future__ import annotations

import click

from engagement.commands import asking, completing
from engagement.commands.ending import conclude
from engagement.commands.options import json_option, logging_options, yes_option
from engagement.outcome import Outcome


@click.command("access", short_help="Tell what is held on a person, and why.")
@click.argument("address")
@json_option
@logging_options
def access_(address: str, as_json: bool, verbose: bool) -> None:
    """Tell everything that is held on the person with this ADDRESS, and why.

    \b
    Examples:
      engagement access kim@contoso.example
      engagement access - --json < address.txt     the address on standard input

    Changes nothing. That somebody asked is noted in audit.jsonl, about whom is not.
    """
    from engagement.access import access

    conclude(
        lambda settings: access(settings, asking.address_of(address)),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("erase", short_help="Take a person out of every file, and keep him out.")
@click.argument("address")
@yes_option
@json_option
@logging_options
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
        return asking.agrees("Erase all of this for ever?", is_agreed=is_agreed)

    conclude(
        lambda settings: erase(settings, asking.address_of(address), agrees=agrees, verbose=verbose),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@click.command("remove", short_help="Remove an enrichment with its data.")
@click.argument("name", shell_complete=completing.removable)
@yes_option
@json_option
@logging_options
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

    conclude(
        lambda settings: remove(
            settings,
            name,
            agrees=lambda enrichment_id: asking.agrees(
                f"Remove {enrichment_id} with its data for ever?", is_agreed=is_agreed
            ),
            verbose=verbose,
        ),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )
