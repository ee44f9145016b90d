"""The pages as a person sees them: served by the command itself and looked at in the system's Chromium; or run by
Streamlit's own AppTest, without a browser.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from emulators import demo
from engagement.pages import site
from made_once import made_once, session_folder

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Nothing of the browser's own may look for a network.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium; install the system's package (apt-get install chromium)"
)
WAIT_MILLISECONDS = 15_000


def demo_folder(session: Path) -> Path:
    """The demo's folder as `make demo` fills it, once a session; who uses it may not change it."""

    def run_demo(folder: Path) -> None:
        assert demo.run(["--json"], folder=folder / "demo") == 0

    return made_once(session, "demo-once", run_demo) / "demo"


@contextmanager
def serving(folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """`engagement pages` over the data folder `folder` (its enrichments.yml as well); its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "engagement", "pages", "--port", str(port), *options],
        env={
            **os.environ,
            "ENGAGEMENT_DATA_DIR": str(folder),
            "ENGAGEMENT_CONFIG": str(folder / "enrichments.yml"),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]),
            **(environment or {}),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                    break
            except OSError:
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline, "the pages have not started in 60 s"
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def visitor(browser: Browser, **options: Any) -> BrowserContext:
    """A person at a desk who writes numbers and dates as in Britain, and lives in UTC."""
    context = browser.new_context(
        **{
            "locale": "en-GB",
            "timezone_id": "UTC",
            "color_scheme": "light",
            "viewport": {"width": 1280, "height": 900},
            **options,
        }
    )
    context.set_default_timeout(WAIT_MILLISECONDS)
    return context


def settled(page: Page) -> None:
    """Waits until the app has nothing more to draw."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.locator("[data-stale=true]").first.wait_for(state="detached")


def visit(page: Page, address: str) -> None:
    """Goes to an address and waits until its page is drawn."""
    page.goto(address)
    page.locator("h1").first.wait_for()
    settled(page)


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
    """What a person reads in a cell, as a number: '1,234.5', '12 %', '$ 65,360,000'; of a true minus too."""
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
    return demo_folder(session_folder(tmp_path_factory.getbasetemp())) / "engagement.duckdb"
