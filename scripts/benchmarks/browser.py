"""The pages in a real browser, for benchmarks, pictures and tests: the command serves them, and the system's Chromium,
driven by Playwright, looks at them.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

SCRIPTS = Path(__file__).parents[1]
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
# Far beyond what anything takes, also where other tests have the cores.
WAIT_MILLISECONDS = 60_000


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
            "PYTHONPATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PYTHONPATH", "")]),
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


@contextmanager
def visitor(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A person at a desk who writes numbers and dates as in Britain, and lives in UTC. Of an error that ends the visit,
    the notes say what stood on the pages.
    """
    context = browser.new_context(
        **{
            "locale": "en-GB",
            "timezone_id": "UTC",
            "color_scheme": "light",
            "viewport": {"width": 1280, "height": 900},
            **options,
        }
    )
    with context:
        context.set_default_timeout(WAIT_MILLISECONDS)
        try:
            yield context
        except Exception as error:
            for page in context.pages:
                with suppress(Error):
                    error.add_note(_seen_on(page))
            raise


def _seen_on(page: Page) -> str:
    """The address of a page, what Streamlit says it does, and the headings and tables that stand there."""
    app = page.locator("[data-testid=stApp]")
    state = app.get_attribute("data-test-script-state", timeout=1000) if app.count() else "no app"
    headings = page.locator("h1, h2, caption").all_inner_texts()
    return f"{page.url}, {state}: {', '.join(headings)}"


def settled(page: Page) -> None:
    """Waits until the app has nothing more to draw."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.locator("[data-stale=true]").first.wait_for(state="detached")


def visit(page: Page, address: str) -> None:
    """Goes to an address and waits until its page is drawn."""
    page.goto(address)
    page.locator("h1").first.wait_for()
    settled(page)
