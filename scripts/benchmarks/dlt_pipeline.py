"""The same extraction of mail as a dlt pipeline: its REST API source, its normalisation, its DuckDB destination.

Runs with the interpreter of an environment that has dlt; prints its versions and the times of its steps as JSON.
Everything is set here, nothing is read from a file of the machine, and telemetry is off.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import prepared

PIPELINE, DATASET, TABLE, FILE = "prepared", "mail", "messages", "landed.duckdb"
LIBRARIES = ("dlt", "duckdb", "orjson", "pyarrow")

# What proved best of what docs/bench-extract.md lists; names are dlt's own.
SETTINGS: Mapping[str, str] = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "EXTRACT__WORKERS": "2",
    "NORMALIZE__WORKERS": "2",
    "LOAD__WORKERS": "2",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "5000",
    "SOURCES__DATA_WRITER__FILE_MAX_ITEMS": "10000",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
}
# What was tried: messages a second (the median of three turns, and the least and the most), CPU seconds a million. The
# machine was busy with other work, so the rates are rough; the CPU seconds are not.
TRIED_ON, TRIED_MESSAGES = "2026-11-25", 100_000
TRIED = (
    ("the settings above", "5,927 (4,406 - 8,969)", "146"),
    ("8 threads in extract, buffer of 10,000", "4,447 (3,684 - 5,555)", "150"),
    ("`NORMALIZE__WORKERS` 1, one file", "5,296 (3,712 - 6,040)", "144"),
    ("files of 25,000", "5,028 (4,954 - 7,947)", "149"),
    (
        "one child resource of a list of mailboxes (once, otherwise as the row with 8 threads)",
        "4,041",
        "147",
    ),
    ("500 messages a page (likewise)", "5,450", "147"),
    ("`NORMALIZE__WORKERS` 3 (likewise)", "5,721", "154"),
    ("compressed files between the steps (likewise)", "6,944", "163"),
    ("JSON lines into DuckDB (likewise)", "6,757", "145"),
    ("SQL inserts into DuckDB, its default (once, 50,000 messages)", "1,077", "660"),
)
PAGE = 1000
FILE_FORMAT = "parquet"


def query(page: int) -> dict[str, str]:
    """What the extraction asks of a mailbox, its whole range at once."""
    start = prepared.NOW - timedelta(days=prepared.DAYS + 1)
    return {
        "$filter": f"receivedDateTime ge {start:%Y-%m-%dT%H:%M:%SZ} and receivedDateTime lt"
        f" {prepared.NOW:%Y-%m-%dT%H:%M:%SZ}",
        "$orderby": "receivedDateTime",
        "$select": ",".join(prepared.PROPERTIES),
        "$top": str(page),
        "$count": "true",
    }


def source_config(url: str, mailboxes: int, page: int, shape: str) -> dict[str, Any]:
    """The REST API source; `shape` is how mailboxes are read in parallel: a `resource` for each, all into one
    table, or one `child` resource of a list of mailboxes.
    """
    endpoint = {"data_selector": "value", "params": query(page)}
    people = [prepared.person_id_of(number) for number in range(mailboxes)]
    resources: list[Any]
    if shape == "resource":
        resources = [
            {
                "name": f"messages_{number}",
                "table_name": TABLE,
                "endpoint": {**endpoint, "path": f"users/{person}/messages"},
            }
            for number, person in enumerate(people)
        ]
    else:
        import dlt

        def mailbox() -> Iterator[list[dict[str, str]]]:
            yield [{"id": person} for person in people]

        resources = [
            dlt.resource(mailbox, name="mailbox", selected=False),
            {
                "name": TABLE,
                "endpoint": {**endpoint, "path": "users/{resources.mailbox.id}/messages"},
            },
        ]
    return {
        "client": {
            "base_url": f"{url}/v1.0/",
            "auth": {"type": "bearer", "token": "prepared"},
            "headers": {"Prefer": 'IdType="ImmutableId", outlook.timezone="UTC"'},
            "paginator": {"type": "json_link", "next_url_path": "['@odata.nextLink']"},
        },
        "resource_defaults": {"write_disposition": "append", "parallelized": True},
        "resources": resources,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--mailboxes", type=int, required=True)
    parser.add_argument("--page", type=int, default=PAGE)
    parser.add_argument("--shape", choices=("resource", "child"), default="resource")
    parser.add_argument("--file-format", choices=("insert_values", "parquet", "jsonl"), default=FILE_FORMAT)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another dlt setting"
    )
    given = parser.parse_args(arguments)
    # Before dlt is imported, which looks for its folders then.
    os.environ.update(SETTINGS)
    os.environ.update(dict(pair.split("=", 1) for pair in given.set))
    os.environ["DLT_DATA_DIR"] = os.environ["DLT_PROJECT_DIR"] = str(given.folder)
    import dlt
    from dlt.sources.rest_api import rest_api_source

    pipeline = dlt.pipeline(
        PIPELINE,
        pipelines_dir=str(given.folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(given.folder / FILE)),
        dataset_name=DATASET,
    )
    config = source_config(given.url, given.mailboxes, given.page, given.shape)
    seconds = {}
    for name, step in (
        ("extract", lambda: pipeline.extract(rest_api_source(config), loader_file_format=given.file_format)),
        ("normalize", pipeline.normalize),
        ("load", pipeline.load),
    ):
        began = time.monotonic()
        step()
        seconds[name] = round(time.monotonic() - began, 2)
    print(json.dumps({"seconds": seconds, "versions": {name: version(name) for name in LIBRARIES}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
