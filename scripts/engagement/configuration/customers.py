"""The block `customers`: the files of accounts and contacts, and which of their columns are which."""

from __future__ import annotations

from pydantic import Field

from engagement.configuration.part import Part, Text

# The keys of customers.accounts that name a column of text; what is landed under them.
ACCOUNT_TEXTS = ("name", "website", "country")


class AccountsFile(Part):
    path: Text
    id: Text
    name: Text
    website: Text | None = None
    country: Text | None = None
    parent: Text | None = None
    attributes: tuple[Text, ...] = Field(default=(), strict=False)
    # What the file itself knows of the company, by the names of var company_attributes: trusted, never overwritten.
    company: dict[Text, Text] = Field(default_factory=dict)


class ContactsFile(Part):
    path: Text
    id: Text
    account: Text
    email: Text


class Customers(Part):
    accounts: AccountsFile
    contacts: ContactsFile
