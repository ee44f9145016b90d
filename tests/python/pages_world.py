"""The pages for tests: looked at in a real browser (`benchmarks.browser`), or run by Streamlit's own AppTest without
one.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from benchmarks.browser import CHROMIUM
from demo_once import demo_folder
from engagement.pages import site

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium; install the system's package (apt-get install chromium)"
)


def table_of(page: Page, caption: str) -> Locator:
    """The table under this caption."""
    return page.get_by_role("table", name=caption, exact=True)


def rows_of(page: Page, caption: str) -> list[list[str]]:
    """The texts of its cells, header first."""
    table = table_of(page, caption)
    table.wait_for()
    return [
        [text.strip() for text in row.locator("th, td").all_inner_texts()]
        for row in table.locator("tr").all()
    ]


def number(text: str) -> float:
    """What a person reads in a cell, as a number: '1,234.5', '12 %', '-3.0', '$ 65,360,000'."""
    return float(re.sub(r"[^\d.\-]", "", text.replace("\N{MINUS SIGN}", "-")))


# --- without a browser

# Before each run AppTest reads the metadata of all installed packages, which takes longer than the page does.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)

ONE_PAGE = """
import streamlit as st
from engagement.pages import app, links
links.use({{name: st.Page(lambda: None, title=title, url_path=name) for name, (title, _) in app.PAGES.items()}})
app.page({path!r})
"""


def app(
    published_file: Path, path: str, *, query: Mapping[str, str] | None = None, **options: Any
) -> AppTest:
    """One page over a published file, run once. Other keywords are those of Site."""
    folder = published_file.parent
    site.use(
        site.Site(
            published_file=published_file,
            run_state_file=options.pop("run_state_file", folder / "run_state.json"),
            run_lock_file=options.pop("run_lock_file", folder / "run.lock"),
            **options,
        )
    )
    test = AppTest.from_string(ONE_PAGE.format(path=path), default_timeout=30)
    for name, value in (query or {}).items():
        test.query_params[name] = value
    return test.run()


def tables(test: AppTest) -> dict[str, dict[str, Any]]:
    """By caption, what the tables of a page were given to draw: columns, rows, note."""
    found = {}
    for element in test.get("bidi_component"):
        data = json.loads(element.proto.json)
        found[data["caption"]] = data
    return found


def cells(test: AppTest, caption: str) -> list[list[str]]:
    """The texts of a table's cells, without its header."""
    return [row["cells"] for row in tables(test)[caption]["rows"]]


@pytest.fixture(scope="session")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's published file, its run_state.json and enrichments.yml beside it."""
    return demo_folder(tmp_path_factory.getbasetemp()) / "engagement.duckdb"
