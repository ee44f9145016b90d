"""What a test may switch on, and how the service refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emulators.misbehaviour import Misbehaviour, Told
from emulators.server import Refusal


@dataclass(slots=True)
class Switches(Misbehaviour):
    """What a test may change while the emulator runs: faults stand in `Misbehaviour`."""

    token_lifetime: float = 3599.0  # seconds; expires_in is its whole part
    latency: float = 0.0  # seconds every answer takes; what makes requests overlap
    mailbox_concurrency: int = 4  # requests at once per mailbox, beyond which 429 is answered
    # of mail, calendar: what a denied mailbox still shows, since access policies do not limit all permissions
    not_denied: set[str] = field(default_factory=set)
    missing_permissions: set[str] = field(default_factory=set)  # of user, group, mail, calendar: 403
    extra_properties: bool = False  # an unknown property on every seventh item
    users_by_mail: bool = False  # let /users/{mail} find a person, which the service does not
    lower_case_inner_error: bool = False  # `innererror` for `innerError`: both are seen
    trailing_link: bool = False  # a full last page links to an empty one
    folder_language: str | None = None  # en, de or fr; None: by mailbox


class GraphError(Refusal):
    """An error answer of the service."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code


def raise_told(told: Told | None) -> None:
    """Raise the error that a switch makes of a request, if it makes one."""
    if told is not None:
        raise GraphError(*told)


def not_implemented(what: str) -> GraphError:
    """Refuse what this emulator does not do."""
    return GraphError(501, "NotImplemented", f"The emulator does not implement {what}.")


def no_such_resource(name: str) -> GraphError:
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present.",
    )
