"""What `make bench-pages` runs: first pages and interactions in Chromium, over a published file of 50,000 accounts.

A first page is one that a browser which has never been here asks for, until nothing more is drawn. An interaction lasts
from the click until what was asked for stands there: the rows, the chart's numbers, or of another page what stands
first on it; and then until all of the page is drawn, which has the bound of a first page. Every repetition looks at
other accounts, so that no answer was given before. The exit code is 1 where a median is over its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
from playwright.sync_api import Browser, Locator, Page

from benchmarks.browser import CHROMIUM, chromium, serving, settled, visit, visitor
from benchmarks.goals import Goal, Spread
from benchmarks.many_accounts import multiply

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "data" / "demo"
DOCUMENT = ROOT / "docs" / "pages.md"
BEGIN, END = "<!-- bench-pages begin -->\n", "<!-- bench-pages end -->"
ACCOUNTS, REPETITIONS = 50_000, 5
MOST_SECONDS_FIRST, MOST_SECONDS_INTERACTION = 2.0, 0.5

FIRST_PAGES = {
    "Enrichments": "",
    "Results of office": "results?enrichment=account-engagement",
    "Results of Leadspace": "results?enrichment=company-data",
    "Customers": "customer",
    "Customer": "customer?account={account}",
    "Score": "score",
    "Segments": "segments",
    "A segment": "segments?segment=stale",
}

Step = Callable[[Page, int], Callable[[], object]]


def table(page: Page, caption: str | re.Pattern[str]) -> Locator:
    """The table under a caption."""
    return page.get_by_role("table", name=caption).first


def _navigate(title: str) -> Step:
    """Another page from the navigation, until its first figures stand there."""

    def step(page: Page, turn: int) -> Callable[[], object]:
        def act() -> None:
            page.get_by_role("link", name=title, exact=True).first.click()
            page.get_by_role("heading", name=title, level=1).wait_for()
            page.get_by_role("table").or_(page.get_by_test_id("stMetric")).first.wait_for()

        return act

    return step


def _sort(caption: str, header: str) -> Step:
    def step(page: Page, turn: int) -> Callable[[], object]:
        direction = "descending" if turn % 2 == 0 else "ascending"
        column = table(page, caption).get_by_role("columnheader", name=re.compile(rf"^{header}"))
        button = column.get_by_role("button")
        wanted = table(page, caption).locator("th[aria-sort]")

        def act() -> None:
            before = wanted.get_attribute("aria-sort") if wanted.count() else None
            button.click()
            deadline = time.perf_counter() + 10
            while (wanted.get_attribute("aria-sort") if wanted.count() else None) == before:
                assert time.perf_counter() < deadline, (caption, header, direction)

        return act

    return step


def _more(caption: str) -> Step:
    def step(page: Page, turn: int) -> Callable[[], object]:
        rows = table(page, caption).locator("tbody tr")
        shown = rows.count()

        def act() -> None:
            page.get_by_role("button", name=re.compile("^Show .* more")).first.click()
            rows.nth(shown).wait_for()

        return act

    return step


def _open(caption: str | re.Pattern[str], first: Callable[[Page], Locator]) -> Step:
    """A link of a table, until its name and what stands `first` are there."""

    def step(page: Page, turn: int) -> Callable[[], object]:
        link = table(page, caption).get_by_role("link").nth(turn)
        name = link.inner_text()

        def act() -> None:
            link.click()
            page.get_by_role("heading", name=name).first.wait_for()
            first(page).wait_for()

        return act

    return step


def _search(page: Page, turn: int) -> Callable[[], object]:
    box = page.get_by_role("searchbox", name="Search customers")
    # None of them stands first before.
    word = ["Birch", "Sequoia", "Aurora", "Raven", "Onyx"][turn % 5]

    def act() -> None:
        box.fill(word)
        box.press("Enter")
        table(page, "Customers").locator("tbody tr").first.filter(has_text=word).wait_for()

    return act


def _tab(name: str) -> Step:
    def step(page: Page, turn: int) -> Callable[[], object]:
        def act() -> None:
            page.get_by_role("tab", name=name).click()
            panel = page.get_by_role("tabpanel").filter(visible=True)
            panel.locator("table, p, [data-testid=stMetric]").first.wait_for()

        return act

    return step


def _choose(label: str, option: int, shown: Callable[[Page, str], Locator]) -> Step:
    """An option of a select box, until what is `shown` of it stands there; `option` is added to the turn. The clock
    begins with the choice, when the list is open.
    """

    def step(page: Page, turn: int) -> Callable[[], object]:
        box = page.get_by_role("combobox", name=re.compile(rf"{label}$"))
        # The list closes when the page scrolls.
        box.scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        box.click()
        chosen = page.get_by_role("option").nth(option + turn)
        text = chosen.inner_text()

        def act() -> None:
            chosen.click()
            shown(page, text).first.wait_for()

        return act

    return step


def _weeks(page: Page, turn: int) -> Callable[[], object]:
    chart = page.locator("[aria-label^='E-mails from the customer over time']").first
    # What it says to who cannot see it: the month, or the week, with the most of them.
    before = chart.get_attribute("aria-label")

    def act() -> None:
        page.get_by_role("radio", name="Weeks").or_(page.get_by_role("button", name="Weeks")).first.click()
        deadline = time.perf_counter() + 10
        while chart.get_attribute("aria-label") == before:
            assert time.perf_counter() < deadline

    return act


def _figure(page: Page) -> Locator:
    return page.get_by_test_id("stMetricValue").first


# Where each begins, and what is done there.
INTERACTIONS: dict[str, tuple[str, Step]] = {
    "another page": ("segments", _navigate("Results")),
    "the customers": ("score", _navigate("Customer")),
    "sort customers": ("customer", _sort("Customers", "Owner")),
    "more customers": ("customer", _more("Customers")),
    "search a customer": ("customer", _search),
    "open a customer": ("customer", _open("Customers", _figure)),
    "its company": ("customer?account={account}&card_tab=Match", _tab("Company")),
    "its family": ("customer?account={account}", _tab("Family")),
    "its match": ("customer?account={account}", _tab("Match")),
    "its weeks": ("customer?account={account}", _weeks),
    "open a segment": ("segments", _open("Segments", _figure)),
    "sort members": ("segments?segment=stale", _sort("Accounts in it", "Score")),
    "more members": ("segments?segment=stale", _more("Accounts in it")),
    "members of an owner": (
        "segments?segment=low_engagement",
        _choose("Owner", 1, lambda page, text: table(page, f"Accounts in it, of {text}")),
    ),
    "an attribute": (
        "segments?segment=stale",
        _choose(
            "Look at one attribute",
            1,
            lambda page, text: page.get_by_text(f"{text}: accounts in it and all others", exact=True),
        ),
    ),
    "another week": (
        "score",
        _choose("Week that ends on", 1, lambda page, text: table(page, f"Top gains, week to {text}")),
    ),
    "open who moved": ("score", _open(re.compile("Top gains"), _figure)),
    "Discover": ("", _tab("Discover")),
    "the runs": ("", _tab("Runs")),
}


def accounts_of(file: Path, count: int) -> list[str]:
    """Ids of so many accounts with a score, far from one another."""
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute(
            "select account_id from marts.customer_cards where engagement_score is not null "
            "order by hash(account_id) limit ?",
            [count],
        ).fetchall()
    return [account for (account,) in found]


def first_seconds(browser: Browser, url: str) -> float:
    """A first visit, by a browser that has nothing of it yet."""
    with visitor(browser) as context:
        page = context.new_page()
        began = time.perf_counter()
        visit(page, url)
        return time.perf_counter() - began


def interaction_seconds(browser: Browser, url: str, step: Step, turn: int) -> tuple[float, float]:
    """What `step` takes on the page at `url`, which is drawn before the clock begins: until what was asked for stands
    there, and until all is drawn.
    """
    with visitor(browser) as context:
        page = context.new_page()
        visit(page, url)
        # Charts are drawn after the page says that it is done.
        page.wait_for_timeout(700)
        act = step(page, turn)
        began = time.perf_counter()
        act()
        asked = time.perf_counter() - began
        settled(page)
        return asked, time.perf_counter() - began


def measured(
    file: Path, repetitions: int, only: str | None, note: Callable[[str], None]
) -> tuple[dict[str, list[float]], dict[str, list[tuple[float, float]]], float]:
    """Seconds of first pages and of interactions, by their names, and the most memory of the server in MB."""
    accounts = iter(accounts_of(file, (repetitions + 1) * (len(FIRST_PAGES) + len(INTERACTIONS))))
    first: dict[str, list[float]] = {}
    interactions: dict[str, list[tuple[float, float]]] = {}
    with serving(file.parent) as address, chromium() as browser:
        # The server reads what it needs of Python with its first visitor; nobody waits for it again.
        first_seconds(browser, address)
        for name, path in FIRST_PAGES.items():
            if only is None or only in name:
                urls = [f"{address}/{path.format(account=next(accounts))}" for _ in range(repetitions)]
                first[name] = [first_seconds(browser, url) for url in urls]
                note(f"{name}: {Spread.of(first[name]).median:.2f} s")
        for name, (path, step) in INTERACTIONS.items():
            if only is None or only in name:
                urls = [f"{address}/{path.format(account=next(accounts))}" for _ in range(repetitions)]
                interactions[name] = [
                    interaction_seconds(browser, url, step, turn) for turn, url in enumerate(urls)
                ]
                asked, drawn = (Spread.of(one).median * 1000 for one in zip(*interactions[name], strict=True))
                note(f"{name}: {asked:.0f} ms, all drawn after {drawn:.0f} ms")
        memory = _memory_mb(address)
    return first, interactions, memory


def _memory_mb(address: str) -> float:
    """The most memory that the server at `address` has had; 0 where the system has no /proc."""
    port = address.rpartition(":")[2]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            if "pages" in words and port in words:
                [line] = [
                    one for one in (process / "status").read_text().splitlines() if one.startswith("VmHWM")
                ]
                return int(line.split()[1]) / 1000
        except OSError:
            continue
    return 0.0


def as_table(first: dict[str, list[float]], interactions: dict[str, list[tuple[float, float]]]) -> str:
    """Both as one Markdown table."""
    lines = ["| | median | least | most | all drawn, median |", "| --- | --- | --- | --- | --- |"]
    for name, seconds in first.items():
        spread = Spread.of(seconds)
        lines.append(
            f"| first page: {name} | {spread.median:.2f} s | {spread.least:.2f} s | {spread.most:.2f} s | |"
        )
    for name, pairs in interactions.items():
        asked, drawn = ([1000 * one for one in seconds] for seconds in zip(*pairs, strict=True))
        spread = Spread.of(asked)
        lines.append(
            f"| {name} | {spread.median:.0f} ms | {spread.least:.0f} ms | {spread.most:.0f} ms "
            f"| {Spread.of(drawn).median:.0f} ms |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, says what was found, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--file", type=Path, help="over this published file, not the demo's repeated")
    parser.add_argument("--only", help="those whose name has this in it")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/pages.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if CHROMIUM is None:
        print("error: no Chromium; install the system's package (apt-get install chromium)", file=sys.stderr)
        return 2
    if not (DEMO / "engagement.duckdb").exists():
        print("error: data/demo: nothing is published there; run `make demo` first", file=sys.stderr)
        return 2

    def note(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        for name in ("run_state.json", "enrichments.yml", "consents.json"):
            shutil.copy(DEMO / name, data / name)
        file = data / "engagement.duckdb"
        if options.file:
            file.symlink_to(options.file.resolve())
        else:
            accounts = multiply(DEMO / "engagement.duckdb", file, options.accounts)
            note(f"{accounts:,} accounts, {file.stat().st_size / 1e6:,.0f} MB")
        first, interactions, memory = measured(file, options.repetitions, options.only, note)
    goals = [
        *(_goal(name, seconds, MOST_SECONDS_FIRST) for name, seconds in first.items()),
        *(
            _goal(name, [asked for asked, _ in pairs], MOST_SECONDS_INTERACTION)
            for name, pairs in interactions.items()
        ),
        *(
            _goal(f"{name}, all drawn", [drawn for _, drawn in pairs], MOST_SECONDS_FIRST)
            for name, pairs in interactions.items()
        ),
    ]
    missed = [goal for goal in goals if not goal.met]
    if options.json:
        facts: dict[str, Any] = {goal.name: {"seconds": goal.value, "at_most": goal.bound} for goal in goals}
        print(json.dumps({"measured": facts, "memory_mb": memory}))
    else:
        print(as_table(first, interactions), end="")
        print(f"memory of the server: {memory:,.0f} MB")
        for goal in missed:
            print(f"over its bound: {goal.name}, {goal.value:.2f} s of {goal.bound:.1f} s")
    if options.docs:
        text = DOCUMENT.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(before + BEGIN + as_table(first, interactions) + END + after, encoding="utf-8")
    return 1 if missed else 0


def _goal(name: str, seconds: Sequence[float], bound: float) -> Goal:
    return Goal(name, Spread.of(seconds).median, bound, at_least=False)


if __name__ == "__main__":
    sys.exit(main())
