"""Who there is in the demo's made-up world: our company's people and groups, its accounts and their contacts.

Every name and domain is invented, every domain ends in `.example`, and all follows from one fixed seed.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from random import Random

from emulators.identifiers import seeded_guid
from emulators.tenant import Group, Person

SEED = "halvorsen-instruments"
DOMAIN = "halvorsen-instruments.example"
ALIAS_DOMAIN = "halvorsen.example"


@dataclass(frozen=True, slots=True)
class Contact:
    """A row of the contact file. `address` is how the file writes it, `writes_as` how mail shows it."""

    contact_id: str
    account_id: str
    name: str
    address: str
    writes_as: str


@dataclass(slots=True)
class Account:
    """A row of the account file and how it behaves; `team` are the ids of our people who work with it."""

    account_id: str
    name: str
    domain: str
    country: str
    kind: str
    owner: str
    tier: str
    contract_value_eur: int
    parent_account_id: str = ""
    contacts: list[Contact] = field(default_factory=list)
    team: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Cast:
    """Everyone, before any mail is written."""

    people: list[Person]
    groups: list[Group]
    monitored: list[str]  # ids of the 14 people whose mailboxes the demo's configuration chooses
    listed: list[str]  # the addresses in that configuration
    accounts: list[Account]
    contacts: list[Contact]  # the contact file's rows, oddities included


# our people: (key, name, aliases before the @)
MONITORED = (
    ("solberg", "Ingrid Solberg", ("sales-director",)),
    ("brandt", "Katharina Brandt", ()),
    ("okafor", "Daniel Okafor", ("d.okafor",)),
    ("lindqvist", "Maja Lindqvist", ()),
    ("reyes", "Tomas Reyes", ("presales",)),
    ("haugen", "Sindre Haugen", ()),
    ("vogel", "Anja Vogel", ("a.vogel-mertens",)),
    ("dupuis", "Claire Dupuis", ()),
    ("visser", "Bram Visser", ()),
    ("whitfield", "Oliver Whitfield", ()),
    ("marsh", "Rachel Marsh", ("r.marsh",)),
    ("tremblay", "Luc Tremblay", ()),
    ("iversen", "Kari Iversen", ()),
    ("neumann", "Felix Neumann", ()),
)
UNMONITORED = (
    ("halvorsen", "Erik Halvorsen", "readable"),
    ("board", "Board Secretariat", "denied"),
    ("lund", "Petra Lund", "readable"),
    ("accounts-payable", "Accounts Payable", "readable"),
    ("service-desk", "Service Desk", "readable"),
    ("old-server", "Harald Moen", "on_premises"),
)
ROOMS = (("room-fjord", "Room Fjord"), ("room-harbour", "Room Harbour"))

# groups: (key, name, people, groups). Nobody is a direct member of the two groups that the configuration
# lists: nine of the fourteen come only through the groups inside them.
GROUPS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("account-team", "Account Team", (), ("sales-emea", "sales-americas")),
    ("customer-success", "Customer Success", (), ("support-leads",)),
    ("sales-emea", "Sales EMEA", ("solberg", "haugen", "vogel", "dupuis", "visser"), ()),
    ("sales-americas", "Sales Americas", ("whitfield", "marsh", "tremblay"), ()),
    ("support-leads", "Support Leads", ("solberg", "iversen", "neumann"), ()),
    ("everyone", "Everyone", (), ("account-team", "customer-success")),
)
# two groups, four people by their address and one by an alias; the first of them is in two groups as well
LISTED = (
    f"account-team@{DOMAIN}",
    f"Customer-Success@{DOMAIN}",
    f"solberg@{DOMAIN}",
    f"brandt@{DOMAIN}",
    f"d.okafor@{ALIAS_DOMAIN}",
    f"lindqvist@{DOMAIN}",
    f"reyes@{DOMAIN}",
)

# kind of account: how many there are
KINDS = {
    "steady": 14,
    "growing": 7,
    "fading": 8,
    "bursty": 8,
    "single_threaded": 5,
    "meeting_heavy": 4,
    "new": 3,
    "courted": 3,  # we write, nobody answers
    "newsletter": 3,  # only their automated senders write
    "never": 5,
}

COUNTRIES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    # country: (first names, surnames, forms of company, our people there)
    "Germany": (
        ("Anna", "Jonas", "Lea", "Matthias", "Sabine", "Tobias", "Ulrike", "Stefan", "Greta", "Holger"),
        (
            "Albers",
            "Böhm",
            "Dietrich",
            "Eberle",
            "Falk",
            "Gerlach",
            "Hoffmeister",
            "Krämer",
            "Schüler",
            "Zeller",
        ),
        ("GmbH", "AG", "KG"),
        ("vogel", "brandt"),
    ),
    "Norway": (
        ("Astrid", "Bjørn", "Eline", "Håkon", "Liv", "Magnus", "Nora", "Torstein"),
        ("Aas", "Berge", "Dahl", "Fossum", "Hagen", "Moe", "Nygård", "Strand"),
        ("AS", "ASA"),
        ("haugen", "solberg"),
    ),
    "Denmark": (
        ("Anders", "Freja", "Kirsten", "Lars", "Mette", "Rasmus", "Signe", "Søren"),
        ("Bach", "Frandsen", "Holm", "Juhl", "Kjær", "Lauritsen", "Vestergaard", "Winther"),
        ("A/S", "ApS"),
        ("haugen", "lindqvist"),
    ),
    "Netherlands": (
        ("Daan", "Eva", "Femke", "Jeroen", "Lotte", "Maarten", "Sanne", "Wouter"),
        ("Bakker", "Hoekstra", "Kuipers", "Meijer", "Postma", "Smeets", "Verbeek", "Willems"),
        ("BV", "NV"),
        ("visser", "okafor"),
    ),
    "France": (
        ("Amélie", "Baptiste", "Camille", "Étienne", "Hélène", "Julien", "Margaux", "Pascal"),
        ("Bonnet", "Carpentier", "Delmas", "Fontaine", "Guérin", "Lacroix", "Perrault", "Vasseur"),
        ("SA", "SAS"),
        ("dupuis", "okafor"),
    ),
    "United Kingdom": (
        ("Alice", "Callum", "Edith", "George", "Harriet", "Imran", "Nadia", "Rupert"),
        ("Ashdown", "Beckett", "Crowther", "Fairley", "Hollis", "Langford", "Pemberton", "Thorne"),
        ("Ltd", "plc"),
        ("okafor", "lindqvist"),
    ),
    "United States": (
        ("Aaron", "Brianna", "Carlos", "Denise", "Elena", "Marcus", "Priya", "Todd", "Wendy", "Xavier"),
        (
            "Alvarez",
            "Bishop",
            "Caldwell",
            "Donovan",
            "Hargrove",
            "Iyer",
            "Kowalski",
            "Mercer",
            "Quinn",
            "Sutton",
        ),
        ("Inc", "Corp", "LLC"),
        ("whitfield", "marsh"),
    ),
    "Canada": (
        ("Amara", "Benoit", "Chloe", "Derek", "Fiona", "Graham", "Mei", "Sophie"),
        ("Arsenault", "Bouchard", "Campbell", "Fraser", "Gagnon", "Leblanc", "Sinclair", "Wong"),
        ("Inc", "Ltd"),
        ("tremblay", "marsh"),
    ),
}
FIRST_WORDS = (
    "Alder", "Amber", "Aurora", "Basalt", "Beacon", "Birch", "Bluewater", "Cedar", "Cinder",
    "Cobalt", "Copper", "Crescent", "Delta", "Drift", "Ember", "Falcon", "Fern", "Flint", "Garnet",
    "Glacier", "Granite", "Harbour", "Hawthorn", "Heron", "Indigo", "Juniper", "Kestrel", "Lantern",
    "Larch", "Linden", "Lumen", "Marble", "Meadow", "Meridian", "Mistral", "Nimbus", "North",
    "Onyx", "Orchard", "Osprey", "Pebble", "Pine", "Plover", "Quarry", "Quartz", "Raven", "Ridge",
    "River", "Saffron", "Sable", "Sequoia", "Silver", "Slate", "Spruce", "Sterling", "Summit",
    "Tamarack", "Thistle", "Tundra", "Willow",
)  # fmt: skip
SECOND_WORDS = (
    "Aqua", "Biotech", "Chemicals", "Dairy", "Energy", "Foods", "Foundry", "Gas", "Labs",
    "Logistics", "Marine", "Metals", "Mining", "Optics", "Paper", "Pharma", "Plastics", "Power",
    "Process", "Textiles",
)  # fmt: skip


def our_id(key: str) -> str:
    """Give the Entra id of one of our people, rooms or groups."""
    return seeded_guid(f"{SEED}:directory:{key}")


def _ascii(text: str) -> str:
    replaced = text.replace("ø", "o").replace("Ø", "O").replace("æ", "ae").replace("ß", "ss")
    return unicodedata.normalize("NFKD", replaced).encode("ascii", "ignore").decode()


def _local_part(first: str, last: str) -> str:
    return f"{_ascii(first)}.{_ascii(last)}".lower()


def _our_people() -> tuple[list[Person], list[Group]]:
    people = []
    for key, name, aliases in MONITORED:
        proxies = [f"SMTP:{key}@{DOMAIN}", f"smtp:{key}@{ALIAS_DOMAIN}", f"SIP:{key}@{DOMAIN}"]
        proxies += [f"smtp:{alias}@{ALIAS_DOMAIN}" for alias in aliases]
        if key == "solberg":
            proxies.append(
                "x500:/o=ExchangeLabs/ou=Exchange Administrative Group/cn=Recipients/cn=solberg-ingrid"
            )
        people.append(Person(our_id(key), f"{key}@{DOMAIN}", f"{key}@{DOMAIN}", tuple(proxies), name))
    for key, name, state in UNMONITORED:
        address = f"{key}@{DOMAIN}"
        people.append(Person(our_id(key), address, address, (f"SMTP:{address}",), name, mailbox_state=state))
    for key, name in ROOMS:
        address = f"{key}@{DOMAIN}"
        people.append(
            Person(our_id(key), address, address, (f"SMTP:{address}",), name, account_enabled=False)
        )
    groups = [
        Group(our_id(key), f"{key}@{DOMAIN}", name, tuple(our_id(member) for member in (*members, *nested)))
        for key, name, members, nested in GROUPS
    ]
    return people, groups


def _accounts(rng: Random) -> list[Account]:
    kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
    rng.shuffle(kinds)
    first_words = list(FIRST_WORDS)
    rng.shuffle(first_words)
    countries = [list(COUNTRIES)[i % len(COUNTRIES)] for i in range(len(kinds))]
    names = dict((key, name) for key, name, _ in MONITORED)
    accounts = []
    for number, (kind, country) in enumerate(zip(kinds, countries, strict=True)):
        word, trade = first_words[number], rng.choice(SECOND_WORDS)
        form = rng.choice(COUNTRIES[country][2])
        local_team = list(COUNTRIES[country][3])
        rng.shuffle(local_team)
        helpers = ["solberg", "reyes", "iversen", "neumann", "lindqvist", "brandt"]
        rng.shuffle(helpers)
        size = 1 if kind == "single_threaded" else rng.choice((2, 2, 3, 3, 4))
        team = list(dict.fromkeys([*local_team, *helpers]))[:size]
        tier = rng.choices(("A", "B", "C"), (2, 4, 5))[0]
        accounts.append(
            Account(
                account_id=f"A-{1001 + number}",
                name=f"{word} {trade} {form}",
                domain=f"{word}-{trade}.example".lower(),
                country=country,
                kind=kind,
                owner=names[team[0]],
                tier=tier,
                contract_value_eur={"A": 180_000, "B": 60_000, "C": 12_000}[tier]
                // 100
                * rng.randint(40, 190),
                team=[our_id(key) for key in team],
            )
        )
    for child, parent in ((9, 2), (17, 2), (24, 5), (31, 12), (45, 12), (53, 40)):
        accounts[child].parent_account_id = accounts[parent].account_id
    return accounts


def _contacts(rng: Random, accounts: list[Account]) -> list[Contact]:
    """Give 300 rows; among them one person in two accounts, one without an address and other oddities."""
    sizes = {
        "never": (2, 3),
        "newsletter": (2, 3),
        "courted": (3, 5),
        "single_threaded": (3, 5),
        "new": (3, 5),
    }
    wanted = [rng.randint(*sizes.get(account.kind, (4, 7))) for account in accounts]
    ordinary = 294  # and six odd ones
    active = [i for i, account in enumerate(accounts) if account.kind not in sizes]
    while sum(wanted) != ordinary:
        wanted[rng.choice(active)] += 1 if sum(wanted) < ordinary else -1
    rows: list[Contact] = []

    def add(account: Account, name: str, address: str, writes_as: str | None = None) -> None:
        row = Contact(f"C-{20001 + len(rows)}", account.account_id, name, address, writes_as or address)
        rows.append(row)
        account.contacts.append(row)

    for account, count in zip(accounts, wanted, strict=True):
        firsts, lasts, _, _ = COUNTRIES[account.country]
        if account.kind == "newsletter":
            add(account, f"{account.name} Newsletter", f"newsletter@{account.domain}")
            add(account, f"{account.name} Notifications", f"no-reply@{account.domain}")
            count -= 2
        names = [(first, last) for first in firsts for last in lasts]
        for first, last in rng.sample(names, count):
            add(account, f"{first} {last}", f"{_local_part(first, last)}@{account.domain}")
    steady = [account for account in accounts if account.kind == "steady"]
    shared = steady[1].contacts[0]
    add(steady[2], shared.name, shared.address)  # the same person, listed for a second account
    add(steady[3], "Petra Lund", f"lund@{DOMAIN}")  # a colleague of ours
    add(steady[4], "Upper Case", f"UPPER.CASE@{steady[4].domain.upper()}", f"Upper.Case@{steady[4].domain}")
    add(
        steady[5], "Tagged Reader", f"tagged.reader+instruments@{steady[5].domain}",
        f"tagged.reader@{steady[5].domain}",
    )  # fmt: skip
    add(steady[6], "No Address", "")
    add(steady[7], "Blank Around", f"  blank.around@{steady[7].domain} ", f"blank.around@{steady[7].domain}")
    return rows


def make_cast() -> Cast:
    """Make everyone; the same on every call."""
    people, groups = _our_people()
    rng = Random(f"{SEED}:cast")
    accounts = _accounts(rng)
    contacts = _contacts(rng, accounts)
    accounts[57].name = ""  # an account without a name
    return Cast(
        people=people,
        groups=groups,
        monitored=[our_id(key) for key, _, _ in MONITORED],
        listed=list(LISTED),
        accounts=accounts,
        contacts=contacts,
    )
