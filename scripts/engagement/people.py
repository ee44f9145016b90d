"""Who somebody is in the private file, by one of his addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from engagement.addresses import AddressBook, normalised
from engagement.errors import ConfigurationError
from engagement.warehouse import Connection


@dataclass(frozen=True)
class Monitored:
    """A row of raw.office_mailboxes."""

    enrichment_id: str
    mailbox_id: int
    entra_id: str | None
    state: str
    monitored_from: datetime | None
    monitored_to: datetime | None


@dataclass
class Known:
    """Everything by which a person is known: the address asked about in its normalised form, the keys of all his
    addresses, his contact ids, and where he is or was monitored.
    """

    text: str
    keys: list[int]
    contact_ids: list[str] = field(default_factory=list)
    monitored: list[Monitored] = field(default_factory=list)

    @property
    def mailbox_ids(self) -> list[int]:
        """His mailboxes, each once."""
        return sorted({row.mailbox_id for row in self.monitored})

    @property
    def entra_ids(self) -> list[str]:
        """The ids of his directory entries, each once."""
        return sorted({row.entra_id for row in self.monitored if row.entra_id is not None})


def normalised_address(address: str) -> str:
    """The normalised form; ConfigurationError, which does not repeat it, where it is none."""
    found = normalised(address)
    if found is None:
        raise ConfigurationError("ADDRESS: not an e-mail address; give one, as in anna@contoso.example")
    return found.text


def known(connection: Connection | None, book: AddressBook, text: str) -> Known:
    """What the private file knows of the person with this address. His addresses are those of the mailbox that has
    it, and those of a contact with one of them, who is one person under one contact id.
    """
    person = Known(text, [book.hasher.address(text)])
    if connection is None:
        return person
    while True:
        rows = connection.execute(
            """
            select enrichment_id, mailbox_id, entra_id, state, monitored_from, monitored_to, address_keys
            from raw.office_mailboxes
            where list_has_any(address_keys, $keys::bigint[]) or list_contains($keys::bigint[], mailbox_id)
            order by all
            """,
            {"keys": person.keys},
        ).fetchall()
        person.monitored = [Monitored(*row[:6]) for row in rows]
        contacts = connection.execute(
            """
            select contact_id, address_key from raw.contacts
            where contact_id in (
                select contact_id from raw.contacts where list_contains($keys::bigint[], address_key)
            )
            """,
            {"keys": person.keys},
        ).fetchall()
        person.contact_ids = sorted({contact_id for contact_id, _ in contacts})
        keys = {*person.keys, *(key for _, key in contacts), *(key for row in rows for key in row[6])}
        if len(keys) == len(person.keys):
            return person
        person.keys = [person.keys[0], *sorted(keys - {person.keys[0]})]
