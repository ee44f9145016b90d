"""The demo's made-up company as a tenant, with the customer files and the configuration that go with it.

Halvorsen Instruments sells measuring instruments to 60 accounts in 8 countries. It is 2026-07-01, 05:30 UTC;
the last whole day, and so the as-of date, is 2026-06-30. Two builds are equal to the last byte.
"""

from __future__ import annotations

import csv
import io
import os
from json import dumps
from pathlib import Path

from emulators.cast import make_cast
from emulators.tenant import Tenant
from emulators.traffic import NOW, write_traffic


def build() -> Tenant:
    """Make the tenant: people, groups, a year of mail and meetings (about one second)."""
    cast = make_cast()
    traffic = write_traffic(cast)
    return Tenant(
        now=NOW,
        people=cast.people,
        groups=cast.groups,
        messages=traffic.messages,
        events=traffic.events,
    )


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(text, encoding="utf-8", newline="")
    os.replace(unfinished, path)


def _csv(rows: list[list[str | int]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_customer_files(folder: Path) -> tuple[Path, Path]:
    """Write accounts.csv (60 rows) and contacts.csv (300 rows) and give their paths."""
    cast = make_cast()
    header = "account_id name website country parent_account_id owner tier contract_value_eur"
    accounts: list[list[str | int]] = [[*header.split()]]
    for a in cast.accounts:
        company = [a.account_id, a.name, f"https://www.{a.domain}", a.country, a.parent_account_id]
        accounts.append([*company, a.owner, a.tier, a.contract_value_eur])
    contacts: list[list[str | int]] = [["contact_id", "account_id", "full_name", "email"]]
    contacts += [[c.contact_id, c.account_id, c.name, c.address] for c in cast.contacts]
    _replace(folder / "accounts.csv", _csv(accounts))
    _replace(folder / "contacts.csv", _csv(contacts))
    return folder / "accounts.csv", folder / "contacts.csv"


CONFIGURATION = """\
# The demo's configuration: written anew by every `make demo`. Secrets come from the environment.
reporting:
  time_zone: {time_zone}
  small_numbers: {small_numbers}

customers:
  accounts:
    path: {accounts}
    id: account_id
    name: name
    website: website
    country: country
    parent: parent_account_id
    attributes: [owner, tier, contract_value_eur]
  contacts:
    path: {contacts}
    id: contact_id
    account: account_id
    email: email

enrichments:
  - type: office
    name: Account engagement
    output_table: Office
    active: true
    # "on" in quotes, because many readers of YAML take the bare word for true
    consent: {{by: Maja Lindqvist (sales operations), "on": 2026-06-15}}
    tenant_consent: {{by: Harald Moen (Microsoft 365 administrator), "on": 2026-06-16}}
    source: graph
    # two groups, whose members all come through groups inside them, and five people
    addresses:
{addresses}
    domain_matching: false
    retention: 760 days
    refresh: weekly
"""


def write_configuration(
    path: Path,
    *,
    accounts: Path,
    contacts: Path,
    time_zone: str = "Europe/Berlin",
    small_numbers: str = "show",
) -> Path:
    """Write an enrichments.yml for this company that reads the given customer files."""
    # a double-quoted scalar takes any path; JSON's quoting is YAML's
    text = CONFIGURATION.format(
        time_zone=time_zone,
        small_numbers=small_numbers,
        accounts=dumps(str(accounts)),
        contacts=dumps(str(contacts)),
        addresses="\n".join(f"      - {address}" for address in make_cast().listed),
    )
    _replace(path, text)
    return path
