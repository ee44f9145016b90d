"""`engagement segment`: which accounts somebody wants to act on."""

from __future__ import annotations

import functools

import click

from engagement.commands import completing
from engagement.commands.ending import conclude
from engagement.commands.options import json_option, logging_options

_RULE = "engagement.rule"
_RULE_OPTIONS = ("where", "and_", "or_")

limit_of_rows = click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many rows are shown; --json has them all.",
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


def _listed(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


_segments_option = functools.partial(
    click.option, metavar="SEGMENTS", callback=_listed, shell_complete=completing.segments_listed
)


@click.group("segment", short_help="List, show, make and compare segments.")
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


@segment_.command("list", short_help="Show every published segment and its size.")
@json_option
@logging_options
def segment_list(as_json: bool, verbose: bool) -> None:
    """Show every published segment: whose it is, how many accounts it has, how that changed, and what is odd about it.

    \b
    Examples:
      engagement segment list
      engagement segment list --json

    Reads the published file alone.
    """
    from engagement.segments.show import list_segments

    conclude(list_segments, as_json=as_json, verbose=verbose, needs_files=False)


@segment_.command("show", short_help="Show a segment: its rule, members and history.")
@click.argument("segment", shell_complete=completing.segments)
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="How many members are listed.",
)
@json_option
@logging_options
def segment_show(segment: str, limit: int, as_json: bool, verbose: bool) -> None:
    """Show one SEGMENT: its rule, its members with the reason, how many there were week by week, and who moved last.

    \b
    Examples:
      engagement segment show stale
      engagement segment show high_value --limit 10 --json

    Reads the published file alone. `dbt show -s segment_<id>` shows what was built last.
    """
    from engagement.segments.show import show

    conclude(
        lambda settings: show(settings, segment, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("new", cls=_RuleCommand, short_help="Write a new segment from a rule.")
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
@_segments_option("--in-all-of", help="Only who is in all of these.")
@_segments_option("--in-any-of", help="Only who is in any of these.")
@_segments_option("--except", "in_none_of", help="Nobody who is in one of these.")
@click.option("--tags", metavar="TAGS", callback=_listed, help="Tags, with commas between them.")
@click.option("--dry-run", is_flag=True, help="Write nothing: show the SQL, and whom it would select.")
@json_option
@logging_options
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
    conclude(
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


@segment_.command("freeze", short_help="Keep today's members as a static segment.")
@click.argument("segment", shell_complete=completing.segments)
@click.option("--as", "as_id", required=True, metavar="ID", help="The id of the new segment.")
@click.option("--name", required=True, help="What it is called.")
@click.option("--owner", required=True, help="Who answers for it.")
@click.option("--description", help="What it is for.")
@json_option
@logging_options
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

    conclude(
        lambda settings: freeze(
            settings, segment, as_id=as_id, name=name, owner=owner, description=description
        ),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("overlap", short_help="Count the accounts that segments have in common.")
@click.argument(
    "segments",
    metavar="SEGMENT SEGMENT...",
    nargs=-1,
    required=True,
    shell_complete=completing.segments,
)
@click.option("--by", metavar="ATTRIBUTE", help="Count what is in common by the values of an attribute.")
@limit_of_rows
@json_option
@logging_options
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

    conclude(
        lambda settings: overlap(settings, segments, by=by, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("differentiators", short_help="Say what tells a segment's accounts from all others.")
@click.argument("segment_id", metavar="SEGMENT", shell_complete=completing.segments)
@click.option(
    "--against",
    metavar="OTHER",
    shell_complete=completing.segments,
    help="A second segment, instead of all other accounts.",
)
@limit_of_rows
@json_option
@logging_options
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

    conclude(
        lambda settings: differentiators(settings, segment_id, against=against, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("quick", short_help="List segments that one condition would make.")
@click.argument("attribute", required=False)
@limit_of_rows
@json_option
@logging_options
def segment_quick(attribute: str | None, limit: int, as_json: bool, verbose: bool) -> None:
    """List segments that one condition would make, with their size.

    \b
    Examples:
      engagement segment quick
      engagement segment quick industry

    Reads the published file. The last column is what `engagement segment new` takes.
    """
    from engagement.segments.insights import quick

    conclude(
        lambda settings: quick(settings, attribute, limit=limit),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )


@segment_.command("suggest", short_help="List groups whose measure differs significantly.")
@click.option(
    "--measure", metavar="ATTRIBUTE", help="The measure they are to differ in; asks for a build of it."
)
@json_option
@logging_options
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

    conclude(
        lambda settings: suggest(settings, measure=measure),
        as_json=as_json,
        verbose=verbose,
        needs_files=False,
    )
