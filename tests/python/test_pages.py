"""What stands under every page: who may open them, the published file and its successors, values, tables."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas
import pytest
from babel import Locale

from conftest import Workspace
from engagement.errors import ConfigurationError
from engagement.pages import command, formats, links, reader, site, tables
from engagement.pages.published import NothingToShow, OlderFile, PublishedFile, identity_of
from pages_world import app
from pages_world import tables as tables_of
from published_sample import publish_rows

EVIL = "<script>alert(1)</script> **b** [x](http://y.example) :red[z] $1$ `c`"


def card(account_id: str, owner: str | None, **values: Any) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "account_name": f"Account {account_id}",
        "account_owner": owner,
        "segments": "",
        "is_enriched": True,
        "is_never_engaged": False,
        "is_stale": False,
        "child_accounts_count": 0,
    } | values


@pytest.fixture
def two_owners(tmp_path: Path) -> Path:
    """Anna has A1 and A2, Ben has B1, and C1 has nobody."""
    owners = {"A1": "Anna", "A2": " anna ", "B1": "Ben", "C1": None}
    path = tmp_path / "data" / "engagement.duckdb"
    publish_rows(
        path,
        {
            "customer_cards": [card(account, owner) for account, owner in owners.items()],
            "segment_members": [
                {"segment_id": "stale", "enrichment_id": "mail", "account_id": account} for account in owners
            ],
            "segment_counts": [
                {
                    "segment_id": "stale",
                    "enrichment_id": "mail",
                    "counted_on": "2026-06-30",
                    "members_count": 4,
                }
            ],
        },
    )
    return path


def site_over(path: Path, **options: Any) -> site.Site:
    return site.Site(path, path.parent / "run_state.json", path.parent / "run.lock", **options)


# --- who may open them


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machine_needs_no_proxy(address: str, two_owners: Path) -> None:
    command.check_address(address, site_over(two_owners))


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.7", "::"])
@pytest.mark.parametrize(
    "options",
    [{}, {"user_header": "X-Forwarded-User"}, {"proxies": frozenset({"10.0.0.5"})}],
    ids=["nothing", "header alone", "proxy alone"],
)
def test_a_public_address_without_sign_in_is_refused(
    address: str, options: dict[str, Any], two_owners: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"pages\.user_header"):
        command.check_address(address, site_over(two_owners, **options))


def test_a_public_address_behind_a_proxy_is_served(two_owners: Path) -> None:
    shown = site_over(two_owners, user_header="X-Forwarded-User", proxies=frozenset({"10.0.0.5"}))
    command.check_address("0.0.0.0", shown)


def test_a_name_is_no_address(two_owners: Path) -> None:
    with pytest.raises(ConfigurationError, match="no IP address"):
        command.check_address("pages.example", site_over(two_owners))


def test_the_command_refuses_a_public_address_in_one_line(workspace: Workspace) -> None:
    result = workspace.run("pages", "--address", "0.0.0.0")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --address 0.0.0.0:") and result.stderr.count("\n") == 1


def test_the_command_names_a_port_that_is_taken(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = workspace.run("pages", "--port", str(port))
    assert result.exit_code == 2
    assert f"--port {port}: cannot be used" in result.stderr


def test_the_command_names_the_extra_that_is_missing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "streamlit", None)
    result = workspace.run("pages")
    assert result.exit_code == 2
    assert "account-engagement[pages]" in result.stderr


@pytest.mark.parametrize(
    ("block", "finding"),
    [
        ({"user_header": "X Forwarded"}, "pages.user_header"),
        ({"proxies": ["proxy.example"]}, "pages.proxies[0]"),
        ({"user": "X-User"}, "pages.user"),
        ({"host": "https://pages.example"}, "pages.host"),
    ],
)
def test_the_block_of_pages_is_checked(block: dict[str, Any], finding: str, workspace: Workspace) -> None:
    workspace.configure(lambda written: written.update(pages=block))
    result = workspace.run("check")
    assert result.exit_code == 2
    assert finding in result.stderr


def test_a_header_needs_the_name_of_the_proxy(workspace: Workspace) -> None:
    workspace.configure(lambda written: written.update(pages={"user_header": "X-User"}))
    result = workspace.run("pages")
    assert (result.exit_code, "pages.host" in result.stderr) == (2, True), result.stderr


def settings_with(workspace: Workspace, owners: str | bytes | None) -> Any:
    if owners is not None:
        text = owners if isinstance(owners, bytes) else owners.encode()
        (workspace.root / "owners.csv").write_bytes(text)
    block = {"user_header": "X-User", "host": "pages.example", "owners": "owners.csv"}
    workspace.configure(lambda written: written.update(pages=block))
    return workspace.settings()


def test_owners_of_users(workspace: Workspace) -> None:
    shown = command.site_of(
        settings_with(
            workspace, "user,owner\nAnja@firm.example,Anna\nanja@firm.example,Ben\nboss@firm.example,*\n"
        )
    )
    assert shown.owners_of(" anja@FIRM.example") == {"anna", "ben"}
    assert shown.owners_of("boss@firm.example") is None
    assert shown.owners_of("Carl ") == {"carl"}, "who is not listed stands for the owner of his own name"


@pytest.mark.parametrize(
    ("owners", "finding"),
    [
        (None, "cannot be read (No such file"),
        ("name,owner\na,b\n", "needs the columns user and owner"),
        ("user,owner\na,\n", "line 2: user or owner is missing"),
        ("", "needs the columns user and owner"),
        (b"user,owner\na,\xff\n", "no CSV file in UTF-8"),
    ],
)
def test_a_file_of_owners_that_is_wrong(
    owners: str | bytes | None, finding: str, workspace: Workspace
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        command.site_of(settings_with(workspace, owners))
    assert finding in str(caught.value) and "pages.owners (owners.csv)" in str(caught.value)


# --- what a viewer sees


def looking(
    monkeypatch: pytest.MonkeyPatch, shown: site.Site, *, peer: str | None = None, **headers: str
) -> Callable[[], reader.Reader]:
    monkeypatch.setattr(
        reader.st,
        "context",
        SimpleNamespace(
            ip_address=peer, headers={name.replace("_", "-"): text for name, text in headers.items()}
        ),
    )

    def look() -> reader.Reader:
        site.use(shown)
        return reader.open_reader()

    return look


ACCOUNTS = "select account_id from {} order by account_id"


@pytest.mark.parametrize(
    ("user", "expected"),
    [("anna", ["A1", "A2"]), ("BEN", ["B1"]), ("carl", []), ("boss", ["A1", "A2", "B1", "C1"])],
)
def test_a_user_sees_the_accounts_of_his_owners(
    user: str, expected: list[str], two_owners: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = site_over(two_owners, user_header="X-User", owners={"boss": frozenset({"*"})})
    seen = looking(monkeypatch, shown, X_User=user)()
    for table in ("customer_cards", "segment_members"):
        assert list(seen.frame(ACCOUNTS.format(table))["account_id"]) == expected
    assert seen.record("select members_count from segment_counts") == {"members_count": 4}, (
        "totals are over all"
    )


def test_without_a_header_everybody_sees_all(two_owners: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looking(monkeypatch, site_over(two_owners), X_User="anna", peer="10.0.0.9")()
    assert len(seen.frame(ACCOUNTS.format("customer_cards"))) == 4


def test_who_is_not_signed_in_sees_nothing(two_owners: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = site_over(two_owners, user_header="X-User")
    for headers in ({}, {"X_User": " "}):
        with pytest.raises(NothingToShow, match="Nobody is signed in"):
            looking(monkeypatch, shown, **headers)()


@pytest.mark.parametrize(("peer", "is_believed"), [(None, True), ("10.0.0.5", True), ("10.0.0.6", False)])
def test_the_header_is_believed_from_proxies_alone(
    peer: str | None, is_believed: bool, two_owners: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = site_over(two_owners, user_header="X-User", proxies=frozenset({"10.0.0.5"}))
    look = looking(monkeypatch, shown, peer=peer, X_User="anna")
    if is_believed:
        assert len(look().frame(ACCOUNTS.format("customer_cards"))) == 2
    else:
        with pytest.raises(NothingToShow, match="reverse proxy only"):
            look()


def test_answers_of_one_viewer_are_not_given_to_another(
    two_owners: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = site_over(two_owners, user_header="X-User", owners={"boss": frozenset({"*"})})
    sizes = {
        user: len(looking(monkeypatch, shown, X_User=user)().frame(ACCOUNTS.format("customer_cards")))
        for user in ("boss", "anna", "ben", "boss")
    }
    assert sizes == {"boss": 4, "anna": 2, "ben": 1}


def test_an_owner_with_quotes_is_text(tmp_path: Path) -> None:
    path = tmp_path / "engagement.duckdb"
    evil = "o'neil' or true --"
    publish_rows(path, {"customer_cards": [card("A1", evil), card("A2", "Anna")]})
    file = PublishedFile(path)
    assert list(file.frame(ACCOUNTS.format("customer_cards"), {}, frozenset({evil}))["account_id"]) == ["A1"]


def test_every_table_of_accounts_is_filtered(two_owners: Path) -> None:
    """Also one that no page knows of."""
    with duckdb.connect(str(two_owners)) as connection:
        connection.execute("create table marts.later as select account_id from marts.customer_cards")
        connection.execute('create view marts."as seen" as select account_id from marts.later')
    file = PublishedFile(two_owners)
    for table in ("later", '"as seen"'):
        assert len(file.frame(ACCOUNTS.format(table), {}, frozenset({"anna"}))) == 2


# --- the published file


def test_there_is_no_file_yet(tmp_path: Path) -> None:
    with pytest.raises(NothingToShow, match="Nothing is published yet"):
        PublishedFile(tmp_path / "engagement.duckdb")


@pytest.mark.parametrize("content", [b"", b"no database at all, but as long as its header would be" * 400])
def test_a_file_that_is_no_database(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "engagement.duckdb").write_bytes(content)
    with pytest.raises(NothingToShow, match=r"engagement\.duckdb (cannot be read|holds nothing)"):
        PublishedFile(tmp_path / "engagement.duckdb")


def test_a_database_of_somebody_else(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute("create table t as select 1")
    with pytest.raises(NothingToShow, match="holds nothing that was published"):
        PublishedFile(tmp_path / "other.duckdb")


def test_a_file_without_publication(tmp_path: Path) -> None:
    publish_rows(tmp_path / "engagement.duckdb", {"publication": []})
    with pytest.raises(NothingToShow, match="is empty"):
        PublishedFile(tmp_path / "engagement.duckdb")


def test_an_older_file_is_told_from_a_mistake(two_owners: Path) -> None:
    file = PublishedFile(two_owners)
    for sql in ("select * from no_such_table", "select no_such_column from customer_cards"):
        with pytest.raises(OlderFile, match="older"):
            file.frame(sql, {}, None)
    with pytest.raises(duckdb.ParserException):
        file.frame("selekt 1", {}, None)


def test_nothing_else_can_be_read_or_written(two_owners: Path) -> None:
    file = PublishedFile(two_owners)
    other = two_owners.parent / "secret.csv"
    other.write_text("a\n1\n")
    for sql in (
        f"select * from read_csv('{other}')",
        f"attach '{two_owners.parent / 'x.duckdb'}'",
        "delete from customer_cards",
        "set enable_external_access = true",
        f"copy customer_cards to '{two_owners.parent / 'out.csv'}'",
    ):
        with pytest.raises(duckdb.Error):
            file.frame(sql, {}, None)
    assert sorted(path.name for path in two_owners.parent.iterdir()) == ["engagement.duckdb", "secret.csv"]


def replace(path: Path, *accounts: str) -> None:
    """As publishing does: another file in the place of the first."""
    publish_rows(
        path.with_suffix(".new"), {"customer_cards": [card(account, "Anna") for account in accounts]}
    )
    os.replace(path.with_suffix(".new"), path)


def test_a_new_file_takes_the_place_of_the_old_one(two_owners: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = looking(monkeypatch, site_over(two_owners))
    before = look()
    assert len(before.frame(ACCOUNTS.format("customer_cards"))) == 4
    assert not reader.has_changed(before)
    replace(two_owners, "N1")
    assert reader.has_changed(before)
    after = look()
    assert list(after.frame(ACCOUNTS.format("customer_cards"))["account_id"]) == ["N1"]
    assert not reader.has_changed(after)
    # Who still looks at the old one is not disturbed, also by a question that was not asked before.
    assert len(before.frame("select account_id, account_name from customer_cards")) == 4
    assert before.file.identity != after.file.identity == identity_of(two_owners)


def test_a_file_that_is_gone_is_not_shown_as_changed(
    two_owners: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = looking(monkeypatch, site_over(two_owners))
    before = look()
    two_owners.unlink()
    assert not reader.has_changed(before), "a page that is open goes on"
    with pytest.raises(NothingToShow, match="Nothing is published yet"):
        look()


def test_missing_values_of_a_record_are_none(two_owners: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looking(monkeypatch, site_over(two_owners))()
    assert seen.records(
        "select * from (values (1, null::double, null::date, 'a'), (null, 2.5, date '2026-06-30', null)) "
        "as t (a, b, c, d) order by d"
    ) == [
        {"a": 1, "b": None, "c": None, "d": "a"},
        {"a": None, "b": 2.5, "c": pandas.Timestamp("2026-06-30"), "d": None},
    ]
    assert seen.record("select 1 as one where false") is None


@pytest.mark.parametrize("path", ["enrichments", "results", "customer", "score", "segments"])
def test_every_page_says_what_to_do_without_a_file(path: str, tmp_path: Path) -> None:
    shown = app(tmp_path / "engagement.duckdb", path)
    assert not shown.exception
    assert [info.value for info in shown.info] == [
        "Nothing is published yet: `engagement run` makes the first file, `make demo` that of a made-up company."
    ]


@pytest.mark.parametrize("path", ["enrichments", "results", "customer", "score", "segments"])
def test_every_page_stands_over_a_file_that_has_nothing_but_its_publication(
    path: str, tmp_path: Path
) -> None:
    """As an older release would have made it."""
    publish_rows(tmp_path / "engagement.duckdb", {})
    shown = app(tmp_path / "engagement.duckdb", path)
    assert not shown.exception
    said = [element.value for element in (*shown.info, *shown.caption, *shown.markdown)]
    assert any("the published one is older" in text for text in said), said


# --- values


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "locale", lambda: Locale("de", "DE"))


@pytest.fixture
def british(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "locale", lambda: Locale("en", "GB"))


MISSING = [None, float("nan"), pandas.NaT, pandas.NA]


@pytest.mark.parametrize(
    "form",
    [
        *(formats.text, formats.words, formats.count, formats.decimal, formats.signed, formats.ratio),
        *(formats.day, formats.instant, formats.ago, formats.duration, formats.money),
    ],
)
@pytest.mark.parametrize("value", MISSING)
def test_what_is_missing_is_a_dash(form: Callable[[Any], str], value: Any) -> None:
    assert form(value) == "\N{EN DASH}"


def test_numbers_as_in_britain(british: None) -> None:
    assert formats.count(1234567.0) == "1,234,567"
    assert formats.decimal(1234.55) == "1,234.5" or formats.decimal(1234.55) == "1,234.6"
    assert formats.decimal(-0.01) == "0.0", "minus zero is zero"
    assert formats.signed(1.25, 2) == "+1.25"
    assert formats.signed(-3.04) == "\N{MINUS SIGN}3.0"
    assert formats.signed(0.04) == "0.0" and formats.signed(-0.04) == "0.0"
    assert formats.ratio(0.8667) == "87 %" and formats.ratio(0.8667, 1) == "86.7 %"
    assert formats.money(65360000.0) == "$ 65,360,000"
    assert formats.day("2026-06-30") == "30 Jun 2026"
    assert formats.words("completed_with_warnings") == "Completed with warnings"


def test_numbers_as_in_germany(german: None) -> None:
    assert formats.count(1234567) == "1.234.567"
    assert formats.decimal(1234.5) == "1.234,5"
    assert formats.signed(-3.04) == "\N{MINUS SIGN}3,0"
    assert formats.day("2026-06-30") == "30.06.2026"


def test_a_browser_that_says_nonsense_gets_british_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in (None, "", "x", "tlh-QO-nonsense", "de_DE@euro!"):
        monkeypatch.setattr(formats.st, "context", SimpleNamespace(locale=said, timezone=said))
        assert formats.locale() == Locale("en", "GB")
        assert formats.instant("2026-06-30T22:30:00") == "30 Jun 2026, 22:30:00"


def test_instants_stand_in_the_time_zone_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.st, "context", SimpleNamespace(locale="de-DE", timezone="Europe/Berlin"))
    assert formats.instant("2026-06-30T22:30:00") == "01.07.2026, 00:30:00"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (3599.4, "59 min 59 s"), (7440, "2 h 04 min")],
)
def test_durations(seconds: float, words: str, british: None) -> None:
    assert formats.duration(seconds) == words


def test_ago() -> None:
    utc = datetime.now(UTC).replace(tzinfo=None)
    assert formats.ago(utc - timedelta(hours=2, minutes=5)) == "2 hours ago"
    assert formats.ago(utc + timedelta(days=6, minutes=5)) == "in 6 days"


# --- tables


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(tables.st, "session_state", kept)
    yield kept


def sorted_by(frame: pandas.DataFrame, name: str, *, is_descending: bool) -> list[Any]:
    return list(tables._sorted(frame, {"name": name, "is_descending": is_descending})["id"])


def test_sorting_puts_nulls_last_and_keeps_the_order_of_equals() -> None:
    frame = pandas.DataFrame(
        {"id": range(5), "score": [2.0, None, 7.0, 2.0, 1.0], "name": ["b", None, "B", "a", "Ä"]}
    )
    assert sorted_by(frame, "score", is_descending=True) == [2, 0, 3, 4, 1]
    assert sorted_by(frame, "score", is_descending=False) == [4, 0, 3, 2, 1]
    assert sorted_by(frame, "name", is_descending=False) == [3, 0, 2, 4, 1]
    assert list(tables._sorted(frame, None)["id"]) == [0, 1, 2, 3, 4]


def test_the_first_click_shows_the_largest_numbers_and_names_from_a(state: dict[str, Any]) -> None:
    state |= {"table t": {"sort": None, "rows": 25}, "t": SimpleNamespace(sort="score")}
    directions = []
    for name in ("score", "score", "name", "name", "score"):
        state["t"] = SimpleNamespace(sort=name)
        tables._sort("t", frozenset({"score"}))
        directions.append((name, state["table t"]["sort"]["is_descending"]))
    assert directions == [("score", True), ("score", False), ("name", False), ("name", True), ("score", True)]


def test_a_csv_file_holds_nothing_that_a_spreadsheet_would_compute() -> None:
    frame = pandas.DataFrame(
        {
            "name": ["=1+1", "plain", None, "a\n@b"],
            "score": [-1.5, None, 2.0, 3.0],
            "on": pandas.to_datetime(["2026-06-30"] * 4),
        }
    )
    read = pandas.read_csv(io.BytesIO(tables._as_csv(frame)), keep_default_na=False, dtype=str)
    assert list(read["name"]) == ["'=1+1", "plain", "", "a\n'@b"]
    assert list(read["score"]) == ["-1.5", "", "2.0", "3.0"], "a negative number is one"
    assert list(read["on"]) == ["2026-06-30"] * 4


def drawn(rows: int, tmp_path: Path, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    path = tmp_path / "engagement.duckdb"
    publish_rows(path, {"customer_cards": [card(f"A{number:04}", None) for number in range(rows)]})
    from streamlit.testing.v1 import AppTest

    site.use(site_over(path))
    test = AppTest.from_string(
        "from engagement.pages.reader import open_reader\n"
        "from engagement.pages.tables import Column, table\n"
        "table(open_reader().frame('select account_id from customer_cards order by 1'),"
        " [Column('account_id', 'Id')], key='t', caption='Accounts', empty='No account.')\n"
    ).run()
    return tables_of(test).get("Accounts") or {"caption": [caption.value for caption in test.caption]}


@pytest.mark.parametrize(
    ("rows", "shown", "note", "more"),
    [
        (1, 1, "", ""),
        (25, 25, "", ""),
        (26, 25, "25 of 26 rows.", "Show 1 more"),
        (126, 25, "25 of 126 rows.", "Show 100 more"),
    ],
)
def test_a_table_shows_so_many_rows_at_first(
    rows: int, shown: int, note: str, more: str, tmp_path: Path
) -> None:
    table = drawn(rows, tmp_path)
    assert (len(table["rows"]), table["note"], table["more"]) == (shown, note, more)
    assert table["columns"][0]["is_sortable"] == (rows > 1)


def test_an_empty_table_says_so(tmp_path: Path) -> None:
    assert drawn(0, tmp_path) == {"caption": ["Accounts: No account."]}


def test_text_for_markdown_is_shown_as_it_is() -> None:
    from markdown_it import MarkdownIt

    rendered = MarkdownIt("commonmark").render(formats.plain(EVIL))
    assert "<script>" not in rendered and "<strong>" not in rendered and "<a " not in rendered
    assert "<code>" not in rendered


def test_a_copy_of_the_file_is_another_file(two_owners: Path) -> None:
    copy = two_owners.with_name("copy.duckdb")
    shutil.copy(two_owners, copy)
    assert identity_of(copy) != identity_of(two_owners)


# --- ways from page to page


def test_no_page_is_left_by_the_server() -> None:
    """See `links`; so that nobody who does not know of it brings it back."""
    folder = Path(links.__file__).parent
    files = list(folder.rglob("*.py"))
    assert len(files) > 20
    assert [path.name for path in files if re.search(r"\bswitch_page\(", path.read_text("utf-8"))] == []
