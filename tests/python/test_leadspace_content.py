"""Everything that Leadspace says of a company, in every form that the pages leave open, through the real extraction.

One warehouse: every variant of the content is a set of accounts of its own, all of the same companies. What comes
out is compared with what the emulator knows, with the same company in the plain variant, and with a second reading
of the raw answers in Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, get_args, get_type_hints

import duckdb
import pytest

from conftest import Workspace, write_csv
from emulators.company import companies
from emulators.firmographics import Company, country_of
from emulators.leadspace import Handle, running
from emulators.leadspace_content import (
    ContentSwitches,
    company_content,
    company_id,
    details_of,
    employees_range,
    revenue_range,
)
from emulators.server import overwrite
from engagement.gate import ADDRESS_PATTERN
from project_fixtures import run_dbt

Row = dict[str, Any]

# ---------------------------------------------------------------------------------------------------
# companies and variants

LONG = ("leadspace_technologies", "leadspace_specialties", "leadspace_relatives", "leadspace_intent")
MARTS = ("leadspace_companies", "leadspace_coverage", *LONG)


# Text that would be something else if it were not kept apart: JSON, quotes, another alphabet, numbers.
WORDS = (
    "Gorse",
    "Håndværk",
    "C++",
    '"quoted"',
    "{brace",
    "[bracket]",
    "it's",
    "1,001 - 5,000",
    "null",
    "株式会社",
    "50%",
)


def known_companies() -> list[Company]:
    """Of the made-up provider those with a parent, some at the ends of ranges, and random ones; one is hardly known."""
    made_up = companies()
    found = [company for company in made_up if company.parent and company.employees][:7]
    parents = {company.parent for company in found}
    found += [company for company in made_up if company.name in parents and company not in found]
    rich = next(company for company in made_up if len(company.technologies) > 3 and not company.parent)
    ends: dict[str, Row] = {
        "Alder Least": {"employees": 1, "revenue_usd": 0, "sic": "0111"},
        "Bergamot Most": {"employees": 2_100_000, "revenue_usd": 648_125_000_000, "fortune_500_rank": 1},
        "Cicely Bound": {
            "employees": 50_000,
            "revenue_usd": 999_999_999,
            "latitude": -90.0,
            "longitude": 180.0,
        },
        "Dill Beyond": {"employees": 50_001, "revenue_usd": 1_000_000_000, "fortune_500_rank": 500},
        "Elder Ten": {"employees": 10, "revenue_usd": 1_000_000, "description": "Ask kim@elder.example."},
    }
    for name, changes in ends.items():
        website = f"{name.split()[0].lower()}-ends.example"
        found.append(replace(rich, **{"name": name, "website": website, **changes}))
    rng = Random("companies")
    for number in range(6):
        name = f"{rng.choice(WORDS)} {rng.choice(WORDS)} {number}"
        found.append(
            replace(
                rng.choice(made_up),
                name=name,
                website=f"random{number}.example",
                country=rng.choice(("Norway", "United States", "Atlantis", None)),
                parent=None,
                sic=f"{rng.randint(100, 9_999):04}",
                employees=round(10 ** rng.uniform(0, 6.4)),
                revenue_usd=round(10 ** rng.uniform(3, 11.9)),
                latitude=round(rng.uniform(-90, 90), 6),
                longitude=round(rng.uniform(-180, 180), 6),
                technologies=tuple(rng.sample(WORDS, 4)),
                specialties=tuple(rng.sample(WORDS, 2)),
            )
        )
    return [*found, Company("Fennel Unknown", "fennel-ends.example", "Norway")]


COMPANIES = known_companies()

# One switch each: what the documentation of the open questions calls a variant.
NAMED: dict[str, Row] = {
    "plain": {},
    "v3": {"naming": "v3"},
    "null": {"missing": "null"},
    "empty": {"missing": "empty"},
    "level-lower": {"level_case": "lower"},
    "level-number": {"level_form": "number"},
    "level-missing": {"level_form": "missing"},
    "level-renamed": {"level_names": {"HIGH": "Sure Thing", "MEDIUM": "sure-ish"}},
    "status-upper": {"enrichment_status_case": "upper"},
    "status-lower": {"enrichment_status_case": "lower"},
    "numbers-text": {"numbers_as_text": True},
    "coordinates": {"coordinates_as_numbers": True},
    "flags-text": {"booleans_as_text": True},
    "codes": {"codes_as_numbers": True},
    "ranges-grouped": {"ranges": "grouped"},
    "ranges-words": {"ranges": "words"},
    "ranges-bounds": {"ranges": "bounds"},
    "ranges-other": {"ranges": "unreadable"},
    "dates-month": {"dates": "month"},
    "dates-us": {"dates": "us"},
    "dates-instant": {"dates": "instant"},
    "dates-epoch": {"dates": "epoch"},
    "dates-other": {"dates": "unreadable"},
    "money-digits": {"money": "digits"},
    "money-grouped": {"money": "grouped"},
    "money-currency": {"money": "currency"},
    "money-words": {"money": "words"},
    "money-other": {"money": "unreadable"},
    "countries": {"countries": "code"},
    "websites": {"websites": "url"},
    "intent-object": {"intent": "v4_object"},
    "intent-older": {"intent": "older"},
    "intent-both": {"intent": "both"},
    "intent-none": {"intent": "none"},
    "lists-text": {"lists": "text"},
    "lists-repeated": {"lists": "repeated"},
    "nodes-v4": {"node_ids": "ug_company_id"},
    "nodes-nameless": {"node_ids": "none"},
    "nodes-small": {"node_sizes": False},
    "swapped": {"swapped": True},
    "addresses": {"address_validation": True},
    "unknown": {"extra_unknown_fields": True},
}
# What may be lost with a switch, so that the company no longer has the values of the plain variant.
LOSSY = {"ranges-bounds", "ranges-other", "dates-month", "dates-other", "money-other", "swapped"}


def random_variants(count: int) -> dict[str, Row]:
    """Switches set at random, several at once; the same in every run."""
    rng = Random("content")
    hints = get_type_hints(ContentSwitches)
    found = {}
    for number in range(count):
        settings: Row = {}
        for field in fields(ContentSwitches):
            choices = (True, False) if hints[field.name] is bool else get_args(hints[field.name])
            if field.name not in ("level_names", "swapped") and rng.random() < 0.4:
                settings[field.name] = rng.choice(choices)
        found[f"random-{number}"] = settings
    return found


VARIANTS = NAMED | random_variants(20)


@dataclass(frozen=True)
class Account:
    """A company under one variant."""

    account_id: str
    variant: str
    company: Company

    @property
    def switches(self) -> ContentSwitches:
        return ContentSwitches(**VARIANTS[self.variant])


ACCOUNTS = [
    Account(f"{variant}/{number:02}", variant, company)
    for variant in VARIANTS
    for number, company in enumerate(COMPANIES)
]
BY_ID = {account.account_id: account for account in ACCOUNTS}


@contextmanager
def varied(handle: Handle) -> Iterator[None]:
    """Every record is answered in the variant that stands at the end of its website."""
    answer = handle.emulator.result

    def result(record: Any, found: Any, failing: Any) -> Any:
        settings = VARIANTS[record.website.rpartition("/")[2]]
        for field in fields(ContentSwitches):
            setattr(handle.switches, field.name, getattr(ContentSwitches(**settings), field.name))
        return answer(record, found, failing)

    handle.emulator.result = result  # type: ignore[method-assign]
    try:
        yield
    finally:
        handle.emulator.result = answer  # type: ignore[method-assign]
        overwrite(handle.switches, type(handle.switches)())


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("content"))
    rows = [
        {
            "account_id": account.account_id,
            "name": account.company.name,
            "website": f"https://www.{account.company.website}/{account.variant}",
            "country": account.company.country or "",
            "tier": "1",
        }
        for account in ACCOUNTS
    ]
    write_csv(workspace.root / "accounts.csv", rows)
    contact = {"contact_id": "C1", "account_id": ACCOUNTS[0].account_id, "email": "kim@contoso.example"}
    write_csv(workspace.root / "contacts.csv", [contact])
    with running(COMPANIES, polls_before_done=0) as handle, varied(handle):
        workspace.enrich_companies(handle.url, endpoint="bulk")
        for command in (["extract", "customers"], ["extract", "leadspace"]):
            done = workspace.run(*command)
            assert done.exit_code == 0, done.stdout + done.stderr
    run_dbt(
        "build",
        "--select",
        *(f"+{name}" for name in MARTS),
        "+int_account_hierarchies_resolved",
        "--exclude",
        "test_type:unit",
        "test_type:singular",
        target=workspace.root / "target",
        private_file=workspace.private_file,
    )
    return workspace


def table(workspace: Workspace, name: str) -> list[Row]:
    with duckdb.connect(str(workspace.private_file), read_only=True) as connection:
        found = connection.execute(f"select * from {name}")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def rows(warehouse: Workspace) -> dict[str, Row]:
    """The mart's row of every account."""
    return {row["account_id"]: row for row in table(warehouse, "marts.leadspace_companies")}


@pytest.fixture(scope="module")
def long_rows(warehouse: Workspace) -> dict[str, dict[str, list[Row]]]:
    """Mart, account, rows."""
    found: dict[str, dict[str, list[Row]]] = {}
    for mart in LONG:
        found[mart] = {account.account_id: [] for account in ACCOUNTS}
        for row in table(warehouse, f"marts.{mart}"):
            found[mart][row.pop("account_id")].append(row)
    return found


@pytest.fixture(scope="module")
def raw(warehouse: Workspace) -> dict[str, Row]:
    """Each account's answer as it was received, decoded."""
    found = warehouse.query(
        "select account_id, response from raw.leadspace_accounts inner join raw.leadspace_responses"
        " using (enrichment_id, fingerprint)"
    )
    return {account_id: json.loads(response) for account_id, response in found}


# ---------------------------------------------------------------------------------------------------
# the truth: what the emulator knows, as far as the variant says it

DEPARTMENTS = {
    "hr": "hr", "sales": "sales", "mgmt": "management", "product_mgmt": "product_management", "it": "it",
    "administration": "administration", "marketing": "marketing", "operations": "operations",
    "rnd": "research_and_development", "business_dev": "business_development", "finance": "finance",
}  # fmt: skip
HEADCOUNTS = (
    (1, 10),
    (11, 50),
    (51, 200),
    (201, 500),
    (501, 1_000),
    (1_001, 5_000),
    (5_001, 10_000),
    (10_001, 50_000),
)
MILLIONS = ((0, 1), (1, 10), (10, 50), (50, 100), (100, 250), (250, 500), (500, 1_000), (1_000, 5_000),
            (5_000, 10_000), (10_000, 50_000))  # fmt: skip


def employee_bounds(number: int | None, style: str) -> tuple[int | None, int | None]:
    if number is None or style == "unreadable":
        return None, None
    low, high = next((pair for pair in HEADCOUNTS if pair[0] <= number <= pair[1]), (50_001, None))
    return (None, 11) if style == "bounds" and low == 1 else (low, high)


def revenue_bounds(dollars: int | None, style: str) -> tuple[float | None, float | None]:
    if dollars is None or style == "unreadable":
        return None, None
    pair = next((pair for pair in MILLIONS if pair[0] * 1e6 <= dollars < pair[1] * 1e6), None)
    if pair is None:
        return 5e10, None
    return (None, 1e6) if style == "bounds" and pair[0] == 0 else (pair[0] * 1e6, pair[1] * 1e6)


def truth(account: Account) -> Row:
    """The typed values of the mart."""
    company, switches = account.company, account.switches
    details = details_of(company)
    sized = company if not switches.swapped else replace(company, employees=None, revenue_usd=None)
    funding = None if switches.swapped else details.funding
    departments = {} if switches.swapped else details.departments
    employees = employee_bounds(sized.employees, switches.ranges)
    revenue = revenue_bounds(sized.revenue_usd, switches.ranges)
    funded_on = funding.last_on if funding and switches.dates != "unreadable" else None
    if funded_on and switches.dates == "month":
        funded_on = funded_on.replace(day=1)
    return {
        "employees_count": sized.employees,
        "employees_from_count": employees[0],
        "employees_to_count": employees[1],
        **{f"{column}_employees_count": departments.get(name) for name, column in DEPARTMENTS.items()},
        "annual_revenue_usd": sized.revenue_usd,
        "annual_revenue_from_usd": revenue[0],
        "annual_revenue_to_usd": revenue[1],
        "funding_rounds_count": funding and funding.rounds,
        "last_funding_investors_count": funding and funding.last_investors,
        "last_funding_usd": funding.last_usd if funding and switches.money != "unreadable" else None,
        "last_funding_on": funded_on,
        "fortune_500_rank": details.fortune_500_rank,
        "fortune_1000_rank": details.fortune_1000_rank,
        "global_2000_rank": details.global_2000_rank,
        "latitude_degrees": company.latitude,
        "longitude_degrees": company.longitude,
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_the_provider_knows_comes_out_typed(rows: dict[str, Row], variant: str) -> None:
    for account in ACCOUNTS:
        if account.variant == variant:
            expected = truth(account)
            assert {name: rows[account.account_id][name] for name in expected} == expected, (
                account.company.name
            )


def test_the_same_company_has_the_same_values_in_every_variant(rows: dict[str, Row]) -> None:
    """Numbers and days are the same however they are written; of texts those that no switch spells otherwise."""
    typed = [
        *truth(ACCOUNTS[0]),
        "company_id",
        "company_name",
        "company_city",
        "industry",
        "last_funding_type",
    ]
    typed += ["crunchbase_url", "last_investor_name", "investors", "primary_location", "ownership_type"]
    for account in ACCOUNTS:
        if account.variant in NAMED and account.variant not in LOSSY:
            plain = rows["plain/" + account.account_id.rpartition("/")[2]]
            found = rows[account.account_id]
            assert {name: found[name] for name in typed} == {name: plain[name] for name in typed}, account


def test_texts_are_as_they_were_given(rows: dict[str, Row]) -> None:
    for account in ACCOUNTS:
        row, company, switches = rows[account.account_id], account.company, account.switches
        code, site = switches.codes_as_numbers, switches.websites == "url"
        assert row["sic_code"] == (str(int(company.sic)) if company.sic and code else company.sic)
        assert row["company_website"] == (f"https://www.{company.website}/" if site else company.website)
        if not switches.swapped:
            short = country_of(company.country) if switches.countries == "code" else ""
            assert row["company_country"] == (short or company.country)
        assert row["company_name_sent"] == company.name
        level = {"word": "high", "number": "95", "missing": None}[switches.level_form]
        assert row["match_confidence"] == ("sure_thing" if switches.level_names else level)


# ---------------------------------------------------------------------------------------------------
# a second reading of the raw answers


def at(node: Any, path: str) -> Any:
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def text(value: Any) -> str | None:
    """A scalar as text, as the mart shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, str)):
        return ADDRESS.sub("[address]", str(value).strip()) or None
    return None


ADDRESS = re.compile(ADDRESS_PATTERN)
UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "million": 1e6, "billion": 1e9}


def amount(said: str) -> float | None:
    """$12.5M, 12,500,000, USD 12500000, 12.5 million USD; word by word, without regular expressions."""
    said = said.replace("USD", "").replace("$", "").strip()
    factor = 1.0
    for unit, times in UNITS.items():
        if said.endswith(unit):
            said, factor = said[: -len(unit)].strip(), times
            break
    try:
        return float(said.replace(",", "")) * factor
    except ValueError:
        return None


def bounds(said: str | None) -> tuple[float | None, float | None]:
    if said is None:
        return None, None
    said = said.replace("employees", "").strip()
    for word in ("over", "more than"):
        if said.startswith(word):
            return amount(said.removeprefix(word).strip()), None
    for word in ("<", "under"):
        if said.startswith(word):
            return None, amount(said.removeprefix(word).strip())
    if said.endswith("+"):
        return amount(said[:-1]), None
    low, _, high = said.replace(" to ", "-").partition("-")
    return (amount(low.strip()), amount(high.strip())) if high else (None, None)


def day(value: Any) -> date | None:
    if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
        seconds = int(value) / (1000 if len(str(value)) == 13 else 1)
        return datetime.fromtimestamp(seconds, UTC).date()
    for form in ("%Y-%m-%d", "%Y-%m", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            return datetime.strptime(str(value), form).replace(tzinfo=UTC).date()
        except ValueError:
            pass
    return None


TEXTS = {
    "company_name": "name", "company_name_sent": "original_name", "company_website": "website",
    "company_phone": "phone", "company_linkedin_url": "linkedin_profile", "company_description": "description",
    "company_country": "address.country", "company_region": "address.region", "company_state": "address.state",
    "company_city": "address.city", "company_street": "address.address", "company_postal_code": "address.zipcode",
    "primary_location": "primary_location", "industry": "industry", "sub_industry": "sub_industry",
    "sic_code": "sic", "sic_description": "sicDescription", "naics_code": "naics",
    "naics_description": "naicsDescription", "ownership_type": "ownership",
    "last_funding_type": "funding.last_round_type", "last_funding_amount": "funding.last_round_money_raised",
    "last_investor_name": "investors.last_investor_name", "investors": "investors.company_investors",
    "intent_topics": "domain_intent",
}  # fmt: skip
NUMBERS = {
    "funding_rounds_count": "funding.total_rounds_count",
    "last_funding_investors_count": "funding.last_round_investor_count",
    "fortune_500_rank": "signals.fortune_500_rank", "fortune_1000_rank": "signals.fortune_1000_rank",
    "global_2000_rank": "signals.g2k_rank", "latitude_degrees": "latitude", "longitude_degrees": "longitude",
    "last_funding_usd": "funding.last_round_money_raised",
    **{f"{column}_employees_count": f"department_size.{name}" for name, column in DEPARTMENTS.items()},
}  # fmt: skip


def number(value: Any) -> float | None:
    said = text(value)
    return None if said is None else amount(said)


def first(node: Row, *paths: str) -> Any:
    return next((found for path in paths if (found := at(node, path)) not in (None, "")), None)


def read(answer: Row) -> Row:
    """The mart's row without its keys and instants."""
    company = at(answer, "data.company")
    level = text(at(company, "matching_confidence.level"))
    sizes = text(first(company, "employees.range", "size.range"))
    revenues = text(first(company, "revenue_dollar.range", "revenue.range"))
    employees, revenue = bounds(sizes), bounds(revenues)
    return {
        "company_id": text(first(company, "ug_company_id", "ls_id")),
        "match_confidence": level and re.sub("[ _-]+", "_", level).lower(),
        **{column: text(at(company, path)) for column, path in TEXTS.items()},
        "crunchbase_url": text(first(company, "funding.cb_url", "investors.cb_url")),
        "employees_range": sizes,
        "annual_revenue_range": revenues,
        "employees_count": number(first(company, "employees.exact", "size.exact")),
        "employees_from_count": employees[0],
        "employees_to_count": employees[1],
        "annual_revenue_usd": number(first(company, "revenue_dollar.exact", "revenue.exact")),
        "annual_revenue_from_usd": revenue[0],
        "annual_revenue_to_usd": revenue[1],
        **{column: number(at(company, path)) for column, path in NUMBERS.items()},
        "last_funding_on": day(at(company, "funding.last_round_date")),
    }


def test_the_mart_is_what_the_raw_answer_says(rows: dict[str, Row], raw: dict[str, Row]) -> None:
    assert set(rows) == set(raw) == set(BY_ID)
    for account_id, answer in raw.items():
        row = dict(rows[account_id])
        assert row.pop("enrichment_id") == "company-data"
        # Every answer is the company itself, asked about just now.
        assert (row.pop("match_verdict"), row.pop("is_refreshed")) == ("accept", True)
        del row["account_id"], row["answered_at"]
        assert row == read(answer), account_id


def listed(value: Any) -> list[str]:
    """The texts of a list, or of one text with semicolons."""
    entries = value if isinstance(value, list) else value.split(";") if isinstance(value, str) else []
    return [found for entry in entries if (found := text(entry)) is not None]


def spelled(found: list[str]) -> set[str]:
    """One spelling of each."""
    by_word: dict[str, str] = {}
    for each in found:
        by_word[each.lower()] = min(each, by_word.get(each.lower(), each))
    return set(by_word.values())


KINDS = {
    "installed_base": "installed_base_technologies",
    "web_site": "web_site_technologies",
    "category": "company_technologies_categories",
    "custom_category": "customTechnologiesCategories",
}


def test_lists_are_what_the_raw_answer_says(
    long_rows: dict[str, dict[str, list[Row]]], raw: dict[str, Row]
) -> None:
    for account_id, answer in raw.items():
        company = at(answer, "data.company")
        found = {(row["technology_kind"], row["technology"]) for row in long_rows[LONG[0]][account_id]}
        assert found == {
            (kind, technology)
            for kind, name in KINDS.items()
            for technology in spelled(listed(at(company, f"analytics.{name}")))
        }, account_id
        assert {row["specialty"] for row in long_rows[LONG[1]][account_id]} == spelled(
            listed(at(company, "specialties"))
        ), account_id


def test_lists_are_what_the_provider_knows(long_rows: dict[str, dict[str, list[Row]]]) -> None:
    for account in ACCOUNTS:
        details, company = details_of(account.company), account.company
        known = {
            "installed_base": company.technologies,
            "web_site": details.web_technologies,
            "category": details.categories,
            "custom_category": details.custom_categories,
        }
        swapped = account.switches.swapped
        found = sorted(
            (row["technology_kind"], row["technology"].lower())
            for row in long_rows[LONG[0]][account.account_id]
        )
        assert found == sorted(
            (kind, each.lower()) for kind, names in known.items() for each in names if not swapped
        ), account
        found_specialties = sorted(row["specialty"].lower() for row in long_rows[LONG[1]][account.account_id])
        assert found_specialties == sorted(each.lower() for each in company.specialties if not swapped)


def parent_of(company: Company) -> Company | None:
    if company.parent is None:
        return None
    return next((each for each in COMPANIES if each.name == company.parent), Company(company.parent))


def test_relatives_are_what_the_provider_knows(long_rows: dict[str, dict[str, list[Row]]]) -> None:
    seen = set()
    same_company: dict[str, list[str]] = {}
    for account in sorted(ACCOUNTS, key=lambda account: account.account_id):
        same_company.setdefault(company_id(account.company), []).append(account.account_id)
    for account in ACCOUNTS:
        company, switches, above = account.company, account.switches, parent_of(account.company)
        known = [] if above is None else [("GU", above)]
        known += [
            (each.kind, above if each.kind == "PARENT" and above else each.company)
            for each in details_of(company).relatives
        ]
        expected = []
        for kind, relative in known if not switches.swapped else []:
            identifier = None if switches.node_ids == "none" else company_id(relative)
            # of the accounts of one company, the account itself, and then the first of the alphabet
            same = same_company.get(identifier or "", [])
            sizes = relative if switches.node_sizes else replace(relative, employees=None, revenue_usd=None)
            country = country_of(relative.country) if switches.countries == "code" else relative.country
            expected.append(
                {
                    "enrichment_id": "company-data",
                    "relative_type": kind,
                    "relative_id": identifier or relative.name.lower(),
                    "relative_company_id": identifier,
                    "relative_account_id": account.account_id
                    if account.account_id in same
                    else next(iter(same), None),
                    "relative_name": relative.name,
                    "relative_phone": relative.phone,
                    "relative_country": country or None,
                    "relative_region": relative.region,
                    "relative_state": relative.state,
                    "relative_city": relative.city,
                    "relative_street": relative.street,
                    "relative_postal_code": relative.postal_code,
                    "employees_count": sizes.employees,
                    "annual_revenue_usd": sizes.revenue_usd,
                    "employees_range": sizes.employees and employees_range(sizes.employees, switches.ranges),
                    "annual_revenue_range": None
                    if sizes.revenue_usd is None
                    else revenue_range(sizes.revenue_usd, switches.ranges),
                }
            )
            seen.add(kind)
        found = [
            {name: value for name, value in row.items() if not name.endswith(("_code", "website"))
             or name == "relative_postal_code"}
            for row in long_rows["leadspace_relatives"][account.account_id]
        ]  # fmt: skip
        order = lambda row: (row["relative_type"], row["relative_id"])  # noqa: E731
        assert sorted(found, key=order) == sorted(expected, key=order), account
    assert seen == {"GU", "DU", "SITE", "PARENT", "HQ", "SU"}


def test_intent_is_what_the_provider_knows(long_rows: dict[str, dict[str, list[Row]]]) -> None:
    for account in ACCOUNTS:
        switches, intents = account.switches, details_of(account.company).intents
        expected = set()
        shape = switches.intent
        for each in intents if shape in ("v4_list", "older", "both") else ():
            is_older = shape == "older"
            about = (
                None if is_older else each.level.lower(), float(each.score), each.is_new_high,
                None if is_older else each.source, None if is_older else each.cadence,
                "older" if is_older else "v4",
            )  # fmt: skip
            expected.add((each.model, "model", each.model.lower(), *about))
            parts = () if switches.swapped else each.drivers
            expected |= {
                (each.model, "topic" if is_older else "driver", part.lower(), *about) for part in parts
            }
            if (
                shape == "both"
            ):  # the older shape says nothing new of a model; its topics are parts of their own
                older = (None, float(each.score), each.is_new_high, None, None, "older")
                expected |= {(each.model, "topic", part.lower(), *older) for part in parts}
        if shape == "v4_object" and intents:
            top = intents[0]
            about = (top.level.lower(), None, top.is_new_high, top.source, top.cadence, "v4")  # type: ignore[assignment]
            parts_by_kind = {
                "model": [top.model], "industry": ["Chemicals"], "metro": ["Oslo", "Leeds"],
                "domain": [f"{word.split()[0].lower()}.example" for word in top.drivers],
            }  # fmt: skip
            expected |= {
                (top.model, kind, part.lower(), *about)
                for kind, parts in parts_by_kind.items()
                for part in parts
                if kind == "model" or not switches.swapped
            }
        found = {
            (
                *(row["intent_name"], row["intent_part"], row["part_name"].lower(), row["intent_level"]),
                *(row["intent_score"], row["is_new_high"], row["intent_source"], row["intent_cadence"]),
                row["intent_version"],
            )
            for row in long_rows["leadspace_intent"][account.account_id]
        }
        assert found == expected, account
        assert len(found) == len(long_rows["leadspace_intent"][account.account_id])


def test_coverage_counts_what_the_marts_have(
    warehouse: Workspace, rows: dict[str, Row], long_rows: dict[str, dict[str, list[Row]]]
) -> None:
    found = {row["field"]: row for row in table(warehouse, "marts.leadspace_coverage")}
    expected = {
        name: sum(row[name] is not None for row in rows.values())
        for name in next(iter(rows.values()))
        if name not in ("enrichment_id", "account_id", "answered_at", "match_verdict", "is_refreshed")
    }
    technologies = long_rows["leadspace_technologies"].values()
    kinds = {
        "installed_base": "installed_base_technologies", "web_site": "web_site_technologies",
        "category": "technology_categories", "custom_category": "custom_technology_categories",
    }  # fmt: skip
    for kind, field in kinds.items():
        expected[field] = sum(any(row["technology_kind"] == kind for row in each) for each in technologies)
    for mart in LONG[1:]:
        expected[mart.removeprefix("leadspace_")] = sum(bool(each) for each in long_rows[mart].values())
    assert {field: row["accounts_with_value_count"] for field, row in found.items()} == expected
    assert {row["accounts_enriched_count"] for row in found.values()} == {len(ACCOUNTS)}
    always = {"company_id", "company_name", "company_name_sent", "company_website"}
    assert {field for field, row in found.items() if row["coverage_ratio"] == 1} == always
    assert all(row["coverage_ratio"] > 0 for field, row in found.items() if field != "company_region")


def test_accounts_of_one_family_are_a_hierarchy_still(warehouse: Workspace) -> None:
    found = dict(
        warehouse.query(
            "select account_id, hierarchy_id from intermediate.int_account_hierarchies_resolved"
            " where hierarchy_source = 'leadspace'"
        )
    )
    for account in ACCOUNTS:
        above = parent_of(account.company)
        if above is not None and not account.switches.swapped and account.switches.node_ids != "none":
            assert found[account.account_id] == company_id(above), account


def test_what_nobody_knows_yet_is_kept(raw: dict[str, Row], rows: dict[str, Row]) -> None:
    for account_id, answer in raw.items():
        switches = BY_ID[account_id].switches
        company = answer["data"]["company"]
        assert ("emulator_unknown" in company) == switches.extra_unknown_fields
        if switches.extra_unknown_fields:
            assert answer["emulator_unknown"] is True
            assert at(company, "emulator_unknown")["deep"][0] == 1
        assert (company.get("addressValidationStatus") == "Valid") == switches.address_validation
    assert len(rows) == len(raw)


# ---------------------------------------------------------------------------------------------------
# the emulator's own content

# Every field of a company that the pages, or others who read them, name (docs/leadspace.md, Content).
DOCUMENTED = {
    "ug_company_id", "ls_id", "name", "original_name", "description", "website", "phone", "industry", "sub_industry",
    "sic", "sicDescription", "naics", "naicsDescription", "ownership", "linkedin_profile", "latitude", "longitude",
    "primary_location", "domain_intent",
    *(f"address.{name}" for name in ("country", "state", "city", "region", "address", "zipcode")),
    *(f"{name}.{part}" for name in ("employees", "revenue_dollar", "size", "revenue") for part in ("exact", "range")),
    "matching_confidence.level", "specialties", "intent_modeling", "intent_modeling_v4", "family_tree.companies",
    *(f"department_size.{name}" for name in DEPARTMENTS),
    *(f"funding.{name}" for name in (
        "last_round_investor_count", "total_rounds_count", "last_round_date", "last_round_money_raised",
        "last_round_type", "cb_url")),
    *(f"investors.{name}" for name in ("cb_url", "last_investor_name", "company_investors")),
    *(f"signals.{name}" for name in ("fortune_500_rank", "fortune_1000_rank", "g2k_rank")),
    *(f"analytics.{name}" for name in KINDS.values()),
}  # fmt: skip


def paths(node: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict) and name != "intent_modeling_v4":
            yield from paths(value, f"{before}{name}.")
        else:
            yield before + name, value


def test_the_emulator_gives_every_documented_field_and_no_other() -> None:
    given: set[str] = set()
    known = [*COMPANIES, replace(COMPANIES[0], region="West")]
    for switches in (ContentSwitches(), ContentSwitches(naming="v3", intent="older")):
        for company in known:
            content = company_content(company, "sent", "HIGH", switches, parent_of(company))
            given |= {path for path, value in paths(content) if value not in (None, [], "")}
    assert given == DOCUMENTED


def test_every_switch_of_the_content_has_a_variant() -> None:
    hints = get_type_hints(ContentSwitches)
    for field in fields(ContentSwitches):
        given = {str(settings[field.name]) for settings in NAMED.values() if field.name in settings}
        choices = {str(choice) for choice in get_args(hints[field.name])}
        if hints[field.name] is bool:
            assert given, field.name
        elif field.name != "level_names":
            default = getattr(ContentSwitches(), field.name)
            if field.name == "level_case":  # title is the middle one: some random variants have it
                given |= {"title"}
            if field.name == "naming" or choices:
                assert given | {str(default)} == choices, field.name


def test_the_document_names_every_variant() -> None:
    document = (Path(__file__).parents[2] / "docs" / "leadspace.md").read_text(encoding="utf-8")
    for field in fields(ContentSwitches):
        assert f"`{field.name}`" in document, field.name
