"""Messages, events, people and folders as the service shows them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from emulators.identifiers import changeable_id, folder_id
from emulators.tenant import Attendee, Event, Group, Message, Person

# what stands in subjects and bodies when a client asks for them, or forgets to say what it wants
SUBJECT_TEXT = "emulated subject"

BODY_TEXT = "emulated body text"

NEVER_ANSWERED = "0001-01-01T00:00:00Z"  # the service's sentinel for a response time that does not exist

Json = dict[str, Any]


def render_instant(instant: datetime) -> datetime:
    """Give what the JSON encoder writes as Graph does in mail: UTC, whole seconds, Z."""
    return instant.replace(microsecond=0) if instant.microsecond else instant


def render_date_time(instant: datetime) -> Json:
    """Render as Graph does in calendars: seven decimals, no Z, the zone beside it."""
    return {"dateTime": instant.isoformat()[:19] + ".0000000", "timeZone": "UTC"}


@lru_cache(maxsize=500_000)
def render_recipient(address: str | None) -> msgspec.Raw:
    """Render a recipient; an address that was never resolved is left out, as the service does."""
    person = {"name": "Unresolved"} if address is None else {"name": address, "address": address}
    return msgspec.Raw(msgspec.json.encode({"emailAddress": person}))


@dataclass(frozen=True, slots=True)
class View:
    """What rendering a record needs to know beside the record."""

    person_id: str
    immutable: bool
    extra: bool
    names: Mapping[str, str] = field(default_factory=dict)  # by address: `shown_names`


def _recipient(address: str | None, view: View) -> msgspec.Raw:
    if address is not None and address in view.names:
        person = {"name": view.names[address], "address": address}
        return msgspec.Raw(msgspec.json.encode({"emailAddress": person}))
    return render_recipient(address)


def _recipient_or_null(address: str | None, view: View) -> msgspec.Raw | None:
    return None if address is None else _recipient(address, view)


def etag(identifier: str) -> str:
    return f'W/"CQAAABYAAAB{identifier[-20:]}"'


def _message_id(message: Message, view: View) -> str:
    return message.id if view.immutable else changeable_id(message.id, message.folder)


MESSAGE_PROPERTIES: dict[str, Callable[[Message, View], Any]] = {
    "id": _message_id,
    "createdDateTime": lambda m, v: render_instant(m.received_at),
    "lastModifiedDateTime": lambda m, v: render_instant(m.received_at),
    "changeKey": lambda m, v: etag(m.id)[3:-1],
    "categories": lambda m, v: [],
    "receivedDateTime": lambda m, v: render_instant(m.received_at),
    "sentDateTime": lambda m, v: None if m.sent_at is None else render_instant(m.sent_at),
    "hasAttachments": lambda m, v: False,
    "internetMessageId": lambda m, v: m.internet_message_id,
    "subject": lambda m, v: f"{SUBJECT_TEXT} {m.id[-8:]}",
    "bodyPreview": lambda m, v: f"{BODY_TEXT} {m.id[-8:]}",
    "importance": lambda m, v: "normal",
    "parentFolderId": lambda m, v: folder_id(v.person_id, m.folder),
    "conversationId": lambda m, v: m.conversation_id,
    "conversationIndex": lambda m, v: b64encode(m.conversation_index).decode(),
    "isDeliveryReceiptRequested": lambda m, v: None,
    "isReadReceiptRequested": lambda m, v: False,
    "isRead": lambda m, v: True,
    "isDraft": lambda m, v: m.is_draft,
    "webLink": lambda m, v: f"https://outlook.example/owa/?ItemID={quote(m.id)}&exvsurl=1",
    "inferenceClassification": lambda m, v: "focused",
    "body": lambda m, v: {"contentType": "html", "content": f"<html><body>{BODY_TEXT}</body></html>"},
    "sender": lambda m, v: _recipient_or_null(
        m.from_address if m.sender_address is None else m.sender_address, v
    ),
    "from": lambda m, v: _recipient_or_null(m.from_address, v),
    "toRecipients": lambda m, v: [_recipient(a, v) for a in m.to],
    "ccRecipients": lambda m, v: [_recipient(a, v) for a in m.cc],
    "bccRecipients": lambda m, v: [_recipient(a, v) for a in m.bcc],
    "replyTo": lambda m, v: [],
    "flag": lambda m, v: {"flagStatus": "notFlagged"},
}

# properties that are there but come only when they are asked for by name
MESSAGE_ON_REQUEST = {"internetMessageHeaders", "uniqueBody"}


def _attendee(attendee: Attendee, event: Event) -> Json:
    answered = attendee.response in ("accepted", "declined", "tentativelyAccepted")
    return {
        "type": attendee.type,
        "status": {
            "response": attendee.response,
            "time": render_instant(event.start_at - timedelta(days=2)) if answered else NEVER_ANSWERED,
        },
        "emailAddress": {"name": attendee.address or "Unresolved", "address": attendee.address},
    }


def _own_response(event: Event) -> Json:
    answered = event.own_response in ("accepted", "declined", "tentativelyAccepted")
    return {
        "response": event.own_response,
        "time": render_instant(event.start_at - timedelta(days=2)) if answered else NEVER_ANSWERED,
    }


def _event_id(event: Event, view: View) -> str:
    return event.id if view.immutable else changeable_id(event.id, "calendar")


def _series_master_id(event: Event, view: View) -> str | None:
    master = event.series_master_id
    return master if master is None or view.immutable else changeable_id(master, "calendar")


EVENT_PROPERTIES: dict[str, Callable[[Event, View], Any]] = {
    "id": _event_id,
    "createdDateTime": lambda e, v: render_instant(e.start_at - timedelta(days=7)),
    "lastModifiedDateTime": lambda e, v: render_instant(e.start_at - timedelta(days=1)),
    "changeKey": lambda e, v: etag(e.id)[3:-1],
    "categories": lambda e, v: [],
    "transactionId": lambda e, v: None,
    "originalStartTimeZone": lambda e, v: "UTC",
    "originalEndTimeZone": lambda e, v: "UTC",
    "iCalUId": lambda e, v: e.ical_uid,
    "reminderMinutesBeforeStart": lambda e, v: 15,
    "isReminderOn": lambda e, v: True,
    "hasAttachments": lambda e, v: False,
    "subject": lambda e, v: f"{SUBJECT_TEXT} {e.id[-8:]}",
    "bodyPreview": lambda e, v: f"{BODY_TEXT} {e.id[-8:]}",
    "importance": lambda e, v: "normal",
    "sensitivity": lambda e, v: e.sensitivity,
    "isAllDay": lambda e, v: e.is_all_day,
    "isCancelled": lambda e, v: e.is_cancelled,
    "isDraft": lambda e, v: e.is_draft,
    "isOrganizer": lambda e, v: e.is_organizer,
    "responseRequested": lambda e, v: True,
    "seriesMasterId": _series_master_id,
    "showAs": lambda e, v: "free" if e.is_cancelled else "busy",
    "type": lambda e, v: e.type,
    "webLink": lambda e, v: f"https://outlook.example/owa/?itemid={quote(e.id)}&path=/calendar/item",
    "onlineMeetingUrl": lambda e, v: None,
    "isOnlineMeeting": lambda e, v: False,
    "onlineMeetingProvider": lambda e, v: "unknown",
    "onlineMeeting": lambda e, v: None,
    "allowNewTimeProposals": lambda e, v: True,
    "hideAttendees": lambda e, v: False,
    "recurrence": lambda e, v: None,
    "responseStatus": lambda e, v: _own_response(e),
    "body": lambda e, v: {"contentType": "html", "content": f"<html><body>{BODY_TEXT}</body></html>"},
    "start": lambda e, v: render_date_time(e.start_at),
    "end": lambda e, v: render_date_time(e.end_at),
    "originalStart": lambda e, v: None if e.type == "singleInstance" else render_instant(e.start_at),
    "location": lambda e, v: {"displayName": f"{BODY_TEXT} place", "locationType": "default"},
    "locations": lambda e, v: [],
    "attendees": lambda e, v: [_attendee(a, e) for a in e.attendees],
    "organizer": lambda e, v: _recipient_or_null(e.organizer, v),
}

CALENDAR_VIEW_REFUSES = {"createdDateTime", "lastModifiedDateTime"}

USER_PROPERTIES: dict[str, Callable[[Person], Any]] = {
    "businessPhones": lambda p: [],
    "displayName": lambda p: p.display_name,
    "givenName": lambda p: p.display_name.partition(" ")[0] or None,
    "jobTitle": lambda p: None,
    "mail": lambda p: p.mail or None,
    "mobilePhone": lambda p: None,
    "officeLocation": lambda p: None,
    "preferredLanguage": lambda p: None,
    "surname": lambda p: p.display_name.partition(" ")[2] or None,
    "userPrincipalName": lambda p: p.user_principal_name,
    "id": lambda p: p.id,
    "accountEnabled": lambda p: p.account_enabled,
    "department": lambda p: None,
    "otherMails": lambda p: [],
    "proxyAddresses": lambda p: list(p.proxy_addresses),
    "userType": lambda p: p.user_type,
}

USER_DEFAULTS = tuple(USER_PROPERTIES)[:11]  # what comes without $select

GROUP_PROPERTIES: dict[str, Callable[[Group], Any]] = {
    "id": lambda g: g.id,
    "deletedDateTime": lambda g: None,
    "createdDateTime": lambda g: "2020-01-06T09:00:00Z",
    "description": lambda g: None,
    "displayName": lambda g: g.display_name,
    "groupTypes": lambda g: [],
    "mail": lambda g: g.mail or None,
    "mailEnabled": lambda g: bool(g.mail),
    "mailNickname": lambda g: g.mail.partition("@")[0],
    "proxyAddresses": lambda g: [f"SMTP:{g.mail}"] if g.mail else [],
    "securityEnabled": lambda g: True,
    "visibility": lambda g: None,
}

FOLDER_NAMES = {  # well-known name: as mailboxes in three languages show it
    "archive": {"en": "Archive", "de": "Archiv", "fr": "Archive"},
    "conversationhistory": {
        "en": "Conversation History",
        "de": "Unterhaltungsverlauf",
        "fr": "Historique des conversations",
    },
    "deleteditems": {"en": "Deleted Items", "de": "Gelöschte Elemente", "fr": "Éléments supprimés"},
    "drafts": {"en": "Drafts", "de": "Entwürfe", "fr": "Brouillons"},
    "inbox": {"en": "Inbox", "de": "Posteingang", "fr": "Boîte de réception"},
    "junkemail": {"en": "Junk Email", "de": "Junk-E-Mail", "fr": "Courrier indésirable"},
    "outbox": {"en": "Outbox", "de": "Postausgang", "fr": "Boîte d'envoi"},
    "sentitems": {"en": "Sent Items", "de": "Gesendete Elemente", "fr": "Éléments envoyés"},
}

OTHER_FOLDERS = {"other": "Projects", "search": "Weekly digests", "actions": "Conversation Action Settings"}

FOLDER_PROPERTIES = (
    "id",
    "displayName",
    "parentFolderId",
    "childFolderCount",
    "unreadItemCount",
    "totalItemCount",
    "sizeInBytes",
    "isHidden",
)
