"""Who is monitored: listed addresses of people and groups, resolved in the directory to 2 to 2,500 people."""

from __future__ import annotations

import contextlib
import csv
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from engagement.addresses import Address, AddressBook, Hasher, normalised
from engagement.configuration.enrichments import (
    LARGEST_SELECTION,
    SMALLEST_SELECTION,
    AddressFile,
    OfficeEnrichment,
)
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError, EngagementError
from engagement.office import graph, retention
from engagement.office.client import GraphClient, MailboxUnreadable, PermissionMissing, ResourceMissing
from engagement.outcome import counted
from engagement.tombstones import Tombstones
from engagement.warehouse import Connection, Row, append, empty_twin, transaction, upsert_addresses

log = logging.getLogger(__name__)

READABLE, DENIED, NOT_FOUND, ON_PREMISES, INCOMPLETE, THROTTLED = (
    "readable",
    "denied",
    "not_found",
    "on_premises",
    "incomplete",
    "throttled",
)
UNREADABLE = (DENIED, NOT_FOUND, ON_PREMISES)
# Given up on in part or whole: the next run goes on.
UNFINISHED = (INCOMPLETE, THROTTLED)
# What is limited, each for itself.
MAIL, CALENDAR = "mail", "calendar"
_SMTP = "smtp:"

T = TypeVar("T")


@dataclass(frozen=True)
class ListedAddress:
    """An address as listed; `where` names its position, since no message may hold an address.

    The directory is asked for `asked`, which keeps a plus-tag; `address` is what is hashed.
    """

    address: Address
    asked: str
    where: str

    @classmethod
    def of(cls, raw: str | None, where: str) -> ListedAddress | None:
        """None where it is not an e-mail address."""
        address, asked = normalised(raw), normalised(raw, keep_tag=True)
        if address is None or asked is None or address.is_x500:
            return None
        return cls(address, asked.text, where)


@dataclass
class Person:
    """A directory user that was chosen; `via_group` is None where listed directly."""

    entra_id: str
    addresses: tuple[str, ...]
    via_group: str | None


@dataclass(frozen=True)
class ListedCount:
    """What one listed address came to: its kind (person, group, unknown) and how many people."""

    where: str
    kind: str
    people: int


@dataclass
class Selection:
    """The people of one enrichment. `unknown` holds what the directory does not know."""

    enrichment_id: str
    people: dict[str, Person] = field(default_factory=dict)
    unknown: list[ListedAddress] = field(default_factory=list)
    counts: list[ListedCount] = field(default_factory=list)
    # Left out: who was erased, by Entra id; who opted out, by Entra id and by every address of the list.
    erased: dict[str, Person] = field(default_factory=dict)
    opted_out_ids: set[str] = field(default_factory=set)
    opt_out_addresses: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    @property
    def opted_out(self) -> int:
        """How many of the chosen people opted out."""
        return len(self.opted_out_ids)


def listed_addresses(settings: Settings, position: int, enrichment: OfficeEnrichment) -> list[ListedAddress]:
    """The list of an enrichment, from enrichments.yml or its file, each address once."""
    if isinstance(enrichment.addresses, AddressFile):
        key = f"enrichments[{position}].addresses.path"
        listed = addresses_of_file(settings.resolved(enrichment.addresses.path), key)
    else:
        listed = []
        for index, text in enumerate(enrichment.addresses):
            where = f"enrichments[{position}].addresses[{index}]"
            entry = ListedAddress.of(text, where)
            if entry is None:
                raise ConfigurationError(f"{where}: not an e-mail address; correct it")
            listed.append(entry)
    once: dict[str, ListedAddress] = {}
    for entry in listed:
        once.setdefault(entry.asked, entry)
    return list(once.values())


def addresses_of_file(path: Path, key: str) -> list[ListedAddress]:
    """Addresses of a text or CSV file: the column named address, email or mail, else the first one."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{path.name}: cannot be read as UTF-8 text ({key}); correct it") from None
    rows = list(csv.reader(lines))
    column = 0
    begin = 0
    if rows and not any("@" in cell for cell in rows[0]):
        begin = 1
        names = [name.strip().lower() for name in rows[0]]
        column = next((names.index(name) for name in ("address", "email", "mail") if name in names), 0)
    listed = []
    for number, row in enumerate(rows[begin:], start=begin + 1):
        if not any(cell.strip() for cell in row):
            continue
        entry = ListedAddress.of(row[column] if column < len(row) else None, f"{path.name} line {number}")
        if entry is None:
            raise ConfigurationError(f"{path.name} line {number}: not an e-mail address ({key}); correct it")
        listed.append(entry)
    return listed


class Directory(Protocol):
    """What knows people and groups by their addresses; `unknown` is said of an address that it does not know."""

    unknown: str

    def user(self, listed: ListedAddress) -> graph.User | None:
        """The one person with this address; ConfigurationError where several have it."""

    def groups(self, listed: ListedAddress) -> dict[str, list[graph.User]]:
        """The people of every group with this address, by the group's id."""


class GraphDirectory:
    """The directory of Microsoft Graph."""

    unknown = "the directory knows neither a person nor a group with this address; correct it or remove it"

    def __init__(self, client: GraphClient) -> None:
        self._client = client

    def user(self, listed: ListedAddress) -> graph.User | None:
        return user_of(self._client, listed)

    def groups(self, listed: ListedAddress) -> dict[str, list[graph.User]]:
        groups: dict[str, list[graph.User]] = {}
        for group in groups_of(self._client, listed):
            # A group may be deleted between the two questions.
            with contextlib.suppress(ResourceMissing):
                groups[group.id] = _members(self._client, group)
        return groups


def resolve(
    client: GraphClient,
    settings: Settings,
    position: int,
    enrichment: OfficeEnrichment,
    *,
    failed: Callable[[ListedAddress, EngagementError], None] | None = None,
) -> Selection:
    """Asks Graph's directory for every listed address, as `resolve_in` does."""
    return resolve_in(GraphDirectory(client), settings, position, enrichment, failed=failed)


def resolve_in(
    directory: Directory,
    settings: Settings,
    position: int,
    enrichment: OfficeEnrichment,
    *,
    failed: Callable[[ListedAddress, EngagementError], None] | None = None,
) -> Selection:
    """Asks a directory for every listed address; people of groups are found through all levels.

    A person chosen twice counts once, and directly listed beats through a group. Whoever opted out or was erased
    (by any of his addresses or his Entra id) is left out here, before anything about
    him is stored. Raises ConfigurationError where an address is several
    people's, AuthenticationError and ServiceError; with `failed` it is told of them instead, address by address.
    """
    opted_out = opt_out_of(settings, position, enrichment)
    selection = Selection(enrichment.enrichment_id, opt_out_addresses=opted_out)
    tombstones = Tombstones.load(settings)

    def choose(user: graph.User, via_group: str | None) -> None:
        addresses = addresses_of(user)
        if tombstones and (
            tombstones.knows_person(user.id) or any(tombstones.knows_address(text) for text in addresses)
        ):
            selection.erased[user.id] = Person(user.id, addresses, via_group)
            return
        if opted_out.intersection(addresses):
            selection.opted_out_ids.add(user.id)
            return
        known = selection.people.get(user.id)
        if known is None:
            selection.people[user.id] = Person(user.id, addresses, via_group)
        elif via_group is None:
            known.via_group = None

    for listed in listed_addresses(settings, position, enrichment):
        try:
            _resolve_one(directory, listed, selection, choose)
        except EngagementError as error:
            if failed is None:
                raise
            failed(listed, error)
    if tombstones:
        selection.unknown = [
            listed for listed in selection.unknown if not tombstones.knows_address(listed.address.text)
        ]
    return selection


def _resolve_one(
    directory: Directory,
    listed: ListedAddress,
    selection: Selection,
    choose: Callable[[graph.User, str | None], None],
) -> None:
    """The person or the people of one listed address, with their count."""
    user = directory.user(listed)
    if user is not None:
        choose(user, None)
        selection.counts.append(ListedCount(listed.where, "person", 1))
        return
    groups = directory.groups(listed)
    if not groups:
        selection.unknown.append(listed)
        selection.counts.append(ListedCount(listed.where, "unknown", 0))
        selection.warnings.append(f"{listed.where}: {directory.unknown}")
        return
    members = {member.id: member for people in groups.values() for member in people}
    for member in members.values():
        choose(member, next(iter(groups)))
    selection.counts.append(ListedCount(listed.where, "group", len(members)))
    if not members:
        selection.warnings.append(
            f"{listed.where}: the group has no people; it is empty, or its members are hidden"
            f" (grant the permission {graph.HIDDEN_MEMBERS_PERMISSION})"
        )


def check_size(selection: Selection, position: int) -> None:
    """2 to 2,500 people, as the original had it; ConfigurationError otherwise."""
    total = len(selection.people)
    if not SMALLEST_SELECTION <= total <= LARGEST_SELECTION:
        unknown = f" ({len(selection.unknown)} listed not found)" if selection.unknown else ""
        raise ConfigurationError(
            f"enrichments[{position}].addresses: resolve to {total:,} people{unknown};"
            f" allowed: {SMALLEST_SELECTION} to {LARGEST_SELECTION:,},"
            f" {'list more people or groups' if total < SMALLEST_SELECTION else 'list fewer'}"
        )


def check_forbidden(
    client: GraphClient, position: int, enrichment: OfficeEnrichment, now: datetime
) -> str | None:
    """Tries the mailbox that must be refused, its mail and its calendar: what limits the app to some
    mailboxes is set for each apart. ConfigurationError where either can be read; a warning where it proves
    nothing.
    """
    user = forbidden_person(client, position, enrichment)
    if user is None:
        return None
    where = f"enrichments[{position}].probe_forbidden"
    states = {area: forbidden_state(client, area, user.id, now) for area in (MAIL, CALENDAR)}
    if readable := [area for area, state in states.items() if state == READABLE]:
        raise ConfigurationError(
            f"{where}: the app can read this mailbox though it must not ({' and '.join(readable)}); limit the"
            " app in Exchange (RBAC for Applications) and remove tenant-wide consent (docs/permissions.md),"
            " then run again"
        )
    if other := [state for state in states.values() if state != DENIED]:
        return f"{where}: has no mailbox ({other[0]}), so it proves nothing; name one that exists"
    return None


def forbidden_person(client: GraphClient, position: int, enrichment: OfficeEnrichment) -> graph.User | None:
    """The owner of the mailbox that must be refused; None where none is named. ConfigurationError where the
    directory does not know him, AuthenticationError or ServiceError where it does not say.
    """
    if enrichment.probe_forbidden is None:
        return None
    where = f"enrichments[{position}].probe_forbidden"
    listed = ListedAddress.of(enrichment.probe_forbidden, where)
    user = user_of(client, listed) if listed is not None else None
    if user is None:
        raise ConfigurationError(f"{where}: the directory knows no person with this address; correct it")
    return user


def forbidden_state(client: GraphClient, area: str, entra_id: str, now: datetime) -> str:
    """Whether mail or calendar of a mailbox can be read: the state of a mailbox. Asks for the id of one item;
    any 403 is a refusal, whatever its code.
    """
    params = {"$select": "id", "$top": "1"}
    if area == CALENDAR:
        params |= {
            "startDateTime": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
            "endDateTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
    try:
        client.get(
            "/users/{id}/calendarView" if area == CALENDAR else "/users/{id}/messages",
            graph.decode_folders,
            permission=graph.CALENDAR_PERMISSION if area == CALENDAR else graph.MAIL_PERMISSION,
            ids={"id": entra_id},
            params=params,
            mailbox=True,
        )
    except MailboxUnreadable as unreadable:
        return unreadable.state
    except PermissionMissing:
        return DENIED
    return READABLE


def addresses_of(user: graph.User) -> tuple[str, ...]:
    """Every address of a person in its normalised form: primary, sign-in name, aliases; X.500 forms too."""
    found: dict[str, None] = {}
    for candidate in [user.mail, user.user_principal_name, *aliases_of(user)]:
        address = normalised(candidate)
        if address is not None:
            found[address.text] = None
    return tuple(found)


def aliases_of(user: graph.User) -> list[str]:
    """The addresses among a person's proxyAddresses ("SMTP:...", "smtp:...", "x500:..."), as they stand."""
    aliases = []
    for proxy in user.proxy_addresses or ():
        kind, colon, value = proxy.partition(":")
        if not colon or kind.lower() == "smtp":
            aliases.append(value or proxy)
        elif kind.lower() == "x500":
            aliases.append(proxy)
    return aliases


def opt_out_of(settings: Settings, position: int, enrichment: OfficeEnrichment) -> set[str]:
    """The normalised addresses of who opted out. ConfigurationError names a line that is wrong."""
    if enrichment.opt_out is None:
        return set()
    key = f"enrichments[{position}].opt_out.path"
    return {
        entry.address.text for entry in addresses_of_file(settings.resolved(enrichment.opt_out.path), key)
    }


def _filter_value(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def user_of(client: GraphClient, listed: ListedAddress) -> graph.User | None:
    """By sign-in name, then by primary address, then by alias."""
    address = listed.asked
    if not address.startswith("$"):
        try:
            return client.get(
                "/users/{id}",
                graph.decode_user,
                permission=graph.USER_PERMISSION,
                ids={"id": address},
                params={"$select": graph.USER_SELECT},
            )
        except ResourceMissing:
            pass
    for condition in (
        f"mail eq {_filter_value(address)}",
        f"proxyAddresses/any(x:x eq {_filter_value(_SMTP + address)})",
    ):
        found = _listed(
            client.pages(
                "/users",
                graph.decode_users,
                permission=graph.USER_PERMISSION,
                params={"$filter": condition, "$select": graph.USER_SELECT, "$count": "true"},
                headers=graph.EVENTUAL,
            ),
            lambda page: page.value,
        )
        if found:
            return only_one(listed, found)
    return None


def only_one(listed: ListedAddress, found: Sequence[graph.User]) -> graph.User:
    """The one person found; ConfigurationError where there are several."""
    if len(found) > 1:
        raise ConfigurationError(
            f"{listed.where}: {len(found)} people have this address in the directory; list one that is unique"
        )
    return found[0]


def groups_of(client: GraphClient, listed: ListedAddress) -> list[graph.Group]:
    return _listed(
        client.pages(
            "/groups",
            graph.decode_groups,
            permission=graph.GROUP_PERMISSION,
            params={
                "$filter": f"mail eq {_filter_value(listed.asked)}",
                "$select": graph.GROUP_SELECT,
                "$count": "true",
            },
            headers=graph.EVENTUAL,
        ),
        lambda page: page.value,
    )


def _members(client: GraphClient, group: graph.Group) -> list[graph.User]:
    """People of a group through all levels; guests have no mailbox here and are left out."""
    members = _listed(
        client.pages(
            "/groups/{id}/transitiveMembers/microsoft.graph.user",
            graph.decode_users,
            permission=graph.GROUP_PERMISSION,
            ids={"id": group.id},
            params={"$select": graph.USER_SELECT, "$count": "true", "$top": "999"},
            headers=graph.EVENTUAL,
        ),
        lambda page: page.value,
    )
    return [member for member in members if (member.user_type or "Member").lower() != "guest"]


PageT = TypeVar("PageT")


def _listed(pages: Iterable[PageT], values: Callable[[PageT], Sequence[T]]) -> list[T]:
    return [value for page in pages for value in values(page)]


# --- landing


def keep_out(book: AddressBook, selection: Selection) -> None:
    """Marks all that the directory knows of who was erased, so that no alias of his is taken for somebody new."""
    people = selection.erased.values()
    if not people or book.tombstones is None:
        return
    addresses = [text for person in people for text in person.addresses]
    entra_ids = [person.entra_id for person in people]
    book.tombstones.add(
        addresses=addresses,
        keys=[book.hasher.address(text) for text in addresses],
        people=entra_ids,
        mailboxes=[book.hasher.mailbox(entra_id) for entra_id in entra_ids],
    )
    selection.warnings.append(
        f"{selection.enrichment_id}: {counted(len(people), 'listed person')} erased before; left out, take them off"
        " the list"
    )


def save(
    connection: Connection, book: AddressBook, selections: Sequence[Selection], *, now: datetime
) -> dict[int, str]:
    """Brings raw.office_mailboxes to the selections; the mailboxes to read, by mailbox_id their Entra id.

    Of who opted out nothing is kept, also of what was read before. A person new on the list is incomplete until read.
    Whoever is no longer on it gets monitored_to; who
    returns loses it again. Addresses once seen of a person stay his unless somebody else has them now.
    """
    hasher = book.hasher
    to_read: dict[int, str] = {}
    with transaction(connection):
        for selection in selections:
            forget_opted_out(connection, hasher, selection)
            kept = {
                mailbox_id: (keys, state, monitored_from)
                for mailbox_id, keys, state, monitored_from in connection.execute(
                    "select mailbox_id, address_keys, state, monitored_from"
                    " from raw.office_mailboxes where enrichment_id = ?",
                    [selection.enrichment_id],
                ).fetchall()
            }
            current = _keys_by_person(book, selection)
            taken = {key for keys in current.values() for key in keys}
            rows: list[Row] = []
            for person in selection.people.values():
                mailbox_id = hasher.mailbox(person.entra_id)
                keys = current[person.entra_id]
                earlier_keys, state, monitored_from = kept.get(mailbox_id, ([], INCOMPLETE, now))
                keys += [key for key in earlier_keys if key not in taken]
                rows.append(
                    (
                        selection.enrichment_id,
                        mailbox_id,
                        person.entra_id,
                        keys,
                        person.via_group,
                        state,
                        monitored_from,
                        None,
                    )
                )
                to_read[mailbox_id] = person.entra_id
            # Addresses that differ only in their tag have one hash, and it may be a person's.
            for listed in {listed.address.text: listed for listed in selection.unknown}.values():
                key = hasher.address(listed.address.text)
                keys = [] if key in taken else [key]
                monitored_from = kept.get(key, ([], "", now))[2]
                rows.append((selection.enrichment_id, key, None, keys, None, NOT_FOUND, monitored_from, None))
                book.key(listed.address.text)
            twin = empty_twin(connection, "office_mailboxes")
            append(connection, twin, rows, schema="temp")
            connection.execute(
                f"""
                update raw.office_mailboxes set monitored_to = ?
                where enrichment_id = ? and monitored_to is null
                    and mailbox_id not in (select mailbox_id from "{twin}")
                """,
                [now, selection.enrichment_id],
            )
            connection.execute(
                f"""
                delete from raw.office_mailboxes
                where enrichment_id = ? and mailbox_id in (select mailbox_id from "{twin}")
                """,
                [selection.enrichment_id],
            )
            connection.execute(f'insert into raw.office_mailboxes select * from "{twin}"')
        upsert_addresses(connection, book.drain())
    return to_read


def forget_opted_out(connection: Connection, hasher: Hasher, selection: Selection) -> None:
    """Removes what was read of who opted out since, for the enrichment that he opted out of; to be called inside a
    transaction.
    """
    keys = [hasher.address(text) for text in selection.opt_out_addresses]
    ids = [hasher.mailbox(entra_id) for entra_id in selection.opted_out_ids]
    mailbox_ids = [
        mailbox_id
        for (mailbox_id,) in connection.execute(
            """
            select mailbox_id from raw.office_mailboxes
            where enrichment_id = ?
                and (list_contains(?::bigint[], mailbox_id) or list_has_any(address_keys, ?::bigint[]))
            """,
            [selection.enrichment_id, [*ids, *keys], keys],
        ).fetchall()
    ]
    if mailbox_ids:
        retention.forget_mailboxes(connection, selection.enrichment_id, mailbox_ids)
        selection.warnings.append(
            f"{selection.enrichment_id}: {counted(len(mailbox_ids), 'person')} opted out since; what was read of them"
            " is removed"
        )


def _keys_by_person(book: AddressBook, selection: Selection) -> dict[str, list[int]]:
    """Address keys of every person, each key once: primary addresses are given out before aliases."""
    owner: dict[int, str] = {}
    for rank in (0, 1):
        for person in selection.people.values():
            chosen = person.addresses[:1] if rank == 0 else person.addresses[1:]
            for text in chosen:
                key = book.key(text)
                if key is None:
                    continue
                if owner.setdefault(key, person.entra_id) != person.entra_id:
                    selection.warnings.append(
                        f"directory: an address of user {person.entra_id} is also one of user {owner[key]};"
                        " it counts for the latter, correct the directory"
                    )
    keys: dict[str, list[int]] = {entra_id: [] for entra_id in selection.people}
    for key, entra_id in owner.items():
        keys[entra_id].append(key)
    return keys
