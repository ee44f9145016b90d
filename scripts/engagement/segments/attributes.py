"""What a segment can ask for: the attributes of an account, their types, and how SQL reads them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import yaml

from engagement import project_yaml
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.warehouse import connect

ATTRIBUTES_MODEL = "int_account_attributes_dated"
MODELS = Path("models", "intermediate", "segments", "_intermediate_segments__models.yml")

NUMBER, TEXT, BOOLEAN, DATE = "number", "text", "true or false", "date"
# The day judged is no attribute of an account, and the customer's own columns have names of their own.
_NO_ATTRIBUTES = ("judged_on", "is_current", "attributes_json")
_OWN_MACROS = {NUMBER: "own_number", TEXT: "own_text", BOOLEAN: "own_boolean", DATE: "own_date"}


def kind_of(data_type: str) -> str:
    """What a contract type holds: number, text, 'true or false' or date (an instant counts as its day)."""
    name = data_type.lower().partition("(")[0]
    if name in ("bigint", "double", "decimal"):
        return NUMBER
    return {"boolean": BOOLEAN, "date": DATE, "timestamp": DATE}.get(name, TEXT)


@dataclass(frozen=True)
class Attribute:
    """A column of the attributes of accounts, or one of the customer's own inside of attributes_json."""

    name: str
    data_type: str
    is_own: bool = False

    @property
    def kind(self) -> str:
        return kind_of(self.data_type)

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers alone."""
        return self.data_type == "bigint"

    def expression(self, relation: str = "") -> str:
        """The SQL that reads it, as a model writes it; `relation` qualifies it."""
        prefix = f"{relation}." if relation else ""
        if not self.is_own:
            return f"{prefix}{self.name}"
        return f"{{{{ {self._call(prefix)} }}}}"

    def argument(self, relation: str = "") -> str:
        """The same as an argument of a macro."""
        prefix = f"{relation}." if relation else ""
        return self._call(prefix) if self.is_own else f"'{prefix}{self.name}'"

    def _call(self, prefix: str) -> str:
        name = self.name.replace("\\", "\\\\").replace("'", "\\'")
        return f"{_OWN_MACROS[self.kind]}('{prefix}attributes_json', '{name}')"


def known_attributes(settings: Settings) -> dict[str, Attribute]:
    """The columns of the attributes of accounts, by name; ConfigurationError where the project does not say them."""
    path = settings.project_dir / MODELS
    try:
        models = project_yaml.load(path.read_text("utf-8"))["models"]
        columns = next(model["columns"] for model in models if model["name"] == ATTRIBUTES_MODEL)
        return {
            column["name"]: Attribute(column["name"], str(column["data_type"]))
            for column in columns
            if column["name"] not in _NO_ATTRIBUTES
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration):
        raise ConfigurationError(
            f"{MODELS.as_posix()}: does not say what {ATTRIBUTES_MODEL} holds; put it back as it came with the project"
        ) from None


def attribute_named(name: str, known: Mapping[str, Attribute], settings: Settings) -> Attribute:
    """The attribute of this name: one of `known`, or a column of the customer's own, of the type that was landed last.

    Raises ConfigurationError with the nearest name where there is none, and where the column was not landed yet;
    BusyError where another process has the private file, which knows its type.
    """
    if name in known:
        return known[name]
    own = settings.configuration.customers.accounts.attributes
    if name in own:
        if (data_type := _landed_types(settings).get(name)) is not None:
            return Attribute(name, data_type, is_own=True)
        raise ConfigurationError(
            f"{name}: its type is not known yet; land the customer files with `engagement extract customers` first"
        )
    names = [*known, *own]
    near = difflib.get_close_matches(name, names, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
    raise ConfigurationError(f"{name!r} is no attribute of an account; {hint}")


def _landed_types(settings: Settings) -> dict[str, str]:
    if not settings.private_file.is_file():
        return {}
    with connect(settings, read_only=True) as connection:
        try:
            return dict(
                connection.execute("select attribute, data_type from raw.account_attributes").fetchall()
            )
        except duckdb.CatalogException:
            return {}
