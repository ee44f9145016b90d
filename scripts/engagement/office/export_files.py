"""Files of a Microsoft Graph Data Connect export: which there are, and their rows, one after the other.

Facts of the form are those of microsoftgraph/dataconnect-solutions @ff82ac5, Datasets/*.md: the Copy activity
writes JSON lines in several files a run, mapping data flows write Parquet; names are in camelCase (v1) or PascalCase
(v0); every row has `puser`, the object id of the mailbox's owner, and `ODataType`; a word of a list comes as
`microsoft.graph.responseType'organizer'`; a column that is an array may come as a text that holds it, as JSON or, in
the published samples, as a Python literal. Nothing here was tried on the export of a live tenant.

Whatever a file holds beside the columns named here is not decoded, so no subject and no body ever leaves its row.
"""

from __future__ import annotations

import ast
import glob
import gzip
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import msgspec

from engagement.errors import ConfigurationError
from engagement.office import graph

T = TypeVar("T")

MESSAGE, SENT_ITEM, EVENT, CALENDAR_VIEW, USER, MAIL_FOLDER = (
    "Message",
    "SentItem",
    "Event",
    "CalendarView",
    "User",
    "MailFolder",
)
_OF_MAIL = (
    "id",
    "puser",
    "ODataType",
    "internetMessageId",
    "conversationId",
    "receivedDateTime",
    "isDraft",
    "from",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
)
_OF_CALENDARS = (
    "id",
    "puser",
    "iCalUId",
    "type",
    "start",
    "end",
    "isAllDay",
    "isCancelled",
    "isOrganizer",
    "organizer",
    "attendees",
    # Without it nobody could tell what is private.
    "sensitivity",
    "responseStatus",
)
# The columns without which the numbers would be others; further ones are used where they are there.
NEEDED: dict[str, tuple[str, ...]] = {
    MESSAGE: _OF_MAIL,
    SENT_ITEM: _OF_MAIL,
    EVENT: _OF_CALENDARS,
    CALENDAR_VIEW: _OF_CALENDARS,
    USER: ("id", "mail", "userPrincipalName", "proxyAddresses"),
    MAIL_FOLDER: ("id", "ODataType"),
}
CREATED, CHANGED = "createdDateTime", "lastModifiedDateTime"

_STRUCTS: tuple[type[msgspec.Struct], ...] = (
    graph.Message,
    graph.Meeting,
    graph.User,
    graph.Folder,
    graph.Attendee,
    graph.Recipient,
    graph.EmailAddress,
    graph.Moment,
    graph.ResponseStatus,
)
# Names in lower case, and as Graph writes them.
_GRAPH_NAMES = {
    field.encode_name.lower(): field.encode_name
    for struct in _STRUCTS
    for field in msgspec.structs.fields(struct)
} | {"odatatype": "@odata.type", "puser": "puser", CREATED.lower(): CREATED, CHANGED.lower(): CHANGED}
_OWN_COLUMNS = {"puser", "@odata.type", CREATED, CHANGED}
_KINDS: dict[str, type[msgspec.Struct]] = {
    MESSAGE: graph.Message,
    SENT_ITEM: graph.Message,
    EVENT: graph.Meeting,
    CALENDAR_VIEW: graph.Meeting,
    USER: graph.User,
    MAIL_FOLDER: graph.Folder,
}
_COLUMNS = {
    dataset: frozenset({field.encode_name for field in msgspec.structs.fields(kind)} | _OWN_COLUMNS)
    for dataset, kind in _KINDS.items()
}
_WORDS = frozenset({"type", "sensitivity", "response"})
_NESTED = frozenset(
    {
        "from",
        "sender",
        "toRecipients",
        "ccRecipients",
        "bccRecipients",
        "start",
        "end",
        "attendees",
        "organizer",
        "responseStatus",
        "proxyAddresses",
    }
)
_WORD_IN_ITS_TYPE = re.compile(r"[\w.]+'(.*)'")

# "Message_v1", "BasicDataSet_v0.Message_v1", "messages-0001", "SentItems_v1"
_DATASET = re.compile(
    r"(?:\w+_v\d+\.)?(message|sentitem|event|calendarview|user|mailfolder)s?(?=$|[_.\-\d])", re.IGNORECASE
)
_BY_NAME = {name.lower(): name for name in NEEDED}
_JSON_ENDINGS = (".json", ".jsonl", ".ndjson")
_HEAD = 100
# A message with its body is a few megabytes; what is longer is no file of lines.
_LONGEST_LINE = 64 * 2**20
_ROWS_AT_ONCE = 2_000

_decode_columns = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `where` names file and line, `values` the columns known here under Graph's names."""

    file: str
    place: str
    values: dict[str, Any]

    @property
    def where(self) -> str:
        return f"{self.file} {self.place}"

    @property
    def owner(self) -> str:
        """The object id of the mailbox's owner, in lower case."""
        return str(self.values["puser"]).lower()

    def typed(self, kind: type[T]) -> T:
        """The row as Graph's struct; ConfigurationError where a column is of another shape."""
        try:
            return msgspec.convert(self.values, kind)
        except msgspec.ValidationError as error:
            # The path is "$.toRecipients[...].emailAddress"; the text may hold nothing else of the row.
            found = re.search(r"\$\.([@\w.]+)|required field `([@\w.]+)`", str(error))
            name = (found.group(1) or found.group(2)) if found else "a column"
            raise ConfigurationError(
                f"{self.where}: {name} is missing or of another shape than in Microsoft Graph; export it again"
            ) from None

    def instant(self, name: str) -> datetime | None:
        """A column as a naive UTC instant; None where it is absent or unreadable."""
        value = self.values.get(name)
        return graph.instant(value) if isinstance(value, str) else None


@dataclass(frozen=True)
class Export:
    """A folder, and the files of each data set in it, in the order of their names."""

    folder: Path
    files: dict[str, tuple[Path, ...]]

    @classmethod
    def find(cls, folder: Path) -> Export:
        """The files below a folder, each of the data set that its name, or else its nearest folder, begins with.

        Files of other data sets, and what begins with "." or "_" or lies in "metadata", are none of ours.
        """
        files: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            if not path.is_file() or any(part[0] in "._" or part.lower() == "metadata" for part in parts):
                continue
            found = next(filter(None, map(_DATASET.match, reversed(parts))), None)
            if found is not None:
                files.setdefault(_BY_NAME[found.group(1).lower()], []).append(path)
        return cls(folder, {dataset: tuple(paths) for dataset, paths in files.items()})

    @property
    def calendar(self) -> str:
        """The data set that says which part of the calendars was exported."""
        return CALENDAR_VIEW if CALENDAR_VIEW in self.files else EVENT

    def missing(self) -> Iterator[str]:
        """One line for every data set that is not there; opens no file."""
        for dataset, also in ((MESSAGE, ""), (CALENDAR_VIEW, f" or {EVENT}"), (USER, "")):
            if dataset not in self.files and not (also and EVENT in self.files):
                yield (
                    f"{self.folder.name}: has no data set {dataset}{also} (a folder or files named"
                    f" {dataset}_v1 or alike); put it there, or add it to the pipeline"
                )

    def problems(self) -> list[str]:
        """One line for every missing data set and column, and for every file that cannot be read from its
        beginning. Columns are looked for in the first rows of every file, whoever they are of; nothing is kept.
        """
        found = list(self.missing())
        for dataset, paths in self.files.items():
            seen: set[str] = set()
            row_count = 0
            for path in paths:
                try:
                    if path.suffix == ".parquet":
                        names = set(self._parquet_columns(path, dataset))
                        found += self._lacks(self._label(path), dataset, names)
                    for row in islice(self._rows(path, dataset, None), _HEAD):
                        row_count += 1
                        seen |= row.values.keys()
                except ConfigurationError as error:
                    found.append(error.message)
                    seen |= set(_COLUMNS[dataset])
            if row_count and not any(path.suffix == ".parquet" for path in paths):
                found += self._lacks(f"{self.folder.name}: the data set {dataset}", dataset, seen)
        return found

    def rows(self, dataset: str, owners: Collection[str] | None = None) -> Iterator[Row]:
        """Every row of a data set, of these owners alone where given; of the others nothing but the owner is
        decoded. ConfigurationError names the file and line that cannot be read.
        """
        for path in self.files.get(dataset, ()):
            yield from self._rows(path, dataset, owners)

    def _rows(self, path: Path, dataset: str, owners: Collection[str] | None) -> Iterator[Row]:
        label, wanted = self._label(path), _COLUMNS[dataset]
        has_owner = "puser" in NEEDED[dataset]
        texts: Iterator[tuple[int, str | bytes]]
        if path.suffix == ".parquet":
            texts, noun = self._parquet_rows(path, dataset), "row"
        else:
            texts, noun = self._json_lines(path), "line"
        # Names of columns as this file writes them, and as Graph does.
        names: dict[str, str | None] = {}
        for number, text in texts:
            place = f"{noun} {number}"
            try:
                columns = _decode_columns(text)
                for name in columns.keys() - names.keys():
                    ours = _GRAPH_NAMES.get(name.lower())
                    names[name] = ours if ours in wanted else None
                values = {ours: raw for name, raw in columns.items() if (ours := names[name]) is not None}
                if has_owner:
                    owner = msgspec.json.decode(values.get("puser", b"null"))
                    if not isinstance(owner, str):
                        raise ConfigurationError(
                            f"{label} {place}: puser is missing, so nobody knows whose it is; export it again"
                        )
                    if owners is not None and owner.lower() not in owners:
                        continue
                yield Row(label, place, {name: _value(name, raw) for name, raw in values.items()})
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise ConfigurationError(
                    f"{label} {place}: not one whole JSON object; restore the file, or export it again as"
                    " JSON lines"
                ) from None
            except _NotNested as error:
                raise ConfigurationError(
                    f"{label} {place}: {error} holds a text that is no JSON; export it again"
                ) from None

    def _json_lines(self, path: Path) -> Iterator[tuple[int, str | bytes]]:
        label, number = self._label(path), 0
        name = path.name.removesuffix(".gz")
        if not name.endswith(_JSON_ENDINGS):
            raise ConfigurationError(
                f"{label}: neither JSON lines (.json, .jsonl, .ndjson, also with .gz) nor Parquet (.parquet);"
                " export it as one of them, or move it away"
            )
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                while line := file.readline(_LONGEST_LINE):
                    number += 1
                    if len(line) == _LONGEST_LINE:
                        raise ConfigurationError(
                            f"{label} line {number}: longer than {_LONGEST_LINE // 2**20} MB; export it as JSON"
                            " lines, one object a line"
                        )
                    text = line.removeprefix(b"\xef\xbb\xbf").strip()
                    if text:
                        yield number, text
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or "cut short or damaged"
            after = f" after line {number}" if number else ""
            raise ConfigurationError(
                f"{label}: cannot be read{after} ({reason}); restore the file, or export it again"
            ) from None

    def _parquet_rows(self, path: Path, dataset: str) -> Iterator[tuple[int, str | bytes]]:
        """Every row as a JSON text; DuckDB reads the columns named here and nothing else."""
        columns = self._parquet_columns(path, dataset)
        parts = []
        for name, (written, data_type) in columns.items():
            quoted = '"' + written.replace('"', '""') + '"'
            # Edm.Binary, which JSON has in base64.
            parts.append(f"'{name}': {f'base64({quoted})' if data_type == 'BLOB' else quoted}")
        if not parts:
            return
        with closing(_reader()) as connection:
            try:
                result = connection.execute(
                    f"select to_json({{{', '.join(parts)}}}) from read_parquet(?, hive_partitioning = false)",
                    [glob.escape(str(path))],
                )
                number = 0
                while rows := result.fetchmany(_ROWS_AT_ONCE):
                    for (text,) in rows:
                        number += 1
                        yield number, text
            except duckdb.Error as error:
                raise self._no_parquet(path, error) from None

    def _parquet_columns(self, path: Path, dataset: str) -> dict[str, tuple[str, str]]:
        """The columns known here, under Graph's names: as the file writes them, and of what type."""
        with closing(_reader()) as connection:
            try:
                described = connection.execute(
                    "describe select * from read_parquet(?, hive_partitioning = false)",
                    [glob.escape(str(path))],
                ).fetchall()
            except duckdb.Error as error:
                raise self._no_parquet(path, error) from None
        return {
            name: (row[0], row[1])
            for row in described
            if (name := _GRAPH_NAMES.get(row[0].lower())) in _COLUMNS[dataset]
        }

    def _no_parquet(self, path: Path, error: duckdb.Error) -> ConfigurationError:
        return ConfigurationError(
            f"{self._label(path)}: cannot be read as Parquet ({type(error).__name__}); restore the file, or"
            " export it again"
        )

    @staticmethod
    def _lacks(where: str, dataset: str, names: Collection[str]) -> Iterator[str]:
        for name in NEEDED[dataset]:
            if _GRAPH_NAMES[name.lower()] not in names:
                yield (
                    f"{where} has no column {name}; choose it in the app's registration for Data Connect,"
                    " and export again"
                )

    def _label(self, path: Path) -> str:
        return f"{self.folder.name}/{path.relative_to(self.folder).as_posix()}"


def _reader() -> duckdb.DuckDBPyConnection:
    """A database of its own: a result is read in parts while rows go into the private file."""
    connection = duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})
    connection.execute("set TimeZone = 'UTC'")
    return connection


class _NotNested(Exception):
    """A text where a list or an object was to be; its text is the column's name."""


def _value(name: str, raw: msgspec.Raw) -> Any:
    value = msgspec.json.decode(raw)
    if name in _NESTED and isinstance(value, str):
        value = _parsed(name, value)
    if name == "@odata.type" and isinstance(value, str):
        # v0 has "#Microsoft.OutlookServices.EventMessage".
        value = "#microsoft.graph." + _word(value.rpartition(".")[2])
    return _as_graph_writes(name, value)


def _as_graph_writes(name: str, value: Any) -> Any:
    """Keys as Graph writes them, unknown ones left out; words of a list without their type, in camelCase."""
    if isinstance(value, dict):
        return {
            ours: _as_graph_writes(ours, inner)
            for key, inner in value.items()
            if (ours := _GRAPH_NAMES.get(key.lower())) is not None
        }
    if isinstance(value, list):
        return [_as_graph_writes(name, inner) for inner in value]
    return _word(value) if name in _WORDS and isinstance(value, str) else value


def _word(text: str) -> str:
    found = _WORD_IN_ITS_TYPE.fullmatch(text)
    word = found.group(1) if found else text
    return word[:1].lower() + word[1:]


def _parsed(name: str, text: str) -> Any:
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        pass
    try:
        # Literals alone: nothing is run.
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise _NotNested(name) from None


def described(export: Export) -> Sequence[str]:
    """The data sets that are there, with the number of their files."""
    return [f"{name} ({len(export.files[name])})" for name in NEEDED if name in export.files]
