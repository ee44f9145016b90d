"""The pages of the documentation: each can be found, each link leads somewhere, and what they name is there."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import click
import pytest

from engagement.cli import cli
from engagement.contract import project_contract
from project_fixtures import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", *DOCS.rglob("*.md")])
DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
# A model, a mart, a raw table, a seed, a file, or a var: what the last column of the glossary may name.
NAMED = re.compile(r"(var )?`([^`]+)`")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^    .*$", "", text, flags=re.M))


def anchors(path: Path) -> set[str]:
    """The names of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without their headers."""
    lines = text.splitlines()
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for number, line in enumerate(lines)
        if line.startswith("|")
        and not line.startswith("| ---")
        and not (number + 1 < len(lines) and lines[number + 1].startswith("| ---"))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(without_code(page.read_text("utf-8"))):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)
    assert broken == []


def test_a_broken_link_is_noticed() -> None:
    assert LINK.findall(without_code("[a](b.md#c) `[no](link)`\n    [code](x.md)\n![d](e.png)")) == [
        "b.md#c",
        "e.png",
    ]
    assert "d63-a-meeting" in anchors(DOCS / "numbers.md")


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    linked = {(DOCS / link).resolve() for link in LINK.findall(index)}
    expected = {path for path in DOCS.glob("*.md") if path.name != "README.md"}
    assert expected - linked == set()


def test_the_page_of_tables_names_every_mart() -> None:
    """Those under the original's names stand in schemas of their own, and are named there."""
    named = set(re.findall(r"`marts\.(\w+)`", (DOCS / "tables.md").read_text("utf-8")))
    marts = {table.name for table in project_contract(ROOT).tables if table.schema == "marts"}
    assert named == {name for name in marts if not name.startswith("original_")}


def test_the_first_screen_names_marts_as_the_page_of_tables_does() -> None:
    text = (ROOT / "README.md").read_text("utf-8").partition("## Try it")[0]
    shown = [row for row in rows(text) if row[0].startswith("`marts.")]
    named = set(re.findall(r"`marts\.(\w+)`", (DOCS / "tables.md").read_text("utf-8")))
    assert len(shown) == 10
    assert {row[0].strip("`").removeprefix("marts.") for row in shown} <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_targets_of_make_and_the_commands_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    context = click.Context(cli)
    said = re.findall(r"(?:`|^    )make ([a-z][a-z-]+)", text, flags=re.M)
    assert set(said) - targets == set()
    commands = re.findall(r"`engagement ([a-z][a-z-]+)", text)
    assert {name for name in commands if cli.get_command(context, name) is None} == set()


# --- the glossary


def test_what_the_glossary_names_is_there() -> None:
    text = (DOCS / "glossary.md").read_text("utf-8").partition("## Words with two meanings")[0]
    models = {path.stem for path in (ROOT / "models").rglob("*.sql")}
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "models").rglob("_*__sources.yml"))
    project = (ROOT / "dbt_project.yml").read_text("utf-8")
    missing, seen = [], 0
    for word, _, where in rows(text):
        for is_var, name in NAMED.findall(where):
            seen += 1
            if is_var:
                found = f"\n  {name}:" in project
            elif "/" in name:
                found = (ROOT / name).exists()
            elif name.startswith("raw."):
                found = f"- name: {name.removeprefix('raw.')}\n" in sources
            else:
                found = name in models
            if not found:
                missing.append((word, name))
        assert NAMED.search(where), word
    assert missing == [] and seen > 80


def test_the_glossary_says_each_word_once() -> None:
    text = (DOCS / "glossary.md").read_text("utf-8").partition("## Words with two meanings")[0]
    words = [word for row in rows(text) for word in row[0].split(", ")]
    assert len(words) == len(set(words))


# --- decisions


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_four_parts(page: Path) -> None:
    text = page.read_text("utf-8")
    number = page.name[:4]
    assert re.findall(r"^#+ .*$", text, flags=re.M)[1:] == [
        "## Context",
        "## Options considered",
        "## Decision",
        "## Consequences",
    ]
    title = re.match(rf"# {number} (.+)\n", text)
    assert title is not None
    assert f"| [{number}]({page.name}) | {title[1]} |" in (DOCS / "decisions" / "README.md").read_text(
        "utf-8"
    )
    assert 15 <= text.count("\n") <= 40


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


# --- what the comments of the code refer to


def test_the_numbers_in_comments_stand_in_the_documentation() -> None:
    comments = "".join(
        path.read_text("utf-8")
        for folder in ("models", "macros", "scripts/engagement")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in {".sql", ".yml", ".py"}
    )
    index = (DOCS / "decisions" / "README.md").read_text("utf-8")
    headings = (DOCS / "numbers.md").read_text("utf-8")
    for rule in sorted(set(re.findall(r"\bD\d+(?:\.\d+)?\b", comments))):
        assert f"| {rule} |" in index or f"## {rule} " in headings or rule == "D6", rule
    original = "\n".join(row[0] for row in rows((DOCS / "original.md").read_text("utf-8")))
    told = {
        f"{letter}{number}"
        for letter, first, last in re.findall(r"\b([LE])(\d+)(?: to [LE](\d+))?", original)
        for number in range(int(first), int(last or first) + 1)
    }
    assert told == {f"L{n}" for n in range(1, 28)} | {f"E{n}" for n in range(1, 44)}


def test_the_columns_of_the_original_are_those_of_the_model() -> None:
    text = (DOCS / "original.md").read_text("utf-8").partition("## The sixteen columns")[2]
    sql = (ROOT / "models/marts/engagement/original_account_engagement.sql").read_text("utf-8")
    renamed = re.findall(r"(\w+) as \{\{ adapter.quote\('(\w+)'\) \}\}", sql)
    told = {(there.strip("`"), here.strip("`")) for there, here in rows(text)}
    assert told == {(there, here) for here, there in renamed} - {
        ("CustomerId", "account_id"),
        ("PrimaryKey", "primary_key"),
    }
    assert len(told) == 16


def test_the_weights_of_the_readme_are_those_of_the_seed() -> None:
    """The long test recomputes the whole table; this one needs no build."""
    with (ROOT / "seeds" / "score_components.csv").open(encoding="utf-8", newline="") as file:
        weights = {
            row["component"]: row["weight"] for row in csv.DictReader(file) if row["score_version"] == "v1"
        }
    section = (ROOT / "README.md").read_text("utf-8").partition("## The score")[2].partition("\n## ")[0]
    assert {row[0]: row[3] for row in rows(section) if not row[0].startswith("**")} == weights
