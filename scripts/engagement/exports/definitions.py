"""The block `exports` of enrichments.yml: what an export may say, checked before anything is read."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Discriminator, Field, Tag

from engagement.configuration.part import Part, Text, refuse

DEFAULT_PATH = "{name}/{as_of_date:%Y/%m/%d}"
PATH_FIELDS = ("name", "as_of_date")
DELIMITERS = (",", ";", "|", "\t")
COMPRESSIONS = {"csv": ("none", "gzip"), "parquet": ("zstd", "snappy", "gzip", "none")}
MOST_PARTS = 9999

# The variables that hold what the destinations ask for; none of it stands in enrichments.yml.
AWS_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
AZURE_SECRETS = ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN")
SFTP_SECRETS = ("ENGAGEMENT_SFTP_PASSWORD", "ENGAGEMENT_SFTP_KEY_PASSPHRASE")
SECRET_VARIABLES = (*AWS_SECRETS, *AZURE_SECRETS, *SFTP_SECRETS)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
# Of a file system of Windows, where many an export is opened.
_RESERVED = re.compile(r"(?i)con|prn|aux|nul|com[0-9]|lpt[0-9]")
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*")
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PATH_PART = re.compile(r"[A-Za-z0-9_.=-]+")


def _export_name(value: object) -> object:
    if isinstance(value, str) and (not _NAME.fullmatch(value) or _RESERVED.fullmatch(value)):
        raise refuse(
            "a name that a file can have: a letter or digit, then letters, digits, - or _, at most 63 in all, and none"
            " of CON, PRN, AUX, NUL, COM1, LPT1"
        )
    return value


def _table(value: object) -> object:
    if isinstance(value, str) and not _TABLE.fullmatch(value):
        raise refuse(
            "a table or view of the published file with its schema, for example marts.account_engagement"
        )
    return value


def _segment(value: object) -> object:
    if isinstance(value, str) and not _SEGMENT.fullmatch(value):
        raise refuse("the id of a segment, for example stale")
    return value


def _renamed(value: object) -> object:
    """A line of a CSV file begins with it, so it is bound by what cells are."""
    if isinstance(value, str) and (not value.isprintable() or value != value.strip() or value[:1] in "=+-@"):
        raise refuse("a name of one line that does not begin with =, +, - or @")
    return value


def _destination(value: object) -> object:
    if isinstance(value, str):
        try:
            destination_of(value)
        except ValueError as error:
            raise refuse(str(error)) from None
    return value


def _path(value: object) -> object:
    if isinstance(value, str):
        try:
            parts = path_of(value, "name", dt.date(2026, 1, 2)).split("/")
        except (ValueError, KeyError, IndexError, AttributeError, TypeError):
            parts = [""]
        if any(not _PATH_PART.fullmatch(part) or set(part) == {"."} for part in parts):
            raise refuse(
                "folders between single /, of letters, digits, _, -, . and =, with {name} and {as_of_date:%Y/%m/%d},"
                f" for example {DEFAULT_PATH}"
            )
    return value


class ExportColumn(Part):
    """A field under another name."""

    column: Text
    renamed: Annotated[Text, BeforeValidator(_renamed)] = Field(alias="as")


class Export(Part):
    """One export: what, which fields, in which form, to where.

    `path` is the folder below `to`, where {as_of_date} is the day up to which the published file counts.
    """

    name: Annotated[Text, BeforeValidator(_export_name)]
    table: Annotated[Text, BeforeValidator(_table)] | None = None
    segment: Annotated[Text, BeforeValidator(_segment)] | None = None
    columns: Annotated[
        tuple[
            Annotated[
                Annotated[Text, Tag("field")] | Annotated[ExportColumn, Tag("renamed_field")],
                Discriminator(
                    lambda value: "renamed_field" if isinstance(value, dict | ExportColumn) else "field"
                ),
            ],
            ...,
        ],
        Field(strict=False, min_length=1),
    ] = ()
    to: Annotated[Text, BeforeValidator(_destination)]
    path: Annotated[Text, BeforeValidator(_path)] = DEFAULT_PATH
    format: Literal["csv", "parquet"] = "csv"
    compression: Literal["none", "gzip", "zstd", "snappy"] | None = None
    delimiter: Literal[",", ";", "|", "\t"] = ","
    # As many parts, or parts of so many rows at most; one part without either.
    parts: Annotated[int, Field(ge=1, le=MOST_PARTS)] | None = None
    rows_per_part: Annotated[int, Field(ge=1)] | None = None
    formula_safe: bool = True
    after_run: bool = False

    @property
    def what(self) -> str:
        """'segment stale' or 'table marts.account_engagement'."""
        return f"segment {self.segment}" if self.segment is not None else f"table {self.table}"

    @property
    def compressed(self) -> str:
        """How the parts are compressed: 'none' means that they are not."""
        return self.compression or COMPRESSIONS[self.format][0]

    @property
    def is_formula_safe(self) -> bool:
        """Whether cells that a spreadsheet would compute are made text; Parquet has no such cells."""
        return self.format == "csv" and self.formula_safe

    @property
    def suffix(self) -> str:
        """What the names of the parts end with."""
        return ".csv.gz" if self.format == "csv" and self.compressed == "gzip" else f".{self.format}"


@dataclass(frozen=True)
class Destination:
    """Where an export goes: a folder where `scheme` is empty, else a service.

    `place` is the bucket, the container or the host with its port; `account` and `host` are Azure's, `user` SFTP's.
    """

    scheme: str
    place: str
    path: str
    account: str | None = None
    host: str | None = None
    user: str | None = None
    port: int | None = None

    @property
    def label(self) -> str:
        """The destination as it may be printed."""
        if not self.scheme:
            return self.path
        at = f"{self.place}:{self.port}" if self.port else self.place
        return f"{self.scheme}://{at}/{self.path}".rstrip("/")


AZURE_SCHEMES = ("abfs", "abfss", "az")
SCHEMES = ("s3", *AZURE_SCHEMES, "sftp")
_ALLOWED = (
    "a folder, s3://bucket/folder, abfs://container@account/folder, az://container/folder or sftp://user@host/folder,"
    " without a password, a query or a fragment"
)


def destination_of(text: str) -> Destination:
    """`to` of an export. ValueError with what is allowed."""
    match = _SCHEME.match(text)
    if match is None:
        if not text.isprintable() or text != text.strip():
            raise ValueError(_ALLOWED)
        return Destination("", "", text)
    scheme = match.group(1).lower()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_ALLOWED) from None
    host, user = parts.hostname or "", parts.username
    folders = [part for part in parts.path.split("/") if part]
    is_whole = (
        scheme in SCHEMES
        and bool(host)
        and parts.password is None
        and not (parts.query or parts.fragment)
        and all(_PATH_PART.fullmatch(part) and set(part) != {"."} for part in folders)
        and port != 0
        and (port is None or scheme == "sftp")
        and (user is None or scheme in ("abfs", "abfss", "sftp"))
    )
    if not is_whole:
        raise ValueError(_ALLOWED)
    path = "/".join(folders)
    if scheme in AZURE_SCHEMES:
        return Destination(
            scheme,
            user or host,
            path,
            account=host.partition(".")[0] if user else None,
            host=host if user else None,
        )
    return Destination(scheme, host, path, user=user, port=port)


def path_of(pattern: str, name: str, as_of_date: dt.date) -> str:
    """The folder of an export below its destination. ValueError or KeyError where the pattern is wrong."""
    fields = [field for _, field, _, _ in Formatter().parse(pattern) if field is not None]
    if unknown := [field for field in fields if field not in PATH_FIELDS]:
        raise KeyError(unknown[0])
    return pattern.format(name=name, as_of_date=as_of_date)


def findings(exports: object) -> Iterator[str]:
    """What is wrong across the keys and the entries of `exports` as the file has them, one line each."""
    if not isinstance(exports, list):
        return
    names: dict[str, int] = {}
    folders: dict[tuple[str, str], int] = {}
    for position, entry in enumerate(exports):
        if not isinstance(entry, dict):
            continue
        where, name = f"exports[{position}]", entry.get("name")
        if isinstance(name, str) and (first := names.setdefault(name.lower(), position)) != position:
            yield (
                f"{where}.name: {name!r} is already taken by exports[{first}] (case does not count); choose another"
            )
        yield from _contradictions(where, entry)
        pattern = entry.get("path", DEFAULT_PATH)
        if isinstance(entry.get("to"), str) and isinstance(pattern, str) and isinstance(name, str):
            key = (entry["to"].rstrip("/"), pattern.replace("{name}", name.lower()))
            if (first := folders.setdefault(key, position)) != position and name.lower() not in list(names)[
                :first
            ]:
                other = exports[first].get("name")
                if not isinstance(other, str) or other.lower() != name.lower():
                    yield (
                        f"{where}.path: leads to the same folder as exports[{first}], and one would replace the"
                        " other; put {name} into it"
                    )


def _contradictions(where: str, entry: dict[str, object]) -> Iterator[str]:
    has = {key for key in ("table", "segment") if entry.get(key) is not None}
    if len(has) != 1:
        which = (
            "has both table and segment; keep one of them"
            if has
            else "has neither table nor segment; add one"
        )
        yield f"{where}: {which}"
    kind, compression = entry.get("format", "csv"), entry.get("compression")
    if isinstance(kind, str) and kind in COMPRESSIONS and isinstance(compression, str):
        allowed = COMPRESSIONS[kind]
        if compression not in allowed:
            yield (
                f"{where}.compression: {compression!r} is not allowed; allowed with format {kind}: {', '.join(allowed)}"
            )
    if kind == "parquet":
        for key in ("delimiter", "formula_safe"):
            if key in entry:
                yield f"{where}.{key}: Parquet has none; remove it, or set format to csv"
    if entry.get("parts") is not None and entry.get("rows_per_part") is not None:
        yield f"{where}: has both parts and rows_per_part; keep one of them"
    columns = entry.get("columns")
    if isinstance(columns, list):
        taken: set[str] = set()
        for index, column in enumerate(columns):
            shown = column.get("as") if isinstance(column, dict) else column
            if not isinstance(shown, str):
                continue
            shown = shown if isinstance(column, dict) else shown.rpartition(".")[2]
            if shown.lower() in taken:
                yield (
                    f"{where}.columns[{index}]: {shown!r} is there twice (case does not count); rename one with"
                    " {column: ..., as: ...}"
                )
            taken.add(shown.lower())
