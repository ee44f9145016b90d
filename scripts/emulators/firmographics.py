"""What a provider of company data knows, and how it finds the company that somebody means.

Own rules, made so that a person who reads the matches agrees with them; the real provider's are not public.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from math import log
from pathlib import Path
from typing import Any, Literal

import duckdb

Confidence = Literal["HIGH", "MEDIUM", "LOW", "VERY LOW"]
CONFIDENCES: tuple[Confidence, ...] = ("HIGH", "MEDIUM", "LOW", "VERY LOW")  # best first


@dataclass(frozen=True, slots=True)
class Company:
    """A company as a provider knows it; None and () where it does not know."""

    name: str
    website: str | None = None
    country: str | None = None
    state: str | None = None
    city: str | None = None
    region: str | None = None
    street: str | None = None
    postal_code: str | None = None
    phone: str | None = None
    linkedin: str | None = None
    description: str | None = None
    industry: str | None = None
    sub_industry: str | None = None
    sic: str | None = None
    sic_description: str | None = None
    naics: str | None = None
    naics_description: str | None = None
    ownership: str | None = None
    employees: int | None = None
    revenue_usd: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    fortune_500_rank: int | None = None
    technologies: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    parent: str | None = None  # its name


@dataclass(frozen=True, slots=True)
class Match:
    """The company that a record means, and how sure that is."""

    company: Company
    confidence: Confidence


# ---------------------------------------------------------------------------------------------------
# files

# field: how files name it where they name it otherwise, in order of preference
ALIASES = {
    "name": ("name", "company", "company_name"),
    "website": ("website", "domain", "url"),
    "postal_code": ("postal_code", "postalcode", "zipcode", "zip"),
    "street": ("street", "address"),
    "linkedin": ("linkedin", "linkedin_profile", "linkedin_url"),
    "industry": ("industry", "sector"),
    "sub_industry": ("sub_industry",),
    "sic_description": ("sic_description", "sicdescription"),
    "naics_description": ("naics_description", "naicsdescription"),
    "employees": ("employees", "employee_count"),
    "revenue_usd": ("revenue_usd", "revenue_dollar", "revenue"),
    "parent": ("parent", "parent_name"),
}
MILLIONS = "revenue_musd"
WHOLE_NUMBERS = {"employees", "revenue_usd", "fortune_500_rank"}
NUMBERS = {"latitude", "longitude"}
LISTS = {"technologies", "specialties"}  # `;` between their parts


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value(name: str, text: str) -> Any:
    if name in WHOLE_NUMBERS | NUMBERS:
        number = _number(text)
        return number if number is None or name in NUMBERS else round(number)
    if name in LISTS:
        return tuple(part.strip() for part in text.split(";") if part.strip())
    return text


def load_companies(path: Path) -> list[Company]:
    """Read companies from a CSV or Parquet file with columns by name; rows without a name are left out.

    Where rows have an `as_of_year`, the newest come first, and so are preferred among equals. Raises
    ValueError where no column holds names.
    """
    # everything as text: numbers lose the zeros that a code or a postal code begins with
    source = (
        "read_parquet(?)" if path.suffix == ".parquet" else "read_csv(?, header = true, all_varchar = true)"
    )
    with duckdb.connect() as connection:
        found = connection.execute(f"select columns(*)::varchar from {source}", [str(path)])
        columns = [str(column[0]).lower() for column in found.description or ()]
        rows = found.fetchall()
    places = {
        f.name: [columns.index(a) for a in ALIASES.get(f.name, (f.name,)) if a in columns]
        for f in fields(Company)
    }
    if not places["name"]:
        raise ValueError(f"{path} has no column of company names; it has {', '.join(columns)}")
    if "as_of_year" in columns:
        year = columns.index("as_of_year")
        rows.sort(key=lambda row: -(_number(row[year] or "") or 0.0))
    millions = columns.index(MILLIONS) if MILLIONS in columns else None
    companies = []
    for row in rows:
        values: dict[str, Any] = {}
        for name, indexes in places.items():
            text = next((t for i in indexes if (t := (row[i] or "").strip())), "")
            if text:
                values[name] = _value(name, text)
        if millions is not None and "revenue_usd" not in values:
            number = _number(row[millions] or "")
            values["revenue_usd"] = None if number is None else round(number * 1_000_000)
        if values.get("name"):
            companies.append(Company(**values))
    return companies


# ---------------------------------------------------------------------------------------------------
# what names, websites and countries have in common however they are written

# what ends a name and says only in which form the company is registered
_LEGAL_FORMS = """
    inc incorporated corp corporation co company cos companies ltd limited llc lllp llp lp plc pllc pc gmbh ag kg
    kgaa ug ev se sa sas sarl sasu sca sl slu srl spa snc bv nv cv vof as asa aps ab publ oy oyj pty pte pvt
    private bhd berhad sdn pcl tbk jsc pjsc ojsc zao ooo oao kk sab de cv sl ltda eireli eurl nl dd doo zoo sp
    zrt nyrt kft sro adr gdr
"""
LEGAL_FORMS = frozenset(_LEGAL_FORMS.split())
LEGAL_FORMS_BEFORE = frozenset(("pt", "pjsc", "ojsc", "jsc", "oao", "ooo"))
# what tells one company from another only where nothing else does
WEAK_WORDS = frozenset(("holding", "holdings", "group", "groupe", "gruppe", "the", "and", "und", "et", "of"))
SAID_SHORTER = {
    "intl": "international", "int": "international", "mfg": "manufacturing", "natl": "national",
    "assoc": "associates", "bros": "brothers", "svcs": "services", "svc": "service", "tech": "technology",
    "technologies": "technology", "univ": "university", "dept": "department", "ctr": "center",
    "centre": "center", "mgmt": "management", "cie": "company",
}  # fmt: skip
# words that many companies' names share, so that two names which share no other word mean nothing
_GENERIC_WORDS = """
    advanced agency airline america american associates association bank brothers capital center chemical
    city commercial communication community construction consulting consumer corporate credit data design
    development digital distribution economic electric electronic energy engineering enterprise entertainment
    environmental equipment europe european exploration finance financial first food foundation fund gas
    general global gold health healthcare home hotel industrial industry information infrastructure innovation
    insurance international investment investor lab laboratory land life logistic management manufacturing
    marine market marketing material media medical metal mineral mining motor mutual national natural network
    new north northern oil online pacific paper partner petroleum pharma pharmaceutical pipeline plastic power
    product production professional property public realty research resource retail royal sales science
    security service smart software solar solution south southern steel storage store street studio supply
    system technology telecom texas textile trade trading transmission transport transportation travel trust
    union united university utility venture water web west western wireless world york us usa uk
    canada canadian china german germany india indian japan
"""
GENERIC_WORDS = frozenset(_GENERIC_WORDS.split())
# what Unicode does not take apart
_LETTERS = str.maketrans(
    {
        "ø": "o",
        "æ": "ae",
        "œ": "oe",
        "ß": "ss",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "&": " and ",
        "+": " and ",
        "'": "",
        "`": "",
        "\u2019": "",
        "\u0131": "i",
    }
)
_INITIALS = re.compile(r"\b(?:\w\.){2,}(?:\w\b)?|\b\w(?:\.\w)+\b\.?")


@lru_cache(maxsize=200_000)
def words_of(name: str) -> tuple[str, ...]:
    """Give the words of a name without case, accents and punctuation; `U.S.` and `A/S` are one word each."""
    text = unicodedata.normalize("NFKC", name).casefold().translate(_LETTERS)
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = re.sub(r"\b([a-z])/([a-z])\b", r"\1\2", text)
    text = _INITIALS.sub(lambda found: found[0].replace(".", ""), text)
    # in alphabets without capitals or spaces too, a word is a run of letters and digits
    return tuple(re.findall(r"[^\W_]+", text))


@lru_cache(maxsize=200_000)
def proper_words(name: str) -> tuple[str, ...]:
    """Give the words of a name without its legal form; at least one word stays."""
    words = [w for w in words_of(name) if w not in ("the", "and")] or list(words_of(name))
    while len(words) > 1 and words[-1] in LEGAL_FORMS:
        words.pop()
    while len(words) > 1 and words[0] in LEGAL_FORMS_BEFORE:
        words.pop(0)
    return tuple(SAID_SHORTER.get(word, word) for word in words)


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


@lru_cache(maxsize=200_000)
def telling_words(name: str) -> frozenset[str]:
    """Give the words of a name that tell it from others, singular and plural alike."""
    words = [w for w in proper_words(name) if w not in WEAK_WORDS] or list(proper_words(name))
    return frozenset(_stem(word) for word in words)


# labels that stand between a country's and a registrant's: co.uk, com.au
_SECOND_LEVEL_LABELS = """
    ac ad co com edu ed go gob gov gouv govt gr ind info lg ltd me mil ne net nhs nic nom or org plc sch web
"""
_SECOND_LEVEL = frozenset(_SECOND_LEVEL_LABELS.split())
# hosts of many: a page there says nothing about whose it is
_HOSTS_OF_MANY = """
    facebook.com linkedin.com twitter.com x.com instagram.com youtube.com google.com blogspot.com wordpress.com
    wixsite.com weebly.com squarespace.com tumblr.com medium.com github.io github.com about.me bit.ly linktr.ee
    business.site godaddysites.com myshopify.com etsy.com gmail.com hotmail.com outlook.com
"""
_SHARED_HOSTS = frozenset(_HOSTS_OF_MANY.split())


@lru_cache(maxsize=200_000)
def domain_of(website: str | None) -> str:
    """Give the registrable domain of a website, an address or a domain; "" where there is none."""
    text = (website or "").strip().lower()
    host = re.split(r"[/?#\\]", re.sub(r"^[a-z][a-z0-9+.-]*://|^//", "", text), maxsplit=1)[0]
    host = host.rpartition("@")[2].partition(":")[0].strip(". ")
    labels = host.split(".")
    if len(labels) < 2 or not all(labels) or labels[-1].isdigit() or " " in host:
        return ""
    # towns and states of the US register below their state: palo-alto.ca.us
    local = labels[-2] in _SECOND_LEVEL or (labels[-1] == "us" and len(labels[-2]) == 2)
    size = 3 if len(labels) > 2 and len(labels[-1]) == 2 and local else 2
    return ".".join(labels[-size:])


# a country's two letters, three letters and names
_COUNTRIES = """
US USA United States|United States of America|U.S.|U.S.A.|America|Vereinigte Staaten|USA
CA CAN Canada|Kanada
MX MEX Mexico|México
BR BRA Brazil|Brasil
AR ARG Argentina
CL CHL Chile
CO COL Colombia
PE PER Peru
VE VEN Venezuela
EC ECU Ecuador
UY URY Uruguay
PA PAN Panama
CR CRI Costa Rica
PR PRI Puerto Rico
BM BMU Bermuda
BS BHS Bahamas
BB BRB Barbados
KY CYM Cayman Islands
VG VGB British Virgin Islands
GB GBR United Kingdom|UK|U.K.|Great Britain|Britain|England|Scotland|Wales|Northern Ireland
IE IRL Ireland|Irland
JE JEY Jersey
GG GGY Guernsey
IM IMN Isle of Man
GI GIB Gibraltar
DE DEU Germany|Deutschland|Allemagne
AT AUT Austria|Österreich
CH CHE Switzerland|Schweiz|Suisse|Svizzera
LI LIE Liechtenstein
FR FRA France|Frankreich
BE BEL Belgium|België|Belgique|Belgien
NL NLD Netherlands|The Netherlands|Nederland|Holland|Niederlande
LU LUX Luxembourg|Luxemburg
ES ESP Spain|España|Spanien
PT PRT Portugal
IT ITA Italy|Italia|Italien
MT MLT Malta
MC MCO Monaco
GR GRC Greece|Griechenland
CY CYP Cyprus
TR TUR Turkey|Türkiye
DK DNK Denmark|Danmark|Dänemark
NO NOR Norway|Norge|Norwegen
SE SWE Sweden|Sverige|Schweden
FI FIN Finland|Suomi|Finnland
IS ISL Iceland|Ísland
FO FRO Faroe Islands
GL GRL Greenland
EE EST Estonia
LV LVA Latvia
LT LTU Lithuania
PL POL Poland|Polska|Polen
CZ CZE Czech Republic|Czechia|Česko|Tschechien
SK SVK Slovakia
HU HUN Hungary|Ungarn
SI SVN Slovenia
HR HRV Croatia
RS SRB Serbia
RO ROU Romania
BG BGR Bulgaria
UA UKR Ukraine
BY BLR Belarus
RU RUS Russia|Russian Federation
KZ KAZ Kazakhstan
GE GEO Georgia
IL ISR Israel
JO JOR Jordan
AE ARE United Arab Emirates|UAE
SA SAU Saudi Arabia
QA QAT Qatar
KW KWT Kuwait
BH BHR Bahrain
OM OMN Oman
EG EGY Egypt
MA MAR Morocco
TN TUN Tunisia
NG NGA Nigeria
GH GHA Ghana
KE KEN Kenya
ZA ZAF South Africa|Südafrika
MU MUS Mauritius
ZM ZMB Zambia
IN IND India|Indien
PK PAK Pakistan
BD BGD Bangladesh
LK LKA Sri Lanka
CN CHN China|People's Republic of China|PRC
HK HKG Hong Kong|Hong Kong SAR|Hong Kong/China|Kong/China
MO MAC Macau|Macao
TW TWN Taiwan
JP JPN Japan
KR KOR South Korea|Korea|Republic of Korea|Korea, Republic of
SG SGP Singapore|Singapur
MY MYS Malaysia
TH THA Thailand
VN VNM Vietnam|Viet Nam
ID IDN Indonesia
PH PHL Philippines
AU AUS Australia|Australien
NZ NZL New Zealand
"""


def _countries() -> dict[str, str]:
    known = {}
    for line in _COUNTRIES.split("\n"):
        if line:
            two, three, names = line.split(" ", 2)
            for name in (two, three, *names.split("|")):
                known[" ".join(words_of(name))] = two
    return known


_KNOWN_COUNTRIES = _countries()


@lru_cache(maxsize=10_000)
def country_of(text: str | None) -> str:
    """Give one spelling for all of a country; "" where none is given, or a code that is not known here."""
    spelled = " ".join(words_of(text or ""))
    if spelled in _KNOWN_COUNTRIES:
        return _KNOWN_COUNTRIES[spelled]
    # an unknown code and an unknown name could be one country, so a code is taken for nothing, as are two countries
    return spelled if len(spelled) > 3 and "/" not in (text or "") else ""


# ---------------------------------------------------------------------------------------------------
# matching


@dataclass(frozen=True, slots=True)
class _Named:
    """What is compared of a company or of a record."""

    domain: str
    country: str
    key: str  # the name as one run of letters, so that `Duke Energy` and `DukeEnergy` agree
    bare_key: str  # the same without weak words
    initials: str
    words: frozenset[str]


def _named(name: str, website: str | None, country: str | None) -> _Named:
    words = proper_words(name)
    if len(words) > 1:
        words = tuple(_stem(word) for word in words)  # of one word, singular and plural are two companies
    strong = [word for word in words if word not in WEAK_WORDS] or list(words)
    return _Named(
        domain_of(website),
        country_of(country),
        "".join(words),
        "".join(strong),
        "".join(word[0] for word in strong) if len(strong) > 1 else "",
        telling_words(name),
    )


def _label(domain: str) -> str:
    return domain.partition(".")[0].replace("-", "")


def _contains(longer: str, shorter: str, least: int = 4) -> bool:
    return len(shorter) >= least and shorter in longer


def _known(company: Company) -> int:
    return sum(1 for f in fields(company) if getattr(company, f.name) not in (None, ()))


class Directory:
    """Finds companies by website, name and country, each of which may be missing or spelled otherwise."""

    POSTINGS = 400  # a word of more companies than this leads to none of them

    def __init__(self, companies: Iterable[Company]) -> None:
        self.companies: Sequence[Company] = list(companies)
        self._named = [_named(c.name, c.website, c.country) for c in self.companies]
        self._by_domain: defaultdict[str, list[int]] = defaultdict(list)
        self._by_key: defaultdict[str, list[int]] = defaultdict(list)
        self._by_word: defaultdict[str, list[int]] = defaultdict(list)
        for index, named in enumerate(self._named):
            if named.domain and named.domain not in _SHARED_HOSTS:
                self._by_domain[named.domain].append(index)
            for key in {named.key, named.bare_key}:
                self._by_key[key].append(index)
            for word in named.words:
                self._by_word[word].append(index)
        # several rows of one company must not make its name look common
        self._names_with = {
            word: len({self._named[index].bare_key for index in indexes})
            for word, indexes in self._by_word.items()
        }
        self._names = max(len({named.bare_key for named in self._named}), 1)

    def match(self, name: str, website: str | None = None, country: str | None = None) -> Match | None:
        """Find the company that a record means; None where nothing is similar enough.

        Among equally good ones the best known is taken, then the one that stands first in the directory.
        """
        sought = _named(name, website, country)
        named_so = [self._named[i] for i in self._by_key.get(sought.key, ()) if sought.key]
        best: tuple[int, float, int, int] | None = None
        for index in self._candidates(sought):
            graded = self._grade(sought, self._named[index], named_so)
            if graded is not None:
                rank, similarity = graded
                place = (rank, -similarity, -_known(self.companies[index]), index)
                best = place if best is None else min(best, place)
        return None if best is None else Match(self.companies[best[3]], CONFIDENCES[best[0]])

    def _candidates(self, sought: _Named) -> set[int]:
        found: set[int] = set()
        if sought.domain:
            found.update(self._by_domain.get(sought.domain, ()))
        for key in {sought.key, sought.bare_key} - {""}:
            found.update(self._by_key.get(key, ()))
        known = sorted((w for w in sought.words if w in self._by_word), key=lambda w: (-self._weight(w), w))
        for word in known[:3]:
            if word not in GENERIC_WORDS and len(self._by_word[word]) <= self.POSTINGS:
                found.update(self._by_word[word])
        return found

    def _weight(self, word: str) -> float:
        """Give how rare a word is: 1 where only one name has it, near 0 where all have."""
        names = max(self._names_with.get(word, 0), 1)
        return log((1 + self._names) / names) / log(1 + self._names)

    def _told(self, words: Iterable[str]) -> float:
        """Give how much words tell of who is meant; generic ones tell little, however rare they are."""
        return sum(
            min(self._weight(word), 0.25) if word in GENERIC_WORDS or len(word) == 1 else self._weight(word)
            for word in sorted(words)
        )

    def _similarity(self, sought: _Named, known: _Named) -> float:
        if sought.key == known.key:
            return 1.0
        if sought.bare_key == known.bare_key:
            return 0.99
        shared, union = sought.words & known.words, sought.words | known.words
        # also a generic word tells names apart: El Paso Electric is not El Paso Corp
        alike = sum(map(self._weight, sorted(shared))) / (sum(map(self._weight, sorted(union))) or 1.0)
        return min(alike, 0.95)  # the same words in another order are another name

    def _grade(self, sought: _Named, known: _Named, named_so: Sequence[_Named]) -> tuple[int, float] | None:
        """Give the place in CONFIDENCES and the similarity of names, or None for no match."""
        similarity = self._similarity(sought, known)
        told = self._told(sought.words & known.words)
        if similarity >= 0.99:
            # one name, though perhaps not in the same words; generic ones tell something when all agree
            told = self._told(known.words) + 0.1 * (len(known.words) - 1)
        at_odds = bool(sought.country and known.country and sought.country != known.country)
        same_country = bool(sought.country) and sought.country == known.country
        if sought.domain and sought.domain == known.domain and sought.domain not in _SHARED_HOSTS:
            akin = (
                similarity >= 0.5
                or told > 0.3
                or sought.key == known.initials != ""
                or known.key == sought.initials != ""
                or _contains(sought.bare_key, known.bare_key)
                or _contains(known.bare_key, sought.bare_key)
            )
            # another company of exactly this name: then either the website or the name is an old one
            disputed = not akin and any(n.domain != known.domain for n in named_so)
            return (0 if akin else 1) + disputed + at_odds, similarity
        labels = _label(sought.domain), _label(known.domain)
        # one company's sites in one country have names alike: duke-energy.com, dukeenergycorp.com
        alike = same_country and (_contains(*labels) or _contains(labels[1], labels[0]))
        rank = self._rank_by_name(similarity, told, same_country, at_odds)
        if all(labels) and not alike:
            rank += 1
        return (rank, similarity) if rank < len(CONFIDENCES) else None

    def _rank_by_name(self, similarity: float, told: float, same_country: bool, at_odds: bool) -> int:
        """Give the place in CONFIDENCES of what a name and a country say, or one beyond for nothing."""
        nothing = len(CONFIDENCES)
        if similarity < 0.99:  # of other words
            if told < 0.8 or similarity < 0.55:
                return nothing
            return (2 if similarity >= 0.7 else 3) + at_odds
        distinct = 0 if told >= 1.2 else 1 if told >= 0.8 else 2
        if at_odds:
            rank = 2 + distinct
        elif same_country:
            rank = distinct
        else:
            rank = (1, 1, 3)[distinct]
        return rank + (similarity < 1.0)
