"""Erasing a person: out of the private and the published file, and kept out for ever (docs/erasure.md)."""

from __future__ import annotations

from collections.abc import Callable

from engagement import audit, old_copies, people, rebuild
from engagement.access import access
from engagement.configuration.settings import Settings
from engagement.extract import address_book, begin, running
from engagement.outcome import Outcome
from engagement.run import publish_again
from engagement.tombstones import Tombstones
from engagement.warehouse import own_file, private_file


def erase(
    settings: Settings, address: str, *, agrees: Callable[[Outcome], bool], verbose: bool = False
) -> Outcome:
    """Removes everything held on the person with this address, and keeps him out.

    The tombstone is on the disk first: killed at any instant after it, the next command that opens the private file
    for writing goes on. `agrees` hears what is held and answers whether to go on. Raises ConfigurationError where it
    is no address, EngagementError where anything of him is still found; nothing is replaced then.
    """
    text = people.normalised_address(address)
    if not agrees(access(settings, address, note=False)):
        return Outcome(lines=["nothing was erased"], facts={"erased": False})
    book = address_book(settings)
    raw_folders = old_copies.raw_folders(settings)
    with running(settings, "erase") as state:
        # Read once the lock is held, since somebody else may have been erased before.
        tombstones = Tombstones.load(settings, book.hasher)
        if settings.private_file.is_file():
            with state.timed("erase"), own_file(settings) as connection:
                person = people.known(connection, book, text)
                _mark(tombstones, person)
                audit.note(settings, audit.ERASURE)
                rebuild.rebuild(connection, settings, tombstones, texts=[text])
            with private_file(settings) as connection:
                begin(settings, connection, book, state)
            state.save()
            outcome = publish_again(settings, state, what="who was erased is out", verbose=verbose)
        else:
            _mark(tombstones, people.known(None, book, text))
            audit.note(settings, audit.ERASURE)
            old_copies.remove(settings)
            outcome = Outcome(lines=["nothing was read yet"])
    outcome.lines.insert(
        0, "erased; every address known of the person is kept out from now on, whatever the sources say"
    )
    outcome.lines += old_copies.in_words(raw_folders)
    outcome.lines.append(
        "not reached: your backups, your customer files and lists, Microsoft's own copies (docs/erasure.md)"
    )
    outcome.facts |= {"erased": True}
    return outcome


def _mark(tombstones: Tombstones, person: people.Known) -> None:
    tombstones.add(
        addresses=[person.text],
        keys=person.keys,
        people=person.entra_ids,
        mailboxes=person.mailbox_ids,
    )
