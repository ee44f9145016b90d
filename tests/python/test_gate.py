"""The gate, with its positive controls: what must be refused is planted, one by one, and refused every time."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from engagement.contract import Column, Contract, Table, completed, manifest_contract, quoted
from engagement.gate import check_bytes, check_file
from engagement.published_file import write_published_file
from project_fixtures import ROOT, CompiledProject

ROWS = 200_000
ADDRESS = "jane.doe@customer.example"
SECRET = "s3cr3t~value.of-the_tenant"
ADDRESS_KEY = -7_394_182_650_012_345_678
MESSAGE_KEY = 5_123_456_789_012_345_678

VIEW = Table(
    "enrichment",
    "Office",
    "The original's table.",
    (Column("CustomerId", "VARCHAR", "Id."),),
    sql='select account_id as "CustomerId" from marts.account_recency',
)
# What every table is filled with: names, ids and figures, and here and there a text that is all digits.
FILL = {
    "VARCHAR": "'Süd ' || range || case when range % 5000 = 0 then uuid()::varchar || hash(range) else '' end",
    "BIGINT": "range % 1000",
    "DECIMAL(9,4)": "(random() * 100)::decimal(9,4)",
    "DOUBLE": "random() * 1e18",
    "DATE": "date '2020-01-01' + (range % 2000)::integer",
    "TIMESTAMP": "timestamp '2020-01-01' + to_minutes(range)",
    "BOOLEAN": "range % 2 = 0",
}
SHOW = "'show'"


def published_tables() -> list[str]:
    """The names of the tables that are really published; the contract itself comes from the compiled project."""
    views = {
        "original_account_engagement",
        "original_leadspace_companies",
        "original_unified_activities",
        "segment_activity",
        # a calendar: nothing to plant in
        "days",
    }
    folder = ROOT / "models" / "marts"
    return sorted({"publication"} | {path.stem for path in folder.rglob("*.sql")} - views)


@pytest.fixture(scope="module")
def contract(compiled_project: CompiledProject) -> Contract:
    whole = completed(
        manifest_contract(compiled_project.target / "manifest.json"),
        output_tables=[],
        attributes=[],
        has_user_table=True,
    )
    # Random dates and levels repeat, so the keys stay out; other tests look at them.
    return Contract(tuple(replace(table, key=()) for table in whole.tables))


@pytest.fixture(scope="module")
def private_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private file with 300,000 keys, two of them known."""
    path = tmp_path_factory.mktemp("private") / "private.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema raw")
        for name, columns in {
            "office_addresses": "address_key bigint",
            "office_mailboxes": "mailbox_id bigint",
            "office_messages": "item_key bigint, message_key bigint, thread_key bigint",
            "office_meetings": "item_key bigint, ical_key bigint",
        }.items():
            connection.execute(f"create table raw.{name} ({columns})")
        connection.execute(f"insert into raw.office_addresses values ({ADDRESS_KEY}), (17)")
        connection.execute(f"insert into raw.office_messages values (1, {MESSAGE_KEY}, 2)")
        connection.execute(
            "insert into raw.office_messages "
            "select md5_number_lower('key' || range)::bit::bigint, null, null from range(300000)"
        )
    return path


def rows_of(table: Table) -> int:
    """200,000 rows; fewer where more than eight columns hold texts, since it is texts that are searched."""
    texts = sum(column.type == "VARCHAR" for column in table.columns)
    return ROWS * 8 // max(8, texts)


def fill(table: Table, folder: Path, **other_fill: str) -> Path:
    """A candidate that holds one table with as many rows as `rows_of` says."""
    columns = ", ".join(
        f"{SHOW if column.name == 'small_numbers' else (FILL | other_fill)[column.type]} as {quoted(column.name)}"
        for column in table.columns
    )
    duckdb.connect().execute(
        f"copy (select {columns} from range({rows_of(table)})) to '{folder / table.name}.parquet' (format parquet)"
    )
    path = folder / f"{table.name}.duckdb"
    write_published_file(Contract((table,)), folder, path)
    return path


def refusals(path: Path, contract: Contract, private_file: Path) -> list[str]:
    return [str(r) for r in check_file(path, contract, secrets=[SECRET], private_file=private_file)]


def test_200_000_rows_of_random_numbers_pass(contract: Contract, private_file: Path, tmp_path: Path) -> None:
    table = next(table for table in contract.tables if table.name == "account_engagement")
    # over the whole range of 64 bits, as keys are
    path = fill(table, tmp_path, BIGINT="md5_number_lower('fill' || range)::bit::bigint")
    assert refusals(path, Contract((table,)), private_file) == []


PLANTED = {
    ADDRESS: "address",
    "/o=ExchangeLabs/ou=Exchange Administrative Group/cn=jane": "address",
    SECRET: "secret",
    str(ADDRESS_KEY): "key: address_key",
    str(MESSAGE_KEY): "key: message_key",
    f"{ADDRESS_KEY % 2**64:016x}": "key: address_key",
    f"A1-{MESSAGE_KEY}": "key: message_key",
    f"ab{ADDRESS_KEY % 2**64:016x}20260701{MESSAGE_KEY}": "key: ",
}


@pytest.mark.faults
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "enriched_customers" else pytest.mark.long)
        for name in published_tables()
    ],
)
def test_whatever_is_planted_in_one_of_200_000_rows_is_refused(
    name: str, contract: Contract, private_file: Path, tmp_path: Path
) -> None:
    table = next(table for table in contract.tables if table.name == name)
    alone = Contract((table,))
    clean = fill(table, tmp_path)
    assert refusals(clean, alone, private_file) == []
    texts = [column for column in table.columns if column.type == "VARCHAR"]
    numbers = [column for column in table.columns if column.type == "BIGINT"]
    assert texts
    dice = random.Random(name)
    cases = [(dice.choice(texts), f"see {text} there", rule) for text, rule in PLANTED.items()]
    if numbers:
        cases += [(dice.choice(numbers), key, "key") for key in (ADDRESS_KEY, MESSAGE_KEY)]
    for column, value, rule in cases:
        planted = tmp_path / "planted.duckdb"
        shutil.copyfile(clean, planted)
        with duckdb.connect(str(planted)) as connection:
            connection.execute(
                f"update {table.qualified_name} set {quoted(column.name)} = ? where rowid = ?",
                [value, dice.randrange(rows_of(table))],
            )
        found = refusals(planted, alone, private_file)
        assert found, (column, rule)
        assert found[0].startswith(f"table marts.{name}, column {column.name}: {rule}")
        assert str(value) not in found[0], "a refusal must not repeat what it found"


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (
            f"comment on table marts.account_recency is 'ask {ADDRESS}'",
            "account_recency, column (comment): address",
        ),
        (
            f"comment on column marts.account_recency.country is '{SECRET}'",
            "account_recency, column (comment): secret",
        ),
        (f"comment on view enrichment.\"Office\" is 'ask {ADDRESS}'", "Office, column (comment): address"),
        (
            'create or replace view enrichment."Office" as select account_id as "CustomerId" '
            f"from marts.account_recency where account_id != '{ADDRESS}'",
            "table enrichment.Office, column (sql): address",
        ),
        (f'create table marts."{ADDRESS}" (account_id varchar)', "contract: no such table is allowed"),
        ("create schema private; create table private.t (a int)", "table private.t: contract: no such table"),
        (
            "alter table marts.account_recency add column from_key bigint",
            "account_recency, column from_key: contract: no such column is allowed",
        ),
        (
            "alter table marts.account_recency drop column country",
            "column country: contract: the column is missing",
        ),
        ("alter table marts.account_recency alter is_stale type varchar", "type VARCHAR instead of BOOLEAN"),
        (
            f"alter table marts.account_recency alter country set default '{ADDRESS}'",
            "(column_default): address",
        ),
        (f"create macro marts.who() as '{ADDRESS}'", "table marts.who: contract: no function is allowed"),
        ("create type marts.mood as enum ('good')", "table marts.mood: contract: no type is allowed"),
        ("create sequence marts.counter", "table marts.counter: contract: no sequence is allowed"),
    ],
)
def test_what_stands_beside_the_rows_is_refused(
    plant: str, expected: str, contract: Contract, tmp_path: Path
) -> None:
    table = next(table for table in contract.tables if table.name == "account_recency")
    alone = Contract((table, VIEW))
    path = tmp_path / "candidate.duckdb"
    duckdb.connect().execute(
        f"copy (select {', '.join(f'{FILL[c.type]} as {quoted(c.name)}' for c in table.columns)} from range(10)) "
        f"to '{tmp_path}/account_recency.parquet' (format parquet)"
    )
    write_published_file(alone, tmp_path, path)
    assert [str(r) for r in check_file(path, alone, secrets=[SECRET])] == []
    with duckdb.connect(str(path)) as connection:
        connection.execute(plant)
    found = [str(r) for r in check_file(path, alone, secrets=[SECRET])]
    assert any(expected in refusal for refusal in found), found


def test_an_address_inside_a_list_or_struct_is_refused(tmp_path: Path) -> None:
    table = Table("marts", "t", "One row.", (Column("things", "STRUCT(a VARCHAR[])", "Things."),))
    path = tmp_path / "candidate.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as candidate (storage_version 'v1.2.0')")
        connection.execute("use candidate")
        connection.execute("create schema marts")
        connection.execute("create table marts.t (things struct(a varchar[]))")
        connection.execute("comment on table marts.t is 'One row.'")
        connection.execute("comment on column marts.t.things is 'Things.'")
        connection.execute("insert into marts.t values ({'a': ['x', ?]})", [ADDRESS])
    assert [str(refusal) for refusal in check_file(path, Contract((table,)))] == [
        "table marts.t, column things: address: address-like text"
    ]


def test_known_strings_are_found_in_the_bytes_of_the_uncompressed_twin(tmp_path: Path) -> None:
    table = Table("marts", "t", "", (Column("text", "VARCHAR", ""), Column("number", "BIGINT", "")))
    duckdb.connect().execute(
        f"copy (select case range when 77 then '{ADDRESS}' else 'name ' || range end as text, "
        f"case range when 78 then {ADDRESS_KEY} else range end as number from range(50000)) "
        f"to '{tmp_path / 't'}.parquet' (format parquet)"
    )
    twin = tmp_path / "twin.duckdb"
    write_published_file(Contract((table,)), tmp_path, twin, compressed=False)
    assert check_bytes(twin, [ADDRESS.encode()])
    assert check_bytes(twin, [ADDRESS_KEY.to_bytes(8, "little", signed=True)])
    assert not check_bytes(
        twin, [b"john.roe@customer.example", (ADDRESS_KEY + 1).to_bytes(8, "little", signed=True)]
    )


def test_the_published_file_has_keys_views_and_comments_and_the_format_of_1_2(tmp_path: Path) -> None:
    table = Table(
        "marts", "account_recency", "One row.", (Column("account_id", "VARCHAR", "Id's."),), ("account_id",)
    )
    duckdb.connect().execute(
        f"copy (select 'A' || range as account_id from range(9)) to '{tmp_path}/account_recency.parquet'"
    )
    path = tmp_path / "candidate.duckdb"
    write_published_file(Contract((table, VIEW)), tmp_path, path)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert ("PRIMARY KEY",) in connection.execute(
            "select constraint_type from duckdb_constraints()"
        ).fetchall()
        assert connection.execute('select count("CustomerId") from enrichment."Office"').fetchone() == (9,)
        assert connection.execute(
            "select table_name, comment from duckdb_columns() where not internal and database_name = 'candidate' "
            "order by all"
        ).fetchall() == [("Office", "Id."), ("account_recency", "Id's.")]
    header = path.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    # 65 is the number of the format that DuckDB 1.2 introduced and still reads.
    assert int.from_bytes(header[12:20], "little") == 65
    assert not path.with_name("candidate.duckdb.wal").exists()
