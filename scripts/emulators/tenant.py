"""What an emulated Microsoft 365 tenant holds: people, groups, mail and calendars as plain records.

The records are what a dataset builder (the demo's made-up company, or a test's) fills in; `emulators.graph`
renders them as Graph JSON when they are asked for, so that a large corpus stays small in memory. Instants are
aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A directory user, with or without a readable mailbox."""

    id: str
    mail: str
    user_principal_name: str
    proxy_addresses: tuple[str, ...] = ()  # as the directory has them: "SMTP:primary@...", "smtp:alias@..."
    display_name: str = ""
    account_enabled: bool = True
    user_type: str = "Member"
    mailbox_state: str = "readable"  # readable | denied | on_premises | soft_deleted | none


@dataclass(frozen=True, slots=True)
class Group:
    """A group; members are ids of people or of further groups."""

    id: str
    mail: str
    display_name: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One stored copy of a message in one mailbox."""

    id: str
    internet_message_id: str | None
    conversation_id: str
    conversation_index: bytes
    received_at: datetime
    sent_at: datetime | None
    from_address: str | None
    to: tuple[str | None, ...] = ()
    cc: tuple[str | None, ...] = ()
    bcc: tuple[str | None, ...] = ()
    sender_address: str | None = None  # None: the same as from_address
    folder: str = "inbox"  # a well-known name, "other", or "search" (a mailSearchFolder)
    is_draft: bool = False
    odata_type: str | None = None  # e.g. "#microsoft.graph.eventMessageRequest"


@dataclass(frozen=True, slots=True)
class Attendee:
    """One attendee of a calendar entry, as this copy knows him."""

    address: str | None
    type: str = "required"  # required | optional | resource
    response: str = "none"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry in one calendar: a single instance, an occurrence, an exception or a series master."""

    id: str
    ical_uid: str | None
    start_at: datetime
    end_at: datetime
    organizer: str | None
    attendees: tuple[Attendee, ...] = ()
    type: str = "singleInstance"
    is_all_day: bool = False
    is_cancelled: bool = False
    is_organizer: bool = False
    own_response: str = "none"
    sensitivity: str = "normal"
    series_master_id: str | None = None
    is_draft: bool = False


@dataclass(slots=True)
class Tenant:
    """A whole tenant at one instant; `now` is what the emulator says in its Date header."""

    now: datetime
    people: list[Person] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    messages: dict[str, list[Message]] = field(default_factory=dict)  # by Person.id
    events: dict[str, list[Event]] = field(default_factory=dict)  # by Person.id
    tenant_id: str = "11111111-2222-3333-4444-555555555555"
    client_id: str = "99999999-8888-7777-6666-555555555555"
    client_secret: str = "emulator-secret-not-a-real-one"
    client_certificates: list[bytes] = field(
        default_factory=list
    )  # in PEM, as uploaded to the app registration
