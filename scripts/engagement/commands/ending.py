"""How a command ends: its result on stdout, what went wrong on stderr, and its exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from engagement import durable, logs, room, stopping
from engagement.errors import ConfigurationError, EngagementError, ResourcesError, innermost
from engagement.outcome import Outcome

if TYPE_CHECKING:
    from engagement.configuration.settings import Settings


def conclude(
    act: Callable[[Settings], Outcome],
    *,
    as_json: bool,
    verbose: bool,
    services: Collection[str] = (),
    needs_files: bool = True,
    notifies_as: str | None = None,
) -> NoReturn:
    """Load the settings, act, print, and end the process with the outcome's code.

    A command that is `notifies_as` also notifies where the settings cannot be loaded.
    """

    def act_with_settings() -> Outcome:
        from engagement.configuration.loading import load

        try:
            settings = load(os.environ, services=services, needs_files=needs_files)
        except ConfigurationError as error:
            if notifies_as is not None:
                from engagement import notify

                notify.tell_not_loaded(os.environ, notifies_as, error)
            raise
        for warning in settings.warnings:
            logs.log.warning("warning: %s", warning)
        return act(settings)

    conclude_without_settings(act_with_settings, as_json=as_json, verbose=verbose)


def conclude_without_settings(act: Callable[[], Outcome], *, as_json: bool, verbose: bool) -> NoReturn:
    """Act, print, and end the process with the outcome's code."""
    try:
        outcome = act()
    except BaseException as error:
        if (number := stopping.number_of(error)) is not None:
            fail(
                128 + number,
                [f"{stopping.in_words(number)}; what was read is kept, run again"],
                as_json=as_json,
            )
        error = _of_the_machine(error)
        if isinstance(error, EngagementError):
            fail(error.exit_code, error.lines, as_json=as_json)
        if not isinstance(error, Exception):
            raise
        # The text of an unforeseen error may hold anything, so only its kind is shown.
        line = f"unexpected {type(error).__name__} in {innermost(error)}"
        if verbose and not logs.as_json():
            raise
        fail(
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


def notified(command: str, act: Callable[[Settings], Outcome]) -> Callable[[Settings], Outcome]:
    """The same, and whom `notify` of enrichments.yml names is told how it ended."""

    def explained(settings: Settings) -> Outcome:
        try:
            return act(settings)
        except (OSError, MemoryError) as error:
            known = _of_the_machine(error)
            if known is error:
                raise
            raise known from error

    def notifying(settings: Settings) -> Outcome:
        from engagement import notify

        return notify.run_notified(settings, command, lambda: explained(settings))

    return notifying


def _of_the_machine(error: BaseException) -> BaseException:
    """A full disk, a folder that refuses and too little memory, wherever they were met; any other error as it is."""
    if isinstance(error, MemoryError):
        return ResourcesError("out of memory; close other programs, then run again, what was read is kept")
    if not isinstance(error, OSError) or error.errno not in (*durable.FULL, *durable.REFUSED):
        return error
    name = Path(os.fsdecode(error.filename)).name if isinstance(error.filename, str | bytes) else "data"
    return room.full(name) if error.errno in durable.FULL else room.refused(name, error.strerror or "refused")


def fail(
    exit_code: int,
    lines: Sequence[str],
    *,
    as_json: bool,
    advice: str = "",
    traceback: BaseException | None = None,
) -> NoReturn:
    """Say what went wrong, on stderr and with --json on stdout as well, and end the process."""
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
