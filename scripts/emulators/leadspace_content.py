"""What the Leadspace emulator says about a company: every field of the schema, in the shapes the pages leave open.

Companies come with name, place, size and trade. The rest (departments, funding, ranks, intent, relatives) is made up
here from a seed of the company, so that it is the same in every run, and only for a part of the companies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from random import Random
from typing import Any, Literal

from emulators.firmographics import Company, country_of
from emulators.identifiers import seeded_guid

__all__ = [
    "ContentSwitches",
    "Details",
    "company_content",
    "company_id",
    "details_of",
    "employees_range",
    "revenue_range",
]

Json = dict[str, Any]


@dataclass(slots=True)
class ContentSwitches:
    """How a result is written, where the public pages leave it open or differ."""

    naming: Literal["v4", "v3"] = "v4"  # employees, revenue_dollar, ug_company_id; or size, revenue, ls_id
    missing: Literal["absent", "null", "empty"] = "absent"  # what is not known
    level_case: Literal["lower", "title", "upper"] = "upper"  # of matching_confidence.level
    # the level as a word; as one of the numbers 5 to 95 that there were before 2021; not at all
    level_form: Literal["word", "number", "missing"] = "word"
    level_names: dict[str, str] = field(default_factory=dict)  # what a customer calls the levels
    enrichment_status_case: Literal["lower", "title", "upper"] = "title"
    numbers_as_text: bool = False
    coordinates_as_numbers: bool = False
    booleans_as_text: bool = False
    codes_as_numbers: bool = False  # sic and naics, which so lose the zeros that they begin with
    # 1001-5000, $100M-$250M, 50001+; 1,001 - 5,000, $100M - $250M, 50,001+; 1001 to 5000, $100 million to $250
    # million, over 50001; the lowest bucket as an upper bound (<11, under $1M); a word that says no number
    ranges: Literal["plain", "grouped", "words", "bounds", "unreadable"] = "plain"
    dates: Literal["day", "month", "us", "instant", "epoch", "unreadable"] = (
        "day"  # 2024-05-17, 2024-05, 05/17/2024
    )
    money: Literal["short", "digits", "grouped", "currency", "words", "unreadable"] = (
        "short"  # $12.5M, 12500000
    )
    countries: Literal["given", "code"] = "given"
    websites: Literal["given", "url"] = "given"
    # the array of the Intent article, the object of the transcription, the older intent_modeling array
    intent: Literal["v4_list", "v4_object", "older", "both", "none"] = "v4_list"
    lists: Literal["list", "text", "repeated"] = (
        "list"  # one text with semicolons; entries twice, once in capitals
    )
    node_ids: Literal["ls_id", "ug_company_id", "none"] = "ls_id"  # what names a company of a family tree
    node_sizes: bool = True  # family-tree companies with employees and revenue, whose names are a guess
    # an object where a list is documented and the reverse; the fields concerned cannot be read
    swapped: bool = False
    address_validation: bool = False  # two more fields, whose names nobody knows
    extra_unknown_fields: bool = False  # one on every level


# ---------------------------------------------------------------------------------------------------
# what is made up

DEPARTMENTS = {
    "hr": 0.03, "sales": 0.14, "mgmt": 0.04, "product_mgmt": 0.02, "it": 0.08, "administration": 0.06,
    "marketing": 0.05, "operations": 0.33, "rnd": 0.09, "business_dev": 0.02, "finance": 0.04,
}  # fmt: skip
ROUNDS = ("Seed", "Series A", "Series B", "Series C", "Private Equity", "Debt Financing")
INVESTORS = (
    "Halcyon Row Ventures", "Tidewater Oak Capital", "Ninth Lantern Partners", "Bristlecone Growth", "Quarry Lane Fund",
)  # fmt: skip
WEB_TECHNOLOGIES = (
    "Petal Analytics",
    "Tern Analytics",
    "Wicket Tag Manager",
    "Fjord CDN",
    "Lattice Cloud",
    "Cobble CMS",
)
CATEGORIES = (
    "Web Analytics",
    "Content Delivery",
    "Customer Relationship Management",
    "Cloud",
    "Marketing Automation",
)
CUSTOM_CATEGORIES = ("Competitor products", "Partner products")
TOPICS = (
    "Cold Chain", "Energy Audits", "Process Control", "Predictive Maintenance", "Green Packaging", "Customs Software",
)  # fmt: skip
DRIVERS = ("heat pumps", "sensor networks", "ISO 50001", "spare parts", "freight rates", "pulp prices")
SOURCES = ("Alderpost", "Brightsurge")
SUBSIDIARIES = ("Services", "Logistics", "Capital")


@dataclass(frozen=True, slots=True)
class Funding:
    """What is known of a company's last round and of the rounds before it."""

    rounds: int
    last_investors: int
    last_on: date
    last_usd: int  # whole hundred thousands
    last_type: str
    url: str
    investors: tuple[str, ...]  # the last one first


@dataclass(frozen=True, slots=True)
class Intent:
    """How much a company looks for something."""

    model: str
    level: str
    score: int
    is_new_high: bool
    source: str
    cadence: str
    drivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relative:
    """A company of the family tree and its place in it."""

    kind: str  # DU, SITE, PARENT, HQ or SU
    company: Company


@dataclass(frozen=True, slots=True)
class Details:
    """What is known beyond a company's own fields; empty where nothing is."""

    departments: dict[str, int] = field(default_factory=dict)
    funding: Funding | None = None
    fortune_500_rank: int | None = None
    fortune_1000_rank: int | None = None
    global_2000_rank: int | None = None
    primary_location: str | None = None
    intents: tuple[Intent, ...] = ()
    web_technologies: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    custom_categories: tuple[str, ...] = ()
    relatives: tuple[Relative, ...] = ()


def _funding(rng: Random, company: Company) -> Funding:
    return Funding(
        rounds=rng.randint(1, 6),
        last_investors=rng.randint(1, 4),
        last_on=date(rng.randint(2009, 2025), rng.randint(1, 12), rng.randint(2, 28)),
        last_usd=rng.randint(5, 4_000) * 100_000,
        last_type=rng.choice(ROUNDS),
        url=f"https://funding.example/organization/{company.name.split()[0].lower()}",
        investors=tuple(rng.sample(INVESTORS, rng.randint(1, 3))),
    )


def _intents(rng: Random) -> tuple[Intent, ...]:
    found = []
    for topic in rng.sample(TOPICS, rng.randint(1, 3)):
        score = rng.randint(1, 99)
        level = "High" if score >= 70 else "Medium" if score >= 40 else "Low" if score >= 15 else "NO_INTENT"
        drivers = tuple(rng.sample(DRIVERS, rng.randint(0, 3)))
        source, cadence = rng.choice(SOURCES), rng.choice(("Weekly", "Monthly"))
        found.append(Intent(topic, level, score, rng.random() < 0.3, source, cadence, drivers))
    return tuple(found)


def _relatives(rng: Random, company: Company) -> tuple[Relative, ...]:
    first = company.name.split()[0]
    found = []
    if company.parent and rng.random() < 0.5:
        national = f"{first} {company.country or 'National'} Holding"
        found.append(
            Relative("DU", Company(national, None, company.country, sic="6719", employees=company.employees))
        )
    if company.parent and rng.random() < 0.5:
        found.append(Relative("PARENT", Company(company.parent)))
    if rng.random() < 0.5:
        found.append(Relative("HQ", company))
    if rng.random() < 0.5:
        site = f"{first} {company.city or 'Works'}"
        found.append(
            Relative("SITE", replace(company, name=site, employees=max(1, (company.employees or 1) // 4)))
        )
    for word in rng.sample(SUBSIDIARIES, rng.choice((0, 0, 1, 2))):
        website = f"{first.lower()}-{word.lower()}.example"
        size = max(1, (company.employees or 1) // 10)
        below = Company(
            f"{first} {word}", website, company.country, city=company.city, naics="541990", employees=size
        )
        found.append(Relative("SU", below))
    return tuple(found)


def details_of(company: Company) -> Details:
    """Give what is made up of a company, the same in every run; nothing where not even its size is known."""
    if company.employees is None:
        return Details()
    rng = Random(f"details:{company.name}:{company.website}:{company.country}:{company.city}")
    # every part is drawn whether or not it is shown, so that one part's share moves no other part
    departments = {
        name: round(company.employees * share * rng.uniform(0.5, 1.5)) for name, share in DEPARTMENTS.items()
    }
    funding, intents, relatives = _funding(rng, company), _intents(rng), _relatives(rng, company)
    global_rank = rng.randint(1, 2000)
    web = tuple(rng.sample(WEB_TECHNOLOGIES, rng.randint(1, 3)))
    categories = tuple(rng.sample(CATEGORIES, rng.randint(1, 3)))
    custom = tuple(rng.sample(CUSTOM_CATEGORIES, 1))
    place = ", ".join(part for part in (company.city, company.country) if part)
    shown = [rng.random() for _ in range(9)]
    rank = company.fortune_500_rank
    if rank is None and company.country == "United States" and company.employees >= 1_000 and shown[8] < 0.5:
        rank = 1 + global_rank // 3
    return Details(
        departments=departments if shown[0] < 0.7 else {},
        funding=funding if shown[1] < 0.4 else None,
        fortune_500_rank=rank if rank is None or rank <= 500 else None,
        fortune_1000_rank=rank,
        global_2000_rank=global_rank if shown[2] < 0.2 else None,
        primary_location=place if place and shown[3] < 0.6 else None,
        intents=intents if shown[4] < 0.4 else (),
        web_technologies=web if shown[5] < 0.6 else (),
        categories=categories if shown[6] < 0.5 else (),
        custom_categories=custom if shown[7] < 0.15 else (),
        relatives=relatives,
    )


# ---------------------------------------------------------------------------------------------------
# how it is written

# lower bounds of the ranges
HEADCOUNTS = (1, 11, 51, 201, 501, 1_001, 5_001, 10_001, 50_001)
REVENUES = (0, 1, 10, 50, 100, 250, 500, 1_000, 5_000, 10_000, 50_000)  # in million USD


def _bounds(number: int, lowest: Sequence[int]) -> tuple[int, int | None]:
    """Give the bounds of a bucket: its own and the next one's, None for the last one's end."""
    place = max((i for i, bound in enumerate(lowest) if bound <= number), default=0)
    return lowest[place], lowest[place + 1] if place + 1 < len(lowest) else None


def employees_range(number: int, style: str = "plain") -> str:
    """Give the bucket of a headcount: 201-500, 50001+."""
    low, above = _bounds(number, HEADCOUNTS)
    if style == "unreadable":
        return "Small" if number < 1_001 else "Large"
    if style == "grouped":
        return f"{low:,}+" if above is None else f"{low:,} - {above - 1:,}"
    if style == "words":
        return f"over {low}" if above is None else f"{low} to {above - 1} employees"
    if style == "bounds" and low == HEADCOUNTS[0]:
        return f"<{above}"
    return f"{low}+" if above is None else f"{low}-{above - 1}"


def revenue_range(dollars: int, style: str = "plain") -> str:
    """Give the bucket of a revenue in dollars: $100M-$250M, $1B-$5B, $50B+."""
    low, above = _bounds(dollars // 1_000_000, REVENUES)

    def said(million: int) -> str:
        if style == "words":
            return f"${million // 1000} billion" if million >= 1000 else f"${million} million"
        return f"${million // 1000}B" if million >= 1000 else f"${million}M"

    if style == "unreadable":
        return "Tier 1"
    if style == "words":
        return f"more than {said(low)}" if above is None else f"{said(low)} to {said(above)}"
    if style == "bounds" and low == REVENUES[0] and above is not None:
        return f"under {said(above)}"
    if above is None:
        return f"{said(low)}+"
    return f"{said(low)} - {said(above)}" if style == "grouped" else f"{said(low)}-{said(above)}"


def company_id(company: Company) -> str:
    """Give Leadspace's id of a company, the same in every run."""
    return seeded_guid(f"leadspace:{company.name}:{company.website}:{company.country}:{company.city}")


def cased(text: str, case: str) -> str:
    """Write a word in a case."""
    return {"lower": text.lower(), "title": text.title(), "upper": text.upper()}[case]


class _Writer:
    """Writes values as the switches say."""

    def __init__(self, switches: ContentSwitches) -> None:
        self.switches = switches

    def number(self, value: float | None) -> float | str | None:
        return str(value) if value is not None and self.switches.numbers_as_text else value

    def flag(self, value: bool) -> bool | str:
        return str(value) if self.switches.booleans_as_text else value

    def code(self, value: str | None) -> int | str | None:
        return int(value) if value and value.isdigit() and self.switches.codes_as_numbers else value

    def coordinate(self, value: float | None) -> float | str | None:
        return value if value is None or self.switches.coordinates_as_numbers else f"{value:.6f}"

    def texts(self, values: Iterable[str]) -> list[str] | str | Json:
        found = list(values)
        if self.switches.swapped:
            return {f"entry{number}": value for number, value in enumerate(found)}
        if self.switches.lists == "repeated":
            return [*(value.upper() for value in found), *found, *(f" {value} " for value in found)]
        return "; ".join(found) if self.switches.lists == "text" else found

    def group(self, values: Json) -> Json | list[Json]:
        return [values] if self.switches.swapped else values

    def country(self, value: str | None) -> str | None:
        return country_of(value) or value if self.switches.countries == "code" else value

    def website(self, value: str | None) -> str | None:
        return f"https://www.{value}/" if value and self.switches.websites == "url" else value

    def day(self, value: date) -> str | int:
        at = datetime(value.year, value.month, value.day, tzinfo=UTC)
        written: dict[str, str | int] = {
            "day": f"{value:%Y-%m-%d}",
            "month": f"{value:%Y-%m}",
            "us": f"{value:%m/%d/%Y}",
            "instant": f"{value:%Y-%m-%d}T00:00:00Z",
            "epoch": int(at.timestamp()) * (1000 if value.day % 2 else 1),
            "unreadable": f"{value:%d %B, %Y}",
        }
        return written[self.switches.dates]

    def dollars(self, value: int) -> str:
        return {
            "short": f"${value / 1_000_000:g}M",
            "digits": str(value),
            "grouped": f"{value:,}",
            "currency": f"USD {value}",
            "words": f"{value / 1_000_000:g} million USD",
            "unreadable": f"€{value}",
        }[self.switches.money]

    def address(self, company: Company) -> Json | list[Json]:
        found: Json = {
            "country": self.country(company.country),
            "state": company.state,
            "city": company.city,
            "region": company.region,
            "address": company.street,
            "zipcode": company.postal_code,
        }
        if self.switches.extra_unknown_fields:
            found["emulator_unknown"] = "x"
        return self.group(found)

    def sizes(self, company: Company) -> Json:
        """Headcount and revenue under the names of the version."""
        v4, style = self.switches.naming == "v4", self.switches.ranges
        employees, revenue = company.employees, company.revenue_usd
        return {
            "employees" if v4 else "size": self.group(
                {
                    "exact": self.number(employees),
                    "range": None if employees is None else employees_range(employees, style),
                }
            ),
            "revenue_dollar" if v4 else "revenue": self.group(
                {
                    "exact": self.number(revenue),
                    "range": None if revenue is None else revenue_range(revenue, style),
                }
            ),
        }

    def node(self, kind: str, company: Company) -> Json:
        named_by = self.switches.node_ids
        identifier: Json = {} if named_by == "none" else {named_by: company_id(company)}
        return {
            "type": kind,
            "name": company.name,
            **identifier,
            "website": self.website(company.website),
            "phone": company.phone,
            "sic": self.code(company.sic),
            "naics": self.code(company.naics),
            "address": self.address(company),
            **(self.sizes(company) if self.switches.node_sizes else {}),
        }

    def level(self, confidence: str) -> Any:
        if self.switches.level_form == "missing":
            return None
        if self.switches.level_form == "number":
            return self.number({"HIGH": 95, "MEDIUM": 65, "LOW": 35, "VERY LOW": 5}[confidence])
        return self.switches.level_names.get(confidence) or cased(confidence, self.switches.level_case)

    def intent(self, intents: Sequence[Intent]) -> Json:
        """The surging topics, in the shape that the switch names."""
        shape = self.switches.intent
        if not intents or shape == "none":
            return {}
        said: Json = {"domain_intent": "; ".join(f"{each.model}:{each.score}" for each in intents)}
        if shape in ("v4_list", "both"):
            entries = [
                {
                    "model": each.model,
                    "model_level": each.level,
                    "numeric_score": self.number(each.score),
                    "drivers": self.texts(each.drivers),
                    "source": each.source,
                    "cadence": each.cadence,
                    "new_high_intent_flag": self.flag(each.is_new_high),
                }
                for each in intents
            ]
            said["intent_modeling_v4"] = entries
        if shape == "v4_object":
            first = intents[0]
            said["intent_modeling_v4"] = {
                "model": first.model,
                "model_level": [first.level],
                "source": first.source,
                "cadence": first.cadence,
                "new_high_intent": self.flag(first.is_new_high),
                "industries": self.texts(["Chemicals"]),
                "top_metros": self.texts(["Oslo", "Leeds"]),
                "domain_origins": self.texts(
                    [f"{word.split()[0].lower()}.example" for word in first.drivers]
                ),
            }
        if shape in ("older", "both"):
            said["intent_modeling"] = [
                {
                    "project_name": each.model,
                    "project_score": self.number(each.score),
                    "surging_topics": self.texts(each.drivers),
                    "new_high_intent_flag": self.flag(each.is_new_high),
                }
                for each in intents
            ]
        return said


def company_content(
    company: Company, original_name: str, confidence: str, switches: ContentSwitches, parent: Company | None
) -> Json:
    """Give `data.company` of a match: every field of the schema, None or [] where nothing is known."""
    write = _Writer(switches)
    details = details_of(company)
    funding = details.funding
    tree: list[Json] = []
    if company.parent:
        above = parent or Company(company.parent)
        tree.append(write.node("GU", above))
        tree += [
            write.node(each.kind, above if each.kind == "PARENT" else each.company)
            for each in details.relatives
        ]
    else:
        tree += [write.node(each.kind, each.company) for each in details.relatives]
    if switches.lists == "repeated":
        tree = [*tree, *tree]
    content: Json = {
        **({"ug_company_id": company_id(company)} if switches.naming == "v4" else {}),
        "ls_id": company_id(company),
        "name": company.name,
        "original_name": original_name,
        "description": company.description,
        "website": write.website(company.website),
        "phone": company.phone,
        "linkedin_profile": company.linkedin,
        "industry": company.industry,
        "sub_industry": company.sub_industry,
        "sic": write.code(company.sic),
        "sicDescription": company.sic_description,
        "naics": write.code(company.naics),
        "naicsDescription": company.naics_description,
        "ownership": company.ownership,
        "address": write.address(company),
        "latitude": write.coordinate(company.latitude),
        "longitude": write.coordinate(company.longitude),
        "primary_location": details.primary_location,
        **write.sizes(company),
        "matching_confidence": {"level": write.level(confidence)},
        "family_tree": {"companies": tree[0] if switches.swapped and tree else tree},
        "department_size": write.group(
            {name: write.number(details.departments.get(name)) for name in DEPARTMENTS}
        ),
        "funding": write.group(
            {
                "last_round_investor_count": write.number(funding.last_investors if funding else None),
                "total_rounds_count": write.number(funding.rounds if funding else None),
                "last_round_date": write.day(funding.last_on) if funding else None,
                "last_round_money_raised": write.dollars(funding.last_usd) if funding else None,
                "last_round_type": funding.last_type if funding else None,
                "cb_url": funding.url if funding else None,
            }
        ),
        "investors": write.group(
            {
                "cb_url": funding.url if funding else None,
                "last_investor_name": funding.investors[0] if funding else None,
                "company_investors": ", ".join(funding.investors) if funding else None,
            }
        ),
        "signals": {
            "fortune_500_rank": write.number(details.fortune_500_rank or company.fortune_500_rank),
            "fortune_1000_rank": write.number(details.fortune_1000_rank or company.fortune_500_rank),
            "g2k_rank": write.number(details.global_2000_rank),
        },
        **write.intent(details.intents),
        "specialties": write.texts(company.specialties),
        "analytics": {
            "installed_base_technologies": write.texts(company.technologies),
            "web_site_technologies": write.texts(details.web_technologies),
            "company_technologies_categories": write.texts(details.categories),
            "customTechnologiesCategories": write.texts(details.custom_categories),
        },
    }
    if switches.address_validation:
        content["addressValidationStatus"] = "Valid"
        content["normalizedInputAddress"] = {"line": company.street}
    if switches.extra_unknown_fields:
        content["emulator_unknown"] = {"deep": [1, {"deeper": None}]}
    return content
