"""A segment's SQL as dbt would hand it to DuckDB, without starting dbt: for previews."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from jinja2 import Environment, Template
from jinja2.runtime import Macro

MACROS = (
    "macros/segments.sql",
    "macros/own_columns.sql",
    "macros/dialect/json.sql",
    "macros/dialect/numbers.sql",
    "macros/dialect/text.sql",
)


class _Adapter:
    """dbt's dispatch, to the variant of DuckDB."""

    def __init__(self, macros: Mapping[str, Any]) -> None:
        self._macros = macros

    def dispatch(self, name: str, package: str) -> Any:
        return self._macros[f"duckdb__{name}"]


class _Exceptions:
    @staticmethod
    def raise_compiler_error(message: str) -> NoReturn:
        raise ValueError(message)


@lru_cache(maxsize=4)
def _compiled(text: str) -> CodeType:
    return Environment(extensions=["jinja2.ext.do"]).compile(text)


def rendered(
    sql: str, *, project_dir: Path, relations: Mapping[str, str], variables: Mapping[str, Any], model: str
) -> str:
    """The SQL with its macros resolved. `relations` says what each ref() is; KeyError for one that it does not have."""
    environment = Environment(extensions=["jinja2.ext.do"])
    macros: dict[str, Any] = {}
    environment.globals |= {
        # A macro that returns does nothing else.
        "return": lambda value: value,
        "adapter": _Adapter(macros),
        "ref": lambda name: relations[name],
        "var": lambda name, default=None: variables.get(name, default),
        "exceptions": _Exceptions,
        "model": {"path": model},
        "execute": True,
    }
    texts = [path.read_text("utf-8") for path in (project_dir / name for name in MACROS)]
    # In one template, so that each sees the others.
    code = _compiled("\n".join(texts))
    macros |= vars(Template.from_code(environment, code, environment.globals).module)
    environment.globals |= {name: value for name, value in macros.items() if isinstance(value, Macro)}
    return environment.from_string(sql).render()
