"""The private file: tables, rights, transactions, locks."""

from __future__ import annotations

import os

import duckdb
import pytest

from conftest import ROOT, Workspace
from engagement import run_state, warehouse
from engagement.errors import ConfigurationError
from engagement.run_state import RunState


def test_raw_tables_are_those_of_the_sources(workspace: Workspace) -> None:
    settings = workspace.settings()
    with warehouse.private_file(settings) as connection:
        made = connection.execute(
            "select table_name, list(column_name || ' ' || data_type order by column_index) from"
            " duckdb_columns()"
            " where schema_name = 'raw' group by table_name"
        ).fetchall()
    tables = dict(made)
    assert set(tables) == set(warehouse.raw_schema(ROOT))
    assert "address_keys BIGINT[]" in tables["office_mailboxes"]
    assert "attendee_types VARCHAR[]" in tables["office_meetings"]


def test_files_belong_to_their_owner_alone(workspace: Workspace) -> None:
    settings = workspace.settings()
    before = os.umask(0)
    try:
        with warehouse.private_file(settings), run_state.single_run(settings, command="test"):
            RunState.begin(settings, command="test")
    finally:
        os.umask(before)
    assert settings.data_dir.stat().st_mode & 0o777 == 0o700
    for path in settings.data_dir.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_a_column_added_later_is_made_and_rows_stay(workspace: Workspace) -> None:
    settings = workspace.settings()
    with warehouse.private_file(settings) as connection:
        connection.execute("alter table raw.contacts drop column domain")
        connection.execute("insert into raw.contacts values ('C1', 'A1', 1)")
    with warehouse.private_file(settings) as connection:
        assert connection.execute("from raw.contacts").fetchall() == [("C1", "A1", 1, None)]


def test_columns_that_moved_or_went_take_their_rows_along(workspace: Workspace) -> None:
    """Rows are appended by position, so a table of an earlier version gets today's columns in today's order."""
    settings = workspace.settings()
    with warehouse.private_file(settings):
        pass
    with warehouse.connect(settings) as connection:
        connection.execute("drop table raw.settings")
        connection.execute("create table raw.settings (value varchar, gone bigint, key varchar)")
        connection.execute("insert into raw.settings values ('b', 1, 'a')")
    with warehouse.private_file(settings) as connection:
        warehouse.append(connection, "settings", [("", "c", "d")])
        assert connection.execute("from raw.settings order by key").fetchall() == [
            (None, "a", "b"),
            ("", "c", "d"),
        ]
        assert connection.execute(
            "select count(*) from duckdb_tables() where table_name like '%before'"
        ).fetchall() == [(0,)]


def test_a_transaction_is_all_or_nothing(workspace: Workspace) -> None:
    with warehouse.private_file(workspace.settings()) as connection:
        with pytest.raises(KeyboardInterrupt), warehouse.transaction(connection):
            warehouse.append(connection, "settings", [("", "a", "b")])
            raise KeyboardInterrupt
        assert connection.execute("from raw.settings").fetchall() == []


def test_a_file_that_is_no_database(workspace: Workspace) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    settings.private_file.write_text("nothing of the kind, and long enough to be looked at " * 100)
    with (
        pytest.raises(ConfigurationError, match=r"private.duckdb: is not a DuckDB file"),
        warehouse.private_file(settings),
    ):
        pass


def test_another_hash_key_is_refused(workspace: Workspace) -> None:
    settings = workspace.settings()
    with warehouse.private_file(settings) as connection:
        warehouse.save_settings(connection, settings, key_check="one")
        warehouse.save_settings(connection, settings, key_check="one")
        with pytest.raises(ConfigurationError, match="hashed with another key"):
            warehouse.save_settings(connection, settings, key_check="two")


def test_changed_sender_patterns_are_noticed_until_everything_is_read_anew(workspace: Workspace) -> None:
    with warehouse.private_file(workspace.settings()) as connection:
        assert not warehouse.patterns_changed(connection, "a")
        assert not warehouse.patterns_changed(connection, "a")
        assert warehouse.patterns_changed(connection, "b")
        warehouse.note_patterns(connection, "b")
        assert not warehouse.patterns_changed(connection, "b")


def test_reading_needs_a_file(workspace: Workspace) -> None:
    with (
        pytest.raises(ConfigurationError, match="no such file"),
        warehouse.connect(workspace.settings(), read_only=True),
    ):
        pass
    assert duckdb.__version__.startswith("2.")


def test_a_transaction_takes_more_rows_than_a_row_group(workspace: Workspace) -> None:
    """DuckDB 2.0.0 shows nothing of a table made by `create table as` that is given more than 122,880 rows in the same
    transaction; the twin of a raw table is not made so.
    """
    row_count = 122_881
    with warehouse.private_file(workspace.settings()) as connection, warehouse.transaction(connection):
        twin = warehouse.empty_twin(connection, "office_addresses")
        rows = [(key, "contoso.example", "person") for key in range(row_count)]
        warehouse.append(connection, twin, rows, schema="temp")
        connection.execute(f'insert into raw.office_addresses select * from "{twin}"')
        found = connection.execute("select count(distinct address_key) from raw.office_addresses").fetchone()
    assert found == (row_count,)
