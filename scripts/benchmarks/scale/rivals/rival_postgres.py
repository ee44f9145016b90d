"""The original's columns with PostgreSQL: a server of its own, filled with COPY, and one script of SQL (postgres.sql).

    python -m benchmarks.scale.rivals.rival_postgres --raw raw --result postgres.parquet

The server is made in a folder of TMPDIR for this one run, listens on a socket there alone, and is removed in
the end. PostgreSQL refuses to be root: then it runs as the user `postgres`, who must be able to reach that folder.
POSTGRES_BIN names the folder of its programs, where they are not in Debian's place.
"""

from __future__ import annotations

import io
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from benchmarks.scale.rivals.window import NEVER, PERSONAL_MAIL_DOMAINS, Steps, Window, run, window_of
from benchmarks.scale.script import steps_of

SCRIPT = Path(__file__).with_name("postgres.sql")
DEBIAN = Path("/usr/lib/postgresql")
MEMORY_LIMIT_MB = 5000
START_SECONDS = 60.0
BATCH_ROWS = 250_000

TABLES = """
create unlogged table as_of (time_zone text, as_of_on date);
create unlogged table enrichments (enrichment_no smallint, enrichment_id text, matches_domains boolean);
create unlogged table periods (period_no smallint, level text, starts_on date, counts_to_on date);
create unlogged table days (day_on date, period_no smallint);
create unlogged table pieces (day_on date, piece_no smallint);
create unlogged table personal_mail_domains (domain text);
create unlogged table mailboxes (
    enrichment_no smallint, mailbox_id bigint, monitored_to_at timestamp, address_keys bigint[]
);
create unlogged table accounts (account_no integer, account_id text, website_domain text);
create unlogged table contacts_listed (contact_id text, account_id text, address_key bigint);
create unlogged table addresses (address_key bigint, domain text, local_part_class text);
create unlogged table messages (
    mailbox_id bigint, item_key bigint, message_key bigint, thread_key bigint, from_key bigint, received_at timestamp,
    recipient_keys bigint[]
);
create unlogged table entries (
    mailbox_id bigint, item_key bigint, ical_key bigint, organizer_key bigint, start_at timestamp, end_at timestamp,
    read_at timestamp, gone_at timestamp, is_all_day boolean, is_cancelled boolean, is_organizer boolean,
    own_response text, attendee_keys bigint[], attendee_types text[], attendee_responses text[]
);
"""


def programs() -> Path:
    """The folder of the server's programs; RuntimeError where there is none."""
    if "POSTGRES_BIN" in os.environ:
        return Path(os.environ["POSTGRES_BIN"])
    versions = sorted(DEBIAN.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise RuntimeError(
            f"no PostgreSQL under {DEBIAN}: install the package postgresql, or set POSTGRES_BIN"
        )
    return versions[-1].parent


def settings(memory_limit_mb: int, threads: int, socket_folder: Path) -> dict[str, str]:
    """What a server that does one big job at a time would be set to; nothing has to survive a crash."""
    return {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_folder),
        "shared_buffers": f"{memory_limit_mb // 4}MB",
        "effective_cache_size": f"{memory_limit_mb // 2}MB",
        # a hash table may take twice as much, in each process
        "work_mem": f"{memory_limit_mb // 8}MB",
        "maintenance_work_mem": f"{memory_limit_mb // 8}MB",
        # the one who asks works too
        "max_parallel_workers_per_gather": str(threads - 1),
        "max_parallel_workers": str(threads - 1),
        "parallel_setup_cost": "100",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "8GB",
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "autovacuum": "off",
        "random_page_cost": "1.1",
        "timezone": "UTC",
    }


@contextmanager
def server(memory_limit_mb: int, threads: int) -> Iterator[psycopg.Connection[Any]]:
    """A server that lasts as long as the context, and a connection to it. RuntimeError where it does not start."""
    is_root = os.geteuid() == 0
    user = "postgres" if is_root else pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="rival-postgres-"))
    as_user: dict[str, Any] = {"user": user, "cwd": folder} if is_root else {"cwd": folder}
    process = None
    try:
        if is_root:
            shutil.chown(folder, user)
        made = subprocess.run(
            [
                *(
                    str(programs() / "initdb"),
                    "--pgdata",
                    str(folder / "data"),
                    "--username",
                    user,
                    "--auth",
                    "peer",
                ),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            check=False,
            **as_user,
        )
        if made.returncode != 0:
            raise RuntimeError(
                f"PostgreSQL made no cluster in {folder}: {made.stderr.strip().splitlines()[-1]}"
            )
        # whoever runs this may connect as the server's user
        (folder / "data" / "pg_hba.conf").write_text("local all all trust\n", "utf-8")
        options = [f"-c{name}={value}" for name, value in settings(memory_limit_mb, threads, folder).items()]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(programs() / "postgres"), "-D", str(folder / "data"), *options],
                stderr=log,
                stdout=log,
                **as_user,
            )
        with _connected(folder, user, process) as connection:
            yield connection
    finally:
        if process is not None:
            process.terminate()
            process.wait(timeout=START_SECONDS)
        shutil.rmtree(folder)


def _connected(folder: Path, user: str, process: subprocess.Popen[bytes]) -> psycopg.Connection[Any]:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return psycopg.connect(host=str(folder), user=user, dbname="postgres", autocommit=True)
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (folder / "log").read_text("utf-8").strip().splitlines()
                raise RuntimeError(f"PostgreSQL did not start in {folder}: {log[-1:]}") from error
        time.sleep(0.1)


def array(column: str) -> pl.Expr:
    """A list as PostgreSQL reads an array; its texts are single words."""
    elements = pl.element().cast(pl.String).fill_null("NULL")
    return pl.format("{{{}}}", pl.col(column).list.eval(elements).list.join(",")).alias(column)


def load(connection: psycopg.Connection[Any], table: str, rows: pl.LazyFrame) -> None:
    """COPY rows into a table, batch by batch; the columns are those of the table, in its order."""
    with connection.cursor() as cursor, cursor.copy(f"copy {table} from stdin with (format csv)") as copy:
        for batch in rows.collect_batches(chunk_size=BATCH_ROWS, engine="streaming"):
            text = io.BytesIO()
            batch.write_csv(text, include_header=False, datetime_format="%Y-%m-%d %H:%M:%S%.6f")
            copy.write(text.getvalue())
    connection.execute(f"analyze {table}")


def load_rows(connection: psycopg.Connection[Any], table: str, rows: Sequence[Sequence[Any]]) -> None:
    """COPY a few rows of Python's own into a table."""
    with connection.cursor() as cursor, cursor.copy(f"copy {table} from stdin") as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(f"analyze {table}")


def load_window(connection: psycopg.Connection[Any], window: Window) -> None:
    """The small tables that say what is counted."""
    load_rows(connection, "as_of", [(window.time_zone, window.as_of_on)])
    load_rows(
        connection,
        "enrichments",
        [(number, *enrichment) for number, enrichment in enumerate(window.enrichments)],
    )
    load_rows(
        connection,
        "periods",
        [(period.number, period.level, period.starts_on, period.counts_to_on) for period in window.periods],
    )
    load_rows(connection, "days", [(day, period.number) for period in window.periods for day in period.days])
    load_rows(connection, "pieces", window.pieces)


def window_of_raw(raw: Path) -> Window:
    """The window of the raw tables."""
    units = pl.scan_parquet(raw / "office_units" / "*.parquet")
    mailboxes = pl.scan_parquet(raw / "office_mailboxes" / "*.parquet")
    settings_rows = pl.scan_parquet(raw / "settings" / "*.parquet")
    return window_of(
        settings_rows.select("enrichment_id", "key", "value").collect().iter_rows(),
        mailboxes.select("enrichment_id", "mailbox_id", "state", "monitored_to").collect().iter_rows(),
        units.group_by("mailbox_id", "kind")
        .agg(pl.min_horizontal("read_to", "read_at").max())
        .collect()
        .iter_rows(),
    )


def load_raw(connection: psycopg.Connection[Any], raw: Path, window: Window) -> None:
    """What the script reads of the raw tables, without mail that can count nowhere."""

    def scanned(table: str) -> pl.LazyFrame:
        return pl.scan_parquet(raw / table / "*.parquet")

    numbers = pl.LazyFrame(
        {
            "enrichment_no": range(len(window.enrichments)),
            "enrichment_id": [enrichment_id for enrichment_id, _ in window.enrichments],
        }
    )
    load(
        connection,
        "mailboxes",
        scanned("office_mailboxes")
        .join(numbers, on="enrichment_id")
        .select(
            "enrichment_no",
            "mailbox_id",
            pl.col("monitored_to").cast(pl.Datetime("us")).fill_null(NEVER),
            array("address_keys"),
        ),
    )
    load(connection, "personal_mail_domains", pl.scan_csv(PERSONAL_MAIL_DOMAINS).select("domain"))
    load(
        connection,
        "accounts",
        scanned("accounts").with_row_index("account_no").select("account_no", "account_id", "website_domain"),
    )
    load(connection, "contacts_listed", scanned("contacts").select("contact_id", "account_id", "address_key"))
    load(
        connection,
        "addresses",
        scanned("office_addresses").select("address_key", "domain", "local_part_class"),
    )
    load(
        connection,
        "messages",
        scanned("office_messages")
        .filter(
            ~pl.col("is_draft"),
            ~pl.col("is_meeting_mail"),
            ~pl.col("is_search_folder_copy"),
            pl.col("received_at") < window.ends_before_at,
        )
        .select(
            "mailbox_id",
            "item_key",
            "message_key",
            "thread_key",
            "from_key",
            "received_at",
            array("recipient_keys"),
        ),
    )
    load(
        connection,
        "entries",
        scanned("office_meetings")
        .filter(pl.col("start_at").is_not_null())
        .select(
            "mailbox_id",
            "item_key",
            "ical_key",
            "organizer_key",
            "start_at",
            "end_at",
            "read_at",
            "gone_at",
            "is_all_day",
            "is_cancelled",
            "is_organizer",
            "own_response",
            array("attendee_keys"),
            array("attendee_types"),
            array("attendee_responses"),
        ),
    )


def write(connection: psycopg.Connection[Any], result_file: Path) -> None:
    """The table `result` as Parquet."""
    with (
        connection.cursor() as cursor,
        cursor.copy("copy result to stdout with (format csv, header)") as copy,
    ):
        text = b"".join(bytes(part) for part in copy)
    dtypes: dict[str, Any] = {
        **dict.fromkeys(("enrichment_id", "account_id", "aggregation_level", "primary_key"), pl.String),
        **dict.fromkeys(("days_since_last_email", "days_since_last_meeting"), pl.Int64),
        **dict.fromkeys(("meeting_duration_mean_minutes", "reply_time_mean_hours"), pl.Float64),
        **dict.fromkeys(("engagement_started_on", "aggregation_starts_on"), pl.Date),
    }
    pl.read_csv(text, schema_overrides=dtypes, infer_schema_length=None).write_parquet(result_file)


def compute(raw: Path, result_file: Path, memory_limit_mb: int | None, threads: int) -> Steps:
    """Write the result's Parquet file, and give the seconds of each step."""
    steps = Steps()
    window = window_of_raw(raw)
    with server(memory_limit_mb or MEMORY_LIMIT_MB, threads) as connection:
        connection.execute(TABLES)
        steps.done("start")
        load_window(connection, window)
        load_raw(connection, raw, window)
        steps.done("load")
        for step, statements in steps_of(SCRIPT):
            for statement in statements:
                connection.execute(statement)
            steps.done(step)
        write(connection, result_file)
        steps.done("write")
    return steps


if __name__ == "__main__":
    run(__doc__, compute)
