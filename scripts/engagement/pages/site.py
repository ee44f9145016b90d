"""What is shown and to whom: set once by the command, before the first page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Who stands for everybody in the file of owners.
EVERYTHING = "*"


@dataclass(frozen=True)
class Site:
    """The two files that the pages read, and who may see which accounts.

    `user_header` is the header in which a reverse proxy names who signed in; None where everybody sees all. `owners`
    are the owners of accounts whom each user (in lower case) stands for; a user who is not among them stands for the
    owner of his own name.
    """

    published_file: Path
    run_state_file: Path
    run_lock_file: Path
    user_header: str | None = None
    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # The addresses of the proxies whose header is believed; without any, this machine's alone.
    proxies: frozenset[str] = frozenset()

    def owners_of(self, user: str) -> frozenset[str] | None:
        """In lower case, the owners whose accounts `user` sees; None for all accounts."""
        owners = self.owners.get(user.strip().lower())
        if owners is None:
            return frozenset({user.strip().lower()})
        return None if EVERYTHING in owners else owners


_site: Site | None = None


def use(site: Site) -> None:
    """From now on the pages of this process show `site`."""
    global _site
    _site = site


def current() -> Site:
    """What `use` was last given; RuntimeError before."""
    if _site is None:
        raise RuntimeError("no site is set; the pages are started by `engagement pages`")
    return _site
