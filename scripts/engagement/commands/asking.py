"""What a command asks the person at the terminal."""

from __future__ import annotations

import sys

import click

from engagement.errors import ConfigurationError


def agree(by: str | None) -> str | None:
    """The name of a person who agrees; None where he does not."""
    if not click.confirm("I agree", default=False, err=True):
        return None
    return by or click.prompt("Your name", err=True)


def confirm(question: str) -> bool:
    """A person's answer; no where there is nobody to ask."""
    return sys.stdin.isatty() and click.confirm(question, default=False, err=True)


def agrees(question: str, *, is_agreed: bool) -> bool:
    """A person's yes. ConfigurationError where there is nobody to ask."""
    if is_agreed:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody to ask: say --yes, or give the command on a terminal")
    return confirm(question)


def address_of(given: str) -> str:
    """What is given, or with - the first line of standard input, so that it need not stand in the shell's history."""
    return sys.stdin.readline() if given == "-" else given
