"""Websites as registrable domains, and countries as ISO 3166-1 alpha-2 codes, however they are written."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.localedata import locale_identifiers
from publicsuffixlist import PublicSuffixList

from engagement.addresses import domain_in_ascii, normalised, website_domain
from engagement.errors import ConfigurationError
from engagement.matching.names import without_accents
from engagement.seeds import rows_of

_CODE = re.compile(r"[A-Za-z]{2}")


@lru_cache(maxsize=1)
def _public_suffixes() -> PublicSuffixList:
    # Its own copy of the list of publicsuffix.org; nothing is fetched.
    return PublicSuffixList(accept_unknown=True)


@lru_cache(maxsize=200_000)
def registrable_domain(website: str | None) -> str | None:
    """The domain that somebody registered, bbc.co.uk for https://www.bbc.co.uk/news; None where it is no website.

    A person's address given as a website says as much as its domain does. A page at a host of many (name.github.io)
    is a domain of its own there, as the public-suffix list has it.
    """
    domain = website_domain(website)
    if domain is None and website and "@" in website and (address := normalised(website)) is not None:
        domain = address.domain
    if domain is None:
        return None
    return _public_suffixes().privatesuffix(domain_in_ascii(domain))


class Countries:
    """Codes of countries by every usual spelling: the code in two or three letters, the names in every language that
    Unicode's CLDR has, and the spellings of the seed (seeds/country_spellings.csv).
    """

    def __init__(self, spellings: dict[str, str]) -> None:
        self._codes = _known_spellings() | {_spelled(text): code for text, code in spellings.items()}

    @classmethod
    def load(cls, path: Path) -> Countries:
        """Reads the seed; ConfigurationError where it cannot be read or a code is none."""
        rows = rows_of(path, ("spelling", "country_code"))
        for position, (spelling, code) in enumerate(rows, start=2):
            if not spelling or not _CODE.fullmatch(code):
                raise ConfigurationError(
                    f"seeds/{path.name} line {position}: a spelling, and the country's code in two letters (ISO 3166-1)"
                )
        return cls({spelling: code.upper() for spelling, code in rows})

    def code(self, country: str | None) -> str | None:
        """The country's two letters; None where none is given or it is not known."""
        return self._codes.get(_spelled(country or ""))


def _spelled(text: str) -> str:
    plain = without_accents(unicodedata.normalize("NFKC", text).casefold())
    words = re.sub(r"[^\w\s]", "", plain.replace("&", " and ")).split()
    return " ".join(word for word in words if word != "the")


@lru_cache(maxsize=1)
def _known_spellings() -> dict[str, str]:
    """Every name of a country in every language; a name that stands for two countries stands for none."""
    names: dict[str, set[str]] = {}
    codes: set[str] = set()
    for identifier in locale_identifiers():
        try:
            locale = Locale.parse(identifier)
        except (UnknownLocaleError, ValueError):
            continue
        # What a region of a language writes otherwise is in the seed where anybody uses it.
        if locale.territory:
            continue
        for code, name in locale.territories.items():
            if _CODE.fullmatch(code) and code not in ("EU", "EZ", "UN", "ZZ", "XA", "XB", "QO"):
                codes.add(code)
                names.setdefault(_spelled(name), set()).add(code)
    known = {name: min(found) for name, found in names.items() if len(found) == 1 and len(name) > 1}
    for alias, replaced_by in get_global("territory_aliases").items():
        if len(replaced_by) == 1 and replaced_by[0] in codes:
            known[_spelled(alias)] = replaced_by[0]
    return known | {code.casefold(): code for code in codes}
