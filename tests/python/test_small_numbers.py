"""Attacks on small numbers: what somebody works out who holds the published tables, and nothing else.

Each attack runs on three builds of one made-up company, for two as-of dates a week apart:

- `show`: suppression switched off, the control. Every attack must succeed.
- `naive`: counts below the smallest group are taken out of the same tables, and nothing else: what one would do
  first. All but the first attack must succeed all the same.
- `band`: as published. No attack may learn a small number.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
import yaml

from conftest import ROOT, Workspace
from engagement import small_numbers, warehouse
from histories import Clock, Copy, History, Mailbox, ledger_rows, message_row, people_rows
from project_fixtures import run_dbt

K = 5
# Both are Sundays, so that the weeks of the two files are the same.
DAYS = (date(2026, 6, 21), date(2026, 6, 28))
MARTS = (
    "account_engagement",
    "account_traffic",
    "account_hierarchy_engagement",
    "account_score_components",
    "office_coverage",
    "unmatched_domains",
    "enriched_customers",
    "customer_issues",
    "customer_cards",
    "customer_measures",
    "customer_measures_rolled_up",
    "account_activity",
    "business_measures",
)
FIGURES = small_numbers.BANDED["account_engagement"]
CHANNELS = {
    "contacts": ("account_people_in_emails", "account_people_in_meetings"),
    "own_people": ("own_people_in_emails", "own_people_in_meetings"),
}
# Of the original's view, which shows what account_engagement shows.
ORIGINAL_NAMES = {
    f"NoOf{who}Involved_{where}"
    for who in ("Contacts", "AccountContacts")
    for where in ("Meetings", "Emails")
}
Tables = dict[str, list[dict[str, Any]]]


# ---------------------------------------------------------------------------------------------------
# the company


@dataclass
class Company:
    """One enrichment; `parents` is the tree of its accounts."""

    made: History
    clock: Clock
    random: Random
    parents: dict[str, str] = field(default_factory=dict)
    _next: int = 10_000

    def key(self) -> int:
        self._next += 1
        return self._next

    def account(self, name: str, contacts: int, parent: str | None = None) -> list[int]:
        """An account with so many contacts; their addresses."""
        self.made.accounts.append(name)
        self.made.websites[name] = f"{name}.example"
        if parent is not None:
            self.parents[name] = parent
        addresses = [self.key() for _ in range(contacts)]
        self.made.contacts += [(f"c{address}", name, address) for address in addresses]
        self.made.domains |= dict.fromkeys(addresses, f"{name}.example")
        return addresses

    def mail(
        self,
        own: Sequence[int],
        theirs: Sequence[int],
        at: datetime,
        *,
        inbound: bool = False,
        thread: int = 0,
    ) -> None:
        """One message between some of ours (their numbers) and some of theirs, held by every one of ours in it."""
        boxes = [self.made.mailboxes[number] for number in own]
        message, thread = self.key(), thread or self.key()
        sender = theirs[0] if inbound else boxes[0].addresses[0]
        others = [box.addresses[0] for box in (boxes if inbound else boxes[1:])]
        for box in boxes:
            self.made.copies.append(
                Copy(
                    mailbox_id=box.mailbox_id,
                    item_key=self.key(),
                    message_key=message,
                    thread_key=thread,
                    received_at=at,
                    from_key=sender,
                    recipients=[*others, *(theirs[1:] if inbound else theirs)],
                )
            )


def company(seed: int) -> Company:
    """Accounts of every small size, larger ones at random, trees, answers, and one that grows in the last week."""
    random = Random(seed)
    clock = Clock(DAYS[1], "UTC")
    made = History("sales")
    one = Company(made, clock, random)
    made.mailboxes = [Mailbox(one.key(), [one.key()]) for _ in range(14)]
    made.domains = {box.addresses[0]: "we.example" for box in made.mailboxes}
    week = timedelta(days=7)
    last = datetime(2026, 6, 24, 9)

    def at(weeks_before: int) -> datetime:
        return last - weeks_before * week + timedelta(hours=random.randrange(8))

    # Every pair of small sizes, so that the ranks of their breadth leave no value out.
    for ours in range(1, K):
        for theirs in range(1, K):
            addresses = one.account(f"small-{ours}-{theirs}", theirs)
            one.mail(range(ours), addresses, at(random.choice((3, 9, 30))))
    # Trees of accounts of which one is small, of four that are, and of larger ones.
    one.account("tree", 0)
    for name, size in (("leaf-a", 9), ("leaf-b", 7), ("leaf-c", 3)):
        one.mail(range(6), one.account(name, size, parent="tree"), at(4))
    one.account("grove", 0)
    for number in range(4):
        one.mail(range(2), one.account(f"shoot-{number}", 1, parent="grove"), at(5))
    one.account("wood", 0)
    for name, size in (("oak", 8), ("elm", 6)):
        addresses = one.account(name, size, parent="wood")
        for weeks in (2, 8, 14, 20, 26):
            one.mail(range(6), addresses, at(weeks))
    # Two months of four each that are eight together; in one of them also fewer in a week.
    addresses = one.account("two-months", 8)
    one.mail(range(2), addresses[:4], at(8))
    one.mail(range(2), addresses[4:], at(20))
    # In the last week one contact and one of ours are new.
    addresses = one.account("grows", 9)
    for weeks in (2, 8, 14, 20, 26):
        one.mail(range(7), addresses[:8], at(weeks))
    one.mail([0], addresses[8:], at(0))
    one.mail([7], addresses[:1], at(0))
    # Answers: many in some months, one in another, one in the last week.
    addresses = one.account("answers", 8)
    for number in range(40):
        thread, sent = one.key(), at(6 + number % 2)
        one.mail([number % 6], [addresses[number % 8]], sent, thread=thread)
        one.mail(
            [number % 6], [addresses[number % 8]], sent + timedelta(hours=5), inbound=True, thread=thread
        )
    for weeks, hours in ((30, 71), (0, 43)):
        thread, sent = one.key(), at(weeks)
        one.mail([1], addresses[:1], sent, thread=thread)
        one.mail([1], addresses[:1], sent + timedelta(hours=hours), inbound=True, thread=thread)
    # Everything else at random.
    parents = ["random-0"]
    for number in range(24):
        addresses = one.account(f"random-{number}", random.randrange(1, 16), random.choice([None, *parents]))
        parents.append(f"random-{number}")
        for _ in range(random.randrange(1, 14)):
            one.mail(
                random.sample(range(14), random.choice((1, 1, 2, 3, 6))),
                random.sample(addresses, min(len(addresses), random.choice((1, 1, 2, 5)))),
                at(random.randrange(0, 52)),
                inbound=random.random() < 0.4,
            )
    # Strangers: seven of one domain write until the last week, then an eighth; and one message that two of ours hold.
    strangers = [one.key() for _ in range(8)]
    made.domains |= dict.fromkeys(strangers, "else.example")
    for number, stranger in enumerate(strangers):
        one.mail([0], [stranger], at(0 if number == 7 else 3), inbound=True)
    robot = one.key()
    made.domains[robot] = "robot.example"
    made.automated = {robot}
    one.mail([0, 1], [robot], at(3), inbound=True)
    return one


def land(private_file: Path, one: Company, mode: str, day: date) -> None:
    """The company's raw rows, read up to the end of a day; nothing of an earlier build is kept."""
    rows = people_rows([one.made], "UTC")
    rows["settings"] += [("", "reporting.small_numbers", mode), ("", "reporting.k", str(K))]
    rows["accounts"] = [
        (name, name, None, website, None, one.parents.get(name), None, None)
        for name, _, _, website, *_ in rows["accounts"]
    ]
    rows["office_messages"] = [message_row(copy, copy.received_at) for copy in one.made.copies]
    rows["office_units"] = ledger_rows([one.made], Clock(day, "UTC"))
    with duckdb.connect(str(private_file)) as connection:
        for table, landed in rows.items():
            with warehouse.transaction(connection):
                warehouse.replace_table(connection, table, landed)
        connection.execute("delete from raw.refreshes")


def tables(private_file: Path) -> Tables:
    """What is published of it, by table."""
    found: Tables = {}
    with duckdb.connect(str(private_file), read_only=True) as connection:
        for name in MARTS:
            result = connection.execute(f"select * from marts.{name}")
            columns = [column[0] for column in result.description or ()]
            found[name] = [dict(zip(columns, row, strict=True)) for row in result.fetchall()]
    return found


def naive(shown: Tables) -> Tables:
    """The same tables without the counts below the smallest group, and without what is measured on so few."""
    taken: Tables = {name: [dict(row) for row in rows] for name, rows in shown.items()}
    for table, names in small_numbers.BANDED.items():
        for row in taken.get(table, ()):
            for name in names:
                if 0 < (row[f"{name}_count"] or 0) < K:
                    row[f"{name}_count"] = None
    for row in taken["account_engagement"]:
        if row["replies_count"] < 4 * K:
            row["reply_time_mean_hours"] = row["reply_time_median_hours"] = None
    for row in taken["account_score_components"]:
        if row["unit"] == "people" and row["raw_value"] < K:
            row["raw_value"] = row["place_ratio"] = row["points_earned"] = None
    return taken


@dataclass
class Build:
    """What was published for each day, and the truth behind it."""

    files: tuple[Tables, Tables]
    truth: tuple[Tables, Tables]
    company: Company
    private_file: Path


Builds = dict[str, Build]


def built(folder: Path, seed: int) -> Builds:
    workspace = Workspace(folder)
    with warehouse.private_file(workspace.settings(services=())):
        private_file = workspace.private_file
    one = company(seed)
    # The score's breadth over the days of the counts beside it: whoever attacks could not wish for more.
    run_dbt("seed", "--select", "score_components", target=folder / "target", private_file=private_file)
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("update seeds.score_components set window_days = 365 where component = 'breadth'")
    files: dict[str, list[Tables]] = {"show": [], "band": []}
    for mode, found in files.items():
        for day in DAYS:
            land(private_file, one, mode, day)
            run_dbt(
                "run",
                "--select",
                *(f"+{name}" for name in MARTS),
                target=folder / "target",
                private_file=private_file,
            )
            found.append(tables(private_file))
    truth = (files["show"][0], files["show"][1])
    taken = (naive(truth[0]), naive(truth[1]))
    return {
        "show": Build(truth, truth, one, private_file),
        "naive": Build(taken, truth, one, private_file),
        "band": Build((files["band"][0], files["band"][1]), truth, one, private_file),
    }


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return built(tmp_path_factory.mktemp("small_numbers"), seed=1)


# ---------------------------------------------------------------------------------------------------
# attacks by what numbers of people leave possible

Cell = tuple[Any, ...]
Interval = tuple[float, float]


def interval(count: int | None, band: str) -> Interval:
    """What a published number and its band say."""
    if count is not None and not (count and band.startswith(f"{count}-")) and not band.endswith("+"):
        return count, count
    if band.endswith("+"):
        return float(band[:-1]), math.inf
    low, _, high = band.partition("-")
    return float(low), float(high or low)


def said(row: dict[str, Any], name: str, build: str) -> Interval:
    """What a row says of a number. Beside exact numbers the band says nothing new, but where the number is missing."""
    count, band = row[f"{name}_count"], row[f"{name}_band"]
    return (count, count) if build != "band" and count is not None else interval(count, band)


@dataclass
class Puzzle:
    """Cells with what is known of each, and what holds between them; solved by narrowing until nothing moves."""

    cells: dict[Cell, Interval] = field(default_factory=dict)
    # A total is at least its largest part and at most the sum of its parts.
    unions: list[tuple[Cell, list[Cell]]] = field(default_factory=list)
    # A total is the sum of its parts.
    sums: list[tuple[Cell, list[Cell]]] = field(default_factory=list)

    def learn(self, cell: Cell, low: float, high: float) -> bool:
        """Narrows a cell; whether that was new."""
        before = self.cells.get(cell, (0, math.inf))
        after = max(before[0], low), min(before[1], high)
        assert after[0] <= after[1], f"{cell}: the tables contradict each other"
        self.cells[cell] = after
        return after != before

    def solve(self) -> None:
        moved = True
        while moved:
            moved = False
            for total, parts in [*self.unions, *self.sums]:
                is_sum = (total, parts) in self.sums
                lows = [self.cells[part][0] for part in parts]
                highs = [self.cells[part][1] for part in parts]
                low, high = self.cells[total]
                moved |= self.learn(total, sum(lows) if is_sum else max(lows, default=0), sum(highs))
                for number, part in enumerate(parts):
                    others_high = sum(highs[:number]) + sum(highs[number + 1 :])
                    others_low = sum(lows[:number]) + sum(lows[number + 1 :]) if is_sum else 0
                    moved |= self.learn(part, max(0, low - others_high), high - others_low)


def puzzle(files: Sequence[tuple[date, Tables]], build: str, parents: dict[str, str]) -> Puzzle:
    """Everything that the tables of one or two days say of numbers of people."""
    made = Puzzle()
    for day, found in files:
        periods: dict[tuple[str, str], dict[date, dict[str, Any]]] = defaultdict(dict)
        for row in found["account_engagement"]:
            periods[row["account_id"], row["aggregation_level"]][row["aggregation_starts_on"]] = row
        by_account: dict[str, dict[str, Any]] = {row["account_id"]: row for row in found["account_traffic"]}
        for (account, level), rows in periods.items():
            for start, row in rows.items():
                # A week or month that is whole is the same in both files.
                where: Cell = (
                    account,
                    level,
                    start,
                    row["aggregation_ends_on"],
                    row["is_cut_period"] and day,
                )
                for figure in FIGURES:
                    made.learn((*where, figure), *said(row, figure, build))
        for account, row in by_account.items():
            year = next(iter(periods[account, "year"].values()))
            for name, channels in CHANNELS.items():
                made.learn((account, "both", day, name), *said(row, name, build))
                made.unions.append(
                    (
                        (account, "both", day, name),
                        [_cell(account, year, day, channel) for channel in channels],
                    )
                )
            for figure in FIGURES:
                for level in ("month", "week"):
                    parts = [_cell(account, row, day, figure) for row in periods[account, level].values()]
                    made.unions.append((_cell(account, year, day, figure), parts))
                for month in periods[account, "month"].values():
                    touching = [
                        week
                        for week in periods[account, "week"].values()
                        if week["aggregation_starts_on"] <= month["aggregation_ends_on"]
                        and week["aggregation_ends_on"] >= month["aggregation_starts_on"]
                    ]
                    cells = [_cell(account, week, day, figure) for week in touching]
                    # a cell whose weeks are all inside it is their union, any other at most their sum
                    inside = all(
                        week["aggregation_starts_on"] >= month["aggregation_starts_on"]
                        and week["aggregation_ends_on"] <= month["aggregation_ends_on"]
                        for week in touching
                    )
                    if inside:
                        made.unions.append((_cell(account, month, day, figure), cells))
        for row in found["account_hierarchy_engagement"]:
            members = [a for a in by_account if row["parent_account_id"] in _ancestors(a, parents)]
            for name in CHANNELS:
                total: Cell = ("hierarchy", row["hierarchy_id"], day, name)
                made.learn(total, *said(row, name, build))
                parts = [(account, "both", day, name) for account in members]
                # Nobody is a contact of two accounts here, which whoever knows the customers knows.
                (made.sums if name == "contacts" else made.unions).append((total, parts))
        for row in found["unmatched_domains"]:
            made.learn(("domain", row["mail_domain"], day), *said(row, "addresses", build))
    return made


def _cell(account: str, row: dict[str, Any], day: date, figure: str) -> Cell:
    return (
        account,
        row["aggregation_level"],
        row["aggregation_starts_on"],
        row["aggregation_ends_on"],
        row["is_cut_period"] and day,
        figure,
    )


def _ancestors(account: str, parents: dict[str, str]) -> Iterator[str]:
    """The account itself and all above it."""
    seen: set[str] = set()
    while account not in seen:
        seen.add(account)
        yield account
        if account not in parents:
            return
        account = parents[account]


def small_cells(build: Build, days: Sequence[int]) -> dict[Cell, int]:
    """The cells that must not be learned, with what they are."""
    truth = puzzle([(DAYS[day], build.truth[day]) for day in days], "show", build.company.parents)
    return {cell: int(low) for cell, (low, _) in truth.cells.items() if 0 < low < K}


def exposed(build: Build, name: str, days: Sequence[int] = (1,)) -> dict[Cell, Interval]:
    """The small cells for which fewer numbers are possible than their band leaves."""
    made = puzzle([(DAYS[day], build.files[day]) for day in days], name, build.company.parents)
    made.solve()
    small = small_cells(build, days)
    found = {cell: made.cells[cell] for cell in small}
    found = {cell: (low, high) for cell, (low, high) in found.items() if high - low < K - 2}
    for cell, (low, high) in found.items():
        assert low <= small[cell] <= high, f"{cell}: the attack is wrong"
    return found


def of_kind(found: dict[Cell, Interval], *words: str) -> list[Cell]:
    """Exactly known cells of some kinds: of levels, of both channels, of hierarchies."""
    return [
        cell for cell, (low, high) in found.items() if low == high and any(word in cell[:2] for word in words)
    ]


def new_people(build: Build, name: str) -> dict[Cell, float]:
    """Differencing two files: how many people are new at an account or a domain of strangers within the week."""
    found: dict[Cell, float] = {}
    before, after = (puzzle([(DAYS[day], build.files[day])], name, build.company.parents) for day in (0, 1))
    for cell, (low, high) in after.cells.items():
        earlier = _a_week_before(cell)
        if earlier in before.cells and low == high:
            was_low, was_high = before.cells[earlier]
            if was_low == was_high and 0 < low - was_low < K:
                found[cell] = low - was_low
    return found


def _a_week_before(cell: Cell) -> Cell | None:
    """The cell of the first file that says the same of its year, of both channels, of a hierarchy or a domain."""
    if DAYS[1] in cell and cell[1] != "week" and cell[1] != "month":
        return tuple(
            part - timedelta(days=7) if isinstance(part, date) and not isinstance(part, bool) else part
            for part in cell
        )
    if cell[1:2] == ("year",):
        return tuple(part - timedelta(days=7) if isinstance(part, date) else part for part in cell)
    return None


# ---------------------------------------------------------------------------------------------------
# attacks by other columns


def breadths_by_rank(build: Build, name: str) -> dict[str, int]:
    """Score parts against ranks: the product of people on both sides of accounts whose number is hidden.

    The points give the place, also where they are hidden: the score without the other points. The places give the
    order, and what the bands leave possible has to fit into it.
    """
    _, found = build.files
    components = [row for row in found["account_score_components"] if row["aggregation_level"] == "year"]
    years = {
        row["account_id"]: row for row in found["account_engagement"] if row["aggregation_level"] == "year"
    }
    traffic = {row["account_id"]: row for row in found["account_traffic"]}
    places: dict[float, list[str]] = defaultdict(list)
    for row in components:
        if row["component"] != "breadth":
            continue
        account = row["account_id"]
        others = [
            other["points_earned"]
            for other in components
            if other["account_id"] == account
            and other["component"] != "breadth"
            and other["points_earned"] is not None
        ]
        place = float(years[account]["engagement_score"] - sum(others)) / row["points_possible"]
        # points are rounded down to four digits; places lie further apart
        places[round(place, 3)].append(account)
    # What each account's product may be by itself, smallest and largest place first and last.
    ordered: list[tuple[set[int], list[str]]] = []
    for place in sorted(places):
        possible: set[int] | None = None
        for account in places[place]:
            own, theirs = (
                _possible(said(traffic[account], side, name)) for side in ("own_people", "contacts")
            )
            products = {a * b for a in own for b in theirs}
            possible = products if possible is None else possible & products
        ordered.append((possible or set(), places[place]))
    for one_way in (ordered, ordered[::-1]):
        bound = -math.inf if one_way is ordered else math.inf
        for number, (possible, accounts) in enumerate(one_way):
            kept = {p for p in possible if (p > bound if one_way is ordered else p < bound)}
            if not kept:  # a place says less than the products: several of these are one to the score
                return {}
            one_way[number] = (kept, accounts)
            bound = min(kept) if one_way is ordered else max(kept)
        if one_way is not ordered:
            ordered = one_way[::-1]
    learned = {account: next(iter(p)) for p, accounts in ordered if len(p) == 1 for account in accounts}
    # What is not right was no more than a guess: whoever takes one place for one product is wrong in band mode.
    truth = {row["account_id"]: row for row in build.truth[1]["account_traffic"]}
    return {
        account: product
        for account, product in learned.items()
        for people in ((truth[account]["own_people_count"], truth[account]["contacts_count"]),)
        if min(people) < K and people[0] * people[1] == product
    }


def _possible(known: Interval) -> range:
    return range(int(known[0]), int(min(known[1], 40)) + 1)


def reply_of_a_month(build: Build, name: str) -> dict[Cell, float]:
    """Levels against each other: hours to the replies of the one month that does not say them."""
    found, _ = build.files
    learned: dict[Cell, float] = {}
    rows = found["account_engagement"]
    for year in rows:
        if year["aggregation_level"] != "year" or year["reply_time_mean_hours"] is None:
            continue
        months = [
            row
            for row in rows
            if row["account_id"] == year["account_id"]
            and row["aggregation_level"] == "month"
            and row["replies_count"]
        ]
        hidden = [row for row in months if row["reply_time_mean_hours"] is None] or [
            row for row in months if row["replies_count"] == 1
        ][:1]
        if len(hidden) == 1:
            known = sum(
                row["reply_time_mean_hours"] * row["replies_count"] for row in months if row is not hidden[0]
            )
            total = year["reply_time_mean_hours"] * year["replies_count"] - known
            learned[year["account_id"], hidden[0]["aggregation_starts_on"]] = (
                total / hidden[0]["replies_count"]
            )
    return learned


def reply_of_the_last_week(build: Build, name: str) -> dict[str, float]:
    """Differencing two files: hours to the one reply that came between them."""
    learned = {}
    before, after = (
        {row["account_id"]: row for row in found["account_engagement"] if row["aggregation_level"] == "year"}
        for found in build.files
    )
    for account, row in after.items():
        earlier = before.get(account)
        if (
            earlier
            and row["replies_count"] - earlier["replies_count"] == 1
            and row["reply_time_mean_hours"] is not None
            and earlier["reply_time_mean_hours"] is not None
        ):
            learned[account] = (
                row["reply_time_mean_hours"] * row["replies_count"]
                - earlier["reply_time_mean_hours"] * earlier["replies_count"]
            )
    return learned


def busiest_person(build: Build, name: str) -> dict[str, float]:
    """A share and what it is a share of: how many e-mails and meetings one person of ours had."""
    _, found = build.files
    return {
        row["account_id"]: row["top_own_person_share_ratio"] * row["interactions_count"]
        for row in found["account_traffic"]
        if row["top_own_person_share_ratio"] is not None
    }


def holders_of_one_message(build: Build, name: str) -> dict[str, int]:
    """Coverage: how many of ours hold the one message of a bucket."""
    _, found = build.files
    return {
        row["bucket"]: row["copies_count"]
        for row in found["office_coverage"]
        if row["items_count"] == 1 and row["copies_count"] is not None
    }


# ---------------------------------------------------------------------------------------------------

Attack = Callable[[Build, str], Any]
ATTACKS: dict[str, tuple[Attack, tuple[str, ...]]] = {
    # what it is, and the builds in which it must succeed
    "a number as it stands": (lambda build, name: of_kind(exposed(build, name), "year"), ("show",)),
    "levels against each other": (
        lambda build, name: of_kind(exposed(build, name), "month", "week"),
        ("show", "naive"),
    ),
    "channels against both together": (
        lambda build, name: of_kind(exposed(build, name), "both"),
        ("show", "naive"),
    ),
    "a hierarchy without its other accounts": (
        lambda build, name: [
            c for c in of_kind(exposed(build, name), "both") if c[0] in ("leaf-c", "shoot-0")
        ],
        ("show", "naive"),
    ),
    "two files against each other, people": (new_people, ("show", "naive")),
    "two files against each other, both solved as one": (
        lambda build, name: of_kind(exposed(build, name, (0, 1)), "year", "month", "week", "both"),
        ("show", "naive"),
    ),
    "score parts against ranks": (breadths_by_rank, ("show", "naive")),
    "reply times of a year without its months": (reply_of_a_month, ("show", "naive")),
    "two files against each other, reply times": (reply_of_the_last_week, ("show", "naive")),
    "the share of one person": (busiest_person, ("show", "naive")),
    "copies of one message": (holders_of_one_message, ("show", "naive")),
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.long
def test_each_attack_succeeds_without_suppression_and_fails_with_it(builds: Builds, name: str) -> None:
    attack, succeeds_in = ATTACKS[name]
    for build in succeeds_in:
        assert attack(builds[build], build), f"{build}: the attack finds nothing, so it proves nothing"
    assert not attack(builds["band"], "band")


@pytest.mark.long
def test_what_the_attacks_learn_is_true(builds: Builds) -> None:
    """An attack that guesses would prove nothing."""
    assert reply_of_a_month(builds["naive"], "naive")["answers", date(2025, 11, 1)] == pytest.approx(71)
    assert reply_of_the_last_week(builds["naive"], "naive")["answers"] == pytest.approx(43)
    assert new_people(builds["show"], "show").items() >= {("domain", "else.example", DAYS[1]): 1}.items()
    assert holders_of_one_message(builds["show"], "show")["automated_sender"] == 2


@pytest.mark.long
def test_in_band_mode_the_tables_of_a_day_tell_nothing_more_of_a_small_number(builds: Builds) -> None:
    """Not only is no small number learned: none is narrowed at all."""
    assert len(small_cells(builds["band"], (1,))) > 300
    for day in (0, 1):
        assert exposed(builds["band"], "band", (day,)) == {}


@pytest.mark.long
def test_in_band_mode_something_is_left_to_see(builds: Builds) -> None:
    """Hiding everything would be safe too."""
    _, found = builds["band"].files
    years = [row for row in found["account_engagement"] if row["aggregation_level"] == "year"]
    assert sum(1 for row in years if (row["account_people_in_emails_count"] or 0) >= K) >= 5
    assert sum(1 for row in found["account_traffic"] if (row["contacts_count"] or 0) >= K) >= 5
    assert any(row["contacts_count"] for row in found["account_hierarchy_engagement"])
    (answers,) = (row for row in years if row["account_id"] == "answers")
    assert answers["reply_time_median_hours"] == 5
    assert len({row["engagement_score"] for row in years}) > 20


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_no_company_tells_of_its_small_numbers(tmp_path: Path, seed: int) -> None:
    found = built(tmp_path, seed)
    for name, (attack, _) in ATTACKS.items():
        assert not attack(found["band"], "band"), name
    for day in (0, 1):
        assert exposed(found["band"], "band", (day,)) == {}


# ---------------------------------------------------------------------------------------------------
# the gate's part


@pytest.fixture
def candidate(builds: Builds, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables of the last build in band mode, attached as the gate attaches a file."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"attach '{builds['band'].private_file}' as private (read_only)")
        connection.execute(f"attach '{tmp_path / 'candidate.duckdb'}' as candidate")
        connection.execute("create schema candidate.marts")
        for name in MARTS:
            connection.execute(f"create table candidate.marts.{name} as from private.marts.{name}")
        connection.execute(
            f"create table candidate.marts.publication as select 'band' as small_numbers, {K}::bigint as smallest_group"
        )
        yield connection


@pytest.mark.long
def test_the_gate_lets_pass_what_the_models_made(candidate: duckdb.DuckDBPyConnection) -> None:
    assert small_numbers.check(candidate) == []


@pytest.mark.parametrize(
    ("change", "table", "column", "rule"),
    [
        ("update {}.publication set small_numbers = 'hide'", "publication", "small_numbers", "neither show"),
        ("update {}.publication set smallest_group = 2", "publication", "small_numbers", "of at least 3"),
        ("drop table {}.publication", "publication", "", "does not say its mode"),
        (
            "update {}.account_traffic set contacts_count = 4 where contacts_band = '1-4'",
            "account_traffic",
            "contacts_count",
            "neither 0 nor",
        ),
        (
            "update {}.account_traffic set own_people_count = 6 where own_people_count = 5",
            "account_traffic",
            "own_people_count",
            "neither 0 nor",
        ),
        (
            "update {}.account_engagement set own_people_in_emails_band = '3' where own_people_in_emails_band = '1-4'",
            "account_engagement",
            "own_people_in_emails_band",
            "tells more",
        ),
        (
            "update {}.account_engagement set account_people_in_emails_count = 5, account_people_in_emails_band = '5-9'"
            " where aggregation_level = 'month' and account_people_in_emails_band = '5+'",
            "account_engagement",
            "account_people_in_emails_count",
            "in a month or week",
        ),
        (
            "update {}.account_engagement set account_people_in_emails_count = 5, account_people_in_emails_band = '5-9'"
            " where aggregation_level = 'year' and account_id = 'two-months'",
            "account_engagement",
            "account_people_in_emails_count",
            "tells what a small month",
        ),
        (
            "update {}.account_traffic set contacts_count = 5, contacts_band = '5-9' where account_id = 'two-months'",
            "account_traffic",
            "contacts_count",
            "where one of them is hidden",
        ),
        (
            "update {}.account_hierarchy_engagement set contacts_count = 10, contacts_band = '10-19'"
            " where hierarchy_id = 'tree'",
            "account_hierarchy_engagement",
            "contacts_count",
            "of which one is hidden",
        ),
        (
            "update {}.account_hierarchy_engagement set contacts_band = '1-4' where hierarchy_id = 'grove'",
            "account_hierarchy_engagement",
            "contacts_band",
            "several small accounts",
        ),
        (
            "update {}.enriched_customers set own_people_in_emails_count = 10, own_people_in_emails_band = '10-19'"
            " where own_people_in_emails_count = 5",
            "enriched_customers",
            "own_people_in_emails_count",
            "does not show",
        ),
        (
            "update {}.customer_cards set own_people_in_emails_count = 10, own_people_in_emails_band = '10-19'"
            " where own_people_in_emails_count = 5",
            "customer_cards",
            "own_people_in_emails_count",
            "does not show",
        ),
        ("update {}.customer_cards set contacts_listed_count = 3", "customer_cards", "contacts_listed_count",
         "neither 0 nor"),
        (
            "update {}.customer_measures_rolled_up set contacts_count = 10, contacts_band = '10-19'"
            " where account_id = 'tree'",
            "customer_measures_rolled_up",
            "contacts_count",
            "shows",
        ),
        ("update {}.customer_measures set reply_time_mean_hours = 1", "customer_measures",
         "reply_time_mean_hours", "one slow answer"),
        ("update {}.customer_measures_rolled_up set reply_time_mean_hours = 1", "customer_measures_rolled_up",
         "reply_time_mean_hours", "one slow answer"),
        ("update {}.account_activity set reply_time_hours = 1", "account_activity", "reply_time_hours",
         "one slow answer"),
        ("update {}.business_measures set measure_value = 1 where measure = 'reply_time_mean_hours'",
         "business_measures", "measure_value", "one slow answer"),
        ("update {}.customer_cards set reply_time_median_hours = 5.5 where reply_time_median_hours = 5",
         "customer_cards", "reply_time_median_hours", "whole hours"),
        ("update {}.account_engagement set reply_time_mean_hours = 1", "account_engagement",
         "reply_time_mean_hours", "one slow answer"),
        ("update {}.account_traffic set top_contact_share_ratio = 1", "account_traffic",
         "top_contact_share_ratio", "one person"),
        ("update {}.account_traffic set is_single_threaded = false", "account_traffic",
         "is_single_threaded", "one person"),
        ("update {}.office_coverage set copies_count = 1", "office_coverage", "copies_count", "who hold them"),
        ("update {}.account_engagement set reply_time_median_hours = 5.5 where reply_time_median_hours = 5",
         "account_engagement", "reply_time_median_hours", "whole hours"),
        ("update {}.account_engagement set reply_time_median_hours = 5 where replies_count = 1",
         "account_engagement", "reply_time_median_hours", "fewer than 20 replies"),
        ("update {}.account_score_components set raw_value = 2.2 where component = 'breadth'",
         "account_score_components", "raw_value", "below the smallest group"),
        ("insert into {}.customer_issues values ('contact_is_monitored', 'contact', 'c1', '')",
         "customer_issues", "subject_id", "id of a contact"),
    ],
)  # fmt: skip
@pytest.mark.long
def test_the_gate_refuses_a_file_that_tells_more(
    candidate: duckdb.DuckDBPyConnection, change: str, table: str, column: str, rule: str
) -> None:
    candidate.execute(change.format("candidate.marts"))
    found = small_numbers.check(candidate)
    assert [
        one for one in found if (one.table, one.column) == (f"marts.{table}", column) and rule in one.rule
    ], found


@pytest.mark.long
def test_in_show_mode_the_gate_has_nothing_to_say(candidate: duckdb.DuckDBPyConnection) -> None:
    candidate.execute("update candidate.marts.account_traffic set contacts_count = 1, contacts_band = '1-4'")
    candidate.execute("update candidate.marts.publication set small_numbers = 'show', smallest_group = null")
    assert small_numbers.check(candidate) == []


def test_every_published_number_of_people_has_its_band() -> None:
    """A new one is found here before anybody publishes it."""
    for path in (ROOT / "models" / "marts").glob("**/_*__models.yml"):
        for model in yaml.safe_load(path.read_text("utf-8"))["models"]:
            columns = [column["name"] for column in model["columns"]]
            people = (
                {
                    column["name"].removesuffix("_count")
                    for column in model["columns"]
                    if column.get("config", {}).get("meta", {}).get("unit") in ("people", "addresses")
                    # What is said of a company's own staff tells of nobody's mail.
                    and "employees" not in column["name"]
                }
                - ORIGINAL_NAMES
                # Nor does how many were selected and read.
                - {"selected", "processed"}
            )
            assert people == set(small_numbers.BANDED.get(model["name"], ())), model["name"]
            assert {f"{name}_band" for name in people} <= set(columns)


def test_the_gate_knows_the_bands_of_the_models() -> None:
    macros = (ROOT / "macros" / "small_numbers.sql").read_text("utf-8")
    assert f"return({list(small_numbers.BAND_MULTIPLES)})" in macros
