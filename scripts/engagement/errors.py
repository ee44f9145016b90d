"""What can go wrong, by what the reader does next.

    EngagementError            1  unexpected
    ├── ConfigurationError     2  enrichments.yml, the environment, the customer files, an export: correct them
    ├── AuthenticationError    3  sign-in or a permission was refused: ask the administrator
    ├── ServiceError           4  a service failed or answers nonsense: try again later
    ├── IncompleteError        5  more mailboxes unread than tolerated: run again
    ├── DataTestError          6  a dbt model or data test failed
    ├── PublishRefusedError    7  the gate refused the file
    ├── BusyError              8  another run is going on: wait for it
    ├── CreditsError          10  the provider's credits are used up: buy some, or go on without
    ├── ResourcesError        12  the disk or the memory is not enough, or refuses: make room
    └── DamagedFileError      14  the private file is damaged: restore a backup, or begin anew

11 is no error: `engagement doctor` did its work and found something that is not granted, or granted too far. Nor is 13:
`engagement watch` found a run that failed, was killed, is overdue or goes on for too long. Nor is 15: a run is done and
published, and an export after it failed.

Whatever the code (other than 0, 9: some mailboxes cannot be read, and 15), nothing is published.

Every message is one line: what, where, what to do next. A message never holds an address, a secret, a query
string or the body of an answer. `findings` holds further lines of the same kind (all errors of a
configuration at once).
"""

from __future__ import annotations

from collections.abc import Sequence

DONE = 0
DONE_WITH_UNREAD_MAILBOXES = 9
CHECKS_FAILED = 11
RUNS_NEED_ATTENTION = 13
DONE_WITH_FAILED_EXPORTS = 15


class EngagementError(Exception):
    """An expected failure: its lines are printed to stderr, and the command ends with its exit code."""

    exit_code = 1

    def __init__(self, message: str, *, findings: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.findings = tuple(findings)

    @property
    def lines(self) -> tuple[str, ...]:
        """The message and its findings, one line each."""
        return (self.message, *self.findings)


class ConfigurationError(EngagementError):
    """enrichments.yml, the environment, the customer files or an export are wrong."""

    exit_code = 2


class AuthenticationError(EngagementError):
    """Sign-in or a permission was refused."""

    exit_code = 3


class ServiceError(EngagementError):
    """A service failed, or answered something that is not its contract."""

    exit_code = 4


class IncompleteError(EngagementError):
    """More mailboxes stayed unread than the configuration tolerates."""

    exit_code = 5


class DataTestError(EngagementError):
    """A dbt model or data test failed."""

    exit_code = 6


class PublishRefusedError(EngagementError):
    """The gate found something that must not leave, or a table that its contract does not allow."""

    exit_code = 7


class BusyError(EngagementError):
    """Another process works on the same data."""

    exit_code = 8


class CreditsError(EngagementError):
    """The provider looks nothing up any more, because its credits are used up."""

    exit_code = 10


class ResourcesError(EngagementError):
    """The disk or the memory is not enough, or a disk or a folder refuses to be written."""

    exit_code = 12


class DamagedFileError(EngagementError):
    """The private file, or the log beside it, is not what was written."""

    exit_code = 14


def innermost(error: BaseException) -> str:
    """The last place of our own that an error passed."""
    place = "engagement"
    trace = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.startswith("engagement"):
            place = f"{module} line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
