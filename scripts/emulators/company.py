"""The demo's made-up company as a tenant, with its customer files, its configuration and firmographics.

Halvorsen Instruments sells measuring instruments to 60 accounts in 8 countries. It is 2026-07-01, 05:30 UTC;
the last whole day, and so the as-of date, is 2026-06-30. Two builds are equal to the last byte.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import replace
from json import dumps
from pathlib import Path
from random import Random

from emulators.cast import COUNTRIES, SEED, make_cast
from emulators.firmographics import Company
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
  - type: leadspace
    name: Company data
    output_table: Leadspace
    active: true
    consent: {{by: Maja Lindqvist (sales operations), "on": 2026-06-15}}
    dataset: customers
    mapping: {{company_name: name, website: website, country: country}}
    max_age: 90 days
    refresh: monthly
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


# ---------------------------------------------------------------------------------------------------
# what a provider of company data knows

# second word of a name: industry, sub-industry, SIC and NAICS with their texts, what such companies do
TRADES: dict[str, tuple[str, str, str, str, str, str, tuple[str, ...]]] = {
    "Aqua": ("Utilities", "Water Supply", "4941", "Water Supply", "221310", "Water Supply and Irrigation Systems",
             ("water treatment", "metering", "leak detection")),
    "Biotech": ("Life Sciences", "Biotechnology", "8731", "Commercial Physical and Biological Research", "541714",
                "Research and Development in Biotechnology", ("cell culture", "bioprocessing", "assays")),
    "Chemicals": ("Manufacturing", "Chemicals", "2819", "Industrial Inorganic Chemicals", "325180",
                  "Other Basic Inorganic Chemical Manufacturing", ("solvents", "catalysts", "coatings")),
    "Dairy": ("Food and Beverage", "Dairy Products", "2026", "Fluid Milk", "311511", "Fluid Milk Manufacturing",
              ("milk", "cheese", "whey protein")),
    "Energy": ("Energy", "Electric Power", "4911", "Electric Services", "221118", "Other Electric Power Generation",
               ("wind parks", "grid services", "energy storage")),
    "Foods": ("Food and Beverage", "Food Processing", "2099", "Food Preparations", "311999",
              "All Other Miscellaneous Food Manufacturing", ("ready meals", "frozen food", "private label")),
    "Foundry": ("Manufacturing", "Castings", "3321", "Gray and Ductile Iron Foundries", "331511", "Iron Foundries",
                ("castings", "pattern making", "machining")),
    "Gas": ("Energy", "Gas Distribution", "4924", "Natural Gas Distribution", "221210", "Natural Gas Distribution",
            ("gas networks", "biomethane", "metering")),
    "Labs": ("Professional Services", "Testing Laboratories", "8734", "Testing Laboratories", "541380",
             "Testing Laboratories", ("material tests", "calibration", "certification")),
    "Logistics": ("Transportation", "Freight and Warehousing", "4731", "Arrangement of Transportation of Freight",
                  "488510", "Freight Transportation Arrangement", ("cold chain", "customs", "warehousing")),
    "Marine": ("Transportation", "Marine Services", "4412", "Deep Sea Foreign Transportation of Freight", "483111",
               "Deep Sea Freight Transportation", ("ship management", "tankers", "port services")),
    "Metals": ("Manufacturing", "Metals", "3312", "Steel Works and Blast Furnaces", "331110",
               "Iron and Steel Mills and Ferroalloy Manufacturing", ("alloys", "cold rolling", "recycling")),
    "Mining": ("Mining", "Metal Ores", "1099", "Miscellaneous Metal Ores", "212290", "Other Metal Ore Mining",
               ("open pits", "ore processing", "tailings")),
    "Optics": ("Manufacturing", "Optical Instruments", "3827", "Optical Instruments and Lenses", "333314",
               "Optical Instrument and Lens Manufacturing", ("lenses", "spectroscopy", "laser optics")),
    "Paper": ("Manufacturing", "Pulp and Paper", "2621", "Paper Mills", "322121", "Paper (except Newsprint) Mills",
              ("board", "tissue", "packaging paper")),
    "Pharma": ("Life Sciences", "Pharmaceuticals", "2834", "Pharmaceutical Preparations", "325412",
               "Pharmaceutical Preparation Manufacturing", ("generics", "sterile filling", "clinical supply")),
    "Plastics": ("Manufacturing", "Plastics", "3089", "Plastics Products", "326199",
                 "All Other Plastics Product Manufacturing", ("injection moulding", "films", "recyclates")),
    "Power": ("Energy", "Electric Power", "4911", "Electric Services", "221122", "Electric Power Distribution",
              ("hydropower", "substations", "district heating")),
    "Process": ("Manufacturing", "Process Equipment", "3559", "Special Industry Machinery", "333249",
                "Other Industrial Machinery Manufacturing", ("pumps", "reactors", "process control")),
    "Textiles": ("Manufacturing", "Textiles", "2211", "Broadwoven Fabric Mills, Cotton", "313210",
                 "Broadwoven Fabric Mills", ("technical textiles", "dyeing", "nonwovens")),
}  # fmt: skip
# country: cities with state, postal code and place; street and telephone as written there
PLACES: dict[str, tuple[tuple[tuple[str, str, str, float, float], ...], str, str]] = {
    "Germany": ((("Hamburg", "HH", "20457", 53.55, 9.99), ("Leipzig", "SN", "04109", 51.34, 12.37),
                 ("Kassel", "HE", "34117", 51.31, 9.49)), "Erfundene Straße {}", "+49 30 5550{}"),
    "Norway": ((("Bergen", "", "5014", 60.39, 5.32), ("Stavanger", "", "4006", 58.97, 5.73),
                ("Drammen", "", "3016", 59.74, 10.2)), "Oppdiktet vei {}", "+47 55 50 {}"),
    "Denmark": ((("Aarhus", "", "8000", 56.16, 10.2), ("Odense", "", "5000", 55.4, 10.39),
                 ("Aalborg", "", "9000", 57.05, 9.92)), "Opfundet Gade {}", "+45 55 50 {}"),
    "Netherlands": ((("Rotterdam", "", "3011 AA", 51.92, 4.48), ("Eindhoven", "", "5611 AA", 51.44, 5.47),
                     ("Utrecht", "", "3511 AA", 52.09, 5.12)), "Verzonnen Laan {}", "+31 20 555 {}"),
    "France": ((("Lyon", "", "69002", 45.76, 4.83), ("Nantes", "", "44000", 47.22, -1.55),
                ("Lille", "", "59000", 50.63, 3.06)), "{} rue Inventée", "+33 1 55 50 {}"),
    "United Kingdom": ((("Leeds", "", "LS1 1AA", 53.8, -1.55), ("Bristol", "", "BS1 1AA", 51.45, -2.59),
                        ("Aberdeen", "", "AB10 1AA", 57.15, -2.09)), "{} Imaginary Road", "+44 20 7946 {}"),
    "United States": ((("Pittsburgh", "PA", "15222", 40.44, -79.99), ("Denver", "CO", "80202", 39.74, -104.99),
                       ("Savannah", "GA", "31401", 32.08, -81.09)), "{} Imaginary Avenue", "+1 555 555 {}"),
    "Canada": ((("Calgary", "AB", "T2P 0A1", 51.05, -114.07), ("Halifax", "NS", "B3H 0A1", 44.65, -63.58),
                ("Hamilton", "ON", "L8P 0A1", 43.26, -79.87)), "{} Imaginary Street", "+1 555 550 {}"),
}  # fmt: skip
HEADCOUNT = {"A": (2_000, 22_000), "B": (300, 2_600), "C": (18, 420)}  # by tier
TECHNOLOGIES = (
    "Quillstone CRM", "Fathom ERP", "Lattice Cloud", "Tern Analytics", "Palisade Firewall", "Orrery Planning",
    "Sparrow Helpdesk", "Kiln Warehouse", "Beaconlight Marketing", "Umber Payroll",
)  # fmt: skip
OWNERSHIPS = ("Private", "Private", "Private", "Public", "Subsidiary", "Family-owned")

# accounts that the provider does not know at all, the one without a name among them
NOT_KNOWN = {
    "A-1008",
    "A-1015",
    "A-1021",
    "A-1029",
    "A-1036",
    "A-1043",
    "A-1046",
    "A-1051",
    "A-1058",
    "A-1060",
}
# how the registered name differs from the account file's
REGISTERED_AS = {
    "A-1004": "Linden Dairy Holding N.V.",
    "A-1009": "SAFFRON PROCESS GMBH & CO. KG",
    "A-1013": "Cobalt Mining S.A.",
    "A-1026": "Aurora Foundry Group AS",
    "A-1033": "Juniper Logistik KG",
    "A-1041": "Beacon-Chemicals KG",
    "A-1047": "Sequoia Dairy, Incorporated",
    "A-1052": "Van Rijn Lenzen BV",  # bought and renamed; only the website is still the same
    "A-1055": "The Kestrel Metals Corporation",
}
# another website than the account file's, so that only name and country agree
ANOTHER_WEBSITE = {
    "A-1010": "bpa-norge.example",
    "A-1026": "af-stoperi.example",
    "A-1039": "pulpworks-west.example",
}
OTHER_COUNTRY = {"A-1016": "United States"}  # registered elsewhere than the account file says
LITTLE_KNOWN = {"A-1005", "A-1035", "A-1057"}
NO_REVENUE = {"A-1003", "A-1011", "A-1024", "A-1042", "A-1050", "A-1056"}
# account: parent's name; of the account file's families some are known, and some that the file does not have
PARENTS = {
    "A-1010": "Larch Textiles A/S",
    "A-1018": "Larch Textiles A/S",
    "A-1025": "Glacier Metals plc",
    "A-1003": "Ostrava Bridge Holding A/S",
    "A-1006": "Corrin Industrial Holdings plc",
    "A-1030": "Corrin Industrial Holdings plc",
    "A-1038": "Corrin Industrial Holdings plc",
    "A-1031": "Palisade River Group Inc",
    "A-1055": "Palisade River Group Inc",
}
# nobody's customers: the first have names that are nearly those of accounts, then come parents
STRANGERS = (
    ("Willow Energy Partners LLC", "Energy", "United States"),
    ("Slate Biotech Instruments Ltd", "Biotech", "United Kingdom"),
    ("Cedar Energie SA", "Energy", "France"),
    ("Granite Chemical Works Inc", "Chemicals", "United States"),
    ("Copper Foods Ltd", "Foods", "Canada"),
    ("Raven Chemistry GmbH", "Chemicals", "Germany"),
    ("Ostrava Bridge Holding A/S", "Textiles", "Denmark"),
    ("Corrin Industrial Holdings plc", "Metals", "United Kingdom"),
    ("Palisade River Group Inc", "Power", "United States"),
)
STRANGE_WORDS = (
    "Bracken", "Calyx", "Dovetail", "Eddy", "Foxglove", "Gorse", "Hazel", "Ibis", "Jasper", "Knoll", "Lupin", "Moraine",
    "Nettle", "Oriel", "Puffin", "Quince", "Rowan", "Sorrel", "Teasel", "Umbra", "Vetch", "Wren", "Yarrow", "Zephyr",
    "Bramble", "Curlew", "Dunlin", "Esker", "Fjell", "Gannet", "Heath",
)  # fmt: skip


def _company(rng: Random, name: str, trade: str, country: str, website: str, tier: str) -> Company:
    industry, sub_industry, sic, sic_text, naics, naics_text, specialties = TRADES[trade]
    cities, street, phone = PLACES[country]
    city, state, postal_code, latitude, longitude = rng.choice(cities)
    employees = rng.randint(*HEADCOUNT[tier])
    return Company(
        name=name,
        website=website,
        country=country,
        state=state or None,
        city=city,
        street=street.format(rng.randint(1, 99)),
        postal_code=postal_code,
        phone=phone.format(f"{rng.randint(100, 999):04d}"),
        linkedin=f"https://social.example/company/{website.partition('.')[0]}",
        description=f"{name} of {city}: {', '.join(specialties)}.",
        industry=industry,
        sub_industry=sub_industry,
        sic=sic,
        sic_description=sic_text,
        naics=naics,
        naics_description=naics_text,
        ownership=rng.choice(OWNERSHIPS),
        employees=employees,
        revenue_usd=employees * rng.randint(140, 420) * 1_000,
        latitude=latitude,
        longitude=longitude,
        technologies=tuple(sorted(rng.sample(TECHNOLOGIES, rng.randint(1, 5)))),
        specialties=specialties[: rng.randint(1, 3)],
    )


def companies() -> list[Company]:
    """Give what the made-up provider knows: 50 of the 60 accounts, and 40 companies that are none.

    Nearly all are found beyond doubt. Three have another website than the account file, one another country
    and one another name; of some there is no revenue, of some hardly anything.
    """
    rng = Random(f"{SEED}:firmographics")
    known = []
    for account in make_cast().accounts:
        if account.account_id in NOT_KNOWN:
            continue
        company = replace(
            _company(
                rng,
                REGISTERED_AS.get(account.account_id, account.name),
                account.name.split()[1],
                OTHER_COUNTRY.get(account.account_id, account.country),
                ANOTHER_WEBSITE.get(account.account_id, account.domain),
                account.tier,
            ),
            parent=PARENTS.get(account.account_id),
        )
        if account.account_id in NO_REVENUE:
            company = replace(company, revenue_usd=None)
        if account.account_id in LITTLE_KNOWN:
            company = Company(company.name, company.website, company.country, industry=company.industry)
        if account.account_id == "A-1007":  # a person's way in: whoever takes descriptions over must mask it
            text = f"{company.description} Write to info@{account.domain} or come to our mill."
            company = replace(company, description=text)
        known.append(company)
    strangers = list(STRANGERS)
    for word in STRANGE_WORDS:
        country = rng.choice(list(PLACES))
        trade = rng.choice(list(TRADES))
        strangers.append((f"{word} {trade} {rng.choice(COUNTRIES[country][2])}", trade, country))
    for name, trade, country in strangers:
        website = "-".join(name.lower().split()[:2]) + "-co.example"
        known.append(_company(rng, name, trade, country, website, rng.choice("ABC")))
    rng.shuffle(known)
    return known
