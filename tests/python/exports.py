"""A tenant of the emulator as a Microsoft Graph Data Connect export: JSON lines or Parquet, camelCase or PascalCase."""

from __future__ import annotations

import ast
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from emulators.graph.rendering import EVENT_PROPERTIES, MESSAGE_PROPERTIES, USER_PROPERTIES, View
from emulators.identifiers import folder_id
from emulators.tenant import Tenant

JSON_LINES, PARQUET = "json", "parquet"
CAMEL, PASCAL = "camel", "pascal"
FORMS = [(file, case) for file in (JSON_LINES, PARQUET) for case in (CAMEL, PASCAL)]
_WORDS = {"response": "responseType", "type": "eventType", "sensitivity": "sensitivity"}


def rows_of(tenant: Tenant) -> dict[str, list[dict[str, Any]]]:
    """Every data set in camelCase, as the samples of v1 look like: words in their type, some arrays as texts."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: []
        for name in ("Message_v1", "SentItems_v1", "CalendarView_v0", "Event_v1", "User_v1", "MailFolder_v1")
    }
    changed_at = tenant.now.isoformat().replace("+00:00", "Z")
    for person in tenant.people:
        view = View(person.id, True, False)
        own = {"puser": person.id, "ptenant": tenant.tenant_id}
        rows["User_v1"].append({**_plain({n: make(person) for n, make in USER_PROPERTIES.items()}), **own})
        rows["MailFolder_v1"] += [
            {"id": folder_id(person.id, folder), "ODataType": f"#microsoft.graph.{kind}", **own}
            for folder, kind in (("inbox", "mailFolder"), ("search", "mailSearchFolder"))
        ]
        for message in tenant.messages.get(person.id, ()):
            row = _plain({name: make(message, view) for name, make in MESSAGE_PROPERTIES.items()})
            row |= {**own, "lastModifiedDateTime": changed_at}
            row["ODataType"] = message.odata_type or "#microsoft.graph.message"
            # As in the published sample rows.
            row["bccRecipients"] = json.dumps(row["bccRecipients"]).replace("emailAddress", "emailaddress")
            rows["Message_v1"].append(row)
            if message.folder == "sentitems":
                rows["SentItems_v1"].append(row)
        for event in tenant.events.get(person.id, ()):
            row = _plain({name: make(event, view) for name, make in EVENT_PROPERTIES.items()})
            row |= {**own, "lastModifiedDateTime": changed_at, "ODataType": "#microsoft.graph.event"}
            row["attendees"] = repr(_in_their_types(row["attendees"]))
            row = _in_their_types(row)
            if event.type in ("singleInstance", "seriesMaster"):
                rows["Event_v1"].append(row)
            if event.type != "seriesMaster":
                rows["CalendarView_v0"].append(row)
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(msgspec.json.encode(row))
    return plain


def _in_their_types(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_their_types(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        key: f"microsoft.graph.{_WORDS[key]}'{inner}'"
        if key in _WORDS and isinstance(inner, str)
        else _in_their_types(inner)
        for key, inner in value.items()
    }


def _pascal(value: Any) -> Any:
    """Keys and words as in v0, where arrays are arrays."""
    if isinstance(value, list):
        return [_pascal(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, inner in value.items():
        if key in _WORDS and isinstance(inner, str):
            inner = inner.rstrip("'").rpartition("'")[2]
            inner = inner[:1].upper() + inner[1:]
        if key == "attendees" and isinstance(inner, str):
            inner = ast.literal_eval(inner)
        if key == "ODataType":
            kind = inner.rpartition(".")[2]
            inner = f"#Microsoft.OutlookServices.{kind[:1].upper()}{kind[1:]}"
        own = key if key in ("puser", "ptenant", "ODataType") else key[:1].upper() + key[1:]
        out[own] = _pascal(inner)
    return out


def write(folder: Path, tenant: Tenant, *, file: str = JSON_LINES, case: str = CAMEL) -> Path:
    """The whole tenant, every data set in two files."""
    for dataset, rows in rows_of(tenant).items():
        named = _pascal(rows) if case == PASCAL else rows
        target = folder / f"BasicDataSet_v0.{dataset}"
        target.mkdir(parents=True, exist_ok=True)
        (target / "_SUCCESS").touch()
        half = (len(named) + 1) // 2
        for number, part in enumerate((named[:half], named[half:])):
            if file == PARQUET:
                _write_parquet(target / f"part-{number:05}.parquet", part)
            else:
                write_lines(target / f"part-{number:05}.json{'.gz' if number else ''}", part)
    return folder


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """JSON lines, compressed where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def _write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """In the types that DuckDB finds (structs, lists, timestamps, GUIDs), and binary where Graph has base64."""
    if not rows:
        return
    lines = write_lines(path.with_name(f"_{path.stem}.json"), rows)
    binary = next((name for name in rows[0] if name.lower() == "conversationindex"), None)
    replaced = f'replace (from_base64("{binary}") as "{binary}")' if binary else ""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"copy (select * {replaced} from read_json(?, format = 'newline_delimited', sample_size = -1))"
            f" to '{path}' (format parquet)",
            [str(lines)],
        )
    lines.unlink()
