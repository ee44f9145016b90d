"""The pages in a real browser: what leaves the machine, who sees what behind a real proxy, a file that is replaced,
names with markup, and an audit of accessibility.
"""

from __future__ import annotations

import base64
import csv
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as WaitedTooLongError

from benchmarks.browser import WAIT_MILLISECONDS, chromium, serving, settled, visit, visitor
from pages_world import demo_file, needs_chromium, number, rows_of, table_of  # noqa: F401  (demo_file is a fixture)

ROOT = Path(__file__).parents[2]
PAGES = [
    "enrichments",
    "results",
    "customer",
    "customer?account=A-1009",
    "score",
    "segments",
    "segments?segment=stale",
]
SERIOUS = {"serious", "critical"}

pytestmark = needs_chromium
expect.set_options(timeout=WAIT_MILLISECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def demo_pages(demo_file: Path) -> Iterator[str]:  # noqa: F811
    with serving(demo_file.parent) as address:
        yield address


def copied(demo_file: Path, folder: Path, pages: str = "") -> Path:  # noqa: F811
    """A data folder with a file that may be changed; `pages` is added to its enrichments.yml."""
    folder.mkdir()
    for name in ("engagement.duckdb", "run_state.json", "enrichments.yml", "consents.json"):
        if (demo_file.parent / name).exists():
            shutil.copy(demo_file.parent / name, folder / name)
    with (folder / "enrichments.yml").open("a", encoding="utf-8") as file:
        file.write(pages)
    return folder


def replaced(folder: Path, sql: str) -> None:
    """As publishing does it: a new file, changed by `sql`, in the place of the old one."""
    path = folder / "engagement.duckdb"
    shutil.copy(path, folder / "new.duckdb")
    with duckdb.connect(str(folder / "new.duckdb")) as connection:
        connection.execute(sql)
    os.replace(folder / "new.duckdb", path)


def test_nothing_leaves_the_machine_and_nothing_fails(demo_pages: str, browser: Browser) -> None:
    asked: list[str] = []
    failed: list[str] = []
    with visitor(browser) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda opened: asked.append(opened.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        for path in PAGES:
            visit(page, f"{demo_pages}/{path}")
            expect(page.get_by_test_id("stException")).to_have_count(0)
    assert len(asked) > 50
    own = (demo_pages, demo_pages.replace("http", "ws"), "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert failed == []


def faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['impact']} {fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("path", PAGES)
def test_the_audit_of_accessibility_finds_nothing_serious(
    path: str, demo_pages: str, browser: Browser
) -> None:
    with visitor(browser) as context:
        page = context.new_page()
        visit(page, f"{demo_pages}/{path}")
        assert faults(page) == []


@pytest.mark.long
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("look", ["dark", "phone"])
def test_the_audit_in_the_dark_and_on_a_phone(
    path: str, look: str, demo_pages: str, browser: Browser
) -> None:
    options = {"color_scheme": "dark"} if look == "dark" else {"viewport": {"width": 390, "height": 844}}
    with visitor(browser, **options) as context:
        page = context.new_page()
        visit(page, f"{demo_pages}/{path}")
        assert faults(page) == []
        widest = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert widest <= 0, "the page itself never scrolls sideways"


def test_the_audit_finds_a_fault(browser: Browser) -> None:
    """So that an audit which finds nothing says something."""
    with visitor(browser) as context:
        page = context.new_page()
        page.set_content("<main><img src='x.png'><p style='color:#bbb;background:#fff'>pale</p></main>")
        assert len(faults(page)) >= 2


def test_a_new_file_is_shown_without_a_click(
    demo_file: Path,  # noqa: F811
    browser: Browser,
    tmp_path: Path,
) -> None:
    folder = copied(demo_file, tmp_path / "data")
    with serving(folder) as address, visitor(browser) as context:
        page = context.new_page()
        visit(page, f"{address}/segments")
        expect(page.get_by_text("As of 30 Jun 2026")).to_be_visible()
        replaced(folder, "update marts.publication set as_of_date = date '2026-07-07'")
        expect(page.get_by_text("As of 7 Jul 2026")).to_be_visible()


EVIL = "<img src=x onerror=\"document.title='owned'\"> **b** [x](http://y.example) :red[z] $1$"


def test_names_with_markup_are_names(demo_file: Path, browser: Browser, tmp_path: Path) -> None:  # noqa: F811
    folder = copied(demo_file, tmp_path / "data")
    quoted = EVIL.replace("'", "''")
    replaced(
        folder,
        ";".join(
            f"update marts.{table} set {column} = '{quoted}' where account_id = 'A-1009'"
            for table, column in (
                ("customer_cards", "account_name"),
                ("customer_cards", "account_owner"),
                ("segment_members", "account_name"),
                ("segment_members", "reason"),
                ("enriched_customers", "account_name"),
            )
        ),
    )
    asked: list[str] = []
    with serving(folder) as address, visitor(browser) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for path in ("customer", "customer?account=A-1009", "segments?segment=champions", "score"):
            visit(page, f"{address}/{path}")
            assert page.title() != "owned"
            expect(page.locator("img[src=x]")).to_have_count(0)
        visit(page, f"{address}/customer?account=A-1009")
        expect(page.get_by_text(EVIL).first).to_be_visible()
        expect(page.get_by_role("link", name="x", exact=True)).to_have_count(0)
    assert not [url for url in asked if "y.example" in url or url.endswith("/x")]


# --- behind a sign-in

OWNERS = "user,owner\nanja,Anja Vogel\nboss,*\n"


def block(language: str) -> list[str]:
    """The blocks of docs/pages.md in a language."""
    return re.findall(
        rf"```{language}\n(.*?)```", (ROOT / "docs/pages.md").read_text(encoding="utf-8"), re.DOTALL
    )


@contextmanager
def nginx(folder: Path, upstream: str, users: list[str]) -> Iterator[str]:
    """The server of docs/pages.md before `upstream`; everybody's password is `secret`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    digest = subprocess.run(
        ["openssl", "passwd", "-apr1", "secret"], capture_output=True, text=True, check=True
    ).stdout.strip()
    (folder / "users").write_text("".join(f"{user}:{digest}\n" for user in users))
    [server] = block("nginx")
    server = (
        server.replace("listen 8080", f"listen 127.0.0.1:{port}")
        .replace("http://127.0.0.1:8501", upstream)
        .replace("engagement.firm.example", "127.0.0.1")
        .replace("auth_basic_user_file users", f"auth_basic_user_file {folder / 'users'}")
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder / 'pid'}; error_log {folder / 'error.log'};\n"
        f"{'user root;' if os.geteuid() == 0 else ''} events {{}}\n"
        f"http {{ access_log off; {temporary}\n{server} }}\n"
    )
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while True:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx; install the system's package")
def test_behind_a_real_proxy_everybody_sees_his_own(
    demo_file: Path,  # noqa: F811
    browser: Browser,
    tmp_path: Path,
) -> None:
    folder = copied(
        demo_file,
        tmp_path / "data",
        "pages: {host: 127.0.0.1, user_header: X-Forwarded-User, owners: owners.csv}\n",
    )
    (folder / "owners.csv").write_text(OWNERS)
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        own = connection.execute(
            "select count(*) from marts.segment_members join marts.customer_cards using (account_id) "
            "where segment_id = 'stale' and account_owner = 'Anja Vogel'"
        ).fetchone()
        everybody = connection.execute(
            "select count(*) from marts.segment_members where segment_id = 'stale'"
        ).fetchone()
    assert own and everybody and 0 < own[0] < everybody[0]
    with (
        serving(folder) as address,
        nginx(tmp_path / "nginx", address, ["anja", "boss", "nobody"]) as proxied,
    ):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(proxied)
        for user, expected in (("anja", own[0]), ("boss", everybody[0])):
            # Who forges the header is still who signed in.
            forged = {"X-Forwarded-User": "boss"}
            with visitor(
                browser,
                http_credentials={"username": user, "password": "secret"},
                extra_http_headers=forged,
            ) as context:
                page = context.new_page()
                visit(page, f"{proxied}/segments?segment=stale")
                expect(page.get_by_text(f"{user} sees")).to_be_visible()
                assert len(rows_of(page, "Accounts in it")) - 1 == expected
        # Without the proxy nobody is signed in.
        with visitor(browser) as context:
            page = context.new_page()
            page.goto(f"{address}/segments")
            expect(page.get_by_text("Nobody is signed in")).to_be_visible()
            expect(page.get_by_role("table")).to_have_count(0)


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """A port on which something waits for whoever comes; what they said first."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        stopped = threading.Event()

        def listen() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(2)
                    heard.append(connection.recv(200))

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], heard
        stopped.set()
        thread.join()


def handshake(address: str, **headers: str) -> str:
    """The status line that the server answers to a WebSocket's handshake."""
    host, _, port = address.removeprefix("http://").partition(":")
    said = {
        "Host": f"{host}:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        lines = ["GET /_stcore/stream HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return connection.recv(4096).decode("latin-1").splitlines()[0]


def test_pages_of_other_sites_get_nothing_and_ask_nobody(demo_file: Path, tmp_path: Path) -> None:  # noqa: F811
    """Streamlit would ask a service in the internet for this machine's address to judge a foreign origin."""
    folder = copied(demo_file, tmp_path / "data")
    with listening() as (port, heard):
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")
        proxies = {name: f"http://127.0.0.1:{port}" for name in names}
        with serving(folder, environment={**proxies, "NO_PROXY": "", "no_proxy": ""}) as address:
            own = address.removeprefix("http://")
            assert " 101 " in handshake(address, Origin=address)
            assert " 101 " not in handshake(address, Origin="http://evil.example")
            assert " 101 " not in handshake(address, Host="evil.example", Origin="http://evil.example")
            assert " 101 " not in handshake(
                address, Host=f"evil.example:{own.partition(':')[2]}", Origin=address
            )
    assert heard == []


def test_a_table_is_sorted_and_opened_by_keyboard(demo_pages: str, browser: Browser) -> None:
    with visitor(browser) as context:
        page = context.new_page()
        visit(page, f"{demo_pages}/segments?segment=stale")
        members = table_of(page, "Accounts in it")
        header = members.get_by_role("button", name="Account")
        header.focus()
        page.keyboard.press("Enter")
        expect(members.locator("th[aria-sort=ascending]")).to_have_count(1)
        names = [row[0] for row in rows_of(page, "Accounts in it")[1:]]
        assert names == sorted(names, key=str.casefold)
        members.get_by_role("link").first.focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"/customer\?account=A-\d+"))
        settled(page)
        page.get_by_role("heading", name=names[0]).wait_for()
        page.go_back()
        table_of(page, "Accounts in it").wait_for()
        expect(page).to_have_url(f"{demo_pages}/segments?segment=stale")
        page.go_forward()
        page.get_by_role("heading", name=names[0]).wait_for()


def test_from_the_list_of_customers_to_one_and_to_another_and_back(demo_pages: str, browser: Browser) -> None:
    with visitor(browser) as context:
        page = context.new_page()
        visit(page, f"{demo_pages}/customer")
        for place in (0, 1):
            link = table_of(page, "Customers").get_by_role("link").nth(place)
            name = link.inner_text()
            link.click()
            page.get_by_role("heading", name=name).wait_for()
            expect(table_of(page, "Customers")).to_have_count(0)
            page.go_back()
            table_of(page, "Customers").wait_for()
            expect(page.get_by_role("heading", name=name)).to_have_count(0)


@pytest.mark.parametrize("path", ["", "enrichments"])
def test_a_run_opens_its_steps_beside_the_runs(path: str, demo_pages: str, browser: Browser) -> None:
    with visitor(browser) as context:
        page = context.new_page()
        visit(page, f"{demo_pages}/{path}")
        page.get_by_role("tab", name="Runs").click()
        table_of(page, "Runs").get_by_role("link").first.click()
        expect(page).to_have_url(re.compile(rf"/{path}\?view=Runs&run="))
        settled(page)
        expect(page.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")
        expect(page.get_by_text(re.compile("^Steps of the run of ")).first).to_be_visible()


# --- ten tasks of people who look after customers; each answer is read off the page, and is what SQL answers


class Desk:
    """Somebody before the pages, and beside him the same file for SQL."""

    def __init__(self, page: Page, address: str, file: Path) -> None:
        self.page = page
        self.address = address
        self.file = file

    def goes_to(self, path: str) -> None:
        visit(self.page, f"{self.address}/{path}")

    def rows(self, caption: str | re.Pattern[str]) -> list[list[str]]:
        """The rows of a table, without its header and with every row of it shown."""
        table = self.page.get_by_role("table", name=caption).first
        table.wait_for()
        return [
            [text.strip() for text in row.locator("th, td").all_inner_texts()]
            for row in table.locator("tbody tr").all()
        ]

    def chooses(self, label: str, option: str) -> None:
        box = self.page.get_by_role("combobox", name=re.compile(rf"{label}$"))
        offered = self.page.get_by_role("option", name=option, exact=True)
        box.click()
        with suppress(WaitedTooLongError):
            offered.wait_for(timeout=5000)
        if not offered.is_visible():
            # A page that is drawn anew closes what was open: like anybody, he clicks again.
            box.click()
        offered.click()
        settled(self.page)

    def opens_tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()
        settled(self.page)

    def figure(self, label: str) -> str:
        """The value of a figure by its label."""
        metric = self.page.get_by_test_id("stMetric").filter(has_text=label).first
        return metric.get_by_test_id("stMetricValue").inner_text()

    def sql(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("use marts")
            return connection.execute(sql, list(parameters)).fetchall()


@pytest.fixture
def desk(demo_pages: str, demo_file: Path, browser: Browser) -> Iterator[Desk]:  # noqa: F811
    with visitor(browser, accept_downloads=True) as context:
        yield Desk(context.new_page(), demo_pages, demo_file)


def test_task_1_the_stale_accounts_of_one_owner(desk: Desk) -> None:
    desk.goes_to("segments?segment=stale")
    desk.chooses("Owner", "Anja Vogel")
    expected = desk.sql(
        "select account_name, reason from segment_members join customer_cards using (account_id, account_name) "
        "where segment_id = 'stale' and account_owner = 'Anja Vogel' order by account_name"
    )
    assert expected
    assert [tuple(row[:2]) for row in desk.rows("Accounts in it, of Anja Vogel")] == expected


def test_task_2_why_did_this_score_fall(desk: Desk) -> None:
    desk.goes_to("score")
    fallen = desk.rows(re.compile("Top falls"))[0][0]
    desk.page.get_by_role("table", name=re.compile("Top falls")).get_by_role("link", name=fallen).click()
    desk.page.get_by_role("heading", name=fallen).wait_for()
    settled(desk.page)
    [(name, change, own, others, component, moved)] = desk.sql(
        """
        select
            account_name, change_points, own_change_points, others_change_points,
            (select arg_max(component, abs(own_change_points)) from account_score_changes as parts
             where parts.account_id = h.account_id and parts.week_ends_on = h.week_ends_on),
            (select arg_max(own_change_points, abs(own_change_points)) from account_score_changes as parts
             where parts.account_id = h.account_id and parts.week_ends_on = h.week_ends_on)
        from account_score_history as h join customer_cards using (account_id)
        where week_ends_on = (select max(week_ends_on) from account_score_history)
        order by change_points limit 1
        """
    )
    assert name == fallen
    said = desk.page.get_by_text(re.compile("^In the week to")).inner_text()
    minus = "\N{MINUS SIGN}"
    expected = (
        f"fell by {-change:.1f} points",
        f"{own:+.1f} by its own behaviour".replace("-", minus),
        f"{others:+.1f} by others".replace("-", minus),
        f"{component.replace('_', ' ').replace('email', 'e-mail')}, {moved:+.1f} points".replace(
            " -", f" {minus}"
        ),
    )
    for part in expected:
        assert part in said, (part, said)


def test_task_3_who_is_one_contact_away_from_silence(desk: Desk) -> None:
    desk.goes_to("segments?segment=single_threaded")
    expected = desk.sql(
        "select account_name from account_traffic join customer_cards using (account_id) "
        "where is_single_threaded order by account_name"
    )
    assert expected
    assert sorted(row[0] for row in desk.rows("Accounts in it")) == [name for (name,) in expected]


def test_task_4_which_matches_need_a_person(desk: Desk) -> None:
    desk.goes_to("results?enrichment=company-data")
    expected = desk.sql("select sent_name, answered_name from match_review_queue order by queue_place")
    assert len(expected) == 4
    assert [tuple(row[:2]) for row in desk.rows("Matches to look at")] == expected


def test_task_5_what_does_this_account_look_like_to_the_provider(desk: Desk) -> None:
    desk.goes_to("customer?account=A-1016")
    desk.opens_tab("Match")
    expected = desk.sql(
        "select field, sent_value, answered_value from account_match_fields where account_id = 'A-1016' order by field"
    )
    assert len(expected) == 3
    shown = [tuple(row[:3]) for row in desk.rows("What we sent and what came back")]
    assert sorted((field.lower(), sent, answered) for field, sent, answered in shown) == expected


def test_task_6_when_did_we_last_hear_of_somebody_whose_name_i_half_remember(desk: Desk) -> None:
    desk.goes_to("customer")
    search = desk.page.get_by_role("searchbox", name="Search customers")
    search.fill("birch")
    search.press("Enter")
    desk.page.get_by_role("table", name="Customers").get_by_role("link", name="Birch Paper ASA").click()
    desk.page.get_by_role("heading", name="Birch Paper ASA").wait_for()
    settled(desk.page)
    [(days, emails)] = desk.sql(
        "select days_since_last_email, emails_count from customer_cards where account_name = 'Birch Paper ASA'"
    )
    assert number(desk.figure("Days since the last e-mail")) == days
    assert number(desk.figure("E-mails in the year")) == emails


def test_task_7_who_else_belongs_to_its_group(desk: Desk) -> None:
    [(account, parent)] = desk.sql(
        "select account_id, parent_account_name from customer_cards where parent_account_name is not null "
        "order by account_id limit 1"
    )
    desk.goes_to(f"customer?account={account}")
    desk.opens_tab("Family")
    assert parent in [row[0] for row in desk.rows("Family in the customer file")]


def test_task_8_with_whom_do_we_write_who_is_no_customer(desk: Desk) -> None:
    desk.goes_to("results?enrichment=account-engagement")
    expected = desk.sql(
        "select mail_domain, messages_from_count + messages_to_count + meetings_count as volume from unmatched_domains "
        "order by volume desc, mail_domain limit 1"
    )
    rows = desk.rows("Domains that match no customer")
    assert rows[0][0] == expected[0][0]
    total = desk.sql("select count(*) from unmatched_domains")[0][0]
    desk.page.get_by_role("table", name="Domains that match no customer").first.wait_for()
    assert len(rows) <= total


def test_task_9_who_came_back_and_why(desk: Desk) -> None:
    desk.goes_to("segments?segment=stale")
    expected = desk.sql(
        "select account_name, left_reason from segment_history join customer_cards using (account_id) "
        "where segment_id = 'stale' and left_on is not null order by left_on desc, account_name"
    )
    assert expected
    shown = [(row[0], row[2]) for row in desk.rows("Accounts that left, the latest first")]
    assert shown == expected


def test_task_10_does_the_score_tell_more_than_simple_rules(desk: Desk) -> None:
    desk.goes_to("score")
    expected = desk.sql(
        "select difference, lowest_difference, highest_difference from backtest_comparisons "
        "where compared_kind = 'baseline' and measure = 'auc' order by difference"
    )
    assert len(expected) == 7
    rows = desk.rows(re.compile("Who writes"))
    shown = sorted(tuple(number(text) for text in row[1:4]) for row in rows)
    assert shown == [pytest.approx(line, abs=0.0006) for line in expected]
    for row, line in zip(sorted(rows, key=lambda row: number(row[1])), expected, strict=True):
        is_certain = line[1] > 0 or line[2] < 0
        assert ("may be chance" in row[4]) != is_certain, row


def test_task_11_the_list_as_a_file(desk: Desk) -> None:
    desk.goes_to("segments?segment=stale")
    with desk.page.expect_download() as waiting:
        desk.page.get_by_role("button", name=re.compile(r"^Download \d+ rows")).click()
    text = waiting.value.path().read_text(encoding="utf-8-sig")
    names = [row["account_name"] for row in csv.DictReader(text.splitlines())]
    expected = desk.sql("select account_name from segment_members where segment_id = 'stale'")
    assert sorted(names) == sorted(name for (name,) in expected)


def test_task_12_is_everything_fresh(desk: Desk) -> None:
    desk.goes_to("")
    expected = desk.sql(
        "select enrichment_name, accounts_enriched_count || ' of ' || accounts_count from enrichments order by 1"
    )
    shown = [(row[0].splitlines()[0], row[4].splitlines()[0]) for row in desk.rows("My enrichments")]
    assert sorted(shown) == expected
