"""Options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar, cast

import click

from engagement import logs

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")

yes_option = click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")


def logging_options(command: F) -> F:
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


def day(context: click.Context, parameter: click.Parameter, value: datetime | None) -> date | None:
    """A callback: the day of what click read."""
    return None if value is None else value.date()
