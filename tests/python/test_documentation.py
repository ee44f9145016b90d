"""dbt's documentation as one page: what it shows, opened from disk, and that it asks nobody for anything."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from documentation import page as documentation_page
from project_fixtures import ROOT, CompiledProject, run_dbt

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# The manifest's word that makes dbt's page count its visits.
QUIET, COUNTING = '"send_anonymous_usage_stats": false', '"send_anonymous_usage_stats": true'


# --- what is done to the page


def test_the_page_gets_a_policy_and_loses_what_tells_of_its_maker() -> None:
    made = (
        '<html><head lang="en"><link rel="icon" href="${require(\'./a.ico\')}"><title>t</title></head>'
        f'{{"user_id": "1-2", {COUNTING}, "root_path": "/some/where", "path": "/some/where/models/a.sql"}}'
    )
    expected = (
        f'<html><head lang="en">{documentation_page.META}<title>t</title></head>'
        f'{{"user_id": null, {QUIET}, "root_path": ".", "path": "models/a.sql"}}'
    )
    assert documentation_page.closed(made, Path("/some/where")) == expected
    assert documentation_page.closed(expected, Path("/some/where")) == expected


def test_what_is_no_page_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.html").write_text("nothing", "utf-8")
    for name, said in (("no.html", "has no head"), ("none.html", "No such file")):
        assert documentation_page.main([str(tmp_path / name)]) == 1
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1 and "run `make docs`" in error


# --- in a browser


@pytest.fixture(scope="module")
def pages(compiled_project: CompiledProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What plain dbt documents of a new file: the page as dbt makes it (raw.html), and as `make docs` leaves it
    (static_index.html).
    """
    folder = tmp_path_factory.mktemp("documentation") / "compiled"
    # Other modules read what was compiled.
    shutil.copytree(compiled_project.target, folder)
    private_file = folder / compiled_project.private_file.name
    run_dbt("docs", "generate", "--static", target=folder, private_file=private_file)
    shutil.copyfile(folder / "static_index.html", folder / "raw.html")
    assert documentation_page.main([str(folder / "static_index.html")]) == 0
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


@contextmanager
def opened(browser: Browser, allowed: str) -> Iterator[tuple[Page, list[str]]]:
    """A page, and the addresses beyond those that begin with `allowed` that it asked for; nothing of them leaves."""
    asked: list[str] = []
    with browser.new_context(viewport={"width": 1400, "height": 1000}) as context:

        def answer(route: Route) -> None:
            if route.request.url.startswith(allowed):
                route.continue_()
            else:
                asked.append(route.request.url)
                route.abort()

        context.route("**/*", answer)
        yield context.new_page(), asked


@pytest.mark.long
def test_the_page_opens_from_disk_and_asks_nobody(pages: Path, browser: Browser) -> None:
    address = (pages / "static_index.html").as_uri()
    with opened(browser, address) as (page, asked):
        page.goto(address)
        # The overview is ours, and its links lead to models.
        page.get_by_role("heading", name="How data flows").wait_for()
        page.get_by_role("heading", name="How to read a column").wait_for()
        page.get_by_role("link", name="account_score_components", exact=True).first.click()
        page.get_by_role("heading", name="account_score_components").wait_for()
        page.get_by_text("why the score is what it is").first.wait_for()
        # Every column, and of an opened one its description and unit.
        page.locator("tr.column-row:visible", has_text="weight_points").click()
        details = page.locator("td.column-expanded:visible")
        details.wait_for()
        words = " ".join(details.inner_text().split()).lower()
        assert "unit points" in words and "weight in the seed" in words, words
        # The lineage, with the readers at its end.
        page.locator(".launcher-btn a").click()
        page.locator("#graph-viz-wrapper canvas").first.wait_for()
        page.goto(f"{address}#!/exposure/exposure.customer_engagement.digest")
        page.get_by_role("heading", name="Digest").wait_for()
        page.get_by_role("link", name="segment_history", exact=True).first.wait_for()
        page.wait_for_timeout(2000)
    assert asked == []


@pytest.mark.long
@pytest.mark.parametrize(("name", "asks"), [("raw.html", True), ("static_index.html", False)])
def test_the_policy_keeps_the_page_from_counting_visits(
    name: str, asks: bool, pages: Path, browser: Browser
) -> None:
    """With counting on the page of dbt asks another host at once; with the policy even then it does not."""
    text = (pages / name).read_text("utf-8")
    assert QUIET in text
    (pages / f"counting-{name}").write_text(text.replace(QUIET, COUNTING), "utf-8")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(pages))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        with opened(browser, address) as (page, asked):
            page.goto(f"{address}counting-{name}")
            page.get_by_role("heading", name="How data flows").wait_for()
            page.wait_for_timeout(2000)
        server.shutdown()
    assert bool(asked) == asks, asked


def test_the_overview_is_the_projects(compiled_project: CompiledProject) -> None:
    """Each model that it links to is there."""
    text = (ROOT / "models" / "overview.md").read_text("utf-8")
    linked = {part.partition(")")[0] for part in text.split("(#!/model/")[1:]}
    assert len(linked) >= 5
    assert linked <= set(compiled_project.manifest["nodes"])
    assert "doc.customer_engagement.__overview__" in compiled_project.manifest["docs"]
